// protoc-gen-ff through protoc: what it refuses, and with which words. What it generates is used by all other tests.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace {

struct Ran {
  int status = 0;
  std::string output;
};

// Runs protoc with our plugin over a file with this text.
Ran generate(const std::string& text) {
  char pattern[] = "/tmp/ff_plugin_test.XXXXXX";
  const std::filesystem::path folder = ::mkdtemp(pattern);
  std::ofstream(folder / "a.proto") << text;
  const std::string command = std::string(FF_PROTOC) + " --plugin=protoc-gen-ff=" + FF_PROTOC_GEN_FF +
                              " --proto_path=" + folder.string() + " --ff_out=" + folder.string() + " " +
                              (folder / "a.proto").string() + " 2>&1";
  Ran ran;
  FILE* pipe = ::popen(command.c_str(), "r");
  char part[256];
  while (std::fgets(part, sizeof part, pipe) != nullptr) ran.output += part;
  ran.status = WEXITSTATUS(::pclose(pipe));
  std::ifstream header(folder / "a.ff.hpp");
  ran.output += std::string(std::istreambuf_iterator<char>(header), {});
  std::filesystem::remove_all(folder);
  return ran;
}

constexpr char kBegin[] = "syntax = \"proto3\"; package p; message M {} ";

TEST(ProtocGenFf, MakesClassesNamedAfterTheService) {
  for (const char* name : {"Counter", "CounterService"}) {
    const Ran ran = generate(kBegin + std::string("service ") + name + " { rpc GetURLNow(M) returns (M); }");
    EXPECT_EQ(ran.status, 0) << ran.output;
    EXPECT_NE(ran.output.find("class CounterService : public ff::rpc::Service"), std::string::npos);
    EXPECT_NE(ran.output.find("class CounterClient"), std::string::npos);
    EXPECT_NE(ran.output.find("get_url_now("), std::string::npos);
  }
}

TEST(ProtocGenFf, MakesFunctionsOutOfNamesThatAreWordsOfCpp) {
  // ISO C++23, [lex.key] and the alternative tokens of [lex.digraph]; then macros of the C library.
  std::istringstream words(
      "alignas alignof asm auto bool break case catch char char8_t char16_t char32_t class concept const consteval "
      "constexpr constinit const_cast continue co_await co_return co_yield decltype default delete do double "
      "dynamic_cast else enum explicit export extern false float for friend goto if inline int long mutable namespace "
      "new noexcept nullptr operator private protected public register reinterpret_cast requires return short signed "
      "sizeof static static_assert static_cast struct switch template this thread_local throw true try typedef typeid "
      "typename union unsigned using virtual void volatile wchar_t while "
      "and and_eq bitand bitor compl not not_eq or or_eq xor xor_eq "
      "assert errno offsetof");
  std::vector<std::string> all;
  std::string methods;
  for (std::string word; words >> word;) {
    methods += "rpc " + word + "(M) returns (M); ";
    all.push_back(word);
  }
  const Ran ran = generate(std::string(kBegin) + "service S { " + methods + "}");
  EXPECT_EQ(ran.status, 0) << ran.output;
  for (const std::string& word : all) EXPECT_NE(ran.output.find("> " + word + "_("), std::string::npos) << word;
}

TEST(ProtocGenFf, RefusesStreams) {
  const Ran ran = generate(std::string(kBegin) + "service S { rpc Watch(M) returns (stream M); }");
  EXPECT_NE(ran.status, 0);
  EXPECT_NE(ran.output.find("p.S/Watch: streams are not supported"), std::string::npos) << ran.output;
}

TEST(ProtocGenFf, RefusesProto2) {
  const Ran ran = generate("syntax = \"proto2\"; package p; message M {} service S { rpc A(M) returns (M); }");
  EXPECT_NE(ran.status, 0);
  EXPECT_NE(ran.output.find("is not proto3"), std::string::npos) << ran.output;
}

TEST(ProtocGenFf, RefusesNamesThatFallTogether) {
  EXPECT_NE(generate(std::string(kBegin) + "service S { rpc GetIt(M) returns (M); rpc get_it(M) returns (M); }").status,
            0);
  EXPECT_NE(
      generate(std::string(kBegin) + "service S { rpc A(M) returns (M); } service SService { rpc A(M) returns (M); }")
          .status,
      0);
  EXPECT_NE(generate(std::string(kBegin) + "message SClient {} service S { rpc A(M) returns (M); }").status, 0);
}

TEST(ProtocGenFf, RefusesMethodsWithOneChecksum) {
  // Found by search: both have the id 0x3e7106e1.
  const Ran ran =
      generate(std::string(kBegin) + "service S { rpc Mccaoacux(M) returns (M); rpc Mwcjifoae(M) returns (M); }");
  EXPECT_NE(ran.status, 0);
  EXPECT_NE(ran.output.find("has the same id as"), std::string::npos) << ran.output;
}

TEST(ProtocGenFf, RefusesAServiceWithoutMethods) {
  const Ran ran = generate(std::string(kBegin) + "service S {}");
  EXPECT_NE(ran.status, 0);
  EXPECT_NE(ran.output.find("has no methods"), std::string::npos) << ran.output;
}

}  // namespace
