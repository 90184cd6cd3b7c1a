#include "ffbench/meta/operations.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <memory>
#include <vector>

#include "libcommon/base/unique_fd.hpp"

namespace ff::bench {
namespace {

std::unexpected<Error> failed(const char* what, const std::string& path) {
  return fail(errno_error(fmt::format("{}: {}", path, what)));
}

Result<> write_zeros(int fd, std::uint64_t bytes, const std::string& path) {
  static const std::vector<char> zeros(1 << 20);
  while (bytes > 0) {
    const ssize_t n = ::write(fd, zeros.data(), std::min<std::uint64_t>(bytes, zeros.size()));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failed("write", path);
    bytes -= static_cast<std::uint64_t>(n);
  }
  return {};
}

}  // namespace

Result<> make_folder(const std::string& path) {
  if (::mkdir(path.c_str(), 0755) != 0) return failed("mkdir", path);
  return {};
}

Result<> create_file(const std::string& path, std::uint64_t bytes, bool sync) {
  UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
  if (!fd) return failed("create", path);
  FF_TRY(write_zeros(fd.get(), bytes, path));
  if (sync && ::fsync(fd.get()) != 0) return failed("fsync", path);
  if (::close(fd.release()) != 0) return failed("close", path);
  return {};
}

Result<> stat_file(const std::string& path, std::uint64_t bytes_expected) {
  struct stat about{};
  if (::stat(path.c_str(), &about) != 0) return failed("stat", path);
  if (static_cast<std::uint64_t>(about.st_size) != bytes_expected)
    return fail(Errc::kCorrupt, fmt::format("{}: has {} bytes, {} were written", path, about.st_size, bytes_expected));
  return {};
}

Result<> read_whole(const std::string& path, std::uint64_t bytes_expected, std::string& scratch) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return failed("open", path);
  scratch.resize(1 << 16);
  std::uint64_t all = 0;
  for (;;) {
    const ssize_t n = ::read(fd.get(), scratch.data(), scratch.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failed("read", path);
    if (n == 0) break;
    all += static_cast<std::uint64_t>(n);
  }
  if (all != bytes_expected)
    return fail(Errc::kCorrupt, fmt::format("{}: {} bytes were read, {} were written", path, all, bytes_expected));
  return {};
}

Result<> list_folder(const std::string& path, std::int64_t least) {
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(path.c_str()), ::closedir);
  if (!dir) return failed("opendir", path);
  std::int64_t entries = 0;
  for (errno = 0; const dirent* entry = ::readdir(dir.get()); errno = 0)
    if (entry->d_name[0] != '.') ++entries;
  if (errno != 0) return failed("readdir", path);
  if (entries < least)
    return fail(Errc::kCorrupt, fmt::format("{}: lists {} entries, {} were made there", path, entries, least));
  return {};
}

Result<> rename_file(const std::string& from, const std::string& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) return failed("rename", from);
  return {};
}

Result<> remove_file(const std::string& path) {
  if (::unlink(path.c_str()) != 0) return failed("unlink", path);
  return {};
}

Result<> remove_folder(const std::string& path) {
  if (::rmdir(path.c_str()) != 0) return failed("rmdir", path);
  return {};
}

}  // namespace ff::bench
