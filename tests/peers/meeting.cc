#include "tests/peers/meeting.hpp"

#include <fcntl.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <thread>

namespace ff::peers {
namespace {

constexpr int kWaitLimitS = 120;
// Short, because the libraries' own threads may need this core.
constexpr int kSpins = 1000;

[[noreturn]] void give_up(const char* what) {
  std::perror(what);
  std::_Exit(3);
}

void wake_all(std::atomic<std::uint32_t>& word) {
  ::syscall(SYS_futex, &word, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

}  // namespace

// A fresh file is all zeros, which is the state before the first meeting.
struct Meeting::Shared {
  static constexpr unsigned kSlots = 4;
  alignas(64) std::atomic<std::uint32_t> arrived;
  alignas(64) std::atomic<std::uint32_t> phase;
  alignas(64) std::atomic<std::uint64_t> largest[kSlots];
  alignas(64) std::atomic<std::uint32_t> text_ready;
  char text[256];
};

Meeting::Meeting(const std::string& path, int size) : size_(size) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0 || ::ftruncate(fd, sizeof(Shared)) != 0) give_up(path.c_str());
  void* memory = ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (memory == MAP_FAILED) give_up(path.c_str());
  ::close(fd);
  shared_ = static_cast<Shared*>(memory);
}

Meeting::~Meeting() { ::munmap(shared_, sizeof(Shared)); }

void Meeting::wait_while(const void* word, std::uint32_t value) {
  const auto& atomic = *static_cast<const std::atomic<std::uint32_t>*>(word);
  if (size_ <= static_cast<int>(std::thread::hardware_concurrency()))
    for (int i = 0; i < kSpins; ++i) {
      if (atomic.load(std::memory_order_acquire) != value) return;
      relax();
    }
  for (int second = 0; atomic.load(std::memory_order_acquire) == value;) {
    const timespec one_second{1, 0};
    if (::syscall(SYS_futex, word, FUTEX_WAIT, value, &one_second, nullptr, 0) != 0 && errno == ETIMEDOUT &&
        ++second == kWaitLimitS)
      give_up("meeting of the ranks: some rank did not come");
  }
}

void Meeting::barrier() {
  const std::uint32_t phase = shared_->phase.load(std::memory_order_acquire);
  if (shared_->arrived.fetch_add(1, std::memory_order_acq_rel) + 1 == static_cast<std::uint32_t>(size_)) {
    shared_->arrived.store(0, std::memory_order_relaxed);
    shared_->phase.store(phase + 1, std::memory_order_release);
    wake_all(shared_->phase);
    return;
  }
  wait_while(&shared_->phase, phase);
}

std::uint64_t Meeting::max(std::uint64_t value) {
  auto& slot = shared_->largest[round_ % Shared::kSlots];
  std::uint64_t seen = slot.load(std::memory_order_relaxed);
  while (seen < value && !slot.compare_exchange_weak(seen, value)) {
  }
  barrier();
  const std::uint64_t result = slot.load(std::memory_order_acquire);
  // Nobody reaches the slot after next before all have passed the next barrier, and so this line.
  shared_->largest[(round_ + 2) % Shared::kSlots].store(0, std::memory_order_relaxed);
  ++round_;
  return result;
}

void Meeting::publish(const std::string& text) {
  std::strncpy(shared_->text, text.c_str(), sizeof(shared_->text) - 1);
  shared_->text_ready.store(1, std::memory_order_release);
  wake_all(shared_->text_ready);
}

std::string Meeting::await_text() {
  wait_while(&shared_->text_ready, 0);
  return shared_->text;
}

}  // namespace ff::peers
