#include "ffbench/storage/env_engine.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cstring>

#include "ffbench/storage/load.hpp"
#include "libcommon/runtime/scope.hpp"

namespace ff::bench {
namespace {

using runtime::Task;

constexpr std::int64_t kStopSeenNs = 50'000'000;

std::int64_t ns_of(runtime::Time time) { return time.time_since_epoch().count(); }
runtime::Time time_of(std::int64_t ns) { return runtime::Time(runtime::Duration(ns)); }

void fill_random(std::span<std::byte> memory, Rng& rng) {
  for (std::size_t at = 0; at < memory.size(); at += 8) {
    const std::uint64_t word = rng.next();
    std::memcpy(memory.data() + at, &word, std::min<std::size_t>(8, memory.size() - at));
  }
}

struct Worker {
  runtime::Env& env;
  runtime::File& file;
  Load& load;
  std::uint64_t block_bytes;
  std::stop_token stop;

  Task<Result<>> transfer(const Load::Operation& operation, std::span<std::byte> memory) {
    if (operation.write) {
      // Blocks that were equal could be stored once by what lies below.
      std::memcpy(memory.data(), &operation.offset, std::min(memory.size(), sizeof operation.offset));
      co_return co_await file.write(operation.offset, memory);
    }
    FF_CO_TRY_ASSIGN(const std::size_t got, co_await file.read(operation.offset, memory));
    if (got == memory.size()) co_return {};
    co_return fail(Errc::kCorrupt, fmt::format("read {} bytes at {}: only {} came (did the file become shorter?)",
                                               memory.size(), operation.offset, got));
  }

  Task<Result<>> run(runtime::DiskBuffer buffer) {
    std::int64_t now = ns_of(env.now());
    while (!stop.stop_requested()) {
      const auto operation = load.next(now);
      if (!operation) break;
      while (operation->due_ns > now && !stop.stop_requested()) {  // in steps, so that a stop is seen soon
        FF_CO_TRY(co_await runtime::sleep_until(time_of(std::min(operation->due_ns, now + kStopSeenNs))));
        now = ns_of(env.now());
      }
      if (stop.stop_requested()) break;
      FF_CO_TRY(co_await transfer(*operation, buffer.span().first(block_bytes)));
      const std::int64_t ended = ns_of(env.now());
      load.done(*operation, now, ended);
      now = ended;
      if (!operation->sync_after) continue;
      FF_CO_TRY(co_await file.sync());
      now = ns_of(env.now());
      load.synced(ended, now);
    }
    co_return {};
  }
};

}  // namespace

Task<Result<StorageReading>> run_on_env(runtime::Env& env, runtime::File& file, StorageJob job,
                                        runtime::Duration duration, std::stop_token stop) {
  std::vector<runtime::DiskBuffer> buffers;
  Rng rng(job.seed);
  for (std::uint32_t i = 0; i < job.depth; ++i) {
    FF_CO_TRY_ASSIGN(buffers.emplace_back(), env.disk().buffer(job.block_bytes));
    if (writes(job.pattern)) fill_random(buffers.back().span(), rng);
  }
  const std::int64_t begin = ns_of(env.now());
  const std::int64_t end = duration.count() > 0 ? begin + duration.count() : INT64_MAX;
  Load load(job, begin, end);
  Worker worker{env, file, load, job.block_bytes, stop};
  const Result<> done = co_await runtime::with_scope([&](runtime::Scope& scope) -> Task<Result<>> {
    for (auto& buffer : buffers) scope.spawn(worker.run(std::move(buffer)));
    co_return {};
  });
  StorageReading reading = load.take();
  if (!done) reading.error = done.error();
  co_return reading;
}

Task<Result<>> write_seeded(runtime::Env& env, runtime::File& file, std::uint64_t offset, std::uint64_t size,
                            std::uint64_t seed, std::stop_token stop) {
  constexpr std::uint64_t kPiece = 1 << 20;
  FF_CO_TRY_ASSIGN(const auto buffer, env.disk().buffer(kPiece));
  Rng rng(seed);
  for (std::uint64_t at = 0; at < size; at += kPiece) {
    if (stop.stop_requested()) co_return fail(Errc::kCancelled, "stopped while the file was laid out");
    fill_random(buffer.span(), rng);
    FF_CO_TRY(co_await file.write(offset + at, buffer.span().first(std::min(kPiece, size - at))));
  }
  co_return {};
}

Task<Result<>> lay_out(runtime::Env& env, runtime::File& file, std::uint64_t offset, std::uint64_t size,
                       std::uint64_t seed, std::stop_token stop) {
  FF_CO_TRY(co_await write_seeded(env, file, offset, size, seed, std::move(stop)));
  co_return co_await file.sync();
}

}  // namespace ff::bench
