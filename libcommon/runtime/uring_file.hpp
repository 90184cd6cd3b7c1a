// UringFile: File on an io_uring.
#pragma once

#include "libcommon/runtime/disk_buffers.hpp"
#include "libcommon/runtime/file_base.hpp"
#include "libcommon/runtime/uring_ring.hpp"

namespace ff::runtime {

class UringFile final : public FileBase {
 public:
  UringFile(UringRing& ring, const DiskBuffers& buffers, Env& env, OffloadPool& pool, std::string path, UniqueFd fd,
            std::size_t alignment) noexcept
      : FileBase(env, pool, std::move(path), std::move(fd), alignment), ring_(ring), buffers_(buffers) {}

  Task<Result<std::size_t>> read(std::uint64_t offset, std::span<std::byte> into) override;
  Task<Result<>> write(std::uint64_t offset, std::span<const std::byte> from) override;
  Task<Result<>> sync() override;
  Task<Result<std::uint64_t>> size() override;
  Task<Result<>> allocate(std::uint64_t offset, std::uint64_t bytes) override;
  Task<Result<>> punch(std::uint64_t offset, std::uint64_t bytes) override;

 private:
  Task<Result<>> fallocate(const char* operation, int mode, std::uint64_t offset, std::uint64_t bytes);

  UringRing& ring_;
  const DiskBuffers& buffers_;
};

}  // namespace ff::runtime
