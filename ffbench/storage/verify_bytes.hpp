// Little-endian numbers in bytes, for the formats of verify runs. Private to them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace ff::bench {

// REQUIRES: at + sizeof(T) <= bytes.size().
template <class T>
void put_number(std::span<std::byte> bytes, std::size_t at, T value) noexcept {
  for (std::size_t i = 0; i < sizeof(T); ++i) bytes[at + i] = static_cast<std::byte>(value >> (8 * i));
}

template <class T>
T get_number(std::span<const std::byte> bytes, std::size_t at) noexcept {
  T value = 0;
  for (std::size_t i = 0; i < sizeof(T); ++i)
    value = static_cast<T>(value | (static_cast<T>(std::to_integer<std::uint8_t>(bytes[at + i])) << (8 * i)));
  return value;
}

// The finaliser of splitmix64, after its constant was added.
constexpr std::uint64_t mix_number(std::uint64_t x) noexcept {
  x += 0x9e3779b97f4a7c15ULL;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

}  // namespace ff::bench
