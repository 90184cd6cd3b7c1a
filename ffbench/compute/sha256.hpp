// SHA-256 as a load for a processor: rotates, adds and a long chain of dependences, with published answers. For
// security use libcommon/net, which has OpenSSL's.
// Source: FIPS 180-4.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace ff::bench {

class Sha256 {
 public:
  void update(std::span<const std::uint8_t> bytes) noexcept;
  // Once, at the end.
  std::array<std::uint8_t, 32> finish() noexcept;
  // Inverts a bit of what was hashed so far: for tests of those who compare.
  void disturb() noexcept { state_[0] ^= 1; }

 private:
  void absorb(const std::uint8_t* block) noexcept;

  std::array<std::uint32_t, 8> state_ = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                         0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  std::array<std::uint8_t, 64> pending_{};
  std::uint64_t bytes_ = 0;
};

}  // namespace ff::bench
