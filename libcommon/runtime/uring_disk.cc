#include "libcommon/runtime/uring_disk.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <liburing.h>
#include <sys/stat.h>

#include <cerrno>
#include <optional>

#include "libcommon/runtime/uring_operation.hpp"

namespace ff::runtime {

UringDisk::UringDisk(UringRing& ring, Env& env, OffloadPool& pool, std::uint64_t registered_bytes)
    : ring_(ring),
      env_(env),
      pool_(pool),
      // The table is made with the first buffer: programs without files need none.
      buffers_(registered_bytes,
               [&ring, slots = DiskBuffers::slots(registered_bytes)](std::uint32_t slot,
                                                                     std::span<std::byte> memory) -> Result<> {
                 if (slot == 0) FF_TRY(ring.register_empty_buffers(slots));
                 return ring.set_buffer(slot, memory);
               }) {}

Task<Result<int>> UringDisk::open_fd(const char* path, int flags) {
  co_return co_await UringOperation(
      ring_, [&](io_uring_sqe& sqe) { io_uring_prep_openat(&sqe, AT_FDCWD, path, flags, kNewFileMode); });
}

Task<Result<std::unique_ptr<File>>> UringDisk::open(std::string path, OpenOptions options) {
  bool direct = options.direct;
  const bool after = direct_after_open(options);
  if (after) options.direct = false;
  FF_CO_TRY_ASSIGN(int opened, co_await open_fd(path.c_str(), open_flags(options)));
  if (opened == -EINVAL && options.direct) {
    // This file system has no direct I/O. The file is there now, and empty if that was asked.
    direct = options.direct = false;
    FF_CO_TRY_ASSIGN(opened, co_await open_fd(path.c_str(), open_flags(options)));
  }
  if (opened < 0) co_return fail(file_error(path, "open", -opened));
  UniqueFd fd(opened);
  std::size_t alignment = 1;
  if (direct && (!after || set_direct(opened, true))) {
    struct statx about{};
    FF_CO_TRY_ASSIGN(const int asked, co_await UringOperation(ring_, [&](io_uring_sqe& sqe) {
                       io_uring_prep_statx(&sqe, opened, "", AT_EMPTY_PATH, kDirectAlignmentMask, &about);
                     }));
    if (asked < 0) co_return fail(file_error(path, "open", -asked));
    alignment = direct_alignment(about);
    if (alignment == 0) {
      (void)set_direct(opened, false);
      alignment = 1;
    }
  }
  co_return std::make_unique<UringFile>(ring_, buffers_, env_, pool_, std::move(path), std::move(fd), alignment);
}

Task<Result<FileInfo>> UringDisk::info(std::string path) {
  struct statx about{};
  FF_CO_TRY_ASSIGN(const int result, co_await UringOperation(ring_, [&](io_uring_sqe& sqe) {
                     io_uring_prep_statx(&sqe, AT_FDCWD, path.c_str(), 0, STATX_TYPE | STATX_SIZE, &about);
                   }));
  if (result < 0) co_return fail(file_error(path, "look up", -result));
  co_return FileInfo{.folder = S_ISDIR(about.stx_mode), .bytes = about.stx_size};
}

Task<Result<>> UringDisk::make_folder(std::string path) {
  FF_CO_TRY_ASSIGN(const int result, co_await UringOperation(ring_, [&](io_uring_sqe& sqe) {
                     io_uring_prep_mkdirat(&sqe, AT_FDCWD, path.c_str(), kNewFolderMode);
                   }));
  if (result < 0) co_return fail(file_error(path, "make folder", -result));
  co_return {};
}

Task<Result<std::vector<std::string>>> UringDisk::list(std::string path) {
  std::optional<Result<std::vector<std::string>>> names;
  FF_CO_TRY(co_await OffloadCall(env_, pool_, OffloadPool::Limit::kNone, [&] { names.emplace(list_folder(path)); }));
  co_return std::move(*names);
}

Task<Result<>> UringDisk::remove(std::string path) {
  int flags = 0;
  for (;;) {
    FF_CO_TRY_ASSIGN(const int result, co_await UringOperation(ring_, [&](io_uring_sqe& sqe) {
                       io_uring_prep_unlinkat(&sqe, AT_FDCWD, path.c_str(), flags);
                     }));
    if (result >= 0) co_return {};
    if (result != -EISDIR || flags != 0) co_return fail(file_error(path, "remove", -result));
    flags = AT_REMOVEDIR;
  }
}

Task<Result<>> UringDisk::rename(std::string from, std::string to) {
  FF_CO_TRY_ASSIGN(const int result, co_await UringOperation(ring_, [&](io_uring_sqe& sqe) {
                     io_uring_prep_renameat(&sqe, AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), 0);
                   }));
  if (result < 0) co_return fail(file_error(from, fmt::format("rename to {}", to), -result));
  co_return {};
}

Task<Result<>> UringDisk::sync_folder(std::string path) {
  FF_CO_TRY_ASSIGN(const int opened, co_await open_fd(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (opened < 0) co_return fail(file_error(path, "sync folder", -opened));
  const UniqueFd folder(opened);
  FF_CO_TRY_ASSIGN(const int result, co_await UringOperation(ring_, [&](io_uring_sqe& sqe) {
                     io_uring_prep_fsync(&sqe, folder.get(), 0);
                   }));
  if (result < 0) co_return fail(file_error(path, "sync folder", -result));
  co_return {};
}

Task<Result<SpaceInfo>> UringDisk::space(std::string path) {
  std::optional<Result<SpaceInfo>> space;
  FF_CO_TRY(co_await OffloadCall(env_, pool_, OffloadPool::Limit::kNone, [&] { space.emplace(space_of(path)); }));
  co_return std::move(*space);
}

}  // namespace ff::runtime
