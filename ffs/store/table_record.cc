#include "ffs/store/table_record.hpp"

#include "ffs/store/store_codec.hpp"
#include "libcommon/base/crc32c.hpp"

namespace ff::ffs {

namespace {

constexpr std::uint32_t kTableMagic = 0x42544646;  // "FFTB"
constexpr std::size_t kHeaderCrcAt = kTableHeaderBytes - 4;
enum TableFlags : std::uint32_t { kTableRemoved = 1, kTableBad = 2 };

}  // namespace

std::vector<std::byte> encode_table_record(ChunkId chunk, const CommittedState& state, std::uint32_t checksum_bytes) {
  std::vector<std::byte> bytes;
  StoreEncoder out(bytes);
  const auto& crcs = state.content->crcs;
  out.put(kTableMagic);
  out.put(static_cast<std::uint32_t>((state.removed ? kTableRemoved : 0) | (state.bad ? kTableBad : 0)));
  out.put(number(chunk.inode));
  out.put(chunk.index);
  out.put(state.version);
  out.put(state.chain_version);
  out.put(state.truncate_epoch);
  out.put(state.chunk_bytes);
  out.put(state.content->length);
  for (const RememberedUpdate& update : state.recent) {
    out.put(update.tag.client);
    out.put(update.tag.sequence);
    out.put(update.version);
  }
  out.put(crc32c(0, crcs.data(), crcs.size() * 4));
  bytes.resize(kHeaderCrcAt);
  out.put(crc32c(0, bytes.data(), bytes.size()));
  for (const std::uint32_t crc : crcs) out.put(crc);
  bytes.resize(table_record_bytes(state.content->block->place().size_class, checksum_bytes));
  return bytes;
}

Result<std::optional<TableRecord>> decode_table_record(std::span<const std::byte> bytes, unsigned size_class,
                                                       std::uint32_t checksum_bytes) {
  if (bytes.size() < table_record_bytes(size_class, checksum_bytes)) {
    return fail(Errc::kCorrupt, "the table ends within a record");
  }
  const auto header = bytes.first(kTableHeaderBytes);
  if (header[0] == std::byte{0}) return std::optional<TableRecord>();
  StoreDecoder tail(header.subspan(kHeaderCrcAt));
  StoreDecoder in(header);
  const auto magic = in.get<std::uint32_t>();
  if (magic != kTableMagic || tail.get<std::uint32_t>() != crc32c(0, header.data(), kHeaderCrcAt)) {
    return fail(Errc::kCorrupt, "the record's checksum is wrong");
  }
  TableRecord out;
  const auto flags = in.get<std::uint32_t>();
  out.state.removed = (flags & kTableRemoved) != 0;
  out.state.bad = (flags & kTableBad) != 0;
  out.chunk.inode = InodeId{in.get<std::uint64_t>()};
  out.chunk.index = in.get<std::uint64_t>();
  out.state.version = in.get<std::uint64_t>();
  out.state.chain_version = in.get<std::uint64_t>();
  out.state.truncate_epoch = in.get<std::uint64_t>();
  out.state.chunk_bytes = in.get<std::uint32_t>();
  out.length = in.get<std::uint32_t>();
  for (RememberedUpdate& update : out.state.recent) {
    update.tag.client = in.get<std::uint64_t>();
    update.tag.sequence = in.get<std::uint64_t>();
    update.version = in.get<std::uint64_t>();
  }
  const auto list_crc = in.get<std::uint32_t>();
  if (out.length > class_bytes(size_class)) return fail(Errc::kCorrupt, "the record's length exceeds its block");
  StoreDecoder list(bytes.subspan(kTableHeaderBytes));
  out.crcs.resize(checksum_blocks(out.length, checksum_bytes));
  for (std::uint32_t& crc : out.crcs) crc = list.get<std::uint32_t>();
  out.crcs_ok = crc32c(0, out.crcs.data(), out.crcs.size() * 4) == list_crc;
  return out;
}

}  // namespace ff::ffs
