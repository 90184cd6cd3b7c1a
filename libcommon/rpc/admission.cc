#include "libcommon/rpc/admission.hpp"

#include <algorithm>

#include "libcommon/base/assert.hpp"

namespace ff::rpc {

Admission::Verdict Admission::admit(Share& share, std::uint64_t bytes) noexcept {
  if (bytes > std::min(limits_.bytes, limits_.connection_bytes)) return Verdict::kTooLarge;
  if (total_.requests >= limits_.requests || bytes > limits_.bytes - total_.bytes) return Verdict::kServerFull;
  if (share.requests >= limits_.connection_requests || bytes > limits_.connection_bytes - share.bytes)
    return Verdict::kShareFull;
  for (Share* one : {&share, &total_}) {
    one->requests += 1;
    one->bytes += bytes;
  }
  return Verdict::kAdmitted;
}

void Admission::release(Share& share, std::uint64_t bytes) noexcept {
  for (Share* one : {&share, &total_}) {
    FF_ASSERT(one->requests > 0 && one->bytes >= bytes, one->requests, one->bytes, bytes);
    one->requests -= 1;
    one->bytes -= bytes;
  }
}

void Admission::served(runtime::Duration time) noexcept { service_ns_ += (time.count() - service_ns_) / 8; }

std::uint32_t Admission::retry_after_ms() const noexcept {
  return static_cast<std::uint32_t>(std::clamp<std::int64_t>(service_ns_ / 1'000'000, 1, 1000));
}

}  // namespace ff::rpc
