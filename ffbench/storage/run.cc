#include "ffbench/storage/run.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "ffbench/storage/env_engine.hpp"
#include "ffbench/storage/psync_engine.hpp"
#include "libcommon/base/unique_fd.hpp"
#include "libcommon/runtime/real_env.hpp"

namespace ff::bench {
namespace {

using runtime::Task;

Result<std::unique_ptr<runtime::RealEnv>> make_env(const StorageJob& job) {
  constexpr std::uint64_t kLeast = 32u << 20, kMost = 1u << 30;
  const std::uint64_t wanted = std::clamp(job.block_bytes * job.depth * 2, kLeast, kMost);
  return runtime::RealEnv::create(
      {.queue_entries = std::clamp<std::uint32_t>(job.depth * 2, 256, 4096), .registered_bytes = wanted});
}

Result<StorageReading> run_uring(const JobTarget& target, std::chrono::nanoseconds duration, std::stop_token stop) {
  FF_TRY_ASSIGN(const auto env, make_env(target.job));
  return env->run([](runtime::Env& on, const JobTarget& t, std::chrono::nanoseconds d,
                     std::stop_token s) -> Task<Result<StorageReading>> {
    FF_CO_TRY_ASSIGN(const auto file,
                     co_await on.disk().open(t.path, {.write = writes(t.job.pattern), .direct = t.direct}));
    auto reading = co_await run_on_env(on, *file, t.job, d, s);
    const Result<> closed = co_await file->close();
    if (reading && !closed) co_return std::unexpected(closed.error());
    co_return reading;
  }(*env, target, duration, stop));
}

}  // namespace

Result<std::uint64_t> direct_alignment_of(const std::string& path) {
  FF_TRY_ASSIGN(const auto env, runtime::RealEnv::create({.registered_bytes = 0}));
  return env->run([](runtime::Env& on, std::string p) -> Task<Result<std::uint64_t>> {
    FF_CO_TRY_ASSIGN(const auto file, co_await on.disk().open(p, {.direct = true}));
    const std::uint64_t alignment = file->alignment();
    FF_CO_TRY(co_await file->close());
    co_return alignment;
  }(*env, path));
}

Result<std::vector<StorageReading>> run_side_by_side(std::size_t count, const OneJob& run, std::stop_token stop) {
  std::vector<std::optional<Result<StorageReading>>> outcomes(count);
  std::stop_source end_all;
  {
    const std::stop_callback pass_on(stop, [&end_all] { end_all.request_stop(); });
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < count; ++i)
      threads.emplace_back([&, i] {
        outcomes[i] = run(i, end_all.get_token());
        if (!*outcomes[i] || (*outcomes[i])->error) end_all.request_stop();
      });
  }
  std::vector<StorageReading> readings;
  for (std::size_t i = 0; i < outcomes.size(); ++i) {
    Result<StorageReading>& outcome = *outcomes[i];
    if (!outcome) return fail(std::move(outcome).error().context(fmt::format("job {}", i)));
    readings.push_back(std::move(*outcome));
  }
  return readings;
}

Result<StorageReading> sum_of(const std::vector<StorageReading>& readings) {
  StorageReading all;
  for (const StorageReading& reading : readings) FF_TRY(all.merge(reading));
  return all;
}

Result<std::vector<StorageReading>> run_each(std::span<const JobTarget> targets, Engine engine,
                                             std::chrono::nanoseconds duration, std::stop_token stop) {
  return run_side_by_side(
      targets.size(),
      [&](std::size_t job, std::stop_token end) {
        const JobTarget& target = targets[job];
        return engine == Engine::kUring ? run_uring(target, duration, std::move(end))
                                        : run_psync(target.path, target.job, target.direct, duration, std::move(end));
      },
      std::move(stop));
}

Result<StorageReading> run_jobs(std::span<const JobTarget> targets, Engine engine, std::chrono::nanoseconds duration,
                                std::stop_token stop) {
  FF_TRY_ASSIGN(const auto readings, run_each(targets, engine, duration, std::move(stop)));
  return sum_of(readings);
}

Result<> prepare_file(const std::string& path, std::uint64_t offset, std::uint64_t size, std::uint64_t seed,
                      bool direct, std::stop_token stop) {
  FF_TRY_ASSIGN(const auto env, runtime::RealEnv::create({}));
  return env->run([](runtime::Env& on, std::string p, std::uint64_t at, std::uint64_t bytes, std::uint64_t s, bool d,
                     std::stop_token t) -> Task<Result<>> {
    FF_CO_TRY_ASSIGN(const auto file,
                     co_await on.disk().open(p, {.write = true, .create = true, .exclusive = true, .direct = d}));
    const std::uint64_t step = file->alignment();  // direct files take nothing less
    const Result<> laid_out = co_await lay_out(on, *file, at, (bytes + step - 1) / step * step, s, t);
    const Result<> closed = co_await file->close();
    co_return laid_out ? closed : laid_out;
  }(*env, path, offset, size, seed, direct, stop));
}

Result<> drop_cache(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return fail(errno_error(path + ": open"));
  // The kernel keeps pages that are not yet written.
  if (::fsync(fd.get()) != 0) return fail(errno_error(path + ": sync"));
  if (const int failed = ::posix_fadvise(fd.get(), 0, 0, POSIX_FADV_DONTNEED); failed != 0)
    return fail(errno_error(path + ": drop cached pages", failed));
  return {};
}

}  // namespace ff::bench
