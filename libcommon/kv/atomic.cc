#include "libcommon/kv/atomic.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "libcommon/kv/key_range.hpp"

namespace ff::kv {

std::string encode_counter(std::uint64_t value) {
  std::string bytes(8, '\0');
  for (std::size_t i = 0; i < 8; ++i) bytes[i] = static_cast<char>(value >> (8 * i));
  return bytes;
}

Result<std::uint64_t> decode_counter(std::string_view key, const std::optional<std::string_view>& value) {
  if (!value) return 0;
  if (value->size() != 8) {
    return fail(Errc::kInvalidArgument,
                fmt::format("key {}: an atomic operation needs a value of 8 bytes, there are {} (set it first)",
                            printable_key(key), value->size()));
  }
  std::uint64_t number = 0;
  for (std::size_t i = 8; i-- > 0;) number = number << 8 | static_cast<unsigned char>((*value)[i]);
  return number;
}

std::uint64_t apply_atomic(std::uint64_t value, AtomicOperation operation) noexcept {
  switch (operation.operation) {
    case Atomic::kAdd: return value + operation.operand;
    case Atomic::kMax: return std::max(value, operation.operand);
    case Atomic::kMin: return std::min(value, operation.operand);
  }
  return value;
}

Result<std::string> apply_atomics(std::string_view key, const std::optional<std::string_view>& value,
                                  const std::vector<AtomicOperation>& operations) {
  FF_TRY_ASSIGN(std::uint64_t number, decode_counter(key, value));
  for (const AtomicOperation& operation : operations) number = apply_atomic(number, operation);
  return encode_counter(number);
}

}  // namespace ff::kv
