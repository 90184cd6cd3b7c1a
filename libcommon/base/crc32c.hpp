// CRC-32C (Castagnoli, RFC 3720 appendix B.4): the checksum of every format and frame in the tree.
// Hardware instructions where the CPU has them (ISA-L), a table elsewhere; both give the same value.
#pragma once

#include <cstddef>
#include <cstdint>

namespace ff {

// crc32c(0, "123456789", 9) == 0xE3069283. Chainable: crc32c(crc32c(0, a), b) is the checksum of a then b.
std::uint32_t crc32c(std::uint32_t crc, const void* data, std::size_t bytes) noexcept;

// The portable path, for the test that compares both.
std::uint32_t crc32c_table(std::uint32_t crc, const void* data, std::size_t bytes) noexcept;

}  // namespace ff
