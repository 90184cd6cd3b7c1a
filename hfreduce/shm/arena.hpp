// Arena: one anonymous file in memory (memfd), mapped whole. It has no name in any file system: when the last process
// that maps it is gone, however it ended, so is the memory.
//
// Ownership  The mapping and the descriptor, both released on destruction.
// Sparse     Pages exist from the first touch on; mapping far more than the machine has costs nothing.
#pragma once

#include <cstddef>
#include <cstdint>

#include "libcommon/base/result.hpp"
#include "libcommon/base/unique_fd.hpp"

namespace ff::hfreduce::shm {

class Arena {
 public:
  // A new file of `bytes`, mapped. kIo with the reason of the kernel.
  static Result<Arena> create(std::uint64_t bytes);
  // The file that another process created. kCorrupt if it is shorter than `bytes`.
  static Result<Arena> adopt(UniqueFd fd, std::uint64_t bytes);

  Arena() noexcept = default;
  Arena(Arena&& other) noexcept;
  Arena& operator=(Arena&& other) noexcept;
  ~Arena();

  std::byte* base() const noexcept { return base_; }
  std::uint64_t bytes() const noexcept { return bytes_; }
  int fd() const noexcept { return fd_.get(); }

  // Allocates the pages of [offset, offset + bytes), so that no later touch can fail (a touch that fails is a
  // SIGBUS), as huge pages where the kernel does that. kExhausted when memory is short; nothing is kept then.
  Result<> populate(std::uint64_t offset, std::uint64_t bytes);
  // Gives the whole pages inside the range back; they read as zero.
  void release(std::uint64_t offset, std::uint64_t bytes) noexcept;
  // Whether the last populate() of at least one huge page got them.
  bool huge_pages() const noexcept { return huge_pages_; }

  // The largest power of two (at least kWindowsMin) not above `wanted` of which `size` parts can be mapped here.
  static std::uint64_t mappable(std::uint64_t wanted, int size) noexcept;
  static constexpr std::uint64_t kWindowsMin = 4ULL << 20;
  // The machine's memory rounded up to a power of two; less in sanitizer builds, whose shadow memory is dear.
  static std::uint64_t default_windows() noexcept;

 private:
  Result<> map(std::uint64_t bytes);

  UniqueFd fd_;
  std::byte* base_ = nullptr;
  std::uint64_t bytes_ = 0;
  bool huge_pages_ = false;
};

}  // namespace ff::hfreduce::shm
