// What is known of a method at compile time; the generated code makes these.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace ff::rpc {

// The standard option `idempotency_level` of a method in its .proto file.
enum class Idempotency : std::uint8_t {
  kUnknown,        // running it twice is not running it once
  kNoSideEffects,  // reads
  kIdempotent,     // writes that may be repeated
};

struct MethodInfo {
  std::string_view service;  // "package.Service"
  std::string_view name;     // "Method"
  std::uint32_t id = 0;      // method_id() of both, joined by '/'
  Idempotency idempotency = Idempotency::kUnknown;

  std::string full_name() const { return std::string(service) + '/' + std::string(name); }
  bool repeatable() const noexcept { return idempotency != Idempotency::kUnknown; }
};

}  // namespace ff::rpc
