#include "ffs/cmd/local_tree.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace ff::ffs {
namespace {

namespace fs = std::filesystem;

class LocalTreeTest : public testing::Test {
 protected:
  LocalTreeTest() {
    std::string pattern = (fs::temp_directory_path() / "ff_local_tree_test.XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
    fs::create_directory(folder_ / "out");
    fs::create_directory(folder_ / "in");
    former_ = ::umask(022);
  }
  ~LocalTreeTest() override {
    ::umask(former_);
    fs::remove_all(folder_);
  }
  LocalTree tree() { return *LocalTree::open((folder_ / "in").string()); }
  bool out_is_empty() const { return fs::is_empty(folder_ / "out"); }
  unsigned mode(const char* name) const {
    struct stat facts{};
    return ::lstat((folder_ / "in" / name).c_str(), &facts) == 0 ? facts.st_mode & 07777u : ~0u;
  }
  static Result<> put(LocalTree& tree, const std::string& path, const std::string& text) {
    FF_TRY_ASSIGN(AtomicFile file, tree.make_file(path, 0644));
    FF_TRY(file.write(std::as_bytes(std::span(text))));
    return file.commit();
  }
  std::string content(const fs::path& path) const {
    std::ifstream file(folder_ / path);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  fs::path folder_;
  mode_t former_ = 0;
};

TEST_F(LocalTreeTest, MakesFoldersFilesAndLinks) {
  LocalTree in = tree();
  ASSERT_TRUE(in.make_folder("a", 0755));
  ASSERT_TRUE(in.make_folder("a/b", 0750));
  ASSERT_TRUE(put(in, "a/b/f", "bytes"));
  ASSERT_TRUE(in.make_link("a/l", "b/f"));
  ASSERT_TRUE(in.finish());
  EXPECT_EQ(content("in/a/b/f"), "bytes");
  EXPECT_EQ(fs::read_symlink(folder_ / "in/a/l"), "b/f");
  EXPECT_EQ(mode("a/b"), 0750u);
}

TEST_F(LocalTreeTest, NoLinkLeadsOut) {
  LocalTree in = tree();
  ASSERT_TRUE(in.make_link("x", "../out"));
  for (const Result<>& done : {put(in, "x/f", "bytes"), in.make_folder("x/d", 0755), in.make_link("x/l", "t"),
                               in.make_folder("x", 0755), put(in, "../out/f", "bytes"), put(in, "x/../f", "bytes")}) {
    ASSERT_FALSE(done);
  }
  EXPECT_EQ(in.make_folder("x", 0755).error().sys_errno(), ENOTDIR);
  EXPECT_TRUE(out_is_empty());
}

TEST_F(LocalTreeTest, AFileReplacesALinkAndNotWhatItPointsTo) {
  std::ofstream(folder_ / "out/f") << "precious";
  LocalTree in = tree();
  ASSERT_TRUE(in.make_link("f", "../out/f"));
  ASSERT_TRUE(put(in, "f", "bytes"));
  EXPECT_EQ(content("out/f"), "precious");
  EXPECT_TRUE(fs::is_regular_file(fs::symlink_status(folder_ / "in/f")));
}

TEST_F(LocalTreeTest, EverythingCanBeMadeAgain) {
  for (int turn = 0; turn < 2; ++turn) {
    LocalTree in = tree();
    ASSERT_TRUE(in.make_folder("a", 0755));
    ASSERT_TRUE(put(in, "a/f", "bytes"));
    ASSERT_TRUE(in.make_link("a/l", turn == 0 ? "one" : "two"));
    ASSERT_TRUE(in.finish());
  }
  EXPECT_EQ(fs::read_symlink(folder_ / "in/a/l"), "two");
  EXPECT_FALSE(tree().make_folder("a/f", 0755));
  EXPECT_FALSE(tree().make_link("a", "x"));  // a folder gives way to nothing
}

TEST_F(LocalTreeTest, AFolderThatMayNotBeFilledIsFilledFirst) {
  for (int turn = 0; turn < 2; ++turn) {
    LocalTree in = tree();
    ASSERT_TRUE(in.make_folder("a", 0555));
    EXPECT_EQ(mode("a"), 0755u);
    ASSERT_TRUE(in.make_folder("a/b", 0500));
    ASSERT_TRUE(put(in, "a/b/f", "bytes"));
    ASSERT_TRUE(in.finish());
    EXPECT_EQ(mode("a"), 0555u);
    EXPECT_EQ(mode("a/b"), 0500u);
  }
}

// Interrupted before finish(): the next copy gives the mode that was wanted.
TEST_F(LocalTreeTest, ARepeatedCopyEndsWhatTheFirstBegan) {
  ASSERT_TRUE(tree().make_folder("a", 0555));
  LocalTree in = tree();
  ASSERT_TRUE(in.make_folder("a", 0555));
  ASSERT_TRUE(in.finish());
  EXPECT_EQ(mode("a"), 0555u);
}

TEST_F(LocalTreeTest, AFolderOfSomebodyElsesMakingKeepsItsMode) {
  fs::create_directory(folder_ / "in/mine");
  ASSERT_EQ(::chmod((folder_ / "in/mine").c_str(), 0711), 0);
  LocalTree in = tree();
  ASSERT_TRUE(in.make_folder("mine", 0555));
  ASSERT_TRUE(in.finish());
  EXPECT_EQ(mode("mine"), 0711u);
}

}  // namespace
}  // namespace ff::ffs
