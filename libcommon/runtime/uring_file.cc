#include "libcommon/runtime/uring_file.hpp"

#include <fcntl.h>
#include <liburing.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "libcommon/runtime/uring_operation.hpp"

namespace ff::runtime {

namespace {

bool again(int result) noexcept { return result == -EINTR || result == -EAGAIN; }

}  // namespace

Task<Result<std::size_t>> UringFile::read(std::uint64_t offset, std::span<std::byte> into) {
  FF_CO_TRY(check_transfer("read", offset, into));
  Use use(*this);
  const auto slot = buffers_.slot_of(into);
  std::size_t got = 0;
  while (got < into.size()) {
    const auto rest = into.subspan(got, std::min(into.size() - got, kTransferBytesMax));
    FF_CO_TRY_ASSIGN(const int result, co_await UringOperation(ring_, [&](io_uring_sqe& sqe) {
                       const auto bytes = static_cast<unsigned>(rest.size());
                       if (slot) {
                         io_uring_prep_read_fixed(&sqe, fd(), rest.data(), bytes, offset + got, *slot);
                       } else {
                         io_uring_prep_read(&sqe, fd(), rest.data(), bytes, offset + got);
                       }
                     }));
    if (again(result)) continue;
    if (result < 0) co_return fail(error("read", offset, into.size(), -result));
    got += static_cast<std::size_t>(result);
    if (result == 0 || ends_short(got)) break;
  }
  co_return got;
}

Task<Result<>> UringFile::write(std::uint64_t offset, std::span<const std::byte> from) {
  FF_CO_TRY(check_transfer("write", offset, from));
  Use use(*this);
  const auto slot = buffers_.slot_of(from);
  std::size_t written = 0;
  while (written < from.size()) {
    const auto rest = from.subspan(written, std::min(from.size() - written, kTransferBytesMax));
    FF_CO_TRY_ASSIGN(const int result, co_await UringOperation(ring_, [&](io_uring_sqe& sqe) {
                       const auto bytes = static_cast<unsigned>(rest.size());
                       if (slot) {
                         io_uring_prep_write_fixed(&sqe, fd(), rest.data(), bytes, offset + written, *slot);
                       } else {
                         io_uring_prep_write(&sqe, fd(), rest.data(), bytes, offset + written);
                       }
                     }));
    if (again(result)) continue;
    if (result < 0) co_return fail(error("write", offset, from.size(), -result));
    // A write that takes nothing and gives no reason would be asked for ever.
    if (result == 0 || ends_short(static_cast<std::size_t>(result))) {
      co_return fail(error("write", offset, from.size(), ENOSPC));
    }
    written += static_cast<std::size_t>(result);
  }
  co_return {};
}

Task<Result<>> UringFile::sync() {
  FF_CO_TRY(check_open("sync"));
  Use use(*this);
  FF_CO_TRY_ASSIGN(const int result, co_await UringOperation(ring_, [&](io_uring_sqe& sqe) {
                     io_uring_prep_fsync(&sqe, fd(), IORING_FSYNC_DATASYNC);
                   }));
  if (result < 0) co_return fail(error("sync", -result));
  co_return {};
}

Task<Result<std::uint64_t>> UringFile::size() {
  FF_CO_TRY(check_open("ask for size"));
  Use use(*this);
  struct statx about{};
  FF_CO_TRY_ASSIGN(const int result, co_await UringOperation(ring_, [&](io_uring_sqe& sqe) {
                     io_uring_prep_statx(&sqe, fd(), "", AT_EMPTY_PATH, STATX_TYPE | STATX_SIZE, &about);
                   }));
  if (result < 0) co_return fail(error("ask for size", -result));
  if (!S_ISBLK(about.stx_mode)) co_return about.stx_size;
  std::int64_t bytes = 0;
  FF_CO_TRY(co_await on_thread([this, &bytes] { bytes = block_device_bytes(fd()); }));
  if (bytes < 0) co_return fail(error("ask for size", static_cast<int>(-bytes)));
  co_return static_cast<std::uint64_t>(bytes);
}

Task<Result<>> UringFile::fallocate(const char* operation, int mode, std::uint64_t offset, std::uint64_t bytes) {
  FF_CO_TRY(check_range(operation, offset, bytes));
  if (bytes == 0) co_return {};
  Use use(*this);
  FF_CO_TRY_ASSIGN(const int result, co_await UringOperation(ring_, [&](io_uring_sqe& sqe) {
                     io_uring_prep_rw(IORING_OP_FALLOCATE, &sqe, fd(), nullptr, static_cast<unsigned>(mode), offset);
                     sqe.addr = bytes;
                   }));
  if (result < 0) co_return fail(error(operation, offset, bytes, -result));
  co_return {};
}

[[clang::coro_wrapper]] Task<Result<>> UringFile::allocate(std::uint64_t offset, std::uint64_t bytes) {
  return fallocate("allocate", 0, offset, bytes);
}

[[clang::coro_wrapper]] Task<Result<>> UringFile::punch(std::uint64_t offset, std::uint64_t bytes) {
  return fallocate("punch", FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, bytes);
}

}  // namespace ff::runtime
