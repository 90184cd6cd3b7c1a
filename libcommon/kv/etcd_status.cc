#include "libcommon/kv/etcd_status.hpp"

#include <fmt/core.h>

#include <string_view>

namespace ff::kv {

namespace {

// Of gRPC's protocol.
enum Code : int {
  kInvalidArgument = 3,
  kDeadlineExceeded = 4,
  kNotFound = 5,
  kPermissionDenied = 7,
  kResourceExhausted = 8,
  kFailedPrecondition = 9,
  kOutOfRange = 11,
  kUnimplemented = 12,
  kUnavailable = 14,
  kUnauthenticated = 16,
};

bool says(const EtcdFailure& failure, std::string_view text) { return failure.message.find(text) != std::string::npos; }

bool from_etcd(const EtcdFailure& failure) { return failure.message.starts_with("etcdserver:"); }

// Unavailable is said of a call that never left, of one that was under way when the connection broke, and by etcd while
// it waits for Raft. Only what surely comes before the request was handed on is not applied.
bool never_handed_on(const EtcdFailure& failure) {
  return says(failure, "etcdserver: no leader") || says(failure, "etcdserver: not capable") ||
         says(failure, "failed to connect to all addresses") || says(failure, "connections to all backends failing") ||
         says(failure, "raft proposal dropped");
}

Errc errc_of(const EtcdFailure& failure) {
  switch (failure.code) {
    case kInvalidArgument:
      return says(failure, "too large") || says(failure, "too many operations") ? Errc::kExhausted
                                                                                : Errc::kInvalidArgument;
    case kNotFound: return Errc::kNotFound;
    case kPermissionDenied:
    case kUnauthenticated: return Errc::kPermission;
    case kResourceExhausted: return says(failure, "too many requests") ? Errc::kUnavailable : Errc::kExhausted;
    case kUnimplemented: return Errc::kUnsupported;
    case kDeadlineExceeded: return Errc::kTimeout;
    default: return Errc::kUnavailable;
  }
}

std::string_view advice(const EtcdFailure& failure) {
  if (is_out_of_space(failure)) {
    return " (compact and defragment, or raise --quota-backend-bytes, then 'etcdctl alarm disarm')";
  }
  if (says(failure, "has been compacted")) return " (the snapshot is too old: begin again)";
  if (failure.code == kDeadlineExceeded || says(failure, "no leader") || says(failure, "timed out")) {
    return " (does a majority of the members run?)";
  }
  if (failure.code == kUnavailable) return " (does the member run, and is this its client port?)";
  if (failure.code == kPermissionDenied || failure.code == kUnauthenticated || says(failure, "auth")) {
    return " (etcd users and passwords are not spoken: disable them)";
  }
  return "";
}

}  // namespace

EtcdMeaning meaning_of(const EtcdFailure& failure) {
  if (never_handed_on(failure)) return EtcdMeaning::kNotApplied;
  switch (failure.code) {
    case kOutOfRange:
      if (says(failure, "future revision")) return EtcdMeaning::kFuture;
      if (says(failure, "has been compacted")) return EtcdMeaning::kCompacted;
      return EtcdMeaning::kRefused;
    case kResourceExhausted:
      // gRPC says it too, of answers that are too long: etcd may have done what it was asked.
      if (!from_etcd(failure)) return EtcdMeaning::kUnknown;
      return says(failure, "too many requests") ? EtcdMeaning::kNotApplied : EtcdMeaning::kRefused;
    case kUnimplemented: return EtcdMeaning::kRefused;
    case kInvalidArgument:
    case kNotFound:
    case kPermissionDenied:
    case kFailedPrecondition:
    case kUnauthenticated: return EtcdMeaning::kRefused;
    default: return EtcdMeaning::kUnknown;
  }
}

EtcdMeaning meaning_of_commit(const EtcdFailure& failure) {
  return is_out_of_space(failure) ? EtcdMeaning::kUnknown : meaning_of(failure);
}

bool is_out_of_space(const EtcdFailure& failure) { return says(failure, "database space exceeded"); }

Error etcd_error(const std::string& endpoint, const EtcdFailure& failure) {
  return {errc_of(failure), fmt::format("{}: {}{}", endpoint, failure.message, advice(failure))};
}

}  // namespace ff::kv
