#include "ffbench/storage/probe.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cstring>

#include "ffbench/storage/run.hpp"
#include "ffbench/storage/target.hpp"
#include "libcommon/base/rng.hpp"
#include "libcommon/runtime/disk.hpp"
#include "libcommon/runtime/real_env.hpp"

namespace ff::bench {
namespace {

using runtime::Task;

constexpr std::uint64_t kPiece = 1 << 20;
constexpr std::uint64_t kSeed = 0x70726f62;

// What piece `index` must hold.
void fill_piece(std::uint64_t index, std::span<std::byte> memory) {
  Rng rng(kSeed + index);
  for (std::size_t at = 0; at < memory.size(); at += 8) {
    const std::uint64_t word = rng.next();
    std::memcpy(memory.data() + at, &word, 8);
  }
}

double bandwidth(std::uint64_t bytes, runtime::Duration elapsed) {
  return static_cast<double>(bytes) / (static_cast<double>(std::max<std::int64_t>(elapsed.count(), 1)) / 1e9);
}

// Writes all pieces and reads them back. Making and comparing the contents is not part of the time.
Task<Result<>> write_and_verify(runtime::Env& env, std::string path, std::uint64_t pieces, StorageProbe& probe,
                                std::stop_token stop) {
  FF_CO_TRY_ASSIGN(const auto expected, env.disk().buffer(kPiece));
  FF_CO_TRY_ASSIGN(const auto found, env.disk().buffer(kPiece));
  FF_CO_TRY_ASSIGN(const auto file, co_await env.disk().open(path, {.write = true, .create = true, .direct = true}));
  runtime::Duration writing{0}, reading{0};
  for (std::uint64_t i = 0; i < pieces; ++i) {
    if (stop.stop_requested()) co_return fail(Errc::kCancelled, path + ": stopped");
    fill_piece(i, expected.span());
    const auto begin = env.now();
    FF_CO_TRY(co_await file->write(i * kPiece, expected.span()));
    if (i + 1 == pieces) FF_CO_TRY(co_await file->sync());
    writing += env.now() - begin;
  }
  for (std::uint64_t i = 0; i < pieces; ++i) {
    if (stop.stop_requested()) co_return fail(Errc::kCancelled, path + ": stopped");
    fill_piece(i, expected.span());
    const auto begin = env.now();
    FF_CO_TRY_ASSIGN(const std::size_t got, co_await file->read(i * kPiece, found.span()));
    reading += env.now() - begin;
    if (got != kPiece || !std::ranges::equal(expected.span(), found.span())) ++probe.verify_errors;
  }
  probe.write_bandwidth = bandwidth(pieces * kPiece, writing);
  probe.read_bandwidth = bandwidth(pieces * kPiece, reading);
  co_return co_await file->close();
}

}  // namespace

Result<StorageProbe> probe_storage(const std::string& folder, std::uint64_t bytes, std::chrono::nanoseconds duration,
                                   std::stop_token stop) {
  FF_TRY_ASSIGN(const WorkFolder work, WorkFolder::make(folder, "ffbench-probe"));
  const std::string path = work.path() + "/probe";
  const std::uint64_t pieces = std::max<std::uint64_t>(1, (bytes + kPiece - 1) / kPiece);
  StorageProbe probe;
  FF_TRY_ASSIGN(const auto env, runtime::RealEnv::create({}));
  FF_TRY(env->run(write_and_verify(*env, path, pieces, probe, stop)));
  FF_TRY_ASSIGN(const std::uint64_t alignment, direct_alignment_of(path));
  const auto timed = [&](StorageJob job) -> Result<StorageReading> {
    job.size = pieces * kPiece;
    auto reading = run_jobs(std::vector<JobTarget>{{.job = job, .path = path, .direct = alignment > 1}}, Engine::kUring,
                            duration, stop);
    if (reading && reading->error) return fail(*reading->error);
    return reading;
  };
  FF_TRY_ASSIGN(const StorageReading random_reads, timed({.pattern = AccessPattern::kRandRead, .depth = 16}));
  probe.randread_p99_ns = static_cast<double>(random_reads.read.latency.percentile(0.99));
  FF_TRY_ASSIGN(const StorageReading synced, timed({.pattern = AccessPattern::kRandWrite, .fsync_every = 1}));
  probe.fsync_p50_ns = static_cast<double>(synced.sync.percentile(0.5));
  probe.fsync_p99_ns = static_cast<double>(synced.sync.percentile(0.99));
  return probe;
}

}  // namespace ff::bench
