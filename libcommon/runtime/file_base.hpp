// FileBase: what both backends' files share: checks of arguments, words of errors, knowing what is in flight, and what
// runs on the offload pool in any case.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "libcommon/base/unique_fd.hpp"
#include "libcommon/runtime/disk.hpp"
#include "libcommon/runtime/offload.hpp"
#include "libcommon/runtime/sync.hpp"

struct statx;

namespace ff::runtime {

class FileBase : public File {
 public:
  ~FileBase() override;
  Task<Result<>> truncate(std::uint64_t bytes) final;
  Task<Result<>> close() final;
  std::size_t alignment() const noexcept final { return alignment_; }

 protected:
  FileBase(Env& env, OffloadPool& pool, std::string path, UniqueFd fd, std::size_t alignment) noexcept
      : env_(env), pool_(pool), path_(std::move(path)), fd_(std::move(fd)), alignment_(alignment) {}

  // Runs `work` on a thread of the pool, however long the line.
  OffloadCall on_thread(std::function<void()> work) const {
    return {env_, pool_, OffloadPool::Limit::kNone, std::move(work)};
  }

  // Held by an operation while it runs.
  class [[nodiscard]] Use {
   public:
    explicit Use(FileBase& file) noexcept : file_(file) { ++file_.uses_; }
    Use(const Use&) = delete;
    ~Use() {
      if (--file_.uses_ == 0) file_.unused_.wake_all();
    }

   private:
    FileBase& file_;
  };

  Result<> check_open(std::string_view operation) const;
  // Also that memory, offset and length are aligned, and within what a file can be.
  Result<> check_transfer(std::string_view operation, std::uint64_t offset, std::span<const std::byte> memory) const;
  Result<> check_range(std::string_view operation, std::uint64_t offset, std::uint64_t bytes) const;
  // Positive errno.
  Error error(std::string_view operation, int error) const;
  Error error(std::string_view operation, std::uint64_t offset, std::uint64_t bytes, int error) const;
  // After a short read nothing more can be asked at this place: the file ends there.
  bool ends_short(std::size_t got) const noexcept { return got % alignment_ != 0; }

  int fd() const noexcept { return fd_.get(); }
  const std::string& path() const noexcept { return path_; }

 private:
  Env& env_;
  OffloadPool& pool_;
  std::string path_;
  UniqueFd fd_;
  std::size_t alignment_;
  std::uint32_t uses_ = 0;
  bool closing_ = false;
  WaitQueue unused_;
};

// The error of an operation on a path: "/data/x: rename to /data/y: No such file or directory". Positive errno.
Error file_error(std::string_view path, std::string_view operation, int error);
int open_flags(const OpenOptions& options) noexcept;
// What direct I/O on this file must be aligned to; 0: there is none. From a statx() with kDirectAlignmentMask.
extern const unsigned kDirectAlignmentMask;
std::size_t direct_alignment(const struct statx& about) noexcept;
// A file system without direct I/O may refuse it after the file was created, and an exclusive open cannot be tried
// again: such a file is opened buffered and made direct afterwards.
inline bool direct_after_open(const OpenOptions& options) noexcept {
  return options.direct && options.create && options.exclusive;
}
// False when the file system has no direct I/O. Does not block.
bool set_direct(int fd, bool direct) noexcept;

// Blocking calls, for threads of the offload pool.
// Of a block device, whose stat() says 0. Negative errno.
std::int64_t block_device_bytes(int fd) noexcept;
Result<std::vector<std::string>> list_folder(const std::string& path);
Result<SpaceInfo> space_of(const std::string& path);

inline constexpr unsigned kNewFileMode = 0644;
inline constexpr unsigned kNewFolderMode = 0755;
// One transfer of the kernel: its own limit is a little below 2 GiB.
inline constexpr std::size_t kTransferBytesMax = std::size_t{1} << 30;

}  // namespace ff::runtime
