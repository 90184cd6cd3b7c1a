// The few primitives that authentication stands on, so that OpenSSL is called in one place. Failures of the library
// here (out of memory, a build without SHA-256) end the program: there is no safe way on.
#pragma once

#include <array>
#include <cstddef>
#include <initializer_list>
#include <span>
#include <string_view>

namespace ff::net {

using Digest = std::array<std::byte, 32>;

// Of the parts joined.
Digest sha256(std::initializer_list<std::span<const std::byte>> parts);
// HMAC-SHA256(key, label || 0x00 || parts): a label separates uses of one key, and none is another's prefix.
Digest labelled_hmac(std::span<const std::byte> key, std::string_view label,
                     std::initializer_list<std::span<const std::byte>> parts);
// In time that depends on the sizes alone.
bool equal_secret(std::span<const std::byte> a, std::span<const std::byte> b) noexcept;
// Overwrites in a way that the compiler keeps.
void wipe(std::span<std::byte> secret) noexcept;

}  // namespace ff::net
