#include "libcommon/config/loader.hpp"

#include <gtest/gtest.h>

#include <filesystem>

#include "libcommon/base/file.hpp"
#include "tests/unit/libcommon/config/sample_schema.hpp"

namespace ff::config {
namespace {

std::string refusal(std::string_view text) {
  Config config(sample_schema());
  const auto result = load_text(config, text, "f.yaml");
  if (result) return "accepted";
  EXPECT_EQ(result.error().code(), Errc::kInvalidArgument);
  return result.error().message();
}

TEST(LoadText, FillsEveryTypeAndRemembersTheLine) {
  Config config(sample_schema());
  const auto result = load_text(config,
                                "# comment\n"
                                "name: \"0644\"\n"
                                "net:\n"
                                "  port: 7001\n"
                                "  timeout: 250ms\n"
                                "  interfaces: [mlx0, \"mlx1\"]\n"
                                "store: {chunk: 1.5MiB, sync: false}\n"
                                "tree:\n"
                                "  kind: ring\n"
                                "  ratio: 0.25\n",
                                "f.yaml");
  ASSERT_TRUE(result) << result.error().message();
  EXPECT_EQ(config.get<std::string>("name"), "0644");
  EXPECT_EQ(config.get<std::int64_t>("net.port"), 7001);
  EXPECT_EQ(config.get<std::chrono::nanoseconds>("net.timeout"), std::chrono::milliseconds(250));
  EXPECT_EQ(config.get<std::vector<std::string>>("net.interfaces"), (std::vector<std::string>{"mlx0", "mlx1"}));
  EXPECT_EQ(config.get<std::uint64_t>("store.chunk"), 1572864U);
  EXPECT_FALSE(config.get<bool>("store.sync"));
  EXPECT_EQ(config.get<std::string>("tree.kind"), "ring");
  EXPECT_EQ(config.get<double>("tree.ratio"), 0.25);
  EXPECT_EQ(config.origin_of("net.timeout").place, "f.yaml:5");
  EXPECT_EQ(config.origin_of("store.sync").place, "f.yaml:7");
}

TEST(LoadText, TakesNothingForAllDefaults) {
  for (const char* text : {"", "# only a comment\n", "---\n", "net:\n", "{}\n"})
    EXPECT_EQ(refusal(text), "accepted") << text;
}

struct Case {
  const char* text;
  const char* message;
};

TEST(LoadText, RefusesWithFileLineKeyAndReason) {
  const Case cases[] = {
      {"name: x\nnet:\n  prot: 1\n", "f.yaml:3: net.prot: unknown key (did you mean 'port'?)"},
      {"nmae: x\n", "f.yaml:1: nmae: unknown key (did you mean 'name'?)"},
      {"net.port: 1\n", "f.yaml:1: net.port: unknown key"},
      {"name: a\nname: b\n", "f.yaml:2: name: given twice"},
      {"net:\n  port: 1\nstore:\n  sync: true\nnet:\n  timeout: 1s\n", "f.yaml:5: net: given twice"},
      {"net:\n  port: 0644\n", "f.yaml:2: net.port: '0644' may mean octal or decimal (write it without the leading 0)"},
      {"name: 0644\n",
       "f.yaml:1: name: '0644' may mean octal or decimal (write it without the leading 0, or in quotes)"},
      {"net:\n  port: 7x\n", "f.yaml:2: net.port: '7x' is not a whole number"},
      {"net:\n  port: 0x10\n", "f.yaml:2: net.port: '0x10' is not a whole number"},
      {"net:\n  port: 1.5\n", "f.yaml:2: net.port: '1.5' is not a whole number"},
      {"net:\n  port: '7'\n", "f.yaml:2: net.port: needs one integer value, not text (remove the quotes)"},
      {"net:\n  port: 65536\n", "f.yaml:2: net.port: '65536' is out of range (1 to 65535)"},
      {"net:\n  port: -1\n", "f.yaml:2: net.port: '-1' is out of range (1 to 65535)"},
      {"net:\n  timeout: 2h\n", "f.yaml:2: net.timeout: '2h' is out of range (1ms to 1h0m)"},
      {"net:\n  interfaces: eth0\n", "f.yaml:2: net.interfaces: is a list (write [a, b] or one '- item' a line)"},
      {"net:\n  interfaces: [[a]]\n", "f.yaml:2: net.interfaces: needs one list value"},
      {"net: 5\n", "f.yaml:1: net: is a group of keys, not a value"},
      {"store:\n  sync: yes\n", "f.yaml:2: store.sync: 'yes' is not a boolean (write true or false)"},
      {"store:\n  chunk: 1K\n", "f.yaml:2: store.chunk: '1K' is out of range (at least 4KiB)"},
      {"name: no\n", "f.yaml:1: name: 'no' may mean text or a boolean (put it in quotes)"},
      {"name:\n", "f.yaml:1: name: has no value"},
      {"name: {a: b}\n", "f.yaml:1: name: needs one text value"},
      {"name: !!str x\n", "f.yaml:1: name: tag 'tag:yaml.org,2002:str' is not supported"},
      {"tree:\n  kind: rnig\n", "f.yaml:2: tree.kind: 'rnig' is not one of double, ring (did you mean 'ring'?)"},
      {"tree:\n  ratio: .nan\n", "f.yaml:2: tree.ratio: '.nan' is not a number"},
      {"- a\n", "f.yaml:1: the file must be a map of keys"},
      {"text\n", "f.yaml:1: the file must be a map of keys"},
      {"? [a]\n: b\n", "f.yaml:1: a key must be a word"},
  };
  for (const auto& [text, message] : cases) EXPECT_EQ(refusal(text), message) << text;
}

TEST(LoadText, ReadsMapsWhole) {
  Config config(sample_schema());
  ASSERT_TRUE(load_text(config, "net:\n  routes: {b: x=y, '0644': 'yes'}\n", "f.yaml"));
  EXPECT_EQ(config.get<TextMap>("net.routes"), (TextMap{{"0644", "yes"}, {"b", "x=y"}}));
  EXPECT_EQ(value_text(config.value_of("net.routes")), "0644=yes,b=x=y");
  // One entry by a flag leaves the others.
  ASSERT_TRUE(config.set_flag("net.routes.b", "z", "--set"));
  ASSERT_TRUE(config.set_flag("net.routes.c.d", "", "--set"));
  EXPECT_EQ(config.get<TextMap>("net.routes"), (TextMap{{"0644", "yes"}, {"b", "z"}, {"c.d", ""}}));
  EXPECT_FALSE(config.set_flag("net.routes.", "z", "--set"));
  EXPECT_FALSE(config.set_flag("net.routes", "z", "--set"));
  EXPECT_EQ(refusal("net:\n  routes: [a]\n"), "f.yaml:2: net.routes: is a map (write {name: text})");
  EXPECT_EQ(refusal("net:\n  routes: {a: 1, a: 2}\n"), "f.yaml:2: net.routes: 'a' is given twice");
  EXPECT_EQ(refusal("net:\n  routes: {a: }\n"), "f.yaml:2: net.routes: 'a' has no value");
  EXPECT_EQ(refusal("net:\n  routes: {a: on}\n"),
            "f.yaml:2: net.routes: 'a': 'on' may mean text or a boolean (put it in quotes)");
}

TEST(LoadText, RefusesBrokenYamlAndSecondDocumentsByLine) {
  EXPECT_TRUE(refusal("name: [a\n").starts_with("f.yaml:")) << refusal("name: [a\n");
  EXPECT_TRUE(refusal("a: b: c\n").starts_with("f.yaml:1: "));
  EXPECT_TRUE(refusal("name: a\n---\nname: b\n").starts_with("f.yaml:2: more than one document"))
      << refusal("name: a\n---\nname: b\n");
  // yaml-cpp's own reader of several documents never ends on these.
  for (const char* stray : {",", "]", "name: a\n]", ", e!", "}"})
    EXPECT_TRUE(refusal(stray).starts_with("f.yaml:1: ") || refusal(stray).starts_with("f.yaml:2: ")) << stray;
  EXPECT_NE(refusal(std::string(10000, '[')), "accepted");
}

TEST(LoadFile, NamesTheFileAndBoundsItsSize) {
  Config config(sample_schema());
  const auto absent = load_file(config, "/nonexistent/f.yaml");
  ASSERT_FALSE(absent);
  EXPECT_EQ(absent.error().code(), Errc::kNotFound);

  std::string folder = (std::filesystem::temp_directory_path() / "ff_loader_test.XXXXXX").string();
  ASSERT_NE(::mkdtemp(folder.data()), nullptr);
  const std::string path = folder + "/f.yaml";
  ASSERT_TRUE(write_file_atomic(path, "name: x\n"));
  ASSERT_TRUE(load_file(config, path));
  EXPECT_EQ(config.origin_of("name").place, path + ":1");
  ASSERT_TRUE(write_file_atomic(path, std::string(kConfigBytesMax + 1, '#')));
  EXPECT_FALSE(load_file(config, path));
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace ff::config
