// The rocksdb engine: the suite of all engines, and what only it must do: survive kill -9 and failing disks, keep
// versions growing across restarts, refuse what it must not open.
#include "libcommon/kv/rocksdb_store.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <gtest/gtest.h>
#include <rocksdb/db.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <thread>

#include "libcommon/kv/key_range.hpp"
#include "libcommon/kv/store_record.hpp"
#include "libcommon/runtime/real_env.hpp"
#include "tests/support/kv_conformance.hpp"

// RocksDB's own calls of fdatasync() come here, so that the disk can be made to fail.
namespace {
std::atomic<bool> fail_syncs = false;
}
extern "C" int fdatasync(int fd) {
  if (fail_syncs) {
    errno = EIO;
    return -1;
  }
  return static_cast<int>(::syscall(SYS_fdatasync, fd));
}

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
// The libraries are not instrumented: their atomics are not seen, so that the memory they recycle looks raced for.
extern "C" const char* __tsan_default_suppressions() {
  return "called_from_lib:librocksdb\nrace:librocksdb\nrace:snappy\n";
}
#endif
#endif

namespace ff::kv {
namespace {

using namespace std::chrono_literals;
using conformance::EngineFactory;
using conformance::must_commit;
using conformance::number;
using conformance::number_of;
using conformance::peek;
using conformance::peek_range;
using conformance::put;
using runtime::RealEnv;
using runtime::Task;

class Folder {
 public:
  Folder() {
    char name[] = "/tmp/ff-kv-XXXXXX";
    path_ = ::mkdtemp(name);
  }
  ~Folder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  std::string path(const char* name = "store") const { return path_ + "/" + name; }

 private:
  std::string path_;
};

std::unique_ptr<RealEnv> make_env() {
  auto env = RealEnv::create({.offload_threads = 2});
  EXPECT_TRUE(env.has_value());
  return std::move(*env);
}

Task<Result<>> stop(KvStore& store) {
  co_await store.stop();
  co_return {};
}

// Opens, runs the body, stops.
Result<> with_store(RealEnv& env, RocksdbOptions options, Task<Result<>> (*body)(RealEnv&, KvStore&)) {
  const auto main = [](RealEnv& e, RocksdbOptions how, auto run) -> Task<Result<>> {
    FF_CO_TRY_ASSIGN(const auto store, co_await open_rocksdb_store(e, how));
    Result<> result = co_await run(e, *store);
    co_await store->stop();
    co_return result;
  };
  return env.run(main(env, std::move(options), body));
}

Task<Result<>> do_nothing(RealEnv&, KvStore&) { co_return {}; }

Error open_error_of(RocksdbOptions options) {
  const auto env = make_env();
  const Result<> result = with_store(*env, std::move(options), do_nothing);
  return result ? Error(Errc::kInternal, "it was opened") : result.error();
}

class RocksdbEngine final : public conformance::Engine {
 public:
  explicit RocksdbEngine(bool sync) : sync_(sync), env_(make_env()) {
    const Result<> opened = run(open());
    EXPECT_TRUE(opened.has_value()) << opened.error().message();
  }
  ~RocksdbEngine() override { EXPECT_TRUE(run(stop(*store_)).has_value()); }
  runtime::Env& env() override { return *env_; }
  Result<> run(Task<Result<>> task) override { return env_->run(std::move(task)); }
  KvStore& store(std::size_t) override { return *store_; }
  bool provoke_maybe_committed(bool) override { return false; }
  bool cut_off(bool) override { return false; }

