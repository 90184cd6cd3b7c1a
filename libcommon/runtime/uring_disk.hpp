// UringDisk: Disk on an io_uring. What the ring has no operation for runs on the offload pool.
#pragma once

#include "libcommon/runtime/uring_file.hpp"

namespace ff::runtime {

class UringDisk final : public Disk {
 public:
  // REQUIRES: all outlive the disk.
  UringDisk(UringRing& ring, Env& env, OffloadPool& pool, std::uint64_t registered_bytes);

  Task<Result<std::unique_ptr<File>>> open(std::string path, OpenOptions options) override;
  Task<Result<FileInfo>> info(std::string path) override;
  Task<Result<>> make_folder(std::string path) override;
  Task<Result<std::vector<std::string>>> list(std::string path) override;
  Task<Result<>> remove(std::string path) override;
  Task<Result<>> rename(std::string from, std::string to) override;
  Task<Result<>> sync_folder(std::string path) override;
  Task<Result<SpaceInfo>> space(std::string path) override;
  Result<DiskBuffer> buffer(std::size_t bytes) override { return buffers_.allocate(bytes); }

  const DiskBuffers& buffers() const noexcept { return buffers_; }

 private:
  // The descriptor, or negative errno.
  Task<Result<int>> open_fd(const char* path, int flags);

  UringRing& ring_;
  Env& env_;
  OffloadPool& pool_;
  DiskBuffers buffers_;
};

}  // namespace ff::runtime
