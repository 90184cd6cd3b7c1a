#include "ffbench/storage/probe.hpp"

#include <algorithm>
#include <cstring>

#include "ffbench/storage/env_engine.hpp"
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
Task<Result<>> write_and_verify(runtime::Env& env, runtime::File& file, std::uint64_t pieces, StorageProbe& probe,
                                std::stop_token stop) {
  FF_CO_TRY_ASSIGN(const auto expected, env.disk().buffer(kPiece));
  FF_CO_TRY_ASSIGN(const auto found, env.disk().buffer(kPiece));
  runtime::Duration writing{0}, reading{0};
  for (std::uint64_t i = 0; i < pieces; ++i) {
    if (stop.stop_requested()) co_return fail(Errc::kCancelled, "stopped while the storage was written");
    fill_piece(i, expected.span());
    const auto begin = env.now();
    FF_CO_TRY(co_await file.write(i * kPiece, expected.span()));
    if (i + 1 == pieces) FF_CO_TRY(co_await file.sync());
    writing += env.now() - begin;
  }
  for (std::uint64_t i = 0; i < pieces; ++i) {
    if (stop.stop_requested()) co_return fail(Errc::kCancelled, "stopped while the storage was read back");
    fill_piece(i, expected.span());
    const auto begin = env.now();
    FF_CO_TRY_ASSIGN(const std::size_t got, co_await file.read(i * kPiece, found.span()));
    reading += env.now() - begin;
    if (got != kPiece || !std::ranges::equal(expected.span(), found.span())) ++probe.verify_errors;
  }
  probe.write_bandwidth = bandwidth(pieces * kPiece, writing);
  probe.read_bandwidth = bandwidth(pieces * kPiece, reading);
  co_return {};
}

Task<Result<StorageReading>> timed(runtime::Env& env, runtime::File& file, StorageJob job,
                                   std::chrono::nanoseconds duration, std::stop_token stop) {
  FF_CO_TRY_ASSIGN(StorageReading reading, co_await run_on_env(env, file, job, duration, std::move(stop)));
  if (reading.error) co_return fail(*reading.error);
  co_return reading;
}

Task<Result<StorageProbe>> measure(runtime::Env& env, runtime::File& file, std::uint64_t pieces,
                                   std::chrono::nanoseconds duration, std::stop_token stop) {
  StorageProbe probe;
  FF_CO_TRY(co_await write_and_verify(env, file, pieces, probe, stop));
  const std::uint64_t size = pieces * kPiece;
  FF_CO_TRY_ASSIGN(
      const StorageReading random_reads,
      co_await timed(env, file, {.pattern = AccessPattern::kRandRead, .depth = 16, .size = size}, duration, stop));
  probe.randread_p99_ns = static_cast<double>(random_reads.read.latency.percentile(0.99));
  FF_CO_TRY_ASSIGN(const StorageReading synced,
                   co_await timed(env, file, {.pattern = AccessPattern::kRandWrite, .size = size, .fsync_every = 1},
                                  duration, stop));
  probe.fsync_p50_ns = static_cast<double>(synced.sync.percentile(0.5));
  probe.fsync_p99_ns = static_cast<double>(synced.sync.percentile(0.99));
  co_return probe;
}

}  // namespace

Task<Result<StorageProbe>> probe_on_env(runtime::Env& env, std::string path, std::uint64_t bytes,
                                        std::chrono::nanoseconds duration, std::stop_token stop) {
  const std::uint64_t pieces = std::max<std::uint64_t>(1, (bytes + kPiece - 1) / kPiece);
  FF_CO_TRY_ASSIGN(const auto file, co_await env.disk().open(path, {.write = true, .create = true, .direct = true}));
  auto probe = co_await measure(env, *file, pieces, duration, std::move(stop));
  const Result<> closed = co_await file->close();
  if (probe && !closed) co_return std::unexpected(closed.error());
  co_return probe;
}

Result<StorageProbe> probe_storage(const std::string& folder, std::uint64_t bytes, std::chrono::nanoseconds duration,
                                   std::stop_token stop) {
  FF_TRY_ASSIGN(const WorkFolder work, WorkFolder::make(folder, "ffbench-probe"));
  FF_TRY_ASSIGN(const auto env, runtime::RealEnv::create({}));
  auto probe = env->run(probe_on_env(*env, work.path() + "/probe", bytes, duration, std::move(stop)));
  if (!probe && probe.error().code() == Errc::kCancelled) return fail(std::move(probe).error().context(folder));
  return probe;
}

}  // namespace ff::bench
