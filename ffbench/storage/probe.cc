#include "ffbench/storage/probe.hpp"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <functional>

#include "ffbench/storage/env_engine.hpp"
#include "libcommon/base/file.hpp"
#include "libcommon/base/rng.hpp"
#include "libcommon/base/unique_fd.hpp"
#include "libcommon/runtime/disk.hpp"
#include "libcommon/runtime/real_env.hpp"

namespace ff::bench {
namespace {

using runtime::Task;

constexpr std::uint64_t kPiece = 1 << 20;
constexpr std::uint64_t kCachedPieces = 16;  // synced together
constexpr std::uint64_t kSeed = 0x70726f62;

// Drops the cached pages of the file, so that reads come from the storage.
using Forget = std::function<Result<>()>;

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

// Writes pieces and reads them back, each for `limit` at most, and at least one. Gives how many were written. Making
// and comparing the contents is not part of the time that bandwidths are of.
Task<Result<std::uint64_t>> write_and_verify(runtime::Env& env, runtime::File& file, std::uint64_t wanted,
                                             std::chrono::nanoseconds limit, const Forget& forget, StorageProbe& probe,
                                             std::stop_token stop) {
  FF_CO_TRY_ASSIGN(const auto expected, env.disk().buffer(kPiece));
  FF_CO_TRY_ASSIGN(const auto found, env.disk().buffer(kPiece));
  runtime::Duration writing{0}, reading{0};
  const bool cached = file.alignment() == 1;
  std::uint64_t pieces = 0, checked = 0;
  for (bool last = false; !last; ++pieces) {
    if (stop.stop_requested()) co_return fail(Errc::kCancelled, "stopped while the storage was written");
    const std::uint64_t i = pieces;
    fill_piece(i, expected.span());
    const auto begin = env.now();
    FF_CO_TRY(co_await file.write(i * kPiece, expected.span()));
    last = i + 1 == wanted || writing + (env.now() - begin) >= limit;
    // What a cache took says nothing of the time that the storage needs for it.
    if (last || (cached && (i + 1) % kCachedPieces == 0)) FF_CO_TRY(co_await file.sync());
    writing += env.now() - begin;
    last = last || writing >= limit;
  }
  if (cached) FF_CO_TRY(forget());
  for (; checked < pieces && (checked == 0 || reading < limit); ++checked) {
    const std::uint64_t i = checked;
    if (stop.stop_requested()) co_return fail(Errc::kCancelled, "stopped while the storage was read back");
    fill_piece(i, expected.span());
    const auto begin = env.now();
    FF_CO_TRY_ASSIGN(const std::size_t got, co_await file.read(i * kPiece, found.span()));
    reading += env.now() - begin;
    if (got != kPiece || !std::ranges::equal(expected.span(), found.span())) ++probe.verify_errors;
  }
  probe.write_bandwidth = bandwidth(pieces * kPiece, writing);
  probe.read_bandwidth = bandwidth(checked * kPiece, reading);
  probe.direct = !cached;
  co_return pieces;
}

Task<Result<StorageReading>> timed(runtime::Env& env, runtime::File& file, StorageJob job,
                                   std::chrono::nanoseconds duration, std::stop_token stop) {
  FF_CO_TRY_ASSIGN(StorageReading reading, co_await run_on_env(env, file, job, duration, std::move(stop)));
  if (reading.error) co_return fail(*reading.error);
  co_return reading;
}

Task<Result<StorageProbe>> measure(runtime::Env& env, runtime::File& file, std::uint64_t bytes,
                                   std::chrono::nanoseconds duration, const Forget& forget, std::stop_token stop) {
  StorageProbe probe;
  const std::uint64_t wanted = std::max<std::uint64_t>(1, (bytes + kPiece - 1) / kPiece);
  FF_CO_TRY_ASSIGN(const std::uint64_t pieces,
                   co_await write_and_verify(env, file, wanted, 2 * duration, forget, probe, stop));
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

Task<Result<StorageProbe>> close_after(runtime::File& file, Task<Result<StorageProbe>> measuring) {
  auto probe = co_await std::move(measuring);
  const Result<> closed = co_await file.close();
  if (probe && !closed) co_return std::unexpected(closed.error());
  co_return probe;
}

// The file loses its name as soon as it is open, and the kernel frees it with the last descriptor: whoever is killed
// meanwhile leaves nothing behind.
Task<Result<StorageProbe>> probe_unnamed(runtime::Env& env, std::string path, std::uint64_t bytes,
                                         std::chrono::nanoseconds duration, int cache, std::stop_token stop) {
  auto file = co_await env.disk().open(path, {.write = true, .direct = true});
  if (::unlink(path.c_str()) != 0 && file) co_return fail(errno_error(path + ": remove"));
  if (!file) co_return std::unexpected(file.error());
  const Forget forget = [&path, cache]() -> Result<> {
    if (const int failed = ::posix_fadvise(cache, 0, 0, POSIX_FADV_DONTNEED); failed != 0)
      return fail(errno_error(path + ": drop cached pages", failed));
    return {};
  };
  co_return co_await close_after(**file, measure(env, **file, bytes, duration, forget, std::move(stop)));
}

}  // namespace

Task<Result<StorageProbe>> probe_on_env(runtime::Env& env, std::string path, std::uint64_t bytes,
                                        std::chrono::nanoseconds duration, std::stop_token stop) {
  FF_CO_TRY_ASSIGN(const auto file, co_await env.disk().open(path, {.write = true, .create = true, .direct = true}));
  const Forget forget = [] { return Result<>(); };
  co_return co_await close_after(*file, measure(env, *file, bytes, duration, forget, std::move(stop)));
}

Result<StorageProbe> probe_storage(const std::string& folder, std::uint64_t bytes, std::chrono::nanoseconds duration,
                                   std::stop_token stop) {
  FF_TRY_ASSIGN(const auto env, runtime::RealEnv::create({}));
  std::string path = folder + "/.ffbench-probe.XXXXXX";
  const UniqueFd cache(::mkostemp(path.data(), O_CLOEXEC));
  if (!cache) return fail(errno_error(folder + ": cannot make a file there"));
  auto probe = env->run(probe_unnamed(*env, path, bytes, duration, cache.get(), std::move(stop)));
  if (!probe && probe.error().code() == Errc::kCancelled) return fail(std::move(probe).error().context(folder));
  return probe;
}

}  // namespace ff::bench
