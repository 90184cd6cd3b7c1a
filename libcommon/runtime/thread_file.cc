#include "libcommon/runtime/thread_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace ff::runtime {

Task<Result<std::size_t>> ThreadFile::read(std::uint64_t offset, std::span<std::byte> into) {
  FF_CO_TRY(check_transfer("read", offset, into));
  Use use(*this);
  std::size_t got = 0;
  int failed = 0;
  FF_CO_TRY(co_await on_thread([this, offset, into, &got, &failed] {
    while (got < into.size()) {
      const std::size_t bytes = std::min(into.size() - got, kTransferBytesMax);
      const ssize_t n = ::pread(fd(), into.data() + got, bytes, static_cast<off_t>(offset + got));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) failed = errno;
      if (n <= 0) return;
      got += static_cast<std::size_t>(n);
      if (ends_short(got)) return;
    }
  }));
  if (failed != 0) co_return fail(error("read", offset, into.size(), failed));
  co_return got;
}

Task<Result<>> ThreadFile::write(std::uint64_t offset, std::span<const std::byte> from) {
  FF_CO_TRY(check_transfer("write", offset, from));
  Use use(*this);
  int failed = 0;
  FF_CO_TRY(co_await on_thread([this, offset, from, &failed] {
    for (std::size_t written = 0; written < from.size();) {
      const std::size_t bytes = std::min(from.size() - written, kTransferBytesMax);
      const ssize_t n = ::pwrite(fd(), from.data() + written, bytes, static_cast<off_t>(offset + written));
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0 || ends_short(static_cast<std::size_t>(n))) {
        failed = n < 0 ? errno : ENOSPC;
        return;
      }
      written += static_cast<std::size_t>(n);
    }
  }));
  if (failed != 0) co_return fail(error("write", offset, from.size(), failed));
  co_return {};
}

Task<Result<>> ThreadFile::sync() {
  FF_CO_TRY(check_open("sync"));
  Use use(*this);
  int failed = 0;
  FF_CO_TRY(co_await on_thread([this, &failed] { failed = ::fdatasync(fd()) == 0 ? 0 : errno; }));
  if (failed != 0) co_return fail(error("sync", failed));
  co_return {};
}

Task<Result<std::uint64_t>> ThreadFile::size() {
  FF_CO_TRY(check_open("ask for size"));
  Use use(*this);
  struct stat about{};
  int failed = 0;
  std::int64_t bytes = 0;
  FF_CO_TRY(co_await on_thread([this, &about, &failed, &bytes] {
    failed = ::fstat(fd(), &about) == 0 ? 0 : errno;
    bytes = S_ISBLK(about.st_mode) ? block_device_bytes(fd()) : about.st_size;
  }));
  if (failed == 0 && bytes < 0) failed = static_cast<int>(-bytes);
  if (failed != 0) co_return fail(error("ask for size", failed));
  co_return static_cast<std::uint64_t>(bytes);
}

Task<Result<>> ThreadFile::fallocate(const char* operation, int mode, std::uint64_t offset, std::uint64_t bytes) {
  FF_CO_TRY(check_range(operation, offset, bytes));
  if (bytes == 0) co_return {};
  Use use(*this);
  int failed = 0;
  FF_CO_TRY(co_await on_thread([this, mode, offset, bytes, &failed] {
    while (::fallocate(fd(), mode, static_cast<off_t>(offset), static_cast<off_t>(bytes)) != 0) {
      if (errno == EINTR) continue;
      failed = errno;
      return;
    }
  }));
  if (failed != 0) co_return fail(error(operation, offset, bytes, failed));
  co_return {};
}

[[clang::coro_wrapper]] Task<Result<>> ThreadFile::allocate(std::uint64_t offset, std::uint64_t bytes) {
  return fallocate("allocate", 0, offset, bytes);
}

[[clang::coro_wrapper]] Task<Result<>> ThreadFile::punch(std::uint64_t offset, std::uint64_t bytes) {
  return fallocate("punch", FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, bytes);
}

}  // namespace ff::runtime
