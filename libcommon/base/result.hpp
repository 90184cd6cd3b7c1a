// Result<T>: a value or an Error. Expected failures are values here; exceptions stop at the wrapper that calls
// a throwing library. See CONTRIBUTING.md, "Errors".
#pragma once

#include <expected>
#include <utility>

#include "libcommon/base/error.hpp"

namespace ff {

template <class T = void>
using Result = std::expected<T, Error>;

// return fail(Errc::kNotFound, "rank 3: no such rank");
[[nodiscard]] inline std::unexpected<Error> fail(Errc code, std::string message, int sys_errno = 0) {
  return std::unexpected(Error(code, std::move(message), sys_errno));
}
[[nodiscard]] inline std::unexpected<Error> fail(Error error) { return std::unexpected(std::move(error)); }

}  // namespace ff

#define FF_CONCAT_INNER(a, b) a##b
#define FF_CONCAT(a, b) FF_CONCAT_INNER(a, b)

// Evaluates a Result; on error returns it from the enclosing function.
#define FF_TRY(expr)                                                                                           \
  do {                                                                                                         \
    if (auto ff_try_result = (expr); !ff_try_result) return std::unexpected(std::move(ff_try_result).error()); \
  } while (false)

// FF_TRY_ASSIGN(auto fd, open_file(path)); declares or assigns `lhs` from the value.
#define FF_TRY_ASSIGN(lhs, expr) FF_TRY_ASSIGN_INNER(FF_CONCAT(ff_try_, __LINE__), lhs, expr)
#define FF_TRY_ASSIGN_INNER(tmp, lhs, expr)                 \
  auto tmp = (expr);                                        \
  if (!tmp) return std::unexpected(std::move(tmp).error()); \
  lhs = std::move(*tmp)

// As FF_TRY, with what this layer knows: FF_TRY_CTX(read(fd), "read header");
#define FF_TRY_CTX(expr, what)                                                \
  do {                                                                        \
    if (auto ff_try_result = (expr); !ff_try_result)                          \
      return std::unexpected(std::move(ff_try_result).error().context(what)); \
  } while (false)