 private:
  Task<Result<>> open() {
    FF_CO_TRY_ASSIGN(store_,
                     co_await open_rocksdb_store(*env_, {.path = folder_.path(), .create = true, .sync = sync_}));
    co_return {};
  }
  bool sync_;
  Folder folder_;
  std::unique_ptr<RealEnv> env_;
  std::unique_ptr<KvStore> store_;
};

INSTANTIATE_TEST_SUITE_P(Rocksdb, KvConformance,
                         ::testing::Values(EngineFactory([] { return std::make_unique<RocksdbEngine>(true); })));
// Its commits take another path: written by the task that flushes, by the thread only while RocksDB is busy.
INSTANTIATE_TEST_SUITE_P(RocksdbUnsynced, KvConformance,
                         ::testing::Values(EngineFactory([] { return std::make_unique<RocksdbEngine>(false); })));

TEST(RocksdbStore, KeepsDataVersionsAndEpochsAcrossRestarts) {
  const Folder folder;
  const auto env = make_env();
  static Version last = 0;
  static std::uint64_t epoch = 0;
  last = epoch = 0;
  for (int round = 0; round < 3; ++round) {
    const Result<> result =
        with_store(*env, {.path = folder.path(), .create = round == 0}, [](RealEnv&, KvStore& store) -> Task<Result<>> {
          FF_CO_TRY_ASSIGN(const auto pairs, co_await peek_range(store, {"", ""}));
          EXPECT_EQ(pairs.empty(), last == 0);
          FF_CO_TRY_ASSIGN(const Version version, co_await put(store, "key", "value"));
          EXPECT_GT(version, last);
          last = version;
          FF_CO_TRY_ASSIGN(const auto lease, co_await store.acquire_lease("leader", "me", 1s));
          EXPECT_EQ(lease->epoch(), ++epoch);
          co_return {};
        });
    ASSERT_TRUE(result.has_value()) << result.error().message();
  }
}

TEST(RocksdbStore, DescribesItself) {
  const Folder folder;
  const auto env = make_env();
  const Result<> result =
      with_store(*env, {.path = folder.path(), .create = true}, [](RealEnv&, KvStore& store) -> Task<Result<>> {
        EXPECT_TRUE(store.describe().starts_with("rocksdb /tmp/")) << store.describe();
        co_return {};
      });
  EXPECT_TRUE(result.has_value());
}

TEST(RocksdbStore, ReadsWhatIsOnlyOnDisk) {
  const Folder folder;
  const auto env = make_env();
  const RocksdbOptions small{
      .path = folder.path(), .create = true, .cache_bytes = 64 << 10, .write_buffer_bytes = 1 << 20};
  const auto body = [](RealEnv&, KvStore& store) -> Task<Result<>> {
    Rng rng(5);
    for (int i = 0; i < 64; ++i) {
      const auto transaction = store.begin();
      for (int n = 0; n < 64; ++n) {
        std::string value(1024, '\0');
        for (char& c : value) c = static_cast<char>(rng.next());
        value.replace(0, 8, number(static_cast<std::uint64_t>(i * 64 + n)));
        transaction->set(number(static_cast<std::uint64_t>(i * 64 + n)), value);
      }
      FF_CO_TRY(co_await must_commit(*transaction));
    }
    const auto transaction = store.begin();
    for (std::uint64_t key = 0; key < 64 * 64; ++key) {
      FF_CO_TRY_ASSIGN(const auto value, co_await transaction->get(number(key)));
      EXPECT_TRUE(value && number_of(value->substr(0, 8)) == key) << key;
    }
    std::size_t seen = 0;
    KeyRange rest{"", ""};
    for (bool more = true; more;) {
      FF_CO_TRY_ASSIGN(const auto part, co_await transaction->get_range(rest));
      seen += part.pairs.size();
      rest.begin = key_after(part.pairs.back().key);
      more = part.more;
    }
    EXPECT_EQ(seen, 64U * 64U);
    co_return {};
  };
  const Result<> result = with_store(*env, small, body);
  ASSERT_TRUE(result.has_value()) << result.error().message();
}

// A write buffer of 64 KiB is full all the time, and counters that fell out of memory must be read from the disk:
// commits change between the task's own path and the thread's, and none may be lost or overtaken.
TEST(RocksdbStore, UnsyncedCommitsKeepTheirOrderWhileTheDiskIsBusy) {
  const Folder folder;
  const auto env = make_env();
  const RocksdbOptions busy{
      .path = folder.path(), .create = true, .sync = false, .cache_bytes = 64 << 10, .write_buffer_bytes = 64 << 10};
  static constexpr std::uint64_t kTasks = 8;
  static constexpr std::uint64_t kCommits = 100;
  const auto body = [](RealEnv& e, KvStore& store) -> Task<Result<>> {
    const auto add = [](KvStore& to, std::uint64_t task) -> Task<Result<>> {
      Version last = 0;
      for (std::uint64_t i = 0; i < kCommits; ++i) {
        for (std::uint64_t turn = 0; turn < task; ++turn)
          co_await runtime::yield();  // so that they do not march in step
        const auto transaction = to.begin();
        transaction->atomic(Atomic::kAdd, "sum/" + std::to_string(i), 1);
        transaction->set("large/" + number(task), std::string(20'000, static_cast<char>('a' + task)));
        transaction->set("last/" + number(task), number(i));
        FF_CO_TRY_ASSIGN(const Version version, co_await must_commit(*transaction));
        EXPECT_GT(version, last);
        last = version;
        FF_CO_TRY_ASSIGN(const auto seen, co_await peek(to, "last/" + number(task)));
        EXPECT_EQ(seen, number(i)) << "a task does not see its own commit";
      }
      co_return {};
    };
    runtime::Scope scope(e);
    for (std::uint64_t task = 0; task < kTasks; ++task) scope.spawn(add(store, task));
    FF_CO_TRY(co_await scope.join());
    for (std::uint64_t i = 0; i < kCommits; ++i) {
      FF_CO_TRY_ASSIGN(const auto sum, co_await peek(store, "sum/" + std::to_string(i)));
      EXPECT_EQ(sum ? number_of(*sum) : 0, kTasks) << "counter " << i;
    }
    co_return {};
  };
  const Result<> result = with_store(*env, busy, body);
  ASSERT_TRUE(result.has_value()) << result.error().message();
}

TEST(RocksdbStoreOpen, AMissingFolderIsNotFound) {
  const Folder folder;
  const Error error = open_error_of({.path = folder.path()});
  EXPECT_EQ(error.code(), Errc::kNotFound) << error.message();
  EXPECT_TRUE(error.message().starts_with(folder.path())) << error.message();
  ASSERT_TRUE(std::filesystem::create_directory(folder.path()));
  EXPECT_EQ(open_error_of({.path = folder.path()}).code(), Errc::kNotFound);
  EXPECT_EQ(open_error_of({.path = folder.path("a") + "/b", .create = true}).code(), Errc::kNotFound);
  EXPECT_EQ(open_error_of({.path = "", .create = true}).code(), Errc::kInvalidArgument);
}

TEST(RocksdbStoreOpen, OtherFilesAreLeftAlone) {
  const Folder folder;
  std::ofstream(folder.path("file")) << "precious";
  EXPECT_EQ(open_error_of({.path = folder.path("file"), .create = true}).code(), Errc::kInvalidArgument);
  ASSERT_TRUE(std::filesystem::create_directory(folder.path()));
  std::ofstream(folder.path() + "/precious") << "x";
  EXPECT_EQ(open_error_of({.path = folder.path(), .create = true}).code(), Errc::kAlreadyExists);
}

TEST(RocksdbStoreOpen, AnotherProgramsDatabaseIsRefused) {
  const Folder folder;
  rocksdb::Options options;
  options.create_if_missing = true;
  rocksdb::DB* raw = nullptr;
  ASSERT_TRUE(rocksdb::DB::Open(options, folder.path(), &raw).ok());
  std::unique_ptr<rocksdb::DB> db(raw);
  ASSERT_TRUE(db->Put(rocksdb::WriteOptions(), "theirs", "x").ok());
  db.reset();
  for (const bool create : {false, true}) {
    const Error error = open_error_of({.path = folder.path(), .create = create});
    EXPECT_EQ(error.code(), Errc::kInvalidArgument) << error.message();
  }
  ASSERT_TRUE(rocksdb::DB::Open(options, folder.path(), &raw).ok()) << "it must still open as theirs";
  delete raw;
}

// Writes into the meta family behind the engine's back.
void put_meta(const std::string& path, const std::string& key, const std::string& value) {
  std::vector<rocksdb::ColumnFamilyHandle*> families;
  rocksdb::DB* raw = nullptr;
  const auto status = rocksdb::DB::Open(rocksdb::Options(), path, {{"default", {}}, {"meta", {}}}, &families, &raw);
  ASSERT_TRUE(status.ok()) << status.ToString();
  const std::unique_ptr<rocksdb::DB> db(raw);
  EXPECT_TRUE(db->Put(rocksdb::WriteOptions(), families[1], key, value).ok());
  for (auto* family : families) delete family;
}

TEST(RocksdbStoreOpen, AnotherFormatAndADamagedRecordAreRefused) {
  const Folder folder;
  ASSERT_EQ(open_error_of({.path = folder.path(), .create = true}).message(), "it was opened");
  put_meta(folder.path(), "format", encode_record(RecordKind::kFormat, 2));
  const Error newer = open_error_of({.path = folder.path()});
  EXPECT_EQ(newer.code(), Errc::kUnsupported) << newer.message();
  put_meta(folder.path(), "format", "nonsense");
  const Error damaged = open_error_of({.path = folder.path()});
  EXPECT_EQ(damaged.code(), Errc::kCorrupt) << damaged.message();
}

TEST(RocksdbStoreOpen, AFolderWithoutPermissionIsNamed) {
  const Folder folder;
  ASSERT_EQ(open_error_of({.path = folder.path(), .create = true}).message(), "it was opened");
  ASSERT_EQ(::chmod(folder.path().c_str(), 0500), 0);
  // Root may do everything: then somebody else opens it.
  const uid_t user = ::geteuid();
  if (user == 0) ASSERT_EQ(::seteuid(65534), 0);
  const Error error = open_error_of({.path = folder.path()});
  ASSERT_EQ(::seteuid(user), 0);
  EXPECT_EQ(error.code(), Errc::kPermission) << error.message();
  ASSERT_EQ(::chmod(folder.path().c_str(), 0700), 0);
}

// The same test program again, running one (otherwise disabled) test as a child.
class Child {
 public:
  Child(const char* test, const std::string& path) {
    int out[2];
    EXPECT_EQ(::pipe2(out, O_CLOEXEC), 0);
    pid_ = ::fork();
    if (pid_ == 0) {
      ::dup2(out[1], STDOUT_FILENO);
      ::setenv("FF_KV_TEST_STORE", path.c_str(), 1);
      const std::string filter = std::string("--gtest_filter=") + test;
      ::execl("/proc/self/exe", "kv_child", filter.c_str(), "--gtest_also_run_disabled_tests", nullptr);
      ::_exit(127);
    }
    ::close(out[1]);
    out_ = out[0];
  }
  ~Child() {
    kill_and_read();
    ::close(out_);
  }
  pid_t pid() const { return pid_; }
  // Reads until the text has come, or the child has ended.
  bool wait_for(const std::string& text) {
    char buffer[4096];
    while (all_.find(text) == std::string::npos) {
      const ssize_t n = ::read(out_, buffer, sizeof buffer);
      if (n <= 0) return false;
      all_.append(buffer, static_cast<std::size_t>(n));
    }
    return true;
  }
  std::string kill_and_read() {
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      ::waitpid(std::exchange(pid_, -1), nullptr, 0);
      while (wait_for("\n\nnever printed")) {
      }
    }
    return all_;
  }

 private:
  pid_t pid_ = -1;
  int out_ = -1;
  std::string all_;
};

void say(const std::string& line) { ASSERT_EQ(::write(STDOUT_FILENO, line.data(), line.size()), ssize_t(line.size())); }
std::string child_store() {
  const char* path = std::getenv("FF_KV_TEST_STORE");
  return path != nullptr ? path : "";
}

TEST(RocksdbChild, DISABLED_HoldsTheStoreOpen) {
  const auto env = make_env();
  (void)with_store(*env, {.path = child_store(), .create = true}, [](RealEnv&, KvStore&) -> Task<Result<>> {
    say("\nopen\n");
    co_return co_await runtime::sleep(60s);
  });
}

TEST(RocksdbStoreOpen, ASecondOpenerLearnsWhoHasIt) {
  const Folder folder;
  {
    Child child("RocksdbChild.DISABLED_HoldsTheStoreOpen", folder.path());
    ASSERT_TRUE(child.wait_for("\nopen\n"));
    const Error error = open_error_of({.path = folder.path()});
    EXPECT_EQ(error.code(), Errc::kUnavailable) << error.message();
    EXPECT_NE(error.message().find("process " + std::to_string(child.pid())), std::string::npos) << error.message();
  }
  // In one process too, and without dropping the first one's lock.
  const auto env = make_env();
  const Result<> result = with_store(*env, {.path = folder.path()}, [](RealEnv& e, KvStore& store) -> Task<Result<>> {
    for (int i = 0; i < 2; ++i) {
      const std::string path = store.describe().substr(8);
      const auto second = co_await open_rocksdb_store(e, {.path = path});
      EXPECT_FALSE(second.has_value());
      if (!second) EXPECT_EQ(second.error().code(), Errc::kUnavailable) << second.error().message();
    }
    co_return {};
  });
  EXPECT_TRUE(result.has_value()) << result.error().message();
}

constexpr int kWriters = 4;
constexpr int kKeysOfOne = 5;

std::string kill_key(int writer, std::uint64_t sequence, int part) {
  return fmt::format("kill/{}/{:010}/{}", writer, sequence, part);
}

// Writes transactions of several keys for ever, and says which were acknowledged.
Task<Result<>> write_for_ever(KvStore& store, int writer) {
  FF_CO_TRY_ASSIGN(const auto old, co_await peek(store, fmt::format("next/{}", writer)));
  for (std::uint64_t sequence = old ? number_of(*old) : 0;; ++sequence) {
    const auto transaction = store.begin();
    for (int part = 0; part < kKeysOfOne; ++part) transaction->set(kill_key(writer, sequence, part), "x");
    transaction->set(fmt::format("next/{}", writer), number(sequence + 1));
    transaction->atomic(Atomic::kAdd, "count", 1);
    FF_CO_TRY_ASSIGN(const Version version, co_await must_commit(*transaction));
    say(fmt::format("ack {} {} {}\n", writer, sequence, version));
  }
}

TEST(RocksdbChild, DISABLED_WritesForEver) {
  const auto env = make_env();
  const Result<> result =
      with_store(*env, {.path = child_store(), .create = true, .write_buffer_bytes = 256 << 10},
                 [](RealEnv&, KvStore& store) -> Task<Result<>> {
                   say("\nopen\n");
                   co_return co_await runtime::with_scope([&](runtime::Scope& scope) -> Task<Result<>> {
                     for (int writer = 0; writer < kWriters; ++writer) scope.spawn(write_for_ever(store, writer));
                     co_return {};
                   });
                 });
  if (!result) say("failed: " + result.error().message() + "\n");
}

// What the children of all rounds said.
struct Acknowledged {
  std::uint64_t next[kWriters] = {};  // sequences below were acknowledged
  Version last_version = 0;

  void read(const std::string& output) {
    std::istringstream lines(output);
    for (std::string line; std::getline(lines, line);) {
      int writer = 0;
      unsigned long sequence = 0, version = 0;
      if (lines.eof() || std::sscanf(line.c_str(), "ack %d %lu %lu", &writer, &sequence, &version) != 3) continue;
      next[writer] = std::max<std::uint64_t>(next[writer], sequence + 1);
      last_version = std::max<Version>(last_version, version);
    }
  }
};

Task<Result<>> expect_whole(KvStore& store, Acknowledged& acknowledged) {
  std::uint64_t transactions = 0;
  for (int writer = 0; writer < kWriters; ++writer) {
    FF_CO_TRY_ASSIGN(const auto next, co_await peek(store, fmt::format("next/{}", writer)));
    const std::uint64_t count = next ? number_of(*next) : 0;
    EXPECT_GE(count, acknowledged.next[writer]) << "acknowledged commits are missing";
    EXPECT_LE(count, acknowledged.next[writer] + 1) << "more than the one that was under way";
    acknowledged.next[writer] = count;  // what is there now stays
    transactions += count;
    std::uint64_t keys = 0;
    KeyRange rest = prefix_range(fmt::format("kill/{}/", writer));
    for (bool more = true; more;) {
      const auto t = store.begin();
      FF_CO_TRY_ASSIGN(const auto part, co_await t->get_range(rest));
      for (const auto& pair : part.pairs) {
        EXPECT_EQ(pair.key, kill_key(writer, keys / kKeysOfOne, static_cast<int>(keys % kKeysOfOne))) << "torn";
        ++keys;
      }
      more = part.more;
      if (more) rest.begin = key_after(part.pairs.back().key);
    }
    EXPECT_EQ(keys, count * kKeysOfOne);
  }
  FF_CO_TRY_ASSIGN(const auto counted, co_await peek(store, "count"));
  EXPECT_EQ(counted ? number_of(*counted) : 0, transactions);
  FF_CO_TRY_ASSIGN(const Version version, co_await put(store, "after", "x"));
  EXPECT_GT(version, acknowledged.last_version);
  acknowledged.last_version = version;
  co_return {};
}

TEST(RocksdbStore, KilledAtAnyInstantItKeepsWhatItAcknowledged) {
  const Folder folder;
  const auto env = make_env();
  static Acknowledged acknowledged;
  acknowledged = {};
  Rng rng(::testing::UnitTest::GetInstance()->random_seed() + 20);
  for (int round = 0; round < 20; ++round) {
    {
      Child child("RocksdbChild.DISABLED_WritesForEver", folder.path());
      ASSERT_TRUE(child.wait_for("\nopen\n")) << "round " << round;
      std::this_thread::sleep_for(std::chrono::microseconds(rng.below(60'000)));
      acknowledged.read(child.kill_and_read());
    }
    const Result<> result = with_store(*env, {.path = folder.path()}, [](RealEnv&, KvStore& store) -> Task<Result<>> {
      co_return co_await expect_whole(store, acknowledged);
    });
    ASSERT_TRUE(result.has_value()) << result.error().message();
    ASSERT_FALSE(::testing::Test::HasFailure()) << "round " << round;
  }
  std::uint64_t all = 0;
  for (const std::uint64_t next : acknowledged.next) all += next;
  EXPECT_GT(all, 50U) << "the children must have done something";
}

TEST(RocksdbStore, AFailedSyncIsNeverAcknowledged) {
  const Folder folder;
  const auto env = make_env();
  const Result<> result =
      with_store(*env, {.path = folder.path(), .create = true}, [](RealEnv&, KvStore& store) -> Task<Result<>> {
        FF_CO_TRY(co_await put(store, "before", "x"));
        FF_CO_TRY_ASSIGN(const auto lease, co_await store.acquire_lease("leader", "me", 1s));
        FF_CO_TRY_ASSIGN(const auto watch, co_await store.watch({"", ""}, ~0ULL >> 1));
        fail_syncs = true;
        const auto doubtful = store.begin();
        doubtful->set("doubtful", "x");
        FF_CO_TRY_ASSIGN(const Commit commit, co_await doubtful->commit());
        EXPECT_EQ(commit.outcome, Outcome::kMaybeCommitted);
        fail_syncs = false;
        // Even a disk that works again is not trusted.
        const auto later = co_await put(store, "later", "x");
        EXPECT_FALSE(later.has_value());
        if (!later)
          EXPECT_NE(later.error().message().find("only reads since"), std::string::npos) << later.error().message();
        EXPECT_FALSE(lease->held());
        EXPECT_FALSE((co_await watch->changed()).has_value());
        FF_CO_TRY_ASSIGN(const auto before, co_await peek(store, "before"));
        EXPECT_EQ(before, "x");
        FF_CO_TRY_ASSIGN(const auto invisible, co_await peek(store, "doubtful"));
        EXPECT_EQ(invisible, std::nullopt);
        co_return {};
      });
  fail_syncs = false;
  ASSERT_TRUE(result.has_value()) << result.error().message();
  const Result<> restarted = with_store(*env, {.path = folder.path()}, [](RealEnv&, KvStore& store) -> Task<Result<>> {
    FF_CO_TRY_ASSIGN(const auto before, co_await peek(store, "before"));
    EXPECT_EQ(before, "x");
    FF_CO_TRY_ASSIGN(const auto later, co_await peek(store, "later"));
    EXPECT_EQ(later, std::nullopt);
    FF_CO_TRY(co_await put(store, "now", "x"));
    co_return {};
  });
  EXPECT_TRUE(restarted.has_value()) << restarted.error().message();
}

// Damage in the middle of the log is no torn end: what follows it was acknowledged.
TEST(RocksdbStore, ADamagedLogIsRefusedUnlessAskedToDropIt) {
  const Folder folder;
  const auto env = make_env();
  const Result<> filled =
      with_store(*env, {.path = folder.path(), .create = true}, [](RealEnv&, KvStore& store) -> Task<Result<>> {
        for (int i = 0; i < 100; ++i) FF_CO_TRY(co_await put(store, fmt::format("k{:03}", i), std::string(2000, 'v')));
        co_return {};
      });
  ASSERT_TRUE(filled.has_value()) << filled.error().message();
  std::string log;
  for (const auto& file : std::filesystem::directory_iterator(folder.path())) {
    if (file.path().extension() == ".log" && file.file_size() > 100'000) log = file.path();
  }
  ASSERT_FALSE(log.empty());
  {
    std::fstream file(log, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(100'000);
    file.write("damage", 6);
  }
  const Error error = open_error_of({.path = folder.path()});
  EXPECT_EQ(error.code(), Errc::kCorrupt) << error.message();
  EXPECT_NE(error.message().find("drop_damaged_log"), std::string::npos) << error.message();
  const Result<> dropped = with_store(*env, {.path = folder.path(), .drop_damaged_log = true},
                                      [](RealEnv&, KvStore& store) -> Task<Result<>> {
                                        FF_CO_TRY_ASSIGN(const auto pairs, co_await peek_range(store, {"", ""}));
                                        EXPECT_GT(pairs.size(), 30U);
                                        EXPECT_LT(pairs.size(), 60U) << "the damage is at half of the log";
                                        co_return {};
                                      });
  EXPECT_TRUE(dropped.has_value()) << dropped.error().message();
}

}  // namespace
}  // namespace ff::kv
