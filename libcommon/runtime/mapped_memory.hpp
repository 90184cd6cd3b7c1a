// MappedMemory: anonymous pages, zero until touched and counted only then, page-aligned.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <span>
#include <utility>

#include "libcommon/base/result.hpp"

namespace ff::runtime {

class MappedMemory {
 public:
  MappedMemory() noexcept = default;
  // kExhausted.
  static Result<MappedMemory> map(std::size_t bytes) {
    void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return fail(errno_error("mmap"));
    return MappedMemory({static_cast<std::byte*>(memory), bytes});
  }
  MappedMemory(MappedMemory&& other) noexcept : memory_(std::exchange(other.memory_, {})) {}
  MappedMemory& operator=(MappedMemory&& other) noexcept {
    std::swap(memory_, other.memory_);
    return *this;
  }
  ~MappedMemory() {
    if (!memory_.empty()) ::munmap(memory_.data(), memory_.size());
  }
  std::span<std::byte> span() const noexcept { return memory_; }

 private:
  explicit MappedMemory(std::span<std::byte> memory) noexcept : memory_(memory) {}
  std::span<std::byte> memory_;
};

}  // namespace ff::runtime
