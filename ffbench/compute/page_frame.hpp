// Where a page of this process lies in physical memory: what an engineer needs to name the DIMM, or the kernel to take
// the page out of use (memmap=, hard offlining).
#pragma once

#include <cstdint>
#include <optional>

namespace ff::bench {

// The number of the page frame that holds `address`; nothing where /proc/self/pagemap does not tell (it needs
// CAP_SYS_ADMIN) or the page is not in memory.
std::optional<std::uint64_t> page_frame_of(const void* address) noexcept;

}  // namespace ff::bench
