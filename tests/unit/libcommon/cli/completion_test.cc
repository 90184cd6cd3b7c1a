// The bash script is run by bash: it must parse, and offer what fits the words before the cursor.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "libcommon/base/file.hpp"
#include "tests/unit/libcommon/cli/sample_app.hpp"

namespace ff::cli {
namespace {

namespace fs = std::filesystem;

struct Shell {
  int status = -1;
  std::string out;
};

Shell shell(const std::string& command) {
  Shell result;
  std::FILE* pipe = ::popen((command + " 2>&1").c_str(), "r");
  if (pipe == nullptr) return result;
  char block[4096];
  while (const std::size_t n = std::fread(block, 1, sizeof block, pipe)) result.out.append(block, n);
  result.status = ::pclose(pipe);
  return result;
}

class Completion : public testing::Test {
 protected:
  Completion() {
    std::string pattern = (fs::temp_directory_path() / "ff_completion_test.XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
    script_ = (folder_ / "tool.bash").string();
    const Outcome outcome = call({"completion", "bash"});
    EXPECT_EQ(outcome.code, kExitOk);
    EXPECT_TRUE(write_file_atomic(script_, outcome.out));
  }
  ~Completion() override { fs::remove_all(folder_); }

  // What bash would offer for these words, the last of them unfinished; one a line.
  std::string offered(const std::vector<std::string>& words) const {
    std::string list;
    for (const std::string& word : words) list += " '" + word + "'";
    // compopt works only while bash itself completes.
    return shell("bash -c 'compopt() { :; }; . " + script_ + "; COMP_WORDS=(\"$@\"); COMP_CWORD=" +
                 std::to_string(words.size() - 1) + "; _tool; printf \"%s\\n\" \"${COMPREPLY[@]}\"' -" + list)
        .out;
  }

  fs::path folder_;
  std::string script_;
};

TEST_F(Completion, ScriptParses) {
  const Shell check = shell("bash -n " + script_);
  EXPECT_EQ(check.status, 0) << check.out;
}

TEST_F(Completion, OffersCommandsAlongTheTree) {
  EXPECT_EQ(offered({"tool", ""}), "bench\ntopo\nversion\ncompletion\n");
  EXPECT_EQ(offered({"tool", "be"}), "bench\n");
  EXPECT_EQ(offered({"tool", "-v", "topo", ""}), "show\n");
}

TEST_F(Completion, OffersOptionsWithTheParentsAndWithoutTheHidden) {
  EXPECT_EQ(offered({"tool", "bench", "--ra"}), "--ranks\n--ratio\n");
  EXPECT_EQ(offered({"tool", "bench", "--verb"}), "--verbose\n");
  EXPECT_EQ(offered({"tool", "bench", "--sec"}), "\n");
}

TEST_F(Completion, OffersChoicesAndFiles) {
  EXPECT_EQ(offered({"tool", "bench", "--algorithm", ""}), "tree\nring\n");
  EXPECT_EQ(offered({"tool", "bench", "--algorithm", "=", "r"}), "ring\n");
  EXPECT_EQ(offered({"tool", "bench", "--ranks", ""}), "\n");
  EXPECT_EQ(offered({"tool", "completion", "f"}), "fish\n");
  EXPECT_EQ(offered({"tool", "bench", script_.substr(0, script_.size() - 2)}), script_ + "\n");
}

TEST_F(Completion, CoversTheOtherShells) {
  const std::string zsh = call({"completion", "zsh"}).out;
  EXPECT_TRUE(zsh.starts_with("#compdef tool\n"));
  EXPECT_NE(zsh.find("'--ranks:number of ranks'"), std::string::npos);
  const std::string fish = call({"completion", "fish"}).out;
  EXPECT_NE(fish.find("-s n -l ranks -x -d 'number of ranks'"), std::string::npos);
  for (const auto& [name, script] : {std::pair{"zsh", zsh}, std::pair{"fish", fish}}) {
    EXPECT_EQ(script.find("secret"), std::string::npos);
    if (shell(std::string("command -v ") + name).status != 0) continue;
    const std::string path = (folder_ / name).string();
    ASSERT_TRUE(write_file_atomic(path, script));
    EXPECT_EQ(shell(std::string(name) + " -n " + path).status, 0);
  }
}

}  // namespace
}  // namespace ff::cli
