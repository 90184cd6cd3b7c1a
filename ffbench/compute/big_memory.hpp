// Large private memory for measurements: mapped, aligned to 2 MiB, huge pages asked for, untouched (so that the thread
// that first writes a page decides its NUMA node).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "libcommon/base/result.hpp"

namespace ff::bench {

class BigMemory {
 public:
  // Zeroed when touched. kExhausted: more than available_memory(), or refused by the kernel.
  static Result<BigMemory> map(std::uint64_t bytes);
  BigMemory() noexcept = default;
  BigMemory(BigMemory&& other) noexcept
      : base_(std::exchange(other.base_, nullptr)),
        mapped_(std::exchange(other.mapped_, 0)),
        data_(std::exchange(other.data_, nullptr)),
        bytes_(std::exchange(other.bytes_, 0)) {}
  BigMemory& operator=(BigMemory&& other) noexcept {
    std::swap(base_, other.base_);
    std::swap(mapped_, other.mapped_);
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~BigMemory();

  std::byte* data() const noexcept { return data_; }
  std::size_t size() const noexcept { return bytes_; }
  template <class T>
  T* as() const noexcept {
    return reinterpret_cast<T*>(data_);
  }
  // Keeps the pages where they are until the end; false where the limits forbid it. Touches what was not touched.
  bool lock() const noexcept;

 private:
  void* base_ = nullptr;
  std::size_t mapped_ = 0;
  std::byte* data_ = nullptr;
  std::size_t bytes_ = 0;
};

// What this process can still take: MemAvailable, or what the control groups above it leave, if that is less.
// `root` is "/" but in tests. kNotFound where the kernel does not tell.
Result<std::uint64_t> available_memory(const std::string& root = "/");
// MemTotal.
Result<std::uint64_t> total_memory(const std::string& root = "/");

}  // namespace ff::bench
