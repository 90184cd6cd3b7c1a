// What the errors of sockets mean, for both backends.
#pragma once

#include <sys/uio.h>

#include <array>
#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

#include "libcommon/base/result.hpp"

namespace ff::runtime {

// kUnavailable for every way in which a peer can be gone or not there yet, kExhausted when we lack memory or
// descriptors, kIo otherwise. Positive errno.
Error socket_error(std::string_view operation, int error);
// A stream that ended before `into` was full.
Error early_end(std::size_t got, std::size_t expected);
// kInvalidArgument when one call cannot take so many parts.
Result<> check_parts(std::span<const iovec> parts);

// What is left to send of `parts`; few parts need no allocation.
class Unsent {
 public:
  explicit Unsent(std::span<const iovec> parts);
  Unsent(const Unsent&) = delete;
  Unsent& operator=(const Unsent&) = delete;
  void advance(std::size_t sent) noexcept;
  bool empty() const noexcept { return rest_.empty(); }
  std::span<iovec> parts() const noexcept { return rest_; }

 private:
  std::array<iovec, 8> few_;
  std::vector<iovec> many_;
  std::span<iovec> rest_;
};

}  // namespace ff::runtime
