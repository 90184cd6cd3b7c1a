// Values of the namespace: a version byte and a protobuf message of records.proto; counters as kv's atomics keep them.
#pragma once

#include <fmt/core.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "ffs/meta/meta.pb.h"
#include "ffs/meta/records.pb.h"
#include "libcommon/base/result.hpp"

namespace ff::ffs {

inline constexpr char kRecordVersion = 1;

template <class Record>
std::string encode_record(const Record& record) {
  std::string bytes(1, kRecordVersion);
  record.AppendToString(&bytes);
  return bytes;
}

// kUnsupported: written by a newer program; kCorrupt. The error names `what`.
template <class Record>
Result<Record> decode_record(std::string_view bytes, const char* what) {
  if (bytes.empty()) return fail(Errc::kCorrupt, fmt::format("{}: an empty record (run fffsck)", what));
  if (bytes.front() != kRecordVersion) {
    return fail(Errc::kUnsupported, fmt::format("{}: a record of format {}, this program knows {} (upgrade it)", what,
                                                static_cast<unsigned char>(bytes.front()), int{kRecordVersion}));
  }
  Record record;
  if (!record.ParseFromArray(bytes.data() + 1, static_cast<int>(bytes.size() - 1))) {
    return fail(Errc::kCorrupt, fmt::format("{}: a record that cannot be read (run fffsck)", what));
  }
  return record;
}

// Eight bytes, little-endian. kCorrupt.
Result<std::uint64_t> decode_count(std::string_view bytes, const char* what);

// Nanoseconds since 1970, and back.
std::int64_t nanoseconds_of(const Timestamp& time) noexcept;
Timestamp timestamp_of(std::int64_t nanoseconds);

}  // namespace ff::ffs
