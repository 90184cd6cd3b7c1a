// What the atomic operations of kv_store.hpp do to a value.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "libcommon/kv/kv_store.hpp"

namespace ff::kv {

struct AtomicOperation {
  Atomic operation = Atomic::kAdd;
  std::uint64_t operand = 0;
};

// Eight bytes, little-endian.
std::string encode_counter(std::uint64_t value);
// An absent value is 0. kInvalidArgument when `value` is not of 8 bytes; the error names `key`.
Result<std::uint64_t> decode_counter(std::string_view key, const std::optional<std::string_view>& value);

std::uint64_t apply_atomic(std::uint64_t value, AtomicOperation operation) noexcept;
// All of them, in order.
Result<std::string> apply_atomics(std::string_view key, const std::optional<std::string_view>& value,
                                  const std::vector<AtomicOperation>& operations);

}  // namespace ff::kv
