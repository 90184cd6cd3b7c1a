// The records that the embedded engine keeps about itself, beside the users' keys.
//
//   offset  bytes
//   0       2      "FK"
//   2       1      kind
//   3       1      layout, 1
//   4       8      value, little-endian
//   12      4      CRC-32C of bytes 0 to 11, little-endian
//
// Values of users are stored as they are, without a tag: RocksDB checks blocks and log records by checksums already,
// the layout of the whole store is stated once by the kFormat record, and a tag would cost a copy of every value that
// is read. Kinds and the layout's numbers are never reused.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "libcommon/base/result.hpp"

namespace ff::kv {

enum class RecordKind : std::uint8_t {
  kFormat = 1,       // value: kStoreFormat when the store was made
  kLastVersion = 2,  // value: the last commit's version
  kLeaseEpoch = 3,   // value: the epoch of the last holder of a lease
};

inline constexpr std::uint64_t kStoreFormat = 1;
inline constexpr std::size_t kRecordBytes = 16;

std::string encode_record(RecordKind kind, std::uint64_t value);
// kCorrupt: not of this kind and layout, or damaged. The message has no object; the caller knows it.
Result<std::uint64_t> decode_record(RecordKind kind, std::string_view bytes);

}  // namespace ff::kv
