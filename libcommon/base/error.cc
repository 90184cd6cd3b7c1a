#include "libcommon/base/error.hpp"

#include <cerrno>
#include <system_error>

namespace ff {

std::string_view errc_name(Errc code) noexcept {
  switch (code) {
    case Errc::kInvalidArgument: return "invalid_argument";
    case Errc::kNotFound: return "not_found";
    case Errc::kAlreadyExists: return "already_exists";
    case Errc::kPermission: return "permission";
    case Errc::kCorrupt: return "corrupt";
    case Errc::kIo: return "io";
    case Errc::kTimeout: return "timeout";
    case Errc::kUnavailable: return "unavailable";
    case Errc::kExhausted: return "exhausted";
    case Errc::kUnsupported: return "unsupported";
    case Errc::kCancelled: return "cancelled";
    case Errc::kInternal: return "internal";
  }
  return "unknown";
}

Error Error::context(std::string_view what) && {
  std::string joined;
  joined.reserve(what.size() + 2 + message_.size());
  joined.append(what).append(": ").append(message_);
  message_ = std::move(joined);
  return std::move(*this);
}

namespace {

Errc errc_of(int sys_errno) noexcept {
  switch (sys_errno) {
    case EINVAL:
    case E2BIG:
    case ENAMETOOLONG: return Errc::kInvalidArgument;
    case ENOENT:
    case ENODEV:
    case ESRCH: return Errc::kNotFound;
    case EEXIST:
    case EADDRINUSE: return Errc::kAlreadyExists;
    case EACCES:
    case EPERM: return Errc::kPermission;
    case ETIMEDOUT: return Errc::kTimeout;
    case ECONNREFUSED:
    case ECONNRESET:
    case EPIPE:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case ENOTCONN: return Errc::kUnavailable;
    case ENOMEM:
    case ENOSPC:
    case EMFILE:
    case ENFILE:
    case EDQUOT: return Errc::kExhausted;
    case ENOSYS:
    case EOPNOTSUPP: return Errc::kUnsupported;
    case ECANCELED: return Errc::kCancelled;
    default: return Errc::kIo;
  }
}

}  // namespace

Error errno_error(std::string_view what, int sys_errno) {
  // generic_category().message is thread-safe, unlike strerror.
  return Error(errc_of(sys_errno), std::string(what) + ": " + std::generic_category().message(sys_errno), sys_errno);
}

Error errno_error(std::string_view what) { return errno_error(what, errno); }

}  // namespace ff
