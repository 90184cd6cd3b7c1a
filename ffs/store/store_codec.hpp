// StoreEncoder, StoreDecoder: little-endian numbers in the records of a chunk store. store.md has the bytes.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

namespace ff::ffs {

static_assert(std::endian::native == std::endian::little, "records are copied as they lie in memory");

class StoreEncoder {
 public:
  explicit StoreEncoder(std::vector<std::byte>& out) noexcept : out_(out) {}
  template <class T>
    requires std::is_integral_v<T>
  void put(T value) {
    bytes({reinterpret_cast<const std::byte*>(&value), sizeof value});
  }
  void bytes(std::span<const std::byte> data) { out_.insert(out_.end(), data.begin(), data.end()); }
  std::size_t size() const noexcept { return out_.size(); }

 private:
  std::vector<std::byte>& out_;
};

// After the end, or a failed read, everything reads as 0 and ok() is false.
class StoreDecoder {
 public:
  explicit StoreDecoder(std::span<const std::byte> in) noexcept : in_(in) {}
  template <class T>
    requires std::is_integral_v<T>
  T get() noexcept {
    T value{};
    const auto data = bytes(sizeof value);
    if (ok_) std::memcpy(&value, data.data(), sizeof value);
    return value;
  }
  std::span<const std::byte> bytes(std::size_t count) noexcept {
    if (!ok_ || count > in_.size()) {
      ok_ = false;
      return {};
    }
    const auto out = in_.first(count);
    in_ = in_.subspan(count);
    return out;
  }
  std::size_t left() const noexcept { return in_.size(); }
  bool ok() const noexcept { return ok_; }

 private:
  std::span<const std::byte> in_;
  bool ok_ = true;
};

}  // namespace ff::ffs
