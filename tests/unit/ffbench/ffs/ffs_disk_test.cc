// Files of a whole simulated file system as files of an Env: what callers of runtime::Disk expect must hold.
#include "ffbench/ffs/ffs_disk.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "ffbench/storage/env_engine.hpp"
#include "ffbench/storage/verify_check.hpp"
#include "ffbench/storage/verify_write.hpp"
#include "ffs/client/file_system.hpp"
#include "libcommon/base/defer.hpp"
#include "libcommon/testing/sim_world.hpp"
#include "tests/sim/ffs_cluster/cluster.hpp"

namespace ff::bench {
namespace {

using namespace std::chrono_literals;
using runtime::Task;

// Runs `body` (Task<Result<>>(FileSystem&, FfsDisk&)) as a client of a healthy cluster.
template <class F>
void on_cluster(F body) {
  testing::SimWorld world(1);
  sim::Cluster cluster(world);
  const Defer end([&world] {
    for (testing::NodeId node = 0; node < world.nodes(); ++node) world.kill(node);
  });
  const testing::NodeId client = world.add_node({.role = "client"});
  const Result<> up = cluster.bring_up();
  ASSERT_TRUE(up) << up.error().message();
  world.start(client, [&](testing::SimEnv& env) -> Task<Result<>> {
    FF_CO_TRY_ASSIGN(const auto fs,
                     co_await ffs::FileSystem::connect(
                         env, {.managers = cluster.file().managers(), .cluster = ffs::cluster_bytes(cluster.file())}));
    FfsDisk disk(*fs);
    const Result<> done = co_await body(*fs, disk);
    co_await fs->stop();
    co_return done;
  });
  ASSERT_TRUE(world.run_until([&] { return world.exited(client); }, 10min));
  EXPECT_TRUE(world.exit_result(client)) << world.exit_result(client).error().message();
}

std::vector<std::byte> bytes_of(std::size_t count, unsigned value) {
  return std::vector<std::byte>(count, static_cast<std::byte>(value));
}

void expect_failure(const auto& result, Errc code, const std::string& text) {
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), code) << result.error().message();
  EXPECT_NE(result.error().message().find(text), std::string::npos) << result.error().message();
}

TEST(FfsPaths, HaveAPrefix) {
  EXPECT_TRUE(is_ffs_path("ffs:/a"));
  EXPECT_FALSE(is_ffs_path("/ffs:/a"));
  EXPECT_EQ(path_inside("ffs:/a/b"), "/a/b");
  EXPECT_EQ(path_inside("/a/b"), "/a/b");
  EXPECT_EQ(ffs_path("/a"), "ffs:/a");
  EXPECT_EQ(ffs_path("ffs:/a"), "ffs:/a");
}

