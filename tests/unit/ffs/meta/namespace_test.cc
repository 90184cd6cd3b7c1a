// Names: create, look up, list, make, link, remove, rename, with their errors.
#include <cerrno>

#include "tests/unit/ffs/meta/namespace_suite.hpp"

namespace ff::ffs {
namespace {

using Names = std::vector<std::string>;

TEST_P(NamespaceTest, ACreatedFileIsFoundAgain) {
  ASSERT_EQ(fs.mkdir("/d"), 0);
  fs.as(user(100));
  EXPECT_EQ(fs.create("/d/f"), EACCES);
  fs.as(root_user());
  ASSERT_EQ(fs.create("/d/f", 0640), 0);
  const std::uint64_t inode = fs.last.inode();
  EXPECT_EQ(fs.create("/d/f"), EEXIST);
  ASSERT_EQ(fs.stat("/d/f"), 0);
  EXPECT_EQ(fs.last.inode(), inode);
  EXPECT_EQ(fs.last.type(), REGULAR);
  EXPECT_EQ(fs.last.mode(), 0640U);
  EXPECT_EQ(fs.last.links(), 1U);
  EXPECT_TRUE(fs.last.inlined());
  EXPECT_EQ(fs.stat("/d/g"), ENOENT);
  EXPECT_EQ(fs.stat("/x/g"), ENOENT);
  EXPECT_EQ(fs.stat("/d/f/g"), ENOTDIR);
  EXPECT_EQ(fs.stat("/d/f/"), ENOTDIR);
  EXPECT_EQ(fs.stat("/d/"), 0);
  EXPECT_EQ(fs.last.links(), 2U);
  EXPECT_EQ(fs.stat("/"), 0);
  EXPECT_EQ(fs.last.links(), 3U);
  EXPECT_EQ(fs.open_write("/d"), EISDIR);
}

TEST_P(NamespaceTest, PathsAreChecked) {
  EXPECT_EQ(fs.create("/" + std::string(255, 'n')), 0);
  EXPECT_EQ(fs.create("/" + std::string(256, 'n')), ENAMETOOLONG);
  EXPECT_EQ(fs.stat("/./x"), EINVAL);
  EXPECT_EQ(fs.stat("/.."), EINVAL);
  EXPECT_EQ(fs.stat(std::string("/a\0b", 4)), EINVAL);
  EXPECT_EQ(fs.create("/x/"), EISDIR);
  EXPECT_EQ(fs.mkdir("/x/"), 0);
  // Every byte but '/' and NUL, each alone in a name.
  for (int byte = 1; byte < 256; ++byte) {
    if (byte == '/') continue;
    const std::string name = std::string("/x/-") + static_cast<char>(byte);
    ASSERT_EQ(fs.create(name), 0) << byte;
    ASSERT_EQ(fs.stat(name), 0) << byte;
  }
  EXPECT_EQ(fs.names_in("/x").size(), 254U);
  // 4096 bytes are a path, 4097 are not.
  std::string deep;
  while (deep.size() + 256 <= kPathBytesMax) {
    deep += "/" + std::string(255, 'd');
    ASSERT_EQ(fs.mkdir(deep), 0) << deep.size();
  }
  ASSERT_EQ(deep.size(), 4096U);
  EXPECT_EQ(fs.stat(deep), 0);
  EXPECT_EQ(fs.stat(deep + "/"), ENAMETOOLONG);
}

TEST_P(NamespaceTest, SymlinksAreFollowedUpToFortyTimes) {
  ASSERT_EQ(fs.mkdir("/d"), 0);
  ASSERT_EQ(fs.mkdir("/d/e"), 0);
  ASSERT_EQ(fs.create("/d/f"), 0);
  const std::uint64_t inode = fs.last.inode();
  ASSERT_EQ(fs.symlink("../d/./f", "/d/relative"), 0);
  EXPECT_EQ(fs.last.target(), "../d/./f");
  EXPECT_EQ(fs.last.size(), 8U);
  ASSERT_EQ(fs.symlink("/d", "/absolute"), 0);
  EXPECT_EQ(fs.stat("/absolute/relative"), 0);
  EXPECT_EQ(fs.last.inode(), inode);
  EXPECT_EQ(fs.stat("/d/relative", false), 0);
  EXPECT_EQ(fs.last.type(), SYMLINK);
  ASSERT_EQ(fs.symlink("..", "/d/e/up"), 0);
  EXPECT_EQ(fs.stat("/d/e/up/f"), 0);
  EXPECT_EQ(fs.last.inode(), inode);
  ASSERT_EQ(fs.symlink("loop", "/loop"), 0);
  EXPECT_EQ(fs.stat("/loop"), ELOOP);
  ASSERT_EQ(fs.symlink("/d/f", "/l1"), 0);
  for (int i = 2; i <= 41; ++i) ASSERT_EQ(fs.symlink("l" + std::to_string(i - 1), "/l" + std::to_string(i)), 0);
  EXPECT_EQ(fs.stat("/l40"), 0);
  EXPECT_EQ(fs.stat("/l41"), ELOOP);
  // Creating through one that names nothing yet; exclusive does not follow.
  ASSERT_EQ(fs.symlink("/d/new", "/dangling"), 0);
  EXPECT_EQ(fs.create("/dangling"), EEXIST);
  OpenRequest request;
  *request.mutable_where() = path("/dangling");
  request.set_write(true);
  request.set_create(true);
  EXPECT_EQ(fs.open(request), 0);
  EXPECT_EQ(fs.close(fs.last.inode(), fs.handle), 0);
  EXPECT_EQ(fs.stat("/d/new"), 0);
  EXPECT_EQ(fs.symlink("", "/x"), ENOENT);
  EXPECT_EQ(fs.symlink(std::string(4096, 'x'), "/x"), ENAMETOOLONG);
}

TEST_P(NamespaceTest, ListsInPagesInOrder) {
  ASSERT_EQ(fs.mkdir("/d"), 0);
  EXPECT_EQ(fs.names_in("/d"), Names{});
  for (const char* name : {"/d/b", "/d/a", "/d/c", "/d/aa"}) ASSERT_EQ(fs.create(name), 0);
  EXPECT_EQ(fs.names_in("/d"), (Names{"a", "aa", "b", "c"}));
  const auto first = fs.list("/d", "", 2, true);
  ASSERT_TRUE(first.has_value());
  ASSERT_EQ(first->entries_size(), 2);
  EXPECT_TRUE(first->more());
  EXPECT_EQ(first->entries(1).attributes().inode(), first->entries(1).inode());
  const auto second = fs.list("/d", "aa", 2);
  ASSERT_TRUE(second.has_value());
  ASSERT_EQ(second->entries_size(), 2);
  EXPECT_EQ(second->entries(0).name(), "b");
  EXPECT_FALSE(second->more());
  fs.as(user(5));
  EXPECT_TRUE(fs.list("/d").has_value());
  fs.as(root_user());
  ASSERT_EQ(fs.mkdir("/closed", 0700), 0);
  fs.as(user(5));
  EXPECT_EQ(MetaWorld::posix(fs.list("/closed").error()), EACCES);
}

TEST_P(NamespaceTest, HardLinksCount) {
  ASSERT_EQ(fs.create("/a"), 0);
  const std::uint64_t inode = fs.last.inode();
  ASSERT_EQ(fs.link("/a", "/b"), 0);
  EXPECT_EQ(fs.last.links(), 2U);
  EXPECT_EQ(fs.link("/a", "/b"), EEXIST);
  EXPECT_EQ(fs.link("/none", "/c"), ENOENT);
  ASSERT_EQ(fs.mkdir("/d"), 0);
  EXPECT_EQ(fs.link("/d", "/e"), EPERM);
  ASSERT_EQ(fs.rename("/a", "/b"), 0);  // two names of one file: nothing happens
  EXPECT_EQ(fs.names_in("/"), (Names{"a", "b", "d"}));
  ASSERT_EQ(fs.unlink("/a"), 0);
  ASSERT_EQ(fs.stat("/b"), 0);
  EXPECT_EQ(fs.last.inode(), inode);
  EXPECT_EQ(fs.last.links(), 1U);
}

TEST_P(NamespaceTest, RemovesWhatPosixLetsIt) {
  ASSERT_EQ(fs.mkdir("/d"), 0);
  ASSERT_EQ(fs.create("/d/f"), 0);
  EXPECT_EQ(fs.rmdir("/d"), ENOTEMPTY);
  EXPECT_EQ(fs.unlink("/d"), EISDIR);
  EXPECT_EQ(fs.rmdir("/d/f"), ENOTDIR);
  EXPECT_EQ(fs.unlink("/d/g"), ENOENT);
  EXPECT_EQ(fs.rmdir("/"), EBUSY);
  ASSERT_EQ(fs.unlink("/d/f"), 0);
  ASSERT_EQ(fs.rmdir("/d"), 0);
  EXPECT_EQ(fs.names_in("/"), Names{});
  // Sticky: only who owns the entry or the directory.
  ASSERT_EQ(fs.mkdir("/tmp", 01777), 0);
  fs.as(user(100));
  ASSERT_EQ(fs.create("/tmp/mine"), 0);
  fs.as(user(200));
  EXPECT_EQ(fs.unlink("/tmp/mine"), EPERM);
  EXPECT_EQ(fs.rename("/tmp/mine", "/tmp/yours"), EPERM);
  fs.as(user(100));
  EXPECT_EQ(fs.unlink("/tmp/mine"), 0);
}

TEST_P(NamespaceTest, RenameReplacesExchangesAndRefuses) {
  for (const char* d : {"/a", "/b", "/a/sub", "/b/full", "/b/full/x"}) ASSERT_EQ(fs.mkdir(d), 0);
  ASSERT_EQ(fs.create("/a/f"), 0);
  const std::uint64_t f = fs.last.inode();
  ASSERT_EQ(fs.create("/b/g"), 0);
  const std::uint64_t g = fs.last.inode();
  EXPECT_EQ(fs.rename("/a/f", "/b/g", true), EEXIST);
  EXPECT_EQ(fs.rename("/a/f", "/b/none", false, true), ENOENT);
  EXPECT_EQ(fs.rename("/a/f", "/b/g", true, true), EINVAL);
  ASSERT_EQ(fs.rename("/a/f", "/b/g", false, true), 0);
  ASSERT_EQ(fs.stat("/b/g"), 0);
  EXPECT_EQ(fs.last.inode(), f);
  ASSERT_EQ(fs.stat("/a/f"), 0);
  EXPECT_EQ(fs.last.inode(), g);
  ASSERT_EQ(fs.rename("/a/f", "/b/g"), 0);
  ASSERT_EQ(fs.stat("/b/g"), 0);
  EXPECT_EQ(fs.last.inode(), g);
  EXPECT_EQ(fs.stat("/a/f"), ENOENT);
  EXPECT_EQ(fs.rename("/a/none", "/b/h"), ENOENT);
  EXPECT_EQ(fs.rename("/b/g", "/a/sub"), EISDIR);
  EXPECT_EQ(fs.rename("/a/sub", "/b/g"), ENOTDIR);
  EXPECT_EQ(fs.rename("/a/sub", "/b/full"), ENOTEMPTY);
  EXPECT_EQ(fs.rename("/b", "/b/full/x/y"), EINVAL);
  EXPECT_EQ(fs.rename("/b", "/b/y"), EINVAL);
  EXPECT_EQ(fs.rename("/b", "/b/full", false, true), EINVAL);
  EXPECT_EQ(fs.rename("/b/full", "/b", false, true), EINVAL);
  ASSERT_EQ(fs.rename("/b/full/x", "/a/sub"), 0);  // over an empty directory
  ASSERT_EQ(fs.rename("/a", "/b/full/a"), 0);
  EXPECT_EQ(fs.stat("/b/full/a/sub"), 0);
  // A directory and a file change places: so do the counts of directories.
  ASSERT_EQ(fs.rename("/b/full/a", "/b/g", false, true), 0);
  ASSERT_EQ(fs.stat("/b"), 0);
  EXPECT_EQ(fs.last.links(), 4U);
}

// A mount names directories by their inodes, and may hold one below a directory that was removed with all in it.
TEST_P(NamespaceTest, NothingIsPutIntoATreeThatWasRemoved) {
  ASSERT_EQ(fs.mkdir("/d/sub/deep", 0755, true), 0);
  const std::uint64_t deep = fs.last.inode();
  ASSERT_EQ(fs.create("/keep"), 0);
  ASSERT_EQ(fs.create("/d/sub/deep/lost"), 0);
  ASSERT_EQ(fs.mkdir("/kept"), 0);
  RenameRequest rename;
  *rename.mutable_from() = path("/keep");
  *rename.mutable_to() = path("x", false, deep);
  ASSERT_EQ(fs.call(&Namespace::rename, rename), 0) << "while it is there";
  *rename.mutable_from() = path("x", false, deep);
  *rename.mutable_to() = path("/keep");
  ASSERT_EQ(fs.call(&Namespace::rename, rename), 0);

  ASSERT_EQ(fs.remove("/d", true, true, false), 0);
  *rename.mutable_from() = path("/keep");
  *rename.mutable_to() = path("x", false, deep);
  EXPECT_EQ(fs.call(&Namespace::rename, rename), ENOENT);
  *rename.mutable_to() = path("lost", false, deep);
  rename.set_exchange(true);
  EXPECT_EQ(fs.call(&Namespace::rename, rename), ENOENT);
  *rename.mutable_from() = path("lost", false, deep);
  *rename.mutable_to() = path("/keep");
  EXPECT_EQ(fs.call(&Namespace::rename, rename), ENOENT);
  rename.set_exchange(false);
  *rename.mutable_to() = path("/found");
  EXPECT_EQ(fs.call(&Namespace::rename, rename), ENOENT);
  LinkRequest link;
  *link.mutable_from() = path("/keep");
  *link.mutable_to() = path("x", false, deep);
  EXPECT_EQ(fs.call(&Namespace::link, link), ENOENT);
  MakeDirectoryRequest mkdir;
  *mkdir.mutable_where() = path("x", false, deep);
  EXPECT_EQ(fs.call(&Namespace::make_directory, mkdir), ENOENT);
  MakeSymlinkRequest symlink;
  *symlink.mutable_where() = path("x", false, deep);
  symlink.set_target("/");
  EXPECT_EQ(fs.call(&Namespace::make_symlink, symlink), ENOENT);
  OpenRequest create;
  *create.mutable_where() = path("x", false, deep);
  create.set_write(true);
  create.set_create(true);
  EXPECT_EQ(fs.open(create), ENOENT);

  fs.settle();
  EXPECT_EQ(fs.names_in("/"), (Names{"keep", "kept"}));
  EXPECT_EQ(fs.problems(true), Names{});
}

TEST_P(NamespaceTest, MakesDirectoriesWithTheirParents) {
  EXPECT_EQ(fs.mkdir("/a/b/c"), ENOENT);
  ASSERT_EQ(fs.mkdir("/a/b/c", 0755, true), 0);
  EXPECT_EQ(fs.stat("/a/b/c"), 0);
  ASSERT_EQ(fs.mkdir("/a/b/c", 0755, true), 0);
  ASSERT_EQ(fs.create("/a/f"), 0);
  EXPECT_EQ(fs.mkdir("/a/f", 0755, true), EEXIST);
  EXPECT_EQ(fs.mkdir("/a/f/g", 0755, true), ENOTDIR);
}

TEST_P(NamespaceTest, SetgidDirectoriesGiveTheirGroup) {
  ASSERT_EQ(fs.mkdir("/d", 02777), 0);
  SetAttributesRequest group;
  group.set_set_gid(true);
  group.set_gid(42);
  ASSERT_EQ(fs.set_attributes(group, "/d"), 0);
  fs.as(user(100));
  ASSERT_EQ(fs.mkdir("/d/e"), 0);
  EXPECT_EQ(fs.last.gid(), 42U);
  EXPECT_EQ(fs.last.mode(), 02755U);
  ASSERT_EQ(fs.create("/d/f"), 0);
  EXPECT_EQ(fs.last.gid(), 42U);
  EXPECT_EQ(fs.last.uid(), 100U);
}

TEST_P(NamespaceTest, ARepeatedRequestGivesTheFirstAnswer) {
  ASSERT_EQ(fs.create("/f"), 0);
  RemoveRequest remove;
  *remove.mutable_where() = path("/f");
  *remove.mutable_request() = fs.tag();
  EXPECT_EQ(fs.call(&Namespace::remove, remove), 0);
  EXPECT_EQ(fs.call(&Namespace::remove, remove), 0);
  EXPECT_EQ(fs.unlink("/f"), ENOENT);
  // The tag is taken: another kind of request with it is refused, not answered.
  MakeDirectoryRequest other;
  *other.mutable_where() = path("/d");
  *other.mutable_request() = remove.request();
  const auto refused = fs.signed_call(&Namespace::make_directory, other);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().code(), Errc::kInvalidArgument);
}

TEST_P(NamespaceTest, AnAnswerIsOfTheUserWhoAsked) {
  ASSERT_EQ(fs.mkdir("/d", 01777), 0);
  fs.as(user(1));
  ASSERT_EQ(fs.create("/d/a"), 0);
  RemoveRequest remove;
  *remove.mutable_where() = path("/d/a");
  *remove.mutable_request() = fs.tag();
  EXPECT_EQ(fs.call(&Namespace::remove, remove), 0);
  // Another's tag is a request of one's own.
  fs.as(user(2));
  EXPECT_EQ(fs.call(&Namespace::remove, remove), ENOENT);
  // And one that was used by somebody else first is still to be done.
  ASSERT_EQ(fs.create("/d/planted"), 0);
  *remove.mutable_where() = path("/d/planted");
  *remove.mutable_request() = fs.tag();
  EXPECT_EQ(fs.call(&Namespace::remove, remove), 0);
  fs.as(user(1));
  ASSERT_EQ(fs.create("/d/b"), 0);
  *remove.mutable_where() = path("/d/b");
  EXPECT_EQ(fs.call(&Namespace::remove, remove), 0);
  EXPECT_EQ(fs.call(&Namespace::remove, remove), 0);
  EXPECT_EQ(fs.stat("/d/b"), ENOENT);
  fs.as(root_user());
}

TEST_P(NamespaceTest, ACommitInDoubtIsDoneOnce) {
  for (const bool applied : {true, false}) {
    const std::string name = applied ? "/was" : "/was not";
    ASSERT_EQ(fs.mkdir("/first" + name.substr(1)), 0);  // so that inode numbers are at hand
    if (!fs.engine().next_commit_in_doubt(applied))
      GTEST_SKIP() << "this engine always tells whether it committed; the memory engine runs this";
    EXPECT_EQ(fs.mkdir(name), 0);
    ASSERT_TRUE(fs.engine().next_commit_in_doubt(applied));
    EXPECT_EQ(fs.rename(name, name + "2"), 0);
    ASSERT_TRUE(fs.engine().next_commit_in_doubt(applied));
    EXPECT_EQ(fs.rmdir(name + "2"), 0);
  }
}

TEST_P(NamespaceTest, CountsFilesAndDirectories) {
  ASSERT_EQ(fs.mkdir("/d"), 0);
  ASSERT_EQ(fs.create("/d/f"), 0);
  ASSERT_EQ(fs.symlink("x", "/d/l"), 0);
  const auto counts = fs.sync(fs.names().stat_fs());
  ASSERT_TRUE(counts.has_value());
  EXPECT_EQ(counts->files(), 2U);
  EXPECT_EQ(counts->directories(), 2U);
}

TEST_P(NamespaceTest, ALargeDirectoryIsListedPageByPage) {
  constexpr std::uint32_t kFiles = 20'000;
  ASSERT_EQ(fs.mkdir("/big"), 0);
  MakeSymlinkRequest request;
  request.set_target("t");
  for (std::uint32_t i = 0; i < kFiles; ++i) {
    *request.mutable_where() = path("/big/" + std::to_string(i));
    ASSERT_EQ(fs.call(&Namespace::make_symlink, request), 0);
  }
  std::uint32_t seen = 0, pages = 0;
  std::string after;
  for (bool more = true; more; ++pages) {
    const auto page = fs.list("/big", after);
    ASSERT_TRUE(page.has_value());
    ASSERT_GT(page->entries_size(), 0);
    ASSERT_LE(page->entries_size(), 4096);
    for (const Entry& entry : page->entries()) {
      ASSERT_LT(after, entry.name());
      after = entry.name();
    }
    seen += static_cast<std::uint32_t>(page->entries_size());
    more = page->more();
  }
  EXPECT_EQ(seen, kFiles);
  EXPECT_GE(pages, 5U);
  ASSERT_EQ(fs.remove("/big", true, true, false), 0);
}

}  // namespace
}  // namespace ff::ffs
