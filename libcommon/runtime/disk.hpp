// Disk and File: storage as an Env gives it. Nothing is durable before sync() has returned; what was not synced may be
// lost, torn at any sector, or kept, in any order. A created, renamed or removed name is durable after sync_folder().
//
// Shapes    Offsets and lengths in bytes. Files opened `direct` need offsets, lengths and memory aligned to
//           File::alignment(); DiskBuffer memory is.
// Short     read() gives fewer bytes than asked only at the end of the file; write() writes all or fails (what a failed
//           write left is undefined until written again).
// Owner     The caller keeps the memory alive and unchanged until the task has ended. A cancelled read or write ends
//           only when the kernel has let go of the memory.
// Errors    kNotFound, kAlreadyExists, kPermission, kExhausted (disk full, descriptors), kIo (with errno): each names
//           the file, the operation and the offset.
// Threads   Those of the Env.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "libcommon/runtime/task.hpp"

namespace ff::runtime {

class File {
 public:
  virtual ~File() = default;
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  virtual Task<Result<std::size_t>> read(std::uint64_t offset, std::span<std::byte> into) = 0;
  virtual Task<Result<>> write(std::uint64_t offset, std::span<const std::byte> from) = 0;
  // Data, and the metadata needed to find it (fdatasync). After an error the state of unsynced data is unknown: do not
  // retry, treat the file as failed.
  virtual Task<Result<>> sync() = 0;
  virtual Task<Result<std::uint64_t>> size() = 0;
  virtual Task<Result<>> truncate(std::uint64_t bytes) = 0;
  // Reserves space, growing the file where needed; reads give zeros.
  virtual Task<Result<>> allocate(std::uint64_t offset, std::uint64_t bytes) = 0;
  // Gives the space back; reads give zeros. kUnsupported where the file system cannot.
  virtual Task<Result<>> punch(std::uint64_t offset, std::uint64_t bytes) = 0;
  // Of offsets, lengths and memory; 1 when not direct.
  virtual std::size_t alignment() const noexcept = 0;
  // Waits for its operations; an error here is an error of earlier writes. Without it the destructor closes.
  virtual Task<Result<>> close() = 0;

 protected:
  File() = default;
};

struct OpenOptions {
  bool write = false;
  bool create = false;
  bool exclusive = false;  // with create: kAlreadyExists instead of opening
  bool truncate = false;
  bool direct = false;  // past the page cache; falls back to buffered where the file system refuses (alignment() is 1)
};

struct FileInfo {
  bool folder = false;
  std::uint64_t bytes = 0;
};

struct SpaceInfo {
  std::uint64_t total_bytes = 0;
  std::uint64_t free_bytes = 0;  // for unprivileged users
};

// Memory for I/O: aligned for direct files and, while the Env's registered pool has room, registered with the kernel so
// that each operation saves pinning it. Zeroed. Belongs to the Env that gave it.
class DiskBuffer {
 public:
  DiskBuffer() noexcept = default;
  DiskBuffer(std::shared_ptr<void> owner, std::span<std::byte> memory) noexcept
      : owner_(std::move(owner)), memory_(memory) {}
  std::span<std::byte> span() const noexcept { return memory_; }
  std::byte* data() const noexcept { return memory_.data(); }
  std::size_t size() const noexcept { return memory_.size(); }

 private:
  std::shared_ptr<void> owner_;
  std::span<std::byte> memory_;
};

class Disk {
 public:
  virtual ~Disk() = default;
  Disk(const Disk&) = delete;
  Disk& operator=(const Disk&) = delete;

  virtual Task<Result<std::unique_ptr<File>>> open(std::string path, OpenOptions options) = 0;
  virtual Task<Result<FileInfo>> info(std::string path) = 0;
  virtual Task<Result<>> make_folder(std::string path) = 0;
  // Names in the folder, sorted, without "." and "..".
  virtual Task<Result<std::vector<std::string>>> list(std::string path) = 0;
  // A file, or an empty folder.
  virtual Task<Result<>> remove(std::string path) = 0;
  // Atomic, replacing a file at `to`.
  virtual Task<Result<>> rename(std::string from, std::string to) = 0;
  virtual Task<Result<>> sync_folder(std::string path) = 0;
  virtual Task<Result<SpaceInfo>> space(std::string path) = 0;
  // At least 4 KiB aligned. kExhausted when memory is.
  virtual Result<DiskBuffer> buffer(std::size_t bytes) = 0;

 protected:
  Disk() = default;
};

}  // namespace ff::runtime
