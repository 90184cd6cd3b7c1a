#include "libcommon/kv/store_record.hpp"

#include <fmt/core.h>

#include "libcommon/base/crc32c.hpp"

namespace ff::kv {

namespace {

constexpr std::uint8_t kLayout = 1;
constexpr std::size_t kCheckedBytes = 12;

void append(std::string& out, std::uint64_t value, std::size_t bytes) {
  for (std::size_t i = 0; i < bytes; ++i) out.push_back(static_cast<char>(value >> (8 * i)));
}

std::uint64_t load(std::string_view bytes, std::size_t offset, std::size_t count) {
  std::uint64_t value = 0;
  for (std::size_t i = count; i-- > 0;) value = value << 8 | static_cast<std::uint8_t>(bytes[offset + i]);
  return value;
}

std::uint32_t checksum(std::string_view bytes) { return crc32c(0, bytes.data(), kCheckedBytes); }

}  // namespace

std::string encode_record(RecordKind kind, std::uint64_t value) {
  std::string out = "FK";
  append(out, static_cast<std::uint64_t>(kind), 1);
  append(out, kLayout, 1);
  append(out, value, 8);
  append(out, checksum(out), 4);
  return out;
}

Result<std::uint64_t> decode_record(RecordKind kind, std::string_view bytes) {
  if (bytes.size() != kRecordBytes) {
    return fail(Errc::kCorrupt, fmt::format("a record of {} bytes instead of {}", bytes.size(), kRecordBytes));
  }
  if (!bytes.starts_with("FK")) return fail(Errc::kCorrupt, "a record that does not begin with FK");
  if (load(bytes, 12, 4) != checksum(bytes)) return fail(Errc::kCorrupt, "a record with a wrong checksum");
  if (load(bytes, 3, 1) != kLayout) {
    return fail(Errc::kCorrupt,
                fmt::format("a record of layout {}, this program reads {}", load(bytes, 3, 1), kLayout));
  }
  if (load(bytes, 2, 1) != static_cast<std::uint64_t>(kind)) {
    return fail(Errc::kCorrupt,
                fmt::format("a record of kind {} instead of {}", load(bytes, 2, 1), static_cast<unsigned>(kind)));
  }
  return load(bytes, 4, 8);
}

}  // namespace ff::kv
