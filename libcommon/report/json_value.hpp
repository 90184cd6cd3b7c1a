// JsonValue: JSON text as a read-only tree. The reader of every JSON that comes from a file or a peer.
//
// Accepted  RFC 8259, one value, UTF-8 without a byte order mark; nothing may follow it but white space.
// Bounds    Text, nesting and number of values are limited, so that hostile text costs bounded memory and no stack.
// Numbers   Written without fraction and exponent and within 64 bits signed: integers, exactly. All others: doubles.
// Errors    kCorrupt, with line and column; kExhausted beyond a bound. Two members of one name are refused.
// Ownership A tree owns its parts; pointers and spans into it live as long as it does.
// Threads   As std::vector: reading from many is fine.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "libcommon/base/result.hpp"

namespace ff::report {

struct JsonLimits {
  std::size_t bytes_max = 64u << 20;
  std::size_t depth_max = 32;          // of arrays and objects within each other
  std::size_t values_max = 4'000'000;  // of all kinds together
};

class JsonValue {
 public:
  using Member = std::pair<std::string, JsonValue>;
  using Array = std::vector<JsonValue>;
  using Object = std::vector<Member>;  // in the order of the text

  static Result<JsonValue> parse(std::string_view text, JsonLimits limits = {});

  JsonValue() noexcept = default;  // null
  explicit JsonValue(bool value) : value_(value) {}
  explicit JsonValue(std::int64_t value) : value_(value) {}
  explicit JsonValue(double value) : value_(value) {}
  explicit JsonValue(std::string value) : value_(std::move(value)) {}
  explicit JsonValue(Array value) : value_(std::move(value)) {}
  explicit JsonValue(Object value) : value_(std::move(value)) {}

  // "null", "true or false", "a number", "a text", "a list", "an object": as errors name it.
  std::string_view kind_name() const noexcept;
  bool is_null() const noexcept { return std::holds_alternative<std::monostate>(value_); }
  // Each is empty (or nullptr) when the value is of another kind.
  std::optional<bool> boolean() const noexcept;
  std::optional<std::int64_t> integer() const noexcept;
  // Of an integer too.
  std::optional<double> number() const noexcept;
  const std::string* text() const noexcept { return std::get_if<std::string>(&value_); }
  const Array* array() const noexcept { return std::get_if<Array>(&value_); }
  const Object* object() const noexcept { return std::get_if<Object>(&value_); }
  // The member of an object; nullptr when there is none or this is no object. Linear in the number of members.
  const JsonValue* find(std::string_view name) const noexcept;

 private:
  friend class JsonTreeBuilder;
  std::variant<std::monostate, bool, std::int64_t, double, std::string, Array, Object> value_;
};

}  // namespace ff::report
