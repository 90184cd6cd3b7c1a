// Files: content in the inode, lengths, truncate, sessions, garbage, attributes, quotas, trash.
#include <cerrno>

#include "tests/unit/ffs/meta/namespace_suite.hpp"

namespace ff::ffs {
namespace {

TEST_P(NamespaceTest, SmallFilesLiveInTheirInode) {
  ASSERT_EQ(fs.create("/f"), 0);
  ASSERT_EQ(fs.write_small("/f", "hello"), 0);
  ASSERT_EQ(fs.stat("/f"), 0);
  EXPECT_EQ(fs.last.inline_data(), "hello");
  EXPECT_EQ(fs.last.size(), 5U);
  EXPECT_EQ(fs.write_small("/f", std::string(8193, 'x')), EFBIG);
  EXPECT_EQ(fs.write_small("/f", std::string(8192, 'x')), 0);
  // Two that read the same content: the second to write is refused. A chmod between is no change of the content.
  ASSERT_EQ(fs.open_write("/f"), 0);
  CloseRequest first;
  first.set_inode(fs.last.inode());
  first.set_handle(fs.handle);
  first.set_close(true);
  first.set_inline_write(true);
  first.set_inline_data("first");
  first.set_inline_version(fs.last.version());
  ASSERT_EQ(fs.open_write("/f"), 0);
  CloseRequest second = first;
  second.set_handle(fs.handle);
  SetAttributesRequest mode;
  mode.set_set_mode(true);
  mode.set_mode(0600);
  ASSERT_EQ(fs.set_attributes(mode, "/f"), 0);
  EXPECT_EQ(fs.close(first), 0);
  EXPECT_EQ(fs.close(second), ESTALE);
  fs.sessions().live.clear();
}

TEST_P(NamespaceTest, LengthsAreSettledByWhatWritersSaw) {
  ASSERT_EQ(fs.create("/f"), 0);
  ASSERT_EQ(fs.write_chunks("/f", 1000, "abc"), 0);
  EXPECT_FALSE(fs.last.inlined());
  ASSERT_EQ(fs.stat("/f"), 0);
  EXPECT_EQ(fs.last.size(), 1003U);
  ASSERT_EQ(fs.write_chunks("/f", 0, "abc"), 0);
  EXPECT_EQ(fs.last.size(), 1003U);
  // A handle that was not opened to write, or is closed, settles nothing.
  CloseRequest request;
  request.set_inode(fs.last.inode());
  request.set_handle(fs.handle + 1000);
  request.set_wrote(true);
  request.set_length_seen(5000);
  EXPECT_EQ(fs.close(request), EBADF);
  fs.sessions().live.clear();
}

TEST_P(NamespaceTest, TruncateCutsChunksAndRaisesTheEpoch) {
  ASSERT_EQ(fs.create("/f"), 0);
  ASSERT_EQ(fs.write_chunks("/f", 0, "0123456789"), 0);
  const InodeId inode{fs.last.inode()};
  const std::uint64_t writer = fs.handle, epoch = fs.last.truncate_epoch();
  ASSERT_EQ(fs.truncate("/f", 4), 0);
  EXPECT_EQ(fs.last.size(), 4U);
  EXPECT_GT(fs.last.truncate_epoch(), epoch);
  EXPECT_FALSE(fs.last.truncating());
  EXPECT_EQ(fs.chunks().files[inode].data, "0123");
  EXPECT_FALSE(fs.chunks().write(inode, 8, "late", epoch));
  // What the writer saw before does not make the file longer again.
  CloseRequest request;
  request.set_inode(number(inode));
  request.set_handle(writer);
  request.set_close(true);
  request.set_wrote(true);
  request.set_length_seen(10);
  request.set_truncate_epoch(epoch);
  EXPECT_EQ(fs.close(request), 0);
  EXPECT_EQ(fs.last.size(), 4U);
  ASSERT_EQ(fs.truncate("/f", 100), 0);
  EXPECT_EQ(fs.last.size(), 100U);
  EXPECT_EQ(fs.truncate("/", 0), EISDIR);
  EXPECT_EQ(fs.truncate("/f", ~std::uint64_t{0}), EFBIG);
}

TEST_P(NamespaceTest, AnInterruptedTruncateIsFinishedLater) {
  ASSERT_EQ(fs.create("/f"), 0);
  ASSERT_EQ(fs.write_chunks("/f", 0, "0123456789"), 0);
  const InodeId inode{fs.last.inode()};
  const std::uint64_t epoch = fs.last.truncate_epoch();
  fs.chunks().failures = 1;
  TruncateRequest request;
  *request.mutable_where() = path("/f");
  request.set_size(3);
  *request.mutable_request() = fs.tag();
  EXPECT_FALSE(fs.signed_call(&Namespace::truncate, request).has_value());
  ASSERT_EQ(fs.stat("/f"), 0);
  EXPECT_EQ(fs.last.size(), 3U);
  EXPECT_TRUE(fs.last.truncating());
  EXPECT_EQ(fs.last.truncate_epoch(), epoch);
  EXPECT_EQ(fs.chunks().files[inode].data, "0123456789");
  // Growing meanwhile must not bring back what was to be cut.
  fs.chunks().failures = 1;
  request.set_size(8);
  *request.mutable_request() = fs.tag();
  EXPECT_FALSE(fs.signed_call(&Namespace::truncate, request).has_value());
  ASSERT_TRUE(fs.sync(fs.keeping().finish_truncates()).has_value());
  EXPECT_EQ(fs.chunks().files[inode].data, "012");
  ASSERT_EQ(fs.stat("/f"), 0);
  EXPECT_EQ(fs.last.size(), 8U);
  EXPECT_FALSE(fs.last.truncating());
  // The same request again only gives its answer.
  EXPECT_EQ(fs.call(&Namespace::truncate, request), 0);
  EXPECT_EQ(fs.last.size(), 8U);
  fs.sessions().live.clear();
}

TEST_P(NamespaceTest, ATruncatedFileMayOutgrowItsInode) {
  ASSERT_EQ(fs.create("/f"), 0);
  ASSERT_EQ(fs.write_small("/f", "content"), 0);
  const InodeId inode{fs.last.inode()};
  ASSERT_EQ(fs.truncate("/f", 3), 0);
  ASSERT_EQ(fs.stat("/f"), 0);
  EXPECT_EQ(fs.last.inline_data(), "con");
  ASSERT_EQ(fs.truncate("/f", 100'000), 0);
  EXPECT_FALSE(fs.last.inlined());
  EXPECT_EQ(fs.last.size(), 100'000U);
  EXPECT_EQ(fs.chunks().files[inode].data, "con");
  // A store that comes late must not undo what is written now.
  const std::uint64_t epoch = fs.last.truncate_epoch();
  ASSERT_TRUE(fs.chunks().write(inode, 0, "CON", epoch));
  EXPECT_FALSE(fs.chunks().write(inode, 0, "con", epoch - 1));
}

TEST_P(NamespaceTest, OpenWithTruncateEmpties) {
  ASSERT_EQ(fs.create("/f"), 0);
  ASSERT_EQ(fs.write_small("/f", "content"), 0);
  ASSERT_EQ(fs.open_write("/f", true), 0);
  EXPECT_EQ(fs.last.size(), 0U);
  EXPECT_TRUE(fs.last.inlined());
  ASSERT_EQ(fs.write_chunks("/f", 0, std::string(9000, 'c')), 0);
  const InodeId inode{fs.last.inode()};
  ASSERT_EQ(fs.open_write("/f", true), 0);
  EXPECT_EQ(fs.last.size(), 0U);
  EXPECT_FALSE(fs.last.truncating());
  EXPECT_EQ(fs.chunks().files[inode].data, "");
  fs.sessions().live.clear();
}

TEST_P(NamespaceTest, AnOpenFileStaysWhenItIsRemoved) {
  ASSERT_EQ(fs.create("/f"), 0);
  ASSERT_EQ(fs.write_chunks("/f", 0, "data"), 0);
  const std::uint64_t inode = fs.last.inode(), writer = fs.handle;
  ASSERT_EQ(fs.open_read("/f", true), 0);
  const std::uint64_t reader = fs.handle;
  ASSERT_EQ(fs.unlink("/f"), 0);
  EXPECT_EQ(fs.stat("/f"), ENOENT);
  ASSERT_EQ(fs.close(inode, writer), 0);
  ASSERT_TRUE(fs.sync(fs.keeping().collect_garbage()).has_value());
  ASSERT_EQ(fs.stat(path("", true, inode)), 0);
  EXPECT_EQ(fs.last.links(), 0U);
  EXPECT_EQ(fs.chunks().files.at(InodeId{inode}).data, "data");
  EXPECT_EQ(fs.link("/f", "/g"), ENOENT);
  ASSERT_EQ(fs.close(inode, reader), 0);
  fs.settle();
  EXPECT_EQ(fs.stat(path("", true, inode)), ESTALE);
  EXPECT_FALSE(fs.chunks().files.contains(InodeId{inode}));
  EXPECT_EQ(fs.problems(true), std::vector<std::string>{});
}

TEST_P(NamespaceTest, ADeadWriterLeavesTheLengthThatItsChunksHave) {
  ASSERT_EQ(fs.create("/f"), 0);
  ASSERT_EQ(fs.write_chunks("/f", 0, "0123456789", false), 0);  // acknowledged, never told
  fs.sessions().settling = true;
  EXPECT_FALSE(fs.sync(fs.keeping().prune_sessions()).has_value());
  fs.sessions().settling = false;
  ASSERT_TRUE(fs.sync(fs.keeping().prune_sessions()).has_value());
  ASSERT_EQ(fs.stat("/f"), 0);
  EXPECT_EQ(fs.last.size(), 0U);  // it lives
  fs.sessions().live.clear();
  ASSERT_TRUE(fs.sync(fs.keeping().prune_sessions()).has_value());
  ASSERT_EQ(fs.stat("/f"), 0);
  EXPECT_EQ(fs.last.size(), 10U);
  EXPECT_EQ(fs.problems(true), std::vector<std::string>{});
}

TEST_P(NamespaceTest, ALateCommitBringsNoClosedSessionBack) {
  ASSERT_EQ(fs.create("/f"), 0);
  if (!fs.engine().commits_late(false))
    GTEST_SKIP() << "this engine always tells whether it committed; the memory engine runs this";
  for (int i = 0; i < 100; ++i) {
    fs.engine().commits_late(true);
    ASSERT_EQ(fs.open_write("/f"), 0);
    fs.engine().commits_late(false);
    ASSERT_EQ(fs.close(fs.last.inode(), fs.handle), 0);
    fs.pass(std::chrono::milliseconds(100));
    ASSERT_TRUE(fs.records(keys::sessions_by_client()).empty()) << "open " << i;
  }
}

TEST_P(NamespaceTest, ATreeIsRemovedAtOnceAndTakenApartLater) {
  ASSERT_EQ(fs.mkdir("/d/e/f", 0777, true), 0);
  for (int i = 0; i < 50; ++i) ASSERT_EQ(fs.create("/d/e/" + std::to_string(i)), 0);
  ASSERT_EQ(fs.link("/d/e/7", "/kept"), 0);
  ASSERT_EQ(fs.remove("/d", true, true, false), 0);
  EXPECT_EQ(fs.stat("/d"), ENOENT);
  fs.settle();
  EXPECT_EQ(fs.problems(true), std::vector<std::string>{});
  ASSERT_EQ(fs.stat("/kept"), 0);
  EXPECT_EQ(fs.last.links(), 1U);
  const auto counts = fs.sync(fs.names().stat_fs());
  EXPECT_EQ(counts->files(), 1U);
  EXPECT_EQ(counts->directories(), 1U);
}

TEST_P(NamespaceTest, WhatTheRemoverMayNotRemoveGoesToTheTrash) {
  ASSERT_EQ(fs.mkdir("/d", 0777), 0);
  fs.as(user(100));
  ASSERT_EQ(fs.mkdir("/d/mine", 0777), 0);
  fs.as(user(200));
  ASSERT_EQ(fs.mkdir("/d/mine/closed", 0700), 0);
  ASSERT_EQ(fs.create("/d/mine/closed/precious"), 0);
  fs.as(user(100));
  ASSERT_EQ(fs.remove("/d/mine", true, true, false), 0);
  fs.settle();
  fs.as(root_user());
  ASSERT_EQ(fs.names_in("/.trash"), std::vector<std::string>{"200"});
  const auto trash = fs.names_in("/.trash/200");
  ASSERT_EQ(trash.size(), 1U);
  EXPECT_EQ(fs.stat("/.trash/200/" + trash[0] + "/precious"), 0);
}

TEST_P(NamespaceTest, TheTrashKeepsForAWhile) {
  ASSERT_EQ(fs.mkdir("/d"), 0);
  ASSERT_EQ(fs.create("/d/f"), 0);
  EXPECT_EQ(fs.mkdir("/.trash"), EPERM);
  ASSERT_EQ(fs.remove("/d", true, true, true), 0);
  auto trash = fs.names_in("/.trash/0");
  ASSERT_EQ(trash.size(), 1U);
  EXPECT_TRUE(trash[0].ends_with("-d"));
  EXPECT_EQ(fs.sync(fs.names().stat_fs())->trash_files(), 1U);
  EXPECT_EQ(fs.rmdir("/.trash"), EPERM);
  ASSERT_TRUE(fs.sync(fs.keeping().empty_trash()).has_value());
  EXPECT_EQ(fs.names_in("/.trash/0").size(), 1U);
  ASSERT_EQ(fs.rename("/.trash/0/" + trash[0], "/back"), 0);
  EXPECT_EQ(fs.stat("/back/f"), 0);
  EXPECT_EQ(fs.sync(fs.names().stat_fs())->trash_files(), 0U);
}

TEST_P(NamespaceTest, AttributesChangeForWhoMay) {
  ASSERT_EQ(fs.mkdir("/d", 0777), 0);
  fs.as(user(100, 100, {7}));
  ASSERT_EQ(fs.create("/d/f"), 0);
  SetAttributesRequest change;
  change.set_set_mode(true);
  change.set_mode(04711);
  ASSERT_EQ(fs.set_attributes(change, "/d/f"), 0);
  EXPECT_EQ(fs.last.mode(), 04711U);
  SetAttributesRequest group;
  group.set_set_gid(true);
  group.set_gid(8);
  EXPECT_EQ(fs.set_attributes(group, "/d/f"), EPERM);
  group.set_gid(7);
  ASSERT_EQ(fs.set_attributes(group, "/d/f"), 0);
  EXPECT_EQ(fs.last.mode(), 0711U);  // the owner's change takes set-ids away
  SetAttributesRequest owner;
  owner.set_set_uid(true);
  owner.set_uid(200);
  EXPECT_EQ(fs.set_attributes(owner, "/d/f"), EPERM);
  SetAttributesRequest times;
  times.set_set_modified(true);
  times.mutable_modified()->set_seconds(12345);
  times.mutable_modified()->set_nanoseconds(6789);
  ASSERT_EQ(fs.set_attributes(times, "/d/f"), 0);
  EXPECT_EQ(fs.last.modified().nanoseconds(), 6789U);
  fs.as(user(200));
  EXPECT_EQ(fs.set_attributes(change, "/d/f"), EPERM);
  fs.as(root_user());
  SetAttributesRequest immutable;
  immutable.set_set_immutable(true);
  immutable.set_immutable(true);
  ASSERT_EQ(fs.set_attributes(immutable, "/d/f"), 0);
  EXPECT_EQ(fs.unlink("/d/f"), EPERM);
  EXPECT_EQ(fs.open_write("/d/f"), EPERM);
  EXPECT_EQ(fs.truncate("/d/f", 0), EPERM);
  EXPECT_EQ(fs.set_attributes(change, "/d/f"), EPERM);
  immutable.set_immutable(false);
  ASSERT_EQ(fs.set_attributes(immutable, "/d/f"), 0);
  // A directory's time can be set back, and entries made later move it on.
  ASSERT_EQ(fs.set_attributes(times, "/d"), 0);
  ASSERT_EQ(fs.stat("/d"), 0);
  EXPECT_EQ(fs.last.modified().seconds(), 12345);
}

TEST_P(NamespaceTest, ExtendedAttributes) {
  ASSERT_EQ(fs.create("/f"), 0);
  XattrRequest request;
  *request.mutable_where() = path("/f");
  request.set_operation(XattrRequest::SET);
  request.set_name("user.a");
  request.set_value(std::string("v\0\xff", 3));
  EXPECT_EQ(fs.call(&Namespace::xattr, request), 0);
  request.set_create(true);
  EXPECT_EQ(fs.call(&Namespace::xattr, request), EEXIST);
  request.set_create(false);
  request.set_replace(true);
  request.set_name("user.b");
  EXPECT_EQ(fs.call(&Namespace::xattr, request), ENODATA);
  request.set_replace(false);
  request.set_value(std::string(kXattrValueBytesMax, 'x'));
  EXPECT_EQ(fs.call(&Namespace::xattr, request), ENOSPC);
  request.set_name("system.a");
  EXPECT_EQ(fs.call(&Namespace::xattr, request), EOPNOTSUPP);
  request.set_operation(XattrRequest::GET);
  request.set_name("user.a");
  request.clear_value();
  const auto got = fs.signed_call(&Namespace::xattr, request);
  ASSERT_TRUE(got.has_value());
  EXPECT_EQ(got->value(), std::string("v\0\xff", 3));
  request.set_operation(XattrRequest::LIST);
  EXPECT_EQ(fs.signed_call(&Namespace::xattr, request)->names_size(), 1);
  request.set_operation(XattrRequest::REMOVE_ATTRIBUTE);
  EXPECT_EQ(fs.call(&Namespace::xattr, request), 0);
  request.set_operation(XattrRequest::GET);
  EXPECT_EQ(fs.call(&Namespace::xattr, request), ENODATA);
}

TEST_P(NamespaceTest, QuotasCountAndRefuse) {
  ASSERT_EQ(fs.mkdir("/q"), 0);
  QuotaRequest quota;
  *quota.mutable_where() = path("/q");
  quota.set_set(true);
  quota.set_files(3);
  quota.set_bytes(1000);
  ASSERT_EQ(fs.call(&Namespace::quota, quota), 0);
  ASSERT_EQ(fs.create("/q/a"), 0);
  ASSERT_EQ(fs.mkdir("/q/d"), 0);
  EXPECT_EQ(fs.create("/q/d/b"), EDQUOT);
  ASSERT_EQ(fs.write_small("/q/a", std::string(1000, 'x')), 0);
  EXPECT_EQ(fs.open_write("/q/a"), EDQUOT);
  EXPECT_EQ(fs.truncate("/q/a", 1001), EDQUOT);
  quota.set_set(false);
  *quota.mutable_where() = path("/q/d");
  auto told = fs.signed_call(&Namespace::quota, quota);
  ASSERT_TRUE(told.has_value());
  EXPECT_EQ(told->bytes_used(), 1000U);
  EXPECT_EQ(told->files_used(), 3U);
  EXPECT_EQ(fs.rename("/q/d", "/d"), EXDEV);
  EXPECT_EQ(fs.link("/q/a", "/a"), EXDEV);
  ASSERT_EQ(fs.rename("/q/a", "/a"), 0);
  told = fs.signed_call(&Namespace::quota, quota);
  EXPECT_EQ(told->bytes_used(), 0U);
  EXPECT_EQ(told->files_used(), 2U);
  quota.set_set(true);
  *quota.mutable_where() = path("/");
  EXPECT_EQ(fs.call(&Namespace::quota, quota), ENOTEMPTY);
  fs.as(user(9));
  EXPECT_EQ(fs.call(&Namespace::quota, quota), EPERM);
  fs.as(root_user());
  ASSERT_EQ(fs.remove("/q", true, true, false), 0);
}

TEST_P(NamespaceTest, AWriterIsToldWhatIsLeftOfItsQuota) {
  ASSERT_EQ(fs.mkdir("/q"), 0);
  QuotaRequest quota;
  *quota.mutable_where() = path("/q");
  quota.set_set(true);
  quota.set_bytes(1000);
  ASSERT_EQ(fs.call(&Namespace::quota, quota), 0);
  ASSERT_EQ(fs.create("/q/other"), 0);
  ASSERT_EQ(fs.write_small("/q/other", std::string(100, 'x')), 0);
  OpenRequest open;
  *open.mutable_where() = path("/q/f");
  open.set_write(true);
  open.set_create(true);
  open.set_client(kClient);
  const auto opened = fs.signed_call(&Namespace::open, open);
  ASSERT_TRUE(opened.has_value());
  EXPECT_TRUE(opened->has_quota());
  EXPECT_EQ(opened->quota().bytes(), 900U);
  EXPECT_EQ(opened->quota().size(), 0U);
  CloseRequest sync;
  sync.set_inode(opened->attributes().inode());
  sync.set_handle(opened->handle());
  sync.set_client(kClient);
  sync.set_inline_write(true);
  sync.set_inline_data(std::string(300, 'x'));
  sync.set_inline_version(opened->attributes().version());
  auto told = fs.signed_call(&Namespace::close, sync);
  ASSERT_TRUE(told.has_value());
  EXPECT_EQ(told->quota().bytes(), 600U) << "with its own counted";
  EXPECT_EQ(told->quota().size(), 300U);
  // What others do is told when it is asked for.
  ASSERT_EQ(fs.write_small("/q/other", std::string(2000, 'x')), 0);
  CloseRequest question;
  question.set_inode(opened->attributes().inode());
  question.set_handle(opened->handle());
  question.set_client(kClient);
  told = fs.signed_call(&Namespace::close, question);
  ASSERT_TRUE(told.has_value());
  EXPECT_TRUE(told->has_quota());
  EXPECT_EQ(told->quota().bytes(), 0U);
  // Nothing is said where there is no limit.
  *open.mutable_where() = path("/free");
  open.clear_request();
  const auto free = fs.signed_call(&Namespace::open, open);
  ASSERT_TRUE(free.has_value());
  EXPECT_FALSE(free->has_quota());
  fs.sessions().live.clear();
}

TEST_P(NamespaceTest, ALayoutNamesATableThatIsThere) {
  NamespaceOptions options = MetaWorld::small_options();
  bool known = true;
  std::uint64_t newest = 2;
  options.has_table = [&](const LayoutInfo& layout) -> std::optional<bool> {
    if (!known) return std::nullopt;
    return layout.table() == 1 && layout.table_version() <= newest;
  };
  options.new_table_wait = std::chrono::milliseconds(1);
  MetaWorld other(GetParam()(), options);
  MakeDirectoryRequest mkdir;
  *mkdir.mutable_layout() = *options.default_layout();
  OpenRequest create;
  create.set_write(true);
  create.set_create(true);
  SetAttributesRequest change;
  change.set_set_layout(true);
  const auto with = [&](std::uint64_t table, std::uint64_t version, const std::string& name) {
    mkdir.mutable_layout()->set_table(table);
    mkdir.mutable_layout()->set_table_version(version);
    *create.mutable_layout() = *change.mutable_layout() = mkdir.layout();
    *mkdir.mutable_where() = path("/" + name);
    *create.mutable_where() = path("/" + name + ".f");
  };
  with(1, 2, "is");
  EXPECT_EQ(other.call(&Namespace::make_directory, mkdir), 0);
  EXPECT_EQ(other.open(create), 0);
  EXPECT_EQ(other.set_attributes(change, "/is"), 0);
  for (const auto& [table, version] : {std::pair(1, 3), std::pair(7, 1)}) {
    with(table, version, "none");
    EXPECT_EQ(other.call(&Namespace::make_directory, mkdir), EINVAL);
    EXPECT_EQ(other.open(create), EINVAL);
    EXPECT_EQ(other.set_attributes(change, "/is"), EINVAL);
  }
  newest = 3;
  with(1, 3, "now");
  EXPECT_EQ(other.call(&Namespace::make_directory, mkdir), 0);
  known = false;
  const auto unsure = other.signed_call(&Namespace::make_directory, mkdir);
  ASSERT_FALSE(unsure.has_value());
  EXPECT_EQ(unsure.error().code(), Errc::kUnavailable);
}

TEST_P(NamespaceTest, AnswersAreForgottenWhenTheyAreOld) {
  for (int i = 0; i < 5; ++i) ASSERT_EQ(fs.mkdir("/" + std::to_string(i)), 0);
  auto forgotten = fs.sync(fs.keeping().forget_answers());
  ASSERT_TRUE(forgotten.has_value());
  EXPECT_EQ(*forgotten, 0U);
  NamespaceOptions options = MetaWorld::small_options();
  options.answers_kept = std::chrono::nanoseconds(-1);
  MetaWorld other(GetParam()(), options);
  for (int i = 0; i < 250; ++i) ASSERT_EQ(other.mkdir("/" + std::to_string(i)), 0);
  forgotten = other.sync(other.keeping().forget_answers());
  ASSERT_TRUE(forgotten.has_value());
  EXPECT_EQ(*forgotten, 250U);
}

// ---- who learns what, what others' mistakes cost
// -----------------------------------------------------------------------

TEST_P(NamespaceTest, ContentIsToldOnlyToWhoMayRead) {
  ASSERT_EQ(fs.create("/key", 0600), 0);
  ASSERT_EQ(fs.write_small("/key", "secret"), 0);
  ASSERT_EQ(fs.mkdir("/open", 0777), 0);
  ASSERT_EQ(fs.rename("/key", "/open/key"), 0);
  EXPECT_EQ(fs.last.inline_data(), "") << "a rename needs no content";
  ASSERT_EQ(fs.stat("/open/key"), 0);
  EXPECT_EQ(fs.last.inline_data(), "secret");
  const std::uint64_t inode = fs.last.inode();
  fs.as(user(1000));
  ASSERT_EQ(fs.stat("/open/key"), 0);
  EXPECT_EQ(fs.last.size(), 6U);
  EXPECT_EQ(fs.last.inline_data(), "");
  const auto listed = fs.list("/open", "", 0, true);
  ASSERT_TRUE(listed.has_value());
  EXPECT_EQ(listed->entries(0).attributes().size(), 6U);
  EXPECT_EQ(listed->entries(0).attributes().inline_data(), "");
  ASSERT_EQ(fs.link("/open/key", "/open/other"), 0);
  EXPECT_EQ(fs.last.inline_data(), "");
  // A close of what was never opened, with a number that was guessed.
  for (const bool end : {false, true}) {
    CloseRequest guess;
    guess.set_inode(inode);
    guess.set_handle(end ? 1 : 0);
    guess.set_close(end);
    fs.last.Clear();
    ASSERT_EQ(fs.close(guess), 0);
    EXPECT_EQ(fs.last.inode(), 0U) << "attributes of a file that was not opened";
  }
  fs.as(root_user());
}

TEST_P(NamespaceTest, AStaleCopyOfASmallFileNeverReplacesWhatLeftTheInode) {
  ASSERT_EQ(fs.create("/f"), 0);
  ASSERT_EQ(fs.write_small("/f", "aaaa"), 0);
  ASSERT_EQ(fs.open_write("/f"), 0);
  const Attributes seen = fs.last;
  const std::uint64_t second = fs.handle;
  ASSERT_EQ(fs.write_chunks("/f", 0, "AAAAAAAA"), 0);
  const InodeId inode{fs.last.inode()};
  EXPECT_EQ(fs.chunks().files[inode].data, "AAAAAAAA");
  // The second one has written to its copy, which was "aaaa": refused; or it has not: it learns where the content is.
  fs.last = seen;
  fs.handle = second;
  EXPECT_EQ(fs.leave_inode("aaab"), ESTALE);
  fs.last = seen;
  EXPECT_EQ(fs.leave_inode(), 0);
  EXPECT_FALSE(fs.last.inlined());
  EXPECT_EQ(fs.last.size(), 8U);
  EXPECT_EQ(fs.chunks().files[inode].data, "AAAAAAAA");
}

TEST_P(NamespaceTest, ContentThatLeavesTheInodeTakesUnsyncedWritesAlong) {
  ASSERT_EQ(fs.create("/f"), 0);
  ASSERT_EQ(fs.write_small("/f", "old"), 0);
  ASSERT_EQ(fs.open_write("/f"), 0);
  const InodeId inode{fs.last.inode()};
  // What an interrupted move may have left in chunks goes.
  EXPECT_TRUE(fs.chunks().write(inode, 0, "rubbish that is longer", fs.last.truncate_epoch()));
  ASSERT_EQ(fs.leave_inode("newer"), 0);
  EXPECT_FALSE(fs.last.inlined());
  EXPECT_FALSE(fs.last.truncating());
  EXPECT_EQ(fs.last.size(), 5U);
  EXPECT_EQ(fs.chunks().files[inode].data, "newer");
  EXPECT_TRUE(fs.chunks().write(inode, 5, "!", fs.last.truncate_epoch()));
  EXPECT_FALSE(fs.chunks().write(inode, 0, "late", fs.last.truncate_epoch() - 1));
}

TEST_P(NamespaceTest, AnEmptySmallFileThatGrowsShowsZerosNotWhatLayInChunks) {
  ASSERT_EQ(fs.create("/f"), 0);
  ASSERT_EQ(fs.stat("/f"), 0);
  const InodeId inode{fs.last.inode()};
  EXPECT_TRUE(fs.chunks().write(inode, 0, "old bytes", fs.last.truncate_epoch()));
  ASSERT_EQ(fs.truncate("/f", 100'000), 0);
  EXPECT_EQ(fs.last.size(), 100'000U);
  EXPECT_EQ(fs.chunks().files[inode].data, "");
}

TEST_P(NamespaceTest, ATreeOfOthersDoesNotGoIntoOnesTrash) {
  ASSERT_EQ(fs.mkdir("/shared", 0777), 0);
  fs.as(user(1));
  ASSERT_EQ(fs.mkdir("/shared/ann", 0700), 0);
  ASSERT_EQ(fs.create("/shared/ann/a"), 0);
  ASSERT_EQ(fs.mkdir("/shared/empty", 0700), 0);
  fs.as(user(2));
  EXPECT_EQ(fs.remove("/shared/ann", true, true, true), EACCES);
  EXPECT_EQ(fs.remove("/shared/empty", true, false, true), EACCES) << "it would get another parent";
  fs.as(user(1));
  EXPECT_EQ(fs.names_in("/shared/ann"), std::vector<std::string>{"a"});
  ASSERT_EQ(fs.chmod("/shared/ann", 0777), 0);
  fs.as(user(2));
  ASSERT_EQ(fs.remove("/shared/ann", true, true, true), 0);
  fs.as(user(1));
  EXPECT_EQ(fs.names_in("/.trash/1").size(), 1U) << "the owner's trash, not the remover's";
  fs.as(root_user());
}

// Numbers of clients are no secret, and handles and sequences count up.
TEST_P(NamespaceTest, ASessionIsOfTheUserWhoOpenedIt) {
  ASSERT_EQ(fs.mkdir("/open", 0777), 0);
  fs.as(user(1));
  ASSERT_EQ(fs.create("/open/f", 0600), 0);
  ASSERT_EQ(fs.write_small("/open/f", "mine"), 0);
  ASSERT_EQ(fs.open_write("/open/f"), 0);
  CloseRequest request;
  request.set_inode(fs.last.inode());
  request.set_handle(fs.handle);
  request.set_inline_version(fs.last.version());
  fs.as(user(2));
  CloseRequest writes = request;
  writes.set_wrote(true);
  writes.set_inline_write(true);
  writes.set_inline_data("theirs");
  EXPECT_EQ(fs.close(writes), EBADF);
  CloseRequest leaves = request;
  leaves.set_leave_inline(true);
  EXPECT_EQ(fs.close(leaves), EBADF);
  CloseRequest times = request;
  times.set_set_modified(true);
  EXPECT_EQ(fs.close(times), EBADF);
  fs.last.Clear();
  request.set_close(true);
  EXPECT_EQ(fs.close(request), 0);
  EXPECT_EQ(fs.last.inode(), 0U) << "learns nothing";
  EXPECT_EQ(fs.records(keys::sessions_by_client()).size(), 1U) << "ends nothing";
  fs.as(user(1));
  writes.clear_request();
  writes.set_inline_data("mine!");
  EXPECT_EQ(fs.close(writes), 0);
  EXPECT_EQ(fs.close(request), 0);
  EXPECT_TRUE(fs.records(keys::sessions_by_client()).empty());
  ASSERT_EQ(fs.stat("/open/f"), 0);
  EXPECT_EQ(fs.last.inline_data(), "mine!");
  // Who may read holds a file, and changes no times by that.
  fs.as(root_user());
  ASSERT_EQ(fs.create("/others", 0644), 0);
  fs.as(user(1));
  ASSERT_EQ(fs.open_read("/others", true), 0);
  times.set_inode(fs.last.inode());
  times.set_handle(fs.handle);
  EXPECT_EQ(fs.close(times), EBADF);
  fs.as(root_user());
  fs.sessions().live.clear();
}

}  // namespace
}  // namespace ff::ffs
