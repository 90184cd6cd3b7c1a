// ThreadFile: File by blocking calls on the offload pool.
#pragma once

#include "libcommon/runtime/file_base.hpp"

namespace ff::runtime {

class ThreadFile final : public FileBase {
 public:
  ThreadFile(Env& env, OffloadPool& pool, std::string path, UniqueFd fd, std::size_t alignment) noexcept
      : FileBase(env, pool, std::move(path), std::move(fd), alignment) {}

  Task<Result<std::size_t>> read(std::uint64_t offset, std::span<std::byte> into) override;
  Task<Result<>> write(std::uint64_t offset, std::span<const std::byte> from) override;
  Task<Result<>> sync() override;
  Task<Result<std::uint64_t>> size() override;
  Task<Result<>> allocate(std::uint64_t offset, std::uint64_t bytes) override;
  Task<Result<>> punch(std::uint64_t offset, std::uint64_t bytes) override;

 private:
  Task<Result<>> fallocate(const char* operation, int mode, std::uint64_t offset, std::uint64_t bytes);
};

}  // namespace ff::runtime
