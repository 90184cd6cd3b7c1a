#include "libcommon/runtime/frame_pool.hpp"

#include <array>
#include <cstdint>
#include <new>

namespace ff::runtime {

#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)

void* allocate_frame(std::size_t bytes) { return ::operator new(bytes); }
void free_frame(void* frame, std::size_t bytes) noexcept { ::operator delete(frame, bytes); }

#else

namespace {

constexpr std::size_t kStep = 64;
constexpr std::size_t kClasses = 32;           // frames up to 2 KiB
constexpr std::uint32_t kKeptPerClass = 1024;  // a burst of tasks must not hold its memory for ever

struct FreeFrame {
  FreeFrame* next;
};

struct Pool {
  std::array<FreeFrame*, kClasses> heads{};
  std::array<std::uint32_t, kClasses> counts{};

  ~Pool() {
    for (FreeFrame* head : heads) {
      while (head != nullptr) {
        FreeFrame* next = head->next;
        ::operator delete(head);
        head = next;
      }
    }
  }
};

thread_local Pool pool;

}  // namespace

void* allocate_frame(std::size_t bytes) {
  const std::size_t index = (bytes - 1) / kStep;
  if (index >= kClasses) return ::operator new(bytes);
  if (FreeFrame* frame = pool.heads[index]) {
    pool.heads[index] = frame->next;
    --pool.counts[index];
    return frame;
  }
  return ::operator new((index + 1) * kStep);
}

void free_frame(void* frame, std::size_t bytes) noexcept {
  const std::size_t index = (bytes - 1) / kStep;
  if (index >= kClasses || pool.counts[index] >= kKeptPerClass) {
    ::operator delete(frame);
    return;
  }
  auto* free_frame = static_cast<FreeFrame*>(frame);
  free_frame->next = pool.heads[index];
  pool.heads[index] = free_frame;
  ++pool.counts[index];
}

#endif

}  // namespace ff::runtime