TEST(FfsDisk, GivesBackWhatWasWritten) {
  on_cluster([](ffs::FileSystem&, FfsDisk& disk) -> Task<Result<>> {
    FF_CO_TRY_ASSIGN(const auto file,
                     co_await disk.open("ffs:/f", {.write = true, .create = true, .exclusive = true, .direct = true}));
    EXPECT_EQ(file->alignment(), 1u);
    FF_CO_TRY(co_await file->write(100'001, bytes_of(70'000, 3)));
    FF_CO_TRY(co_await file->sync());
    FF_CO_TRY_ASSIGN(const std::uint64_t size, co_await file->size());
    EXPECT_EQ(size, 170'001u);
    auto found = bytes_of(80'000, 9);
    FF_CO_TRY_ASSIGN(const std::size_t got, co_await file->read(100'000, found));
    EXPECT_EQ(got, 70'001u);
    EXPECT_EQ(found[0], std::byte{0});
    EXPECT_TRUE(std::all_of(found.begin() + 1, found.begin() + 70'001, [](std::byte b) { return b == std::byte{3}; }));
    expect_failure(co_await file->allocate(0, 10), Errc::kUnsupported, "ffs:/f");
    expect_failure(co_await file->punch(0, 10), Errc::kUnsupported, "ffs:/f");
    FF_CO_TRY(co_await file->truncate(5));
    FF_CO_TRY(co_await file->close());
    FF_CO_TRY_ASSIGN(const runtime::FileInfo info, co_await disk.info("ffs:/f"));
    EXPECT_EQ(info.bytes, 5u);
    EXPECT_FALSE(info.folder);
    co_return {};
  });
}

TEST(FfsDisk, KnowsNames) {
  on_cluster([](ffs::FileSystem&, FfsDisk& disk) -> Task<Result<>> {
    FF_CO_TRY(co_await disk.make_folder("ffs:/d"));
    for (const char* name : {"ffs:/d/b", "ffs:/d/a"}) {
      FF_CO_TRY_ASSIGN(const auto file, co_await disk.open(name, {.write = true, .create = true}));
      FF_CO_TRY(co_await file->close());
    }
    FF_CO_TRY(co_await disk.rename("ffs:/d/b", "ffs:/d/c"));
    FF_CO_TRY_ASSIGN(const auto names, co_await disk.list("ffs:/d"));
    EXPECT_EQ(names, (std::vector<std::string>{"a", "c"}));
    FF_CO_TRY_ASSIGN(const runtime::FileInfo folder, co_await disk.info("ffs:/d"));
    EXPECT_TRUE(folder.folder);
    FF_CO_TRY(co_await disk.sync_folder("ffs:/d"));
    FF_CO_TRY(co_await disk.remove("ffs:/d/a"));
    FF_CO_TRY(co_await disk.remove("ffs:/d/c"));
    FF_CO_TRY(co_await disk.remove("ffs:/d"));
    expect_failure(co_await disk.info("ffs:/d"), Errc::kNotFound, "ffs:/d");
    co_return {};
  });
}

TEST(FfsDisk, ErrorsNameThePathAsItWasGiven) {
  on_cluster([](ffs::FileSystem&, FfsDisk& disk) -> Task<Result<>> {
    expect_failure(co_await disk.open("ffs:/none", {}), Errc::kNotFound, "ffs:/none");
    expect_failure(co_await disk.list("ffs:/none"), Errc::kNotFound, "ffs:/none");
    expect_failure(co_await disk.remove("ffs:/none"), Errc::kNotFound, "ffs:/none");
    expect_failure(co_await disk.open("ffs:relative", {}), Errc::kInvalidArgument, "ffs:relative");
    expect_failure(co_await disk.space("ffs:/"), Errc::kUnsupported, "ffs:/");
    FF_CO_TRY_ASSIGN(const auto file, co_await disk.open("ffs:/f", {.write = true, .create = true}));
    expect_failure(co_await disk.open("ffs:/f", {.write = true, .create = true, .exclusive = true}),
                   Errc::kAlreadyExists, "ffs:/f");
    co_return co_await file->close();
  });
}

TEST(FfsDisk, OtherPathsLieOnTheDiskOfTheEnv) {
  on_cluster([](ffs::FileSystem& fs, FfsDisk& disk) -> Task<Result<>> {
    FF_CO_TRY_ASSIGN(const auto file, co_await disk.open("journal", {.write = true, .create = true}));
    FF_CO_TRY(co_await file->write(0, bytes_of(10, 1)));
    FF_CO_TRY(co_await file->close());
    FF_CO_TRY_ASSIGN(const runtime::FileInfo info, co_await fs.env().disk().info("journal"));
    EXPECT_EQ(info.bytes, 10u);
    FF_CO_TRY_ASSIGN(const auto there, co_await disk.list("ffs:/"));
    EXPECT_EQ(std::ranges::count(there, "journal"), 0);
    expect_failure(co_await disk.rename("journal", "ffs:/journal"), Errc::kInvalidArgument, "journal");
    co_return {};
  });
}

TEST(FfsDisk, CarriesTheLoadsOfTheEngine) {
  on_cluster([](ffs::FileSystem& fs, FfsDisk& disk) -> Task<Result<>> {
    constexpr std::uint64_t kBytes = 1u << 20;
    FF_CO_TRY_ASSIGN(const auto file, co_await disk.open("ffs:/f", {.write = true, .create = true}));
    FF_CO_TRY(co_await lay_out(fs.env(), *file, 0, kBytes, 1, {}));
    const StorageJob job{.pattern = AccessPattern::kRandReadWrite,
                         .block_bytes = 4096,
                         .depth = 8,
                         .size = kBytes,
                         .fsync_every = 10,
                         .operations_max = 300};
    FF_CO_TRY_ASSIGN(const StorageReading reading, co_await run_on_env(fs.env(), *file, job, 0s, {}));
    EXPECT_FALSE(reading.error);
    EXPECT_EQ(reading.read.operations + reading.write.operations, 300u);
    EXPECT_EQ(reading.sync.count(), reading.write.operations / 10);
    co_return co_await file->close();
  });
}

// Syncs run while other writes make the file longer: their length must not be forgotten.
TEST(FfsDisk, KeepsWhatVerifyWasPromised) {
  on_cluster([](ffs::FileSystem& fs, FfsDisk& disk) -> Task<Result<>> {
    constexpr std::uint64_t kWrites = 400;
    const VerifyWriteOptions options{.blocks = 512,
                                     .depth = 16,
                                     .sync_every = 16,
                                     .writes_max = kWrites,
                                     .random = false,
                                     .new_target = true,
                                     .new_journal = true};
    FF_CO_TRY_ASSIGN(const VerifyWriteReading written,
                     co_await verify_write(fs.env(), disk, "ffs:/v", "journal", options, {}));
    EXPECT_FALSE(written.error) << written.error->message();
    EXPECT_EQ(written.synced, kWrites);
    FF_CO_TRY_ASSIGN(const VerifyReport report, co_await verify_check(fs.env(), disk, "ffs:/v", "journal", {}, {}));
    EXPECT_EQ(report.count(BlockVerdict::kGood), kWrites);
    EXPECT_EQ(report.count(BlockVerdict::kUnwritten), 512 - kWrites);
    EXPECT_EQ(report.failed(), 0u);
    co_return {};
  });
}

}  // namespace
}  // namespace ff::bench
