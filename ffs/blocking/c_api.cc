// The C ABI of libffs: arguments checked, errors turned into -errno, nothing else.
#include <fmt/core.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>
#include <utility>

#include "ffs/blocking/blocking_file_system.hpp"
#include "ffs/blocking/cluster_access.hpp"
#include "ffs/blocking/ffs.h"

using namespace std::chrono_literals;

struct ffs_fs {
  std::unique_ptr<ff::ffs::BlockingFileSystem> blocking;
};
struct ffs_file {
  ff::ffs::BlockingFileSystem* blocking;
  std::unique_ptr<ff::ffs::File> file;  // of the reactor's thread
};

namespace ff::ffs {
namespace {

using runtime::Task;

thread_local std::string last_error;

int errno_of(const Error& error) {
  if (error.sys_errno() != 0) return error.sys_errno();
  switch (error.code()) {
    case Errc::kInvalidArgument: return EINVAL;
    case Errc::kNotFound: return ENOENT;
    case Errc::kAlreadyExists: return EEXIST;
    case Errc::kPermission: return EACCES;
    case Errc::kTimeout: return ETIMEDOUT;
    case Errc::kUnavailable: return EAGAIN;
    case Errc::kExhausted: return ENOBUFS;
    case Errc::kUnsupported: return ENOTSUP;
    case Errc::kCancelled: return ECANCELED;
    case Errc::kCorrupt:
    case Errc::kIo:
    case Errc::kInternal: return EIO;
  }
  return EIO;
}

int refuse(const Error& error) {
  last_error = error.message();
  return -errno_of(error);
}

int refuse_argument(const char* what) { return refuse(Error(Errc::kInvalidArgument, what, EINVAL)); }

// Runs `work` (int or int64_t); nothing is thrown through the ABI.
template <class F>
auto guarded(F work) -> decltype(work()) {
  try {
    return work();
  } catch (const std::bad_alloc&) {
    return refuse(Error(Errc::kExhausted, "out of memory", ENOMEM));
  } catch (const std::exception& e) {
    return refuse(Error(Errc::kInternal, e.what(), EIO));
  }
}

template <class T>
int status(const Result<T>& result) {
  return result ? 0 : refuse(result.error());
}

ffs_time time_of(const Timestamp& at) { return {at.seconds(), at.nanoseconds()}; }

ffs_stat_data stat_of(const Attributes& a) {
  return {.inode = a.inode(),
          .type = static_cast<std::uint32_t>(a.type()),
          .mode = a.mode(),
          .uid = a.uid(),
          .gid = a.gid(),
          .links = a.links(),
          .size = a.size(),
          .accessed = time_of(a.accessed()),
          .modified = time_of(a.modified()),
          .changed = time_of(a.changed()),
          .created = time_of(a.created()),
          .chunk_bytes = a.layout().chunk_bytes()};
}

Result<Where> place(const char* path, bool follow) {
  FF_TRY_ASSIGN(std::string clean, clean_path(path));
  return at(std::move(clean), follow);
}

// A change of what `path` names: `fill` completes the request, `method` is asked.
template <class Reply, class Request>
using Method = Task<Result<Reply>> (MetaCalls::*)(Request);

template <class Reply, class Request>
int change(ffs_fs* fs, Request request, Method<Reply, Request> method) {
  return status(fs->blocking->call(
      [&] [[clang::coro_wrapper]] (FileSystem & on) { return (on.meta().*method)(std::move(request)); }));
}

template <class Reply, class Request, class Fill>
int change_at(ffs_fs* fs, const char* path, bool follow, Method<Reply, Request> method, Fill fill) {
  if (fs == nullptr || path == nullptr) return refuse_argument("a file system and a path are needed");
  return guarded([&] {
    auto where = place(path, follow);
    if (!where) return refuse(where.error());
    Request request;
    *request.mutable_where() = *std::move(where);
    fill(request);
    return change(fs, std::move(request), method);
  });
}

// A change with two names.
template <class Request>
int change_two(ffs_fs* fs, const char* from, const char* to, Method<EntryReply, Request> method, Request request) {
  if (fs == nullptr || from == nullptr || to == nullptr)
    return refuse_argument("a file system and two paths are needed");
  return guarded([&] {
    auto source = place(from, false);
    if (!source) return refuse(source.error());
    auto target = place(to, false);
    if (!target) return refuse(target.error());
    *request.mutable_from() = *std::move(source);
    *request.mutable_to() = *std::move(target);
    return change(fs, std::move(request), method);
  });
}

int look(ffs_fs* fs, const char* path, bool follow, ffs_stat_data* out) {
  if (fs == nullptr || path == nullptr || out == nullptr)
    return refuse_argument("a file system, a path and room are needed");
  return guarded([&] {
    const auto found =
        fs->blocking->call([&] [[clang::coro_wrapper]] (FileSystem & on) { return on.stat(path, follow); });
    if (!found) return refuse(found.error());
    *out = stat_of(*found);
    return 0;
  });
}

void set_time(Timestamp* to, const ffs_time& from) {
  to->set_seconds(from.seconds);
  to->set_nanoseconds(static_cast<std::uint32_t>(from.nanoseconds));
}

bool valid(const ffs_time* time) {
  return time == nullptr || (time->nanoseconds >= 0 && time->nanoseconds < 1'000'000'000);
}

int remove(ffs_fs* fs, const char* path, bool directory) {
  return change_at<EntryReply, RemoveRequest>(fs, path, false, &MetaCalls::remove,
                                              [&](RemoveRequest& request) { request.set_directory(directory); });
}

}  // namespace
}  // namespace ff::ffs

using namespace ff;
using namespace ff::ffs;

extern "C" {

uint32_t ffs_version(void) { return FFS_ABI_VERSION; }

const char* ffs_last_error(void) { return last_error.c_str(); }

int ffs_connect(const char* cluster, const char* what, uint64_t timeout_ms, ffs_fs** out) {
  return ffs_connect_as(cluster, what, timeout_ms, nullptr, out);
}

int ffs_connect_as(const char* cluster, const char* what, uint64_t timeout_ms, const char* token_file, ffs_fs** out) {
  if (out == nullptr) return refuse_argument("room for the file system is needed");
  *out = nullptr;
  if (timeout_ms > 86'400'000) return refuse_argument("timeout_ms: more than a day");
  return guarded([&] {
    const auto file = find_cluster_file(cluster == nullptr ? "" : cluster);
    if (!file) return refuse(file.error());
    auto fs = BlockingFileSystem::connect(*file, what == nullptr ? "libffs" : what,
                                          timeout_ms == 0 ? 30s : std::chrono::milliseconds(timeout_ms),
                                          token_file == nullptr ? "" : token_file);
    if (!fs) return refuse(fs.error());
    *out = new ffs_fs{*std::move(fs)};
    return 0;
  });
}

void ffs_disconnect(ffs_fs* fs) { delete fs; }

int ffs_open(ffs_fs* fs, const char* path, int flags, uint32_t mode, ffs_file** out) {
  if (out == nullptr) return refuse_argument("room for the file is needed");
  *out = nullptr;
  if (fs == nullptr || path == nullptr) return refuse_argument("a file system and a path are needed");
  constexpr int kAll = FFS_READ | FFS_WRITE | FFS_CREATE | FFS_EXCLUSIVE | FFS_TRUNCATE;
  if ((flags & ~kAll) != 0 || (flags & (FFS_READ | FFS_WRITE)) == 0)
    return refuse_argument("flags: FFS_READ, FFS_WRITE or both, and no unknown ones");
  return guarded([&] {
    const OpenFlags how{.read = (flags & FFS_READ) != 0,
                        .write = (flags & FFS_WRITE) != 0,
                        .create = (flags & FFS_CREATE) != 0,
                        .exclusive = (flags & FFS_EXCLUSIVE) != 0,
                        .truncate = (flags & FFS_TRUNCATE) != 0,
                        .mode = mode & 07777};
    auto file = fs->blocking->call([&] [[clang::coro_wrapper]] (FileSystem & on) { return on.open(path, how); });
    if (!file) return refuse(file.error());
    *out = new ffs_file{fs->blocking.get(), *std::move(file)};
    return 0;
  });
}

int64_t ffs_pread(ffs_file* file, void* into, size_t bytes, uint64_t offset) {
  if (file == nullptr || (into == nullptr && bytes > 0)) return refuse_argument("a file and room are needed");
  if (bytes > INT64_MAX) return refuse_argument("bytes: too many");
  return guarded([&]() -> int64_t {
    const auto got = file->blocking->call([&] [[clang::coro_wrapper]] (FileSystem&) {
      return file->file->read(offset, {static_cast<std::byte*>(into), bytes});
    });
    return got ? static_cast<int64_t>(*got) : refuse(got.error());
  });
}

int64_t ffs_pwrite(ffs_file* file, const void* from, size_t bytes, uint64_t offset) {
  if (file == nullptr || (from == nullptr && bytes > 0)) return refuse_argument("a file and bytes are needed");
  if (bytes > INT64_MAX) return refuse_argument("bytes: too many");
  return guarded([&]() -> int64_t {
    const auto done = file->blocking->call([&] [[clang::coro_wrapper]] (FileSystem&) {
      return file->file->write(offset, {static_cast<const std::byte*>(from), bytes});
    });
    return done ? static_cast<int64_t>(bytes) : refuse(done.error());
  });
}

int ffs_ftruncate(ffs_file* file, uint64_t size) {
  if (file == nullptr) return refuse_argument("a file is needed");
  return guarded([&] {
    return status(
        file->blocking->call([&] [[clang::coro_wrapper]] (FileSystem&) { return file->file->truncate(size); }));
  });
}

int ffs_fsync(ffs_file* file) {
  if (file == nullptr) return refuse_argument("a file is needed");
  return guarded([&] {
    return status(file->blocking->call([&] [[clang::coro_wrapper]] (FileSystem&) { return file->file->sync(); }));
  });
}

int ffs_fstat(ffs_file* file, ffs_stat_data* out) {
  if (file == nullptr || out == nullptr) return refuse_argument("a file and room are needed");
  return guarded([&] {
    return status(file->blocking->call([&](FileSystem&) -> Task<Result<>> {
      *out = stat_of(file->file->attributes());
      co_return {};
    }));
  });
}

int ffs_close(ffs_file* file) {
  if (file == nullptr) return refuse_argument("a file is needed");
  return guarded([&] {
    const std::unique_ptr<ffs_file> owner(file);
    return status(file->blocking->call([&](FileSystem&) -> Task<Result<>> {
      const std::unique_ptr<File> closing = std::move(file->file);
      co_return co_await closing->close();
    }));
  });
}

int ffs_stat(ffs_fs* fs, const char* path, ffs_stat_data* out) { return look(fs, path, true, out); }
int ffs_lstat(ffs_fs* fs, const char* path, ffs_stat_data* out) { return look(fs, path, false, out); }

int ffs_mkdir(ffs_fs* fs, const char* path, uint32_t mode) {
  return change_at<EntryReply, MakeDirectoryRequest>(
      fs, path, false, &MetaCalls::make_directory,
      [&](MakeDirectoryRequest& request) { request.set_mode(mode & 07777); });
}
int ffs_rmdir(ffs_fs* fs, const char* path) { return ff::ffs::remove(fs, path, true); }
int ffs_unlink(ffs_fs* fs, const char* path) { return ff::ffs::remove(fs, path, false); }

int ffs_rename(ffs_fs* fs, const char* from, const char* to, int flags) {
  if ((flags & ~(FFS_NO_REPLACE | FFS_EXCHANGE)) != 0) return refuse_argument("flags: an unknown one");
  RenameRequest request;
  request.set_no_replace((flags & FFS_NO_REPLACE) != 0);
  request.set_exchange((flags & FFS_EXCHANGE) != 0);
  return change_two(fs, from, to, &MetaCalls::rename, std::move(request));
}

int ffs_link(ffs_fs* fs, const char* from, const char* to) {
  return change_two(fs, from, to, &MetaCalls::link, LinkRequest());
}

int ffs_symlink(ffs_fs* fs, const char* target, const char* path) {
  if (target == nullptr) return refuse_argument("a target is needed");
  return change_at<EntryReply, MakeSymlinkRequest>(fs, path, false, &MetaCalls::make_symlink,
                                                   [&](MakeSymlinkRequest& request) { request.set_target(target); });
}

int64_t ffs_readlink(ffs_fs* fs, const char* path, char* into, size_t room) {
  if (fs == nullptr || path == nullptr || (into == nullptr && room > 0))
    return refuse_argument("a file system, a path and room are needed");
  return guarded([&]() -> int64_t {
    const auto found =
        fs->blocking->call([&] [[clang::coro_wrapper]] (FileSystem & on) { return on.stat(path, false); });
    if (!found) return refuse(found.error());
    if (found->type() != SYMLINK)
      return refuse(Error(Errc::kInvalidArgument, fmt::format("{}: is no symbolic link", path), EINVAL));
    if (room > 0) {
      const std::size_t stored = std::min(found->target().size(), room - 1);
      std::memcpy(into, found->target().data(), stored);
      into[stored] = '\0';
    }
    return static_cast<int64_t>(found->target().size());
  });
}

int ffs_chmod(ffs_fs* fs, const char* path, uint32_t mode) {
  return change_at<StatReply, SetAttributesRequest>(fs, path, true, &MetaCalls::set_attributes,
                                                    [&](SetAttributesRequest& request) {
                                                      request.set_set_mode(true);
                                                      request.set_mode(mode & 07777);
                                                    });
}

int ffs_chown(ffs_fs* fs, const char* path, uint32_t uid, uint32_t gid) {
  return change_at<StatReply, SetAttributesRequest>(fs, path, true, &MetaCalls::set_attributes,
                                                    [&](SetAttributesRequest& request) {
                                                      request.set_set_uid(uid != UINT32_MAX);
                                                      request.set_uid(uid);
                                                      request.set_set_gid(gid != UINT32_MAX);
                                                      request.set_gid(gid);
                                                    });
}

int ffs_utimens(ffs_fs* fs, const char* path, const ffs_time* accessed, const ffs_time* modified) {
  if (!valid(accessed) || !valid(modified)) return refuse_argument("nanoseconds: from 0 to 999999999");
  return change_at<StatReply, SetAttributesRequest>(fs, path, true, &MetaCalls::set_attributes,
                                                    [&](SetAttributesRequest& request) {
                                                      request.set_set_accessed(accessed != nullptr);
                                                      if (accessed != nullptr)
                                                        set_time(request.mutable_accessed(), *accessed);
                                                      request.set_set_modified(modified != nullptr);
                                                      if (modified != nullptr)
                                                        set_time(request.mutable_modified(), *modified);
                                                    });
}

int ffs_truncate(ffs_fs* fs, const char* path, uint64_t size) {
  return change_at<StatReply, TruncateRequest>(fs, path, true, &MetaCalls::truncate,
                                               [&](TruncateRequest& request) { request.set_size(size); });
}

int ffs_list(ffs_fs* fs, const char* path, ffs_visit visit, void* context) {
  if (fs == nullptr || path == nullptr || visit == nullptr)
    return refuse_argument("a file system, a path and a function are needed");
  return guarded([&] {
    return status(fs->blocking->call([&] [[clang::coro_wrapper]] (FileSystem & on) {
      return on.list(path, true, [&](const Entry& entry) {
        const ffs_stat_data about = stat_of(entry.attributes());
        return visit(context, entry.name().c_str(), &about) == 0;
      });
    }));
  });
}

}  // extern "C"
