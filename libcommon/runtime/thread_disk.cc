#include "libcommon/runtime/thread_disk.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <optional>

#include "libcommon/runtime/thread_file.hpp"

namespace ff::runtime {

namespace {

// The value of a blocking call that gives a Result, on a thread of the pool.
template <class F, class R = std::invoke_result_t<F&>>
Task<R> on_thread(Env& env, OffloadPool& pool, F call) {
  std::optional<R> result;
  FF_CO_TRY(co_await OffloadCall(env, pool, OffloadPool::Limit::kNone, [&] { result.emplace(call()); }));
  co_return std::move(*result);
}

Result<> check(int result, const std::string& path, std::string_view operation) {
  if (result < 0) return fail(file_error(path, operation, errno));
  return {};
}

struct Opened {
  UniqueFd fd;
  std::size_t alignment;
};

Result<Opened> open_file(const std::string& path, OpenOptions options) {
  const bool direct = options.direct;
  const bool after = direct_after_open(options);
  if (after) options.direct = false;
  UniqueFd fd(::open(path.c_str(), open_flags(options), kNewFileMode));
  if (!fd && options.direct && errno == EINVAL) {
    // This file system has no direct I/O.
    options.direct = false;
    return open_file(path, options);
  }
  if (!fd) return fail(file_error(path, "open", errno));
  if (!direct || (after && !set_direct(fd.get(), true))) return Opened{std::move(fd), 1};
  struct statx about{};
  if (::statx(fd.get(), "", AT_EMPTY_PATH, kDirectAlignmentMask, &about) != 0) {
    return fail(file_error(path, "open", errno));
  }
  std::size_t alignment = direct_alignment(about);
  if (alignment == 0) {
    (void)set_direct(fd.get(), false);
    alignment = 1;
  }
  return Opened{std::move(fd), alignment};
}

}  // namespace

Task<Result<std::unique_ptr<File>>> ThreadDisk::open(std::string path, OpenOptions options) {
  FF_CO_TRY_ASSIGN(Opened opened, co_await on_thread(env_, pool_, [&] { return open_file(path, options); }));
  co_return std::make_unique<ThreadFile>(env_, pool_, std::move(path), std::move(opened.fd), opened.alignment);
}

Task<Result<FileInfo>> ThreadDisk::info(std::string path) {
  co_return co_await on_thread(env_, pool_, [&]() -> Result<FileInfo> {
    struct stat about{};
    FF_TRY(check(::stat(path.c_str(), &about), path, "look up"));
    return FileInfo{.folder = S_ISDIR(about.st_mode), .bytes = static_cast<std::uint64_t>(about.st_size)};
  });
}

Task<Result<>> ThreadDisk::make_folder(std::string path) {
  co_return co_await on_thread(env_, pool_,
                               [&] { return check(::mkdir(path.c_str(), kNewFolderMode), path, "make folder"); });
}

Task<Result<std::vector<std::string>>> ThreadDisk::list(std::string path) {
  co_return co_await on_thread(env_, pool_, [&] { return list_folder(path); });
}

Task<Result<>> ThreadDisk::remove(std::string path) {
  co_return co_await on_thread(env_, pool_, [&]() -> Result<> {
    if (::unlink(path.c_str()) == 0) return {};
    if (errno != EISDIR) return fail(file_error(path, "remove", errno));
    return check(::rmdir(path.c_str()), path, "remove");
  });
}

Task<Result<>> ThreadDisk::rename(std::string from, std::string to) {
  co_return co_await on_thread(
      env_, pool_, [&] { return check(::rename(from.c_str(), to.c_str()), from, fmt::format("rename to {}", to)); });
}

Task<Result<>> ThreadDisk::sync_folder(std::string path) {
  co_return co_await on_thread(env_, pool_, [&]() -> Result<> {
    const UniqueFd folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    FF_TRY(check(folder.get(), path, "sync folder"));
    return check(::fsync(folder.get()), path, "sync folder");
  });
}

Task<Result<SpaceInfo>> ThreadDisk::space(std::string path) {
  co_return co_await on_thread(env_, pool_, [&] { return space_of(path); });
}

}  // namespace ff::runtime
