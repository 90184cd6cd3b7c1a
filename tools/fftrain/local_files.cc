// Files of this machine.
#include <dirent.h>
#include <fcntl.h>
#include <fmt/core.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "libcommon/base/file.hpp"
#include "libcommon/base/unique_fd.hpp"
#include "tools/fftrain/files.hpp"

namespace ff::fftrain {
namespace {

class LocalReader final : public FileReader {
 public:
  LocalReader(UniqueFd fd, std::uint64_t size) : fd_(std::move(fd)), size_(size) {}
  std::uint64_t size() const noexcept override { return size_; }
  Result<> read(std::span<std::byte> into) override { return read_exact(fd_.get(), into); }

 private:
  UniqueFd fd_;
  std::uint64_t size_;
};

// The system drops the lock when the process ends, however it ends.
class LocalOwner final : public FolderOwner {
 public:
  explicit LocalOwner(UniqueFd lock) : lock_(std::move(lock)) {}

 private:
  UniqueFd lock_;
};

class LocalFiles final : public Files {
 public:
  Result<std::unique_ptr<FileReader>> open(const std::string& path) override {
    UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd) return fail(errno_error(path));
    struct stat info;
    if (::fstat(fd.get(), &info) != 0) return fail(errno_error(path));
    if (S_ISDIR(info.st_mode)) return fail(errno_error(path, EISDIR));
    return std::make_unique<LocalReader>(std::move(fd), static_cast<std::uint64_t>(info.st_size));
  }

  Result<> write(const std::string& path, std::span<const std::span<const std::byte>> parts) override {
    FF_TRY_ASSIGN(AtomicFile file, AtomicFile::create(path));
    for (const std::span<const std::byte> part : parts) FF_TRY(file.write(part));
    return file.commit();
  }

  Result<std::vector<std::string>> names(const std::string& folder) override {
    struct CloseDir {
      void operator()(DIR* d) const { ::closedir(d); }
    };
    const std::unique_ptr<DIR, CloseDir> dir(::opendir(folder.c_str()));
    if (!dir) return fail(errno_error(folder));
    std::vector<std::string> names;
    errno = 0;
    while (const dirent* entry = ::readdir(dir.get())) names.emplace_back(entry->d_name);
    if (errno != 0) return fail(errno_error(folder));
    return names;
  }

  Result<> remove(const std::string& path) override {
    if (::unlink(path.c_str()) != 0) return fail(errno_error(path));
    return {};
  }

  Result<std::unique_ptr<FolderOwner>> own_folder(const std::string& path) override {
    if (::mkdir(path.c_str(), 0755) == 0) {
      FF_TRY(fsync_folder(parent_folder(path)));
    } else if (errno != EEXIST) {
      return fail(errno_error(path));
    }
    UniqueFd lock(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!lock) return fail(errno_error(path));
    if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno == EWOULDBLOCK)
        return fail(
            Errc::kUnavailable,
            fmt::format("{}: another fftrain is using it (wait for it, or give each run its own --checkpoint)", path));
      return fail(errno_error(path + ": lock"));
    }
    return std::make_unique<LocalOwner>(std::move(lock));
  }
};

}  // namespace

std::unique_ptr<Files> make_local_files() { return std::make_unique<LocalFiles>(); }

}  // namespace ff::fftrain
