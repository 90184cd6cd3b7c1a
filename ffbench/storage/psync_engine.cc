#include "ffbench/storage/psync_engine.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <thread>

#include "ffbench/storage/load.hpp"
#include "libcommon/base/aligned_buffer.hpp"
#include "libcommon/base/unique_fd.hpp"

namespace ff::bench {
namespace {

constexpr std::size_t kAlignment = 4096;
constexpr auto kStopSeen = std::chrono::milliseconds(50);

std::int64_t now_ns() { return std::chrono::steady_clock::now().time_since_epoch().count(); }

// Not before due; in steps, so that a stop is seen soon.
std::int64_t wait_until(std::int64_t due_ns, std::int64_t now, const std::stop_token& stop) {
  while (due_ns > now && !stop.stop_requested()) {
    std::this_thread::sleep_for(std::min<std::chrono::nanoseconds>(std::chrono::nanoseconds(due_ns - now), kStopSeen));
    now = now_ns();
  }
  return now;
}

Result<> transfer(int fd, const Load::Operation& operation, std::span<std::byte> memory, const std::string& path) {
  std::size_t done = 0;
  while (done < memory.size()) {
    const auto at = static_cast<off_t>(operation.offset + done);
    const ssize_t n = operation.write ? ::pwrite(fd, memory.data() + done, memory.size() - done, at)
                                      : ::pread(fd, memory.data() + done, memory.size() - done, at);
    if (n < 0 && errno == EINTR) continue;
    const char* what = operation.write ? "write" : "read";
    if (n < 0)
      return fail(errno_error(fmt::format("{}: {} {} bytes at {}", path, what, memory.size(), operation.offset)));
    if (n == 0)
      return fail(Errc::kCorrupt, fmt::format("{}: {} {} bytes at {}: only {} came (did the file become shorter?)",
                                              path, what, memory.size(), operation.offset, done));
    done += static_cast<std::size_t>(n);
  }
  return {};
}

}  // namespace

Result<StorageReading> run_psync(const std::string& path, const StorageJob& job, bool direct,
                                 std::chrono::nanoseconds duration, std::stop_token stop) {
  const int flags = (writes(job.pattern) ? O_RDWR : O_RDONLY) | O_CLOEXEC | (direct ? O_DIRECT : 0);
  const UniqueFd fd(::open(path.c_str(), flags));
  if (!fd) return fail(errno_error(path + ": open"));
  AlignedBuffer buffer(job.block_bytes, kAlignment);
  const std::span<std::byte> memory = buffer.span();
  Rng rng(job.seed);
  for (auto& byte : memory) byte = static_cast<std::byte>(rng.next());
  const std::int64_t begin = now_ns();
  Load load(job, begin, duration.count() > 0 ? begin + duration.count() : INT64_MAX);
  std::optional<Error> error;
  std::int64_t now = begin;
  while (!stop.stop_requested()) {
    const auto operation = load.next(now);
    if (!operation) break;
    now = wait_until(operation->due_ns, now, stop);
    if (stop.stop_requested()) break;
    if (operation->write)
      std::memcpy(memory.data(), &operation->offset, std::min(memory.size(), sizeof operation->offset));
    if (const Result<> done = transfer(fd.get(), *operation, memory, path); !done) {
      error = done.error();
      break;
    }
    const std::int64_t ended = now_ns();
    load.done(*operation, now, ended);
    now = ended;
    if (!operation->sync_after) continue;
    if (::fdatasync(fd.get()) != 0) {
      error = errno_error(path + ": fdatasync");
      break;
    }
    now = now_ns();
    load.synced(ended, now);
  }
  StorageReading reading = load.take();
  reading.error = std::move(error);
  return reading;
}

}  // namespace ff::bench
