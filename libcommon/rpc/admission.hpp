// Admission: how much work a server takes on at once, in requests and in bytes, for all its connections together and
// for each. Pure arithmetic over what is admitted and released.
//
// Bytes     Of a request: its message and the bulk it announces in either direction, since its handler holds both.
// Threads   One at a time.
#pragma once

#include <cstddef>
#include <cstdint>

#include "libcommon/runtime/time.hpp"

namespace ff::rpc {

struct AdmissionLimits {
  std::size_t requests = 8192;
  std::uint64_t bytes = 1ull << 30;
  std::size_t connection_requests = 1024;
  std::uint64_t connection_bytes = 256ull << 20;
};

class Admission {
 public:
  // What one connection has in flight.
  struct Share {
    std::size_t requests = 0;
    std::uint64_t bytes = 0;
  };
  enum class Verdict : std::uint8_t {
    kAdmitted,
    kServerFull,
    kShareFull,
    kTooLarge,  // would not be admitted into an idle server either
  };

  explicit Admission(AdmissionLimits limits) noexcept : limits_(limits) {}

  // Counts the request when the verdict is kAdmitted; release() it with the same bytes.
  Verdict admit(Share& share, std::uint64_t bytes) noexcept;
  void release(Share& share, std::uint64_t bytes) noexcept;
  // Nothing more should be read from this connection for now.
  bool full(const Share& share) const noexcept {
    return share.requests >= limits_.connection_requests || share.bytes >= limits_.connection_bytes;
  }

  // How long a handler took; the advice for those who are refused follows it.
  void served(runtime::Duration time) noexcept;
  // When trying again may help: about the time in which a handler ends, between 1 ms and 1 s.
  std::uint32_t retry_after_ms() const noexcept;

  const Share& total() const noexcept { return total_; }
  const AdmissionLimits& limits() const noexcept { return limits_; }

 private:
  AdmissionLimits limits_;
  Share total_;
  std::int64_t service_ns_ = 0;  // moving average, an eighth of it new
};

}  // namespace ff::rpc
