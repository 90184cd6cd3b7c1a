// Little-endian fields of a link's headers and handshake payloads: a writer that appends and a reader that never
// reads beyond the end. For formats of this folder; formats with their own rules have their own code.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>
#include <vector>

namespace ff::net {

template <std::unsigned_integral T>
T load_le(const std::byte* at) noexcept {
  T value;
  std::memcpy(&value, at, sizeof value);
  if constexpr (std::endian::native == std::endian::big) value = std::byteswap(value);
  return value;
}

template <std::unsigned_integral T>
void store_le(std::byte* at, T value) noexcept {
  if constexpr (std::endian::native == std::endian::big) value = std::byteswap(value);
  std::memcpy(at, &value, sizeof value);
}

class WireWriter {
 public:
  template <std::unsigned_integral T>
  WireWriter& number(T value) {
    std::byte field[sizeof value];
    store_le(field, value);
    return bytes(field);
  }
  WireWriter& bytes(std::span<const std::byte> data) {
    out_.insert(out_.end(), data.begin(), data.end());
    return *this;
  }
  WireWriter& text(std::string_view data) { return bytes(std::as_bytes(std::span(data))); }
  std::vector<std::byte> take() noexcept { return std::move(out_); }

 private:
  std::vector<std::byte> out_;
};

// Past the end it gives zeros and remembers that it failed: read all fields, then ask good() once.
class WireReader {
 public:
  explicit WireReader(std::span<const std::byte> data) noexcept : rest_(data) {}

  template <std::unsigned_integral T>
  T number() noexcept {
    const auto field = bytes(sizeof(T));
    return field.empty() ? T{0} : load_le<T>(field.data());
  }
  // Empty past the end.
  std::span<const std::byte> bytes(std::size_t count) noexcept {
    if (count > rest_.size()) {
      failed_ = true;
      rest_ = {};
      return {};
    }
    const auto out = rest_.first(count);
    rest_ = rest_.subspan(count);
    return out;
  }
  template <std::size_t N>
  void copy_to(std::array<std::byte, N>& out) noexcept {
    const auto field = bytes(N);
    if (!field.empty()) std::ranges::copy(field, out.begin());
  }
  std::string_view text(std::size_t count) noexcept {
    const auto field = bytes(count);
    return {reinterpret_cast<const char*>(field.data()), field.size()};
  }
  std::span<const std::byte> rest() noexcept { return bytes(rest_.size()); }
  // Nothing was missing, and nothing is left.
  bool complete() const noexcept { return !failed_ && rest_.empty(); }
  bool good() const noexcept { return !failed_; }

 private:
  std::span<const std::byte> rest_;
  bool failed_ = false;
};

}  // namespace ff::net
