#include "tests/sim/ffs_cluster/cells.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cstring>

namespace ff::sim {

namespace {

constexpr std::size_t kRecordBytes = 64;
constexpr std::uint64_t kMagic = 0x4c4c45432d534646;  // "FFS-CELL"

using Record = std::array<std::uint64_t, kRecordBytes / 8>;

Record record_of(const Stamp& stamp, std::uint64_t file, std::uint64_t offset) {
  const std::uint64_t mixed = (stamp.sequence + 1) * 0x9e3779b97f4a7c15u ^ offset;
  return {kMagic, stamp.client, stamp.sequence, file, offset, mixed, ~mixed, mixed * 3};
}

Record read_record(std::span<const std::byte> bytes) {
  Record record;
  std::memcpy(record.data(), bytes.data(), kRecordBytes);
  return record;
}

std::string describe(const Record& record) {
  if (std::ranges::all_of(record, [](std::uint64_t word) { return word == 0; })) return "zeros";
  const Stamp stamp{static_cast<std::uint32_t>(record[1]), record[2]};
  if (record[0] != kMagic || record != record_of(stamp, record[3], record[4])) return "bytes that nobody wrote";
  return fmt::format("{} for file {} at {}", text(stamp), record[3], record[4]);
}

}  // namespace

std::string text(const Stamp& stamp) { return fmt::format("c{}#{}", stamp.client, stamp.sequence); }

std::vector<std::byte> stamped(const Stamp& stamp, std::uint64_t file, std::uint64_t offset, std::size_t bytes) {
  std::vector<std::byte> out(bytes);
  for (std::size_t at = 0; at < bytes; at += kRecordBytes) {
    const Record record = record_of(stamp, file, offset + at);
    std::memcpy(out.data() + at, record.data(), kRecordBytes);
  }
  return out;
}

Result<testing::RegisterValue> stamp_of(std::span<const std::byte> bytes, std::uint64_t file, std::uint64_t offset) {
  if (bytes.size() % kRecordBytes != 0)
    return fail(Errc::kCorrupt,
                fmt::format("file {} at {}: {} bytes: nobody made it so long", file, offset, bytes.size()));
  if (std::ranges::all_of(bytes, [](std::byte b) { return b == std::byte{0}; })) return testing::RegisterValue();
  const Record first = read_record(bytes);
  const Stamp stamp{static_cast<std::uint32_t>(first[1]), first[2]};
  for (std::size_t at = 0; at < bytes.size(); at += kRecordBytes) {
    const Record found = read_record(bytes.subspan(at));
    if (found == record_of(stamp, file, offset + at)) continue;
    return fail(Errc::kCorrupt, fmt::format("file {} at {}: holds {}, in a cell that begins with {}", file, offset + at,
                                            describe(found), describe(first)));
  }
  return testing::RegisterValue(text(stamp));
}

}  // namespace ff::sim
