// Error: what went wrong, told once a layer, with a code that says what the caller should do next.
//
// Ownership  A value type; copying copies the text.
// Threads    As std::string: distinct objects are independent.
// Messages   "object: reason (how to fix)". Each layer that knows more prepends it with context().
// Stability  Errc values appear in JSON output by name (errc_name); names are never reused.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace ff {

enum class Errc : std::uint8_t {
  kInvalidArgument,  // the caller must change the request
  kNotFound,
  kAlreadyExists,
  kPermission,
  kCorrupt,      // data failed a check
  kIo,           // the operating system refused; errno rides along
  kTimeout,      // a deadline passed
  kUnavailable,  // a peer is gone or not there yet
  kExhausted,    // a bound was reached; less or later may work
  kUnsupported,  // not on this machine or in this build
  kCancelled,    // somebody asked to stop
  kInternal,     // a bug of ours
};

// "invalid_argument", "timeout", ...
std::string_view errc_name(Errc code) noexcept;

class Error {
 public:
  Error(Errc code, std::string message, int sys_errno = 0)
      : code_(code), errno_(sys_errno), message_(std::move(message)) {}

  Errc code() const noexcept { return code_; }
  // 0 when no system call failed.
  int sys_errno() const noexcept { return errno_; }
  const std::string& message() const noexcept { return message_; }

  // "what: " + message. Returns *this so that it can be chained in a return.
  Error context(std::string_view what) &&;

 private:
  Errc code_;
  int errno_;
  std::string message_;
};

// Error of the system call that just failed: "what: No such file or directory", with the code that fits errno.
Error errno_error(std::string_view what, int sys_errno);
// The same with the current errno.
Error errno_error(std::string_view what);

}  // namespace ff
