// `ffbench storage verify` on simulated disks: a disk that keeps its word is never accused, whatever order its cache is
// written out in when the power goes; and one that does not is found out every time that it shows.
#include <fmt/core.h>
#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <map>
#include <optional>
#include <set>

#include "ffbench/storage/verify_check.hpp"
#include "ffbench/storage/verify_write.hpp"
#include "libcommon/testing/seeds.hpp"
#include "libcommon/testing/sim_env.hpp"
#include "tests/sim/unsynced_disk.hpp"

namespace ff::bench {
namespace {

using namespace std::chrono_literals;
using runtime::Task;
using testing::SimEnv;
using testing::SimWorld;

constexpr const char* kTarget = "/data/target";
constexpr const char* kJournal = "/data/journal";

VerifyWriteOptions options_of(std::uint64_t seed) {
  return {.seed = seed,
          .blocks = 16 + seed % 60,
          .block_bytes = static_cast<std::uint32_t>(4096 << (seed % 3)),
          .depth = 1 + static_cast<std::uint32_t>(seed % 9),
          .sync_every = 1 + seed % 40,
          .duration = 10s,
          .random = seed % 4 != 0};
}

Task<Result<>> write_for_ever(SimEnv& env, runtime::Disk& disk, VerifyWriteOptions options) {
  if (!co_await disk.info("/data")) FF_CO_TRY(co_await disk.make_folder("/data"));
  FF_CO_TRY(co_await disk.sync_folder("/"));
  FF_CO_TRY_ASSIGN(const auto reading, co_await verify_write(env, disk, kTarget, kJournal, options, {}));
  if (reading.error) co_return fail(*reading.error);
  co_return {};
}

// What the node's disk holds now, judged by a new process.
Result<VerifyReport> check_node(SimWorld& world, testing::NodeId node) {
  std::optional<Result<VerifyReport>> report;
  world.start(node, [&](SimEnv& env) -> Task<Result<>> {
    report = co_await verify_check(env, env.disk(), kTarget, kJournal, {}, {});
    co_return {};
  });
  FF_TRY(world.run_until([&] { return world.exited(node); }, 1h, "check"));
  return std::move(*report);
}

// Writes, is struck at a random moment, and gives what a check then says; nothing when the run had not begun by then.
Result<std::optional<VerifyReport>> strike(SimWorld& world, testing::Kill how) {
  const auto node = world.add_node();
  const VerifyWriteOptions options = options_of(world.seed());
  world.start(node,
              [=](SimEnv& env) -> Task<Result<>> { co_return co_await write_for_ever(env, env.disk(), options); });
  FF_TRY(world.run_for(std::chrono::microseconds(500 + world.rng().below(60'000))));
  world.kill(node, how);
  auto report = check_node(world, node);
  // The name of the journal, or its first page, was not durable yet: nothing had been promised.
  if (!report && (report.error().code() == Errc::kNotFound || report.error().code() == Errc::kCorrupt))
    return std::optional<VerifyReport>();
  if (!report) return fail(std::move(report).error());
  return std::optional<VerifyReport>(std::move(*report));
}

Result<> expect_clean(const VerifyReport& report) {
  if (report.failed() == 0 && report.blocks == report.run.blocks) return {};
  return fail(Errc::kCorrupt, fmt::format("{} of {} blocks accused; {}", report.failed(), report.blocks,
                                          report.failures.empty() ? "" : describe(report.failures.front())));
}

TEST(VerifySim, AnHonestDiskIsNeverAccusedAfterAPowerCut) {
  std::uint64_t judged = 0, unsynced = 0, promised = 0;
  const auto run = testing::run_seeds("VerifySim.AnHonestDiskIsNeverAccusedAfterAPowerCut", 1, 200,
                                      [&](SimWorld& world) -> Result<> {
                                        FF_TRY_ASSIGN(const auto report, strike(world, testing::Kill::kPowerCut));
                                        if (!report) return {};
                                        ++judged;
                                        unsynced += report->count(BlockVerdict::kUnsynced);
                                        promised += report->synced;
                                        return expect_clean(*report);
                                      },
                                      {.fixed = true});
  EXPECT_TRUE(run.ok()) << run.report;
  // The test is worth something: most runs had begun, blocks were torn, and much had been promised.
  EXPECT_GT(judged, 170u);
  EXPECT_GT(unsynced, 50u);
  EXPECT_GT(promised, 5000u);
}

TEST(VerifySim, AnHonestDiskIsNeverAccusedAfterKillMinusNine) {
  const auto run = testing::run_seeds("VerifySim.AnHonestDiskIsNeverAccusedAfterKillMinusNine", 1, 80,
                                      [](SimWorld& world) -> Result<> {
                                        FF_TRY_ASSIGN(const auto report, strike(world, testing::Kill::kProcess));
                                        return report ? expect_clean(*report) : Result<>();
                                      });
  EXPECT_TRUE(run.ok()) << run.report;
}

// Another disk, except that the target's file is wrapped; the journal's is as it was, as one on another device is.
class WrappedDisk final : public runtime::Disk {
 public:
  using Wrap = std::function<std::unique_ptr<runtime::File>(std::unique_ptr<runtime::File>)>;
  WrappedDisk(runtime::Disk& disk, Wrap wrap) : disk_(disk), wrap_(std::move(wrap)) {}

  Task<Result<std::unique_ptr<runtime::File>>> open(std::string path, runtime::OpenOptions options) override {
    FF_CO_TRY_ASSIGN(auto file, co_await disk_.open(path, options));
    if (path != kTarget) co_return file;
    co_return wrap_(std::move(file));
  }
  [[clang::coro_wrapper]] Task<Result<runtime::FileInfo>> info(std::string path) override {
    return disk_.info(std::move(path));
  }
  [[clang::coro_wrapper]] Task<Result<>> make_folder(std::string path) override {
    return disk_.make_folder(std::move(path));
  }
  [[clang::coro_wrapper]] Task<Result<std::vector<std::string>>> list(std::string path) override {
    return disk_.list(std::move(path));
  }
  [[clang::coro_wrapper]] Task<Result<>> remove(std::string path) override { return disk_.remove(std::move(path)); }
  [[clang::coro_wrapper]] Task<Result<>> rename(std::string from, std::string to) override {
    return disk_.rename(std::move(from), std::move(to));
  }
  [[clang::coro_wrapper]] Task<Result<>> sync_folder(std::string path) override {
    return disk_.sync_folder(std::move(path));
  }
  [[clang::coro_wrapper]] Task<Result<runtime::SpaceInfo>> space(std::string path) override {
    return disk_.space(std::move(path));
  }
  Result<runtime::DiskBuffer> buffer(std::size_t bytes) override { return disk_.buffer(bytes); }

 private:
  runtime::Disk& disk_;
  Wrap wrap_;
};

// The oracle: another look at the same disk, without the journal's or the checker's help. A promise is broken where a
// block whose version r was synced does not hold r or a later one in every sector.
TEST(VerifySim, ADiskThatIgnoresSyncIsFoundOutWheneverItShows) {
  std::uint64_t shown = 0;
  const auto run = testing::run_seeds(
      "VerifySim.ADiskThatIgnoresSyncIsFoundOutWheneverItShows", 1, 100,
      [&](SimWorld& world) -> Result<> {
        const auto node = world.add_node();
        const VerifyWriteOptions options = options_of(world.seed());
        world.start(node, [&](SimEnv& env) -> Task<Result<>> {
          WrappedDisk disk(env.disk(), [](std::unique_ptr<runtime::File> file) {
            return std::make_unique<sim::UnsyncedFile>(std::move(file));
          });
          co_return co_await write_for_ever(env, disk, options);
        });
        FF_TRY(world.run_for(std::chrono::milliseconds(30)));
        world.kill(node, testing::Kill::kPowerCut);
        FF_TRY_ASSIGN(const VerifyReport report, check_node(world, node));
        // Which blocks are worse than promised, sector by sector.
        FF_TRY_ASSIGN(auto bytes, world.storage(node).contents(kTarget));
        bytes.resize(options.blocks * options.block_bytes);
        VerifyOrder order(report.run);
        std::map<std::uint64_t, std::uint64_t> required;
        for (std::uint64_t s = 1; s <= report.synced; ++s) required[order.block_of(s)] = s;
        std::uint64_t broken = 0;
        for (const auto& [block, sequence] : required) {
          bool bad = false;
          for (std::uint64_t at = 0; at < options.block_bytes; at += kVerifySectorBytes) {
            std::uint64_t stamp = 0;  // the last 8 bytes of a sector; 0 in one that never reached the medium
            std::memcpy(&stamp, &bytes[block * options.block_bytes + at + kVerifySectorBytes - 8], 8);
            bad = bad || stamp < sequence;
          }
          broken += bad ? 1 : 0;
        }
        shown += broken > 0 ? 1 : 0;
        if (broken == report.count(BlockVerdict::kLost) + report.count(BlockVerdict::kTorn) &&
            broken == report.failed())
          return {};
        return fail(Errc::kCorrupt, fmt::format("{} promises were broken, {} blocks accused", broken, report.failed()));
      },
      {.fixed = true});
  EXPECT_TRUE(run.ok()) << run.report;
  EXPECT_GT(shown, 50u);
}

// Notices two writes of one place in flight at the same time, whose order would be anybody's guess.
class NoOverlapFile final : public runtime::File {
 public:
  NoOverlapFile(std::unique_ptr<runtime::File> file, std::uint64_t& overlaps, std::size_t& most)
      : file_(std::move(file)), overlaps_(overlaps), most_(most) {}
  Task<Result<>> write(std::uint64_t offset, std::span<const std::byte> from) override {
    if (!in_flight_.insert(offset).second) ++overlaps_;
    most_ = std::max(most_, in_flight_.size());
    Result<> done = co_await file_->write(offset, from);
    in_flight_.erase(offset);
    co_return done;
  }
  [[clang::coro_wrapper]] Task<Result<std::size_t>> read(std::uint64_t offset, std::span<std::byte> into) override {
    return file_->read(offset, into);
  }
  [[clang::coro_wrapper]] Task<Result<>> sync() override { return file_->sync(); }
  [[clang::coro_wrapper]] Task<Result<std::uint64_t>> size() override { return file_->size(); }
  [[clang::coro_wrapper]] Task<Result<>> truncate(std::uint64_t bytes) override { return file_->truncate(bytes); }
  [[clang::coro_wrapper]] Task<Result<>> allocate(std::uint64_t offset, std::uint64_t bytes) override {
    return file_->allocate(offset, bytes);
  }
  [[clang::coro_wrapper]] Task<Result<>> punch(std::uint64_t offset, std::uint64_t bytes) override {
    return file_->punch(offset, bytes);
  }
  std::size_t alignment() const noexcept override { return file_->alignment(); }
  [[clang::coro_wrapper]] Task<Result<>> close() override { return file_->close(); }

 private:
  std::unique_ptr<runtime::File> file_;
  std::set<std::uint64_t> in_flight_;
  std::uint64_t& overlaps_;
  std::size_t& most_;
};

TEST(VerifySim, NoTwoWritesOfABlockAreInFlight) {
  for (const std::uint64_t blocks : {1u, 3u, 20u}) {
    SimWorld world(blocks);
    const auto node = world.add_node();
    std::uint64_t overlaps = 0;
    std::size_t most = 0;
    world.start(node, [&](SimEnv& env) -> Task<Result<>> {
      WrappedDisk disk(env.disk(), [&](std::unique_ptr<runtime::File> file) {
        return std::make_unique<NoOverlapFile>(std::move(file), overlaps, most);
      });
      co_return co_await write_for_ever(
          env, disk, {.blocks = blocks, .depth = 8, .sync_every = 10, .writes_max = 2000, .duration = 10s});
    });
    ASSERT_TRUE(world.run_until([&] { return world.exited(node); }, 1h));
    EXPECT_EQ(overlaps, 0u) << blocks;
    EXPECT_EQ(most, std::min<std::uint64_t>(blocks, 8));
  }
}

// One honest, finished run to damage.
struct Finished {
  SimWorld world;
  testing::NodeId node;
  VerifyWriteOptions options;
  explicit Finished(std::uint64_t seed) : world(seed), node(world.add_node()), options(options_of(seed)) {
    options.writes_max = 3 * options.blocks + 5;
    world.start(node,
                [this](SimEnv& env) -> Task<Result<>> { co_return co_await write_for_ever(env, env.disk(), options); });
    const Result<> done = world.run_until([this] { return world.exited(node); }, 1h);
    EXPECT_TRUE(done && world.exit_result(node));
  }
};

TEST(VerifySim, AFinishedRunIsWhollyGood) {
  for (std::uint64_t seed = 1; seed <= 12; ++seed) {
    Finished run(seed);
    const auto report = check_node(run.world, run.node);
    ASSERT_TRUE(report) << report.error().message();
    EXPECT_EQ(report->synced, run.options.writes_max);
    EXPECT_EQ(report->count(BlockVerdict::kGood), run.options.blocks);
  }
}

TEST(VerifySim, EveryFlippedBitIsFoundAndNamed) {
  Rng rng(11);
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    Finished run(seed);
    const std::uint64_t byte = rng.below(run.options.blocks * run.options.block_bytes);
    const auto bit = static_cast<unsigned>(rng.below(8));
    ASSERT_TRUE(run.world.storage(run.node).flip_bit(kTarget, byte, bit));
    const auto report = check_node(run.world, run.node);
    ASSERT_TRUE(report);
    ASSERT_EQ(report->failed(), 1u) << seed;
    const VerifyFailure& failure = report->failures.front();
    EXPECT_EQ(failure.finding.verdict, BlockVerdict::kCorrupt);
    EXPECT_EQ(failure.offset, byte / run.options.block_bytes * run.options.block_bytes);
    EXPECT_EQ(failure.finding.flips, (std::vector<BitFlip>{{byte % run.options.block_bytes, bit}}));
  }
}

TEST(VerifySim, UnreadableAndMisplacedBlocksDoNotHideTheirNeighbours) {
  Finished run(7);
  auto& storage = run.world.storage(run.node);
  const std::uint64_t size = run.options.block_bytes;
  ASSERT_TRUE(storage.damage(kTarget, 3 * size + 512));
  auto bytes = *storage.contents(kTarget);
  std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(5 * size), size,
              bytes.begin() + static_cast<std::ptrdiff_t>(9 * size));
  run.world.start(run.node, [&](SimEnv& env) -> Task<Result<>> {
    FF_CO_TRY_ASSIGN(const auto file, co_await env.disk().open(kTarget, {.write = true}));
    co_return co_await file->write(9 * size, std::span<const std::byte>(bytes).subspan(9 * size, size));
  });
  ASSERT_TRUE(run.world.run_until([&] { return run.world.exited(run.node); }, 1h));
  const auto report = check_node(run.world, run.node);
  ASSERT_TRUE(report);
  EXPECT_EQ(report->failed(), 2u);
  EXPECT_EQ(report->failures[0].offset, 3 * size);
  EXPECT_EQ(report->failures[0].finding.verdict, BlockVerdict::kUnreadable);
  EXPECT_EQ(report->failures[1].offset, 9 * size);
  EXPECT_EQ(report->failures[1].finding.verdict, BlockVerdict::kMisplaced);
}

// One run of 20 writes on a disk that `wrap` makes; what it says.
Result<VerifyWriteReading> write_some(VerifyWriteOptions options, const WrappedDisk::Wrap& wrap,
                                      const std::vector<std::string>& existing, std::vector<std::string>& left) {
  SimWorld world(1);
  const auto node = world.add_node();
  std::optional<Result<VerifyWriteReading>> reading;
  options.blocks = 20;
  options.writes_max = 20;
  world.start(node, [&](SimEnv& env) -> Task<Result<>> {
    FF_CO_TRY(co_await env.disk().make_folder("/data"));
    for (const std::string& path : existing) {
      FF_CO_TRY_ASSIGN(const auto file, co_await env.disk().open(path, {.write = true, .create = true}));
      FF_CO_TRY(co_await file->close());
    }
    WrappedDisk disk(env.disk(), wrap);
    reading = co_await verify_write(env, disk, kTarget, kJournal, options, {});
    FF_CO_TRY_ASSIGN(left, co_await env.disk().list("/data"));
    co_return {};
  });
  FF_TRY(world.run_until([&] { return world.exited(node); }, 1h, "write"));
  return std::move(*reading);
}

std::unique_ptr<runtime::File> as_it_is(std::unique_ptr<runtime::File> file) { return file; }

TEST(VerifySim, WhatHasAppearedSinceItWasLookedForIsNotOverwritten) {
  std::vector<std::string> left;
  const auto target = write_some({.new_target = true, .new_journal = true}, as_it_is, {kTarget}, left);
  ASSERT_FALSE(target);
  EXPECT_EQ(target.error().code(), Errc::kAlreadyExists);
  EXPECT_EQ(left, std::vector<std::string>{"target"});  // not ours, and no journal beside it
  const auto journal = write_some({.new_target = true, .new_journal = true}, as_it_is, {kJournal}, left);
  ASSERT_FALSE(journal);
  EXPECT_EQ(journal.error().code(), Errc::kAlreadyExists);
  EXPECT_EQ(left, std::vector<std::string>{"journal"});  // the target that it made is gone
  EXPECT_TRUE(write_some({}, as_it_is, {kTarget, kJournal}, left));
}

// A file system that refuses direct I/O.
class CachedFile final : public runtime::File {
 public:
  explicit CachedFile(std::unique_ptr<runtime::File> file) : file_(std::move(file)) {}
  [[clang::coro_wrapper]] Task<Result<std::size_t>> read(std::uint64_t offset, std::span<std::byte> into) override {
    return file_->read(offset, into);
  }
  [[clang::coro_wrapper]] Task<Result<>> write(std::uint64_t offset, std::span<const std::byte> from) override {
    return file_->write(offset, from);
  }
  [[clang::coro_wrapper]] Task<Result<>> sync() override { return file_->sync(); }
  [[clang::coro_wrapper]] Task<Result<std::uint64_t>> size() override { return file_->size(); }
  [[clang::coro_wrapper]] Task<Result<>> truncate(std::uint64_t bytes) override { return file_->truncate(bytes); }
  [[clang::coro_wrapper]] Task<Result<>> allocate(std::uint64_t offset, std::uint64_t bytes) override {
    return file_->allocate(offset, bytes);
  }
  [[clang::coro_wrapper]] Task<Result<>> punch(std::uint64_t offset, std::uint64_t bytes) override {
    return file_->punch(offset, bytes);
  }
  std::size_t alignment() const noexcept override { return 1; }
  [[clang::coro_wrapper]] Task<Result<>> close() override { return file_->close(); }

 private:
  std::unique_ptr<runtime::File> file_;
};

TEST(VerifySim, SaysWhetherTheCacheWasPassedBy) {
  std::vector<std::string> left;
  const auto direct = write_some({.direct = true}, as_it_is, {}, left);
  ASSERT_TRUE(direct) << direct.error().message();
  EXPECT_TRUE(direct->direct);
  const auto refused = write_some(
      {.direct = true},
      [](std::unique_ptr<runtime::File> file) { return std::make_unique<CachedFile>(std::move(file)); }, {}, left);
  ASSERT_TRUE(refused) << refused.error().message();
  EXPECT_FALSE(refused->direct);
  Finished run(3);
  const auto report = check_node(run.world, run.node);
  ASSERT_TRUE(report) << report.error().message();
  EXPECT_TRUE(report->direct);
}

TEST(VerifySim, AFullDiskEndsTheRunAndWhatWasSyncedIsGood) {
  testing::WorldOptions world_options;
  world_options.disk.capacity_bytes = 40 * 4096;
  SimWorld world(1, world_options);
  const auto node = world.add_node();
  std::optional<VerifyWriteReading> reading;
  world.start(node, [&](SimEnv& env) -> Task<Result<>> {
    FF_CO_TRY(co_await env.disk().make_folder("/data"));
    FF_CO_TRY_ASSIGN(reading, co_await verify_write(env, env.disk(), kTarget, kJournal,
                                                    {.blocks = 100, .depth = 4, .sync_every = 8, .duration = 10s}, {}));
    co_return {};
  });
  ASSERT_TRUE(world.run_until([&] { return world.exited(node); }, 1h));
  ASSERT_TRUE(reading && reading->error);
  EXPECT_EQ(reading->error->code(), Errc::kExhausted);
  EXPECT_GT(reading->synced, 0u);
  EXPECT_LE(reading->writes, 40u);
  const auto report = check_node(world, node);
  ASSERT_TRUE(report) << report.error().message();
  EXPECT_TRUE(expect_clean(*report));
}

}  // namespace
}  // namespace ff::bench
