// Windows: this rank's part of the shared memory, handed out in blocks.
// Threads  Any; one lock.
#pragma once

#include <cstdint>
#include <mutex>

#include "hfreduce/shm/arena.hpp"
#include "hfreduce/shm/window_allocator.hpp"
#include "libcommon/base/result.hpp"

namespace ff::hfreduce::shm {

class Windows {
 public:
  // `arena` outlives this; the part is [offset, offset + bytes) of it.
  Windows(Arena& arena, std::uint64_t offset, std::uint64_t bytes);

  // Zeroed and populated. kExhausted when the part or the machine's memory is full.
  Result<void*> alloc(std::uint64_t bytes);
  // kInvalidArgument for a pointer that alloc() did not return.
  Result<> free(void* pointer);

 private:
  Arena& arena_;
  const std::uint64_t offset_;
  const std::uint64_t bytes_;
  std::mutex mutex_;  // guards allocator_ and the populating of pages that two small blocks share
  WindowAllocator allocator_;
};

}  // namespace ff::hfreduce::shm
