#include "libcommon/runtime/file_base.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <limits>
#include <memory>

#include "libcommon/base/assert.hpp"

namespace ff::runtime {

FileBase::~FileBase() { FF_ASSERT(uses_ == 0, path_, uses_); }

Result<> FileBase::check_open(std::string_view operation) const {
  // In this order: while it is being closed, `fd_` is a thread's of the pool.
  if (!closing_ && fd_) return {};
  return fail(Errc::kInvalidArgument, fmt::format("{}: {}: the file was closed", path_, operation));
}

Result<> FileBase::check_range(std::string_view operation, std::uint64_t offset, std::uint64_t bytes) const {
  FF_TRY(check_open(operation));
  constexpr auto kMax = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  if (offset <= kMax && bytes <= kMax - offset) return {};
  return fail(Errc::kInvalidArgument,
              fmt::format("{}: {} {} bytes at {}: no file is that long", path_, operation, bytes, offset));
}

Result<> FileBase::check_transfer(std::string_view operation, std::uint64_t offset,
                                  std::span<const std::byte> memory) const {
  FF_TRY(check_range(operation, offset, memory.size()));
  const auto address = reinterpret_cast<std::uintptr_t>(memory.data());
  if (((offset | memory.size() | address) & (alignment_ - 1)) == 0) return {};
  return fail(
      Errc::kInvalidArgument,
      fmt::format("{}: {} {} bytes at {}: a direct file wants offset, length and memory aligned to {} bytes (use "
                  "Disk::buffer())",
                  path_, operation, memory.size(), offset, alignment_));
}

Error FileBase::error(std::string_view operation, int error) const { return file_error(path_, operation, error); }

Error FileBase::error(std::string_view operation, std::uint64_t offset, std::uint64_t bytes, int error) const {
  return file_error(path_, fmt::format("{} {} bytes at {}", operation, bytes, offset), error);
}

Task<Result<>> FileBase::truncate(std::uint64_t bytes) {
  FF_CO_TRY(check_range("truncate", 0, bytes));
  Use use(*this);
  int failed = 0;
  FF_CO_TRY(co_await on_thread(
      [this, bytes, &failed] { failed = ::ftruncate(fd(), static_cast<off_t>(bytes)) == 0 ? 0 : errno; }));
  if (failed != 0) co_return fail(error("truncate", failed));
  co_return {};
}

Task<Result<>> FileBase::close() {
  FF_CO_TRY(check_open("close"));
  closing_ = true;  // no more operations; those that run keep the descriptor until they have ended
  while (uses_ > 0) FF_CO_TRY(co_await unused_.wait());
  int failed = 0;
  // Flushing on close may block. If this does not run, the destructor closes.
  FF_CO_TRY(co_await on_thread([this, &failed] { failed = ::close(fd_.release()) == 0 ? 0 : errno; }));
  if (failed != 0) co_return fail(error("close", failed));
  co_return {};
}

Error file_error(std::string_view path, std::string_view operation, int error) {
  const std::string what = fmt::format("{}: {}", path, operation);
  if (error == EFBIG) {
    return Error(Errc::kExhausted, errno_error(what, error).message() + " (see ulimit -f)", error);
  }
  return errno_error(what, error);
}

int open_flags(const OpenOptions& options) noexcept {
  int flags = O_CLOEXEC | (options.write ? O_RDWR : O_RDONLY);
  if (options.create) flags |= O_CREAT;
  if (options.exclusive) flags |= O_EXCL;
  if (options.truncate) flags |= O_TRUNC;
  if (options.direct) flags |= O_DIRECT;
  return flags;
}

// Headers before Linux 6.1 do not have it; the kernels of these do not tell.
#ifdef STATX_DIOALIGN
const unsigned kDirectAlignmentMask = STATX_DIOALIGN;
#else
const unsigned kDirectAlignmentMask = 0;
#endif

std::size_t direct_alignment([[maybe_unused]] const struct statx& about) noexcept {
  constexpr std::size_t kUsual = 4096;  // enough for every disk and file system that does not tell
#ifdef STATX_DIOALIGN
  if ((about.stx_mask & STATX_DIOALIGN) != 0) {
    if (about.stx_dio_offset_align == 0) return 0;
    return std::max<std::size_t>({about.stx_dio_mem_align, about.stx_dio_offset_align, 512});
  }
#endif
  return kUsual;
}

bool set_direct(int fd, bool direct) noexcept {
  const int flags = ::fcntl(fd, F_GETFL);
  return flags >= 0 && ::fcntl(fd, F_SETFL, direct ? flags | O_DIRECT : flags & ~O_DIRECT) == 0;
}

std::int64_t block_device_bytes(int fd) noexcept {
  std::uint64_t bytes = 0;
  return ::ioctl(fd, BLKGETSIZE64, &bytes) == 0 ? static_cast<std::int64_t>(bytes) : -errno;
}

Result<std::vector<std::string>> list_folder(const std::string& path) {
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir(path.c_str()), ::closedir);
  if (folder == nullptr) return fail(file_error(path, "list", errno));
  std::vector<std::string> names;
  for (;;) {
    errno = 0;
    const dirent* entry = ::readdir(folder.get());
    if (entry == nullptr) break;
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  if (errno != 0) return fail(file_error(path, "list", errno));
  std::ranges::sort(names);
  return names;
}

Result<SpaceInfo> space_of(const std::string& path) {
  struct statvfs about{};
  if (::statvfs(path.c_str(), &about) != 0) return fail(file_error(path, "ask for free space", errno));
  return SpaceInfo{.total_bytes = about.f_blocks * about.f_frsize, .free_bytes = about.f_bavail * about.f_frsize};
}

}  // namespace ff::runtime
