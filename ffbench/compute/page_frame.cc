#include "ffbench/compute/page_frame.hpp"

#include <fcntl.h>
#include <unistd.h>

#include "libcommon/base/unique_fd.hpp"

namespace ff::bench {

// An entry of pagemap: bit 63 present, bits 0-54 the frame (0 for those who may not know).
std::optional<std::uint64_t> page_frame_of(const void* address) noexcept {
  const UniqueFd pagemap(::open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC));
  if (!pagemap) return std::nullopt;
  const auto page = reinterpret_cast<std::uintptr_t>(address) / static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  std::uint64_t entry = 0;
  if (::pread(pagemap.get(), &entry, sizeof entry, static_cast<off_t>(page * sizeof entry)) != sizeof entry)
    return std::nullopt;
  const std::uint64_t frame = entry & ((std::uint64_t{1} << 55) - 1);
  if (entry >> 63 == 0 || frame == 0) return std::nullopt;
  return frame;
}

}  // namespace ff::bench
