// The code of what should have failed; nothing when it succeeded, so that a test fails instead of reading a value's
// bytes as an error.
#pragma once

#include <optional>

#include "libcommon/base/result.hpp"

namespace ff::net {

template <class T>
std::optional<Errc> code_of(const Result<T>& result) {
  return result ? std::nullopt : std::optional(result.error().code());
}
inline std::optional<Errc> code_of(const std::optional<Error>& error) {
  return error ? std::optional(error->code()) : std::nullopt;
}

}  // namespace ff::net
