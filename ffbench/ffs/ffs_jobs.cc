#include "ffbench/ffs/ffs_jobs.hpp"

#include <algorithm>

#include "ffbench/ffs/ffs_disk.hpp"
#include "ffbench/storage/env_engine.hpp"
#include "ffbench/storage/run.hpp"

namespace ff::bench {
namespace {

using runtime::Task;

// Streams that write parts of one file: one alone waits for the replicas most of the time.
constexpr std::uint64_t kLayOutStreams = 8;
constexpr std::uint64_t kLayOutPart = 4u << 20;

Task<Result<StorageReading>> run_one(ffs::FileSystem& fs, const FfsJob& job, std::chrono::nanoseconds duration,
                                     std::stop_token stop) {
  FfsDisk disk(fs);
  FF_CO_TRY_ASSIGN(const auto file, co_await disk.open(ffs_path(job.path), {.write = writes(job.job.pattern)}));
  auto reading = co_await run_on_env(fs.env(), *file, job.job, duration, std::move(stop));
  const Result<> closed = co_await file->close();
  if (reading && !closed && !reading->error) reading->error = closed.error();
  co_return reading;
}

Task<Result<>> write_parts(runtime::Env& env, runtime::File& file, std::uint64_t offset, std::uint64_t size,
                           std::uint64_t seed, std::stop_token stop) {
  const std::uint64_t part = std::max(kLayOutPart, (size + kLayOutStreams - 1) / kLayOutStreams);
  co_return co_await runtime::with_scope([&](runtime::Scope& scope) -> Task<Result<>> {
    for (std::uint64_t at = 0; at < size; at += part)
      scope.spawn(write_seeded(env, file, offset + at, std::min(part, size - at), seed + at, stop));
    co_return {};
  });
}

Task<Result<>> lay_out_one(ffs::FileSystem& fs, std::string path, std::uint64_t seed, std::uint64_t offset,
                           std::uint64_t size, std::stop_token stop) {
  FfsDisk disk(fs);
  FF_CO_TRY_ASSIGN(const auto file, co_await disk.open(ffs_path(path), {.write = true}));
  const Result<> laid_out = co_await write_parts(fs.env(), *file, offset, size, seed, std::move(stop));
  const Result<> closed = co_await file->close();
  co_return laid_out ? closed : laid_out;
}

}  // namespace

Result<StorageReading> run_ffs_jobs(FfsClients& clients, std::span<const FfsJob> jobs,
                                    std::chrono::nanoseconds duration, std::stop_token stop) {
  FF_TRY_ASSIGN(const auto readings, run_side_by_side(
                                         jobs.size(),
                                         [&](std::size_t i, std::stop_token end) {
                                           return clients.call(i, end,
                                                               [&] [[clang::coro_wrapper]] (ffs::FileSystem & fs) {
                                                                 return run_one(fs, jobs[i], duration, end);
                                                               });
                                         },
                                         std::move(stop)));
  return sum_of(readings);
}

Result<> lay_out_ffs(FfsClients& clients, std::span<const std::string> paths, std::uint64_t offset, std::uint64_t size,
                     std::uint64_t seed, std::stop_token stop) {
  return clients.call_each(paths.size(), std::move(stop),
                           [&] [[clang::coro_wrapper]] (std::size_t i, ffs::FileSystem& fs, std::stop_token end) {
                             return lay_out_one(fs, paths[i], seed + i, offset, size, std::move(end));
                           });
}

}  // namespace ff::bench
