#include "ffctl/ffjob/mapping.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "libcommon/base/unique_fd.hpp"

namespace ff::ctl {

Mapping::~Mapping() {
  if (data_ != nullptr) ::munmap(data_, bytes_);
}

Result<std::size_t> Mapping::length(const std::string& path) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0) return fail(errno_error(path));
  if (!S_ISREG(info.st_mode)) return fail(Errc::kCorrupt, path + ": no regular file");
  return static_cast<std::size_t>(info.st_size);
}

Result<Mapping> Mapping::open(const std::string& path, std::size_t bytes, bool write) {
  const UniqueFd fd(::open(path.c_str(), (write ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NOFOLLOW));
  if (!fd) return fail(errno_error(path));
  struct stat info{};
  if (::fstat(fd.get(), &info) != 0) return fail(errno_error(path));
  if (!S_ISREG(info.st_mode) || static_cast<std::size_t>(info.st_size) < bytes)
    return fail(Errc::kCorrupt, path + ": too short for a page of this version");
  void* const at = ::mmap(nullptr, bytes, PROT_READ | (write ? PROT_WRITE : 0), MAP_SHARED, fd.get(), 0);
  if (at == MAP_FAILED) return fail(errno_error("map " + path));
  return Mapping(static_cast<std::byte*>(at), bytes);
}

}  // namespace ff::ctl
