#include "hfreduce/shm/arena.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstdio>
#include <utility>

#include "hfreduce/shm/layout.hpp"
#include "libcommon/base/byte_size.hpp"

#ifndef MADV_POPULATE_WRITE  // Linux 5.14; the C library's headers are older
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_COLLAPSE  // Linux 6.1
#define MADV_COLLAPSE 25
#endif

namespace ff::hfreduce::shm {
namespace {

constexpr std::uint64_t kPage = 4096;

constexpr std::uint64_t round_up(std::uint64_t value, std::uint64_t unit) { return (value + unit - 1) / unit * unit; }
constexpr std::uint64_t round_down(std::uint64_t value, std::uint64_t unit) { return value / unit * unit; }

// What the kernel thinks it can hand out without swapping; all bits set if it does not say.
std::uint64_t available_memory() noexcept {
  std::FILE* file = std::fopen("/proc/meminfo", "re");
  if (file == nullptr) return ~0ULL;
  char line[128];
  unsigned long long kib = ~0ULL / 1024;
  while (std::fgets(line, sizeof line, file) != nullptr)
    if (std::sscanf(line, "MemAvailable: %llu kB", &kib) == 1) break;
  std::fclose(file);
  return kib * 1024;
}

// A range of addresses in which a huge page of the file meets a huge page of memory.
void* reserve(std::uint64_t bytes) noexcept {
  void* raw = ::mmap(nullptr, bytes + kHugePage, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (raw == MAP_FAILED) return nullptr;
  const auto start = reinterpret_cast<std::uintptr_t>(raw);
  const std::uintptr_t aligned = round_up(start, kHugePage);
  if (aligned > start) ::munmap(raw, aligned - start);
  ::munmap(reinterpret_cast<void*>(aligned + bytes), start + kHugePage - aligned);
  return reinterpret_cast<void*>(aligned);
}

}  // namespace

Result<Arena> Arena::create(std::uint64_t bytes) {
  Arena arena;
  arena.fd_.reset(::memfd_create("hfreduce", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!arena.fd_) return fail(errno_error("memfd_create"));
  if (::ftruncate(arena.fd_.get(), static_cast<off_t>(bytes)) != 0)
    return fail(errno_error(fmt::format("shared memory of {}: ftruncate", format_byte_size(bytes))));
  // Nobody may cut the file off under a mapping: that would be a SIGBUS for all.
  if (::fcntl(arena.fd_.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
    return fail(errno_error("shared memory: F_ADD_SEALS"));
  FF_TRY(arena.map(bytes));
  return arena;
}

Result<Arena> Arena::adopt(UniqueFd fd, std::uint64_t bytes) {
  struct stat facts{};
  if (::fstat(fd.get(), &facts) != 0) return fail(errno_error("shared memory: fstat"));
  if (static_cast<std::uint64_t>(facts.st_size) < bytes)
    return fail(Errc::kCorrupt,
                fmt::format("shared memory: the file has {} bytes instead of {} (do all ranks run the same version?)",
                            facts.st_size, bytes));
  Arena arena;
  arena.fd_ = std::move(fd);
  FF_TRY(arena.map(bytes));
  return arena;
}

Result<> Arena::map(std::uint64_t bytes) {
  void* place = reserve(bytes);
  if (place == nullptr)
    return fail(errno_error(fmt::format(
        "shared memory: address space for {} (raise ulimit -v or choose smaller windows)", format_byte_size(bytes))));
  void* mapped = ::mmap(place, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE | MAP_FIXED, fd_.get(), 0);
  if (mapped == MAP_FAILED) {
    const int reason = errno;
    ::munmap(place, bytes);
    return fail(errno_error(fmt::format("shared memory: mmap of {}", format_byte_size(bytes)), reason));
  }
  base_ = static_cast<std::byte*>(mapped);
  bytes_ = bytes;
  // Advice only: a core dump of the windows would be of all ranks' data, once for each rank.
  ::madvise(base_, bytes_, MADV_DONTDUMP);
  return {};
}

Arena::Arena(Arena&& other) noexcept
    : fd_(std::move(other.fd_)),
      base_(std::exchange(other.base_, nullptr)),
      bytes_(std::exchange(other.bytes_, 0)),
      huge_pages_(other.huge_pages_) {}

Arena& Arena::operator=(Arena&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(base_, other.base_);
  std::swap(bytes_, other.bytes_);
  std::swap(huge_pages_, other.huge_pages_);
  return *this;
}

Arena::~Arena() {
  if (base_ != nullptr) ::munmap(base_, bytes_);
}

Result<> Arena::populate(std::uint64_t offset, std::uint64_t bytes) {
  // The kernel would rather kill a process than refuse a page, so ask before.
  const std::uint64_t available = available_memory();
  if (bytes > available)
    return fail(Errc::kExhausted, fmt::format("shared memory: {} wanted, the machine has {} left",
                                              format_byte_size(bytes), format_byte_size(available)));
  const std::uint64_t first = round_down(offset, kPage), end = round_up(offset + bytes, kPage);
  const std::uint64_t huge_first = round_up(offset, kHugePage), huge_end = round_down(offset + bytes, kHugePage);
  if (huge_first < huge_end) {
    // Collapsing wants one page to begin with and fills the holes itself, for all who map the file. It works where
    // huge pages of shared memory are switched off by default. What it cannot do, populating does with small pages.
    for (std::uint64_t at = huge_first; at < huge_end; at += kHugePage)
      if (::madvise(base_ + at, kPage, MADV_POPULATE_WRITE) != 0) break;
    huge_pages_ = ::madvise(base_ + huge_first, huge_end - huge_first, MADV_COLLAPSE) == 0;
  }
  if (::madvise(base_ + first, end - first, MADV_POPULATE_WRITE) == 0) return {};
  if (errno == EINVAL && ::fallocate(fd(), 0, static_cast<off_t>(first), static_cast<off_t>(end - first)) == 0)
    return {};
  const int reason = errno;
  release(offset, bytes);
  return fail(Errc::kExhausted, fmt::format("shared memory: no pages for {}", format_byte_size(bytes)), reason);
}

void Arena::release(std::uint64_t offset, std::uint64_t bytes) noexcept {
  const std::uint64_t first = round_up(offset, kPage), end = round_down(offset + bytes, kPage);
  if (first < end)
    ::fallocate(fd(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(first),
                static_cast<off_t>(end - first));
}

std::uint64_t Arena::mappable(std::uint64_t wanted, int size) noexcept {
  std::uint64_t part = std::max(std::bit_floor(wanted), kWindowsMin);
  for (; part > kWindowsMin; part /= 2) {
    const std::uint64_t total = part * static_cast<std::uint64_t>(size);
    void* place = reserve(total);
    if (place == nullptr) continue;
    ::munmap(place, total);
    break;
  }
  return part;
}

std::uint64_t Arena::default_windows() noexcept {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return 256 * kMiB;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
  return 256 * kMiB;
#endif
#endif
  const long pages = ::sysconf(_SC_PHYS_PAGES), page = ::sysconf(_SC_PAGESIZE);
  if (pages <= 0 || page <= 0) return 16 * kGiB;
  return std::bit_ceil(static_cast<std::uint64_t>(pages) * static_cast<std::uint64_t>(page));
}

}  // namespace ff::hfreduce::shm
