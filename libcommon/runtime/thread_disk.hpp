// ThreadDisk and its files: Disk by blocking calls on the offload pool, where io_uring is forbidden.
#pragma once

#include "libcommon/runtime/disk_buffers.hpp"
#include "libcommon/runtime/offload.hpp"

namespace ff::runtime {

class ThreadDisk final : public Disk {
 public:
  // REQUIRES: both outlive the disk.
  ThreadDisk(Env& env, OffloadPool& pool) : env_(env), pool_(pool), buffers_(0, nullptr) {}

  Task<Result<std::unique_ptr<File>>> open(std::string path, OpenOptions options) override;
  Task<Result<FileInfo>> info(std::string path) override;
  Task<Result<>> make_folder(std::string path) override;
  Task<Result<std::vector<std::string>>> list(std::string path) override;
  Task<Result<>> remove(std::string path) override;
  Task<Result<>> rename(std::string from, std::string to) override;
  Task<Result<>> sync_folder(std::string path) override;
  Task<Result<SpaceInfo>> space(std::string path) override;
  Result<DiskBuffer> buffer(std::size_t bytes) override { return buffers_.allocate(bytes); }

 private:
  Env& env_;
  OffloadPool& pool_;
  DiskBuffers buffers_;
};

}  // namespace ff::runtime
