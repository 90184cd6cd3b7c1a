// What housekeeping does beside trouble: records that cannot be read, chains that are down, clocks that were wrong.
#include <cerrno>

#include "tests/unit/ffs/meta/namespace_suite.hpp"

namespace ff::ffs {
namespace {

TEST_P(NamespaceTest, AChainThatIsDownKeepsNoOtherGarbageWaiting) {
  std::vector<InodeId> files;
  for (const char* name : {"/a", "/b", "/c"}) {
    ASSERT_EQ(fs.create(name), 0);
    ASSERT_EQ(fs.write_chunks(name, 0, "x"), 0);
    files.push_back(InodeId{fs.last.inode()});
    ASSERT_EQ(fs.close(fs.last.inode(), fs.handle), 0);
    ASSERT_EQ(fs.unlink(name), 0);
  }
  fs.chunks().down.insert(files[0]);
  EXPECT_FALSE(fs.sync(fs.keeping().collect_garbage()).has_value()) << "it says that something failed";
  EXPECT_TRUE(fs.chunks().files.contains(files[0]));
  EXPECT_FALSE(fs.chunks().files.contains(files[1]));
  EXPECT_FALSE(fs.chunks().files.contains(files[2]));
  fs.chunks().down.clear();
}

TEST_P(NamespaceTest, ARecordThatCannotBeReadKeepsNoOtherWorkWaiting) {
  ASSERT_EQ(fs.create("/a"), 0);
  ASSERT_EQ(fs.write_chunks("/a", 0, "x"), 0);
  const InodeId inode{fs.last.inode()};
  ASSERT_EQ(fs.close(fs.last.inode(), fs.handle), 0);
  ASSERT_EQ(fs.unlink("/a"), 0);
  const std::string bad = keys::garbage(1, InodeId{999});
  const std::string strange = keys::garbage_all().begin + "short";
  fs.put(bad, "\xff\xff no record");
  fs.put(strange, "");
  EXPECT_FALSE(fs.sync(fs.keeping().collect_garbage()).has_value());
  EXPECT_FALSE(fs.chunks().files.contains(inode));
  EXPECT_EQ(fs.records(keys::garbage_all()).size(), 2U) << "the bad ones are left to the checker";
  EXPECT_TRUE(fs.sync(fs.names().transact<void>([&](View& view) -> runtime::Task<Result<>> {
                  view.transaction().clear(bad);
                  view.transaction().clear(strange);
                  co_return {};
                }))
                  .has_value());
}

// Keys as no service writes them, at both ends of each table and between good ones.
TEST_P(NamespaceTest, KeysOfAnotherLengthArePassedOverAndCounted) {
  for (int i = 0; i < 3; ++i) ASSERT_EQ(fs.mkdir("/" + std::to_string(i)), 0);
  ASSERT_EQ(fs.create("/f"), 0);
  ASSERT_EQ(fs.open_write("/f"), 0);
  const std::string answers = keys::answers().begin;
  std::vector<std::string> bad;
  for (const std::string& key :
       {answers + "x", keys::answers_of_client(kClient).begin, keys::answer(kClient, 2, 0) + "x", answers + "\xff",
        keys::sessions_by_client().begin + "x", keys::sessions_by_client().begin + "\xff",
        keys::truncating_all().begin + "x", keys::garbage_all().begin + '\0', keys::garbage_all().begin + "\xff"}) {
    fs.put(key, "");
    bad.push_back(key);
  }
  fs.sessions().live.clear();
  EXPECT_TRUE(fs.sync(fs.keeping().finish_truncates()).has_value());
  EXPECT_EQ(fs.sync(fs.keeping().prune_sessions()).value_or(0), 1U);
  (void)fs.sync(fs.keeping().collect_garbage());
  EXPECT_TRUE(fs.sync(fs.keeping().forget_answers()).has_value());
  // One lies behind an answer that is not old, and one of the garbage beyond all that is due: nobody looks there yet.
  EXPECT_EQ(fs.keeping().bad_records(), bad.size() - 2);
  EXPECT_TRUE(fs.sync(fs.keeping().forget_answers()).has_value());
  EXPECT_EQ(fs.keeping().bad_records(), bad.size() - 2) << "each once";
  EXPECT_TRUE(fs.sync(fs.names().transact<void>([&](View& view) -> runtime::Task<Result<>> {
                  for (const std::string& key : bad) view.transaction().clear(key);
                  co_return {};
                }))
                  .has_value());
}

// Connects and opens a file while the manager answers who is alive, too late to be in the answer.
class SessionsOfALateComer final : public SessionSource {
 public:
  static constexpr std::uint64_t kLate = 99;
  SessionsOfALateComer(Namespace& names, InodeId file) : names_(names), file_(file) {}
  runtime::Task<Result<std::set<std::uint64_t>>> live_clients() override {
    const std::set<std::uint64_t> answer = live_;
    FF_CO_TRY(co_await names_.transact<void>([&](View& view) -> runtime::Task<Result<>> {
      SessionRecord session;
      session.set_write(true);
      view.transaction().set(keys::session(file_, kLate, 1), encode_record(session));
      view.transaction().set(keys::session_of_client(kLate, file_, 1), "");
      co_return {};
    }));
    live_.insert(kLate);
    co_return answer;
  }

 private:
  Namespace& names_;
  const InodeId file_;
  std::set<std::uint64_t> live_;
};

TEST_P(NamespaceTest, AClientThatConnectsWhileSessionsArePrunedKeepsIts) {
  ASSERT_EQ(fs.create("/f"), 0);
  ASSERT_EQ(fs.open_write("/f"), 0);  // of kClient, which is gone
  SessionsOfALateComer sessions(fs.names(), InodeId{fs.last.inode()});
  Housekeeping keeping(fs.names(), sessions, MetaWorld::at_once());
  EXPECT_EQ(fs.sync(keeping.prune_sessions()).value_or(0), 1U);
  EXPECT_EQ(fs.records(keys::sessions_of_client(SessionsOfALateComer::kLate)).size(), 1U);
  EXPECT_TRUE(fs.records(keys::sessions_of_client(kClient)).empty());
}

TEST_P(NamespaceTest, WhatAClockThatWasAheadHasStampedIsDoneAllTheSame) {
  ASSERT_EQ(fs.create("/a"), 0);
  ASSERT_EQ(fs.write_chunks("/a", 0, "x"), 0);
  const InodeId inode{fs.last.inode()};
  ASSERT_EQ(fs.unlink("/a"), 0);
  // The session and the garbage, as a service would have written them whose clock is 40 days ahead.
  const std::int64_t ahead = fs.names().wall_now() + std::int64_t{40} * 24 * 3'600'000'000'000;
  SessionRecord session;
  session.set_write(true);
  session.set_opened(ahead);
  fs.put(keys::session(inode, kClient, fs.handle), encode_record(session));
  const auto garbage = fs.records(keys::garbage_all());
  ASSERT_EQ(garbage.size(), 1U);
  EXPECT_TRUE(fs.sync(fs.names().transact<void>([&](View& view) -> runtime::Task<Result<>> {
                  view.transaction().clear(garbage[0].key);
                  view.transaction().set(keys::garbage(ahead, inode), garbage[0].value);
                  co_return {};
                }))
                  .has_value());
  fs.sessions().live.clear();
  fs.settle();
  EXPECT_FALSE(fs.chunks().files.contains(inode));
  EXPECT_TRUE(fs.records(keys::sessions_by_client()).empty());
  EXPECT_TRUE(fs.records(keys::garbage_all()).empty());
}

}  // namespace
}  // namespace ff::ffs
