// Any bytes are records of a chunk store, or damage; what is read makes sense.
// The first byte chooses the reader: 0 journal records (second byte: how many), 1 table record (second byte: class),
// 2 batch, 3 superblock.
#include <cstdint>
#include <span>

#include "ffs/store/journal_record.hpp"
#include "ffs/store/superblock.hpp"
#include "ffs/store/table_record.hpp"
#include "libcommon/base/assert.hpp"

namespace {

using namespace ff::ffs;
using Bytes = std::span<const std::byte>;

constexpr std::uint32_t kUnit = 4096;

void journal_records(Bytes bytes, std::uint32_t count) {
  const auto records = decode_records(bytes, count, kUnit);
  if (!records) {
    FF_ASSERT(records.error().code() == ff::Errc::kCorrupt, records.error().message());
    return;
  }
  FF_ASSERT(records->size() == count, count);
  for (const JournalRecord& record : *records) {
    if (record.kind != RecordKind::kState) continue;
    const StateRecord& state = record.state;
    FF_ASSERT(state.committed || state.pending);
    if (state.committed) {
      const ContentRecord& content = state.committed_content;
      FF_ASSERT(content.crcs.size() == checksum_blocks(content.length, kUnit), content.length);
    }
    if (state.pending) {
      const ContentRecord& content = state.pending_content;
      FF_ASSERT(content.crcs.size() == checksum_blocks(content.length, kUnit), content.length);
      for (const auto& [index, own] : state.pending->own) FF_ASSERT(index < content.crcs.size(), index);
    }
  }
}

void table_record(Bytes bytes, unsigned size_class) {
  const auto record = decode_table_record(bytes, size_class, kUnit);
  if (!record) {
    FF_ASSERT(record.error().code() == ff::Errc::kCorrupt, record.error().message());
    return;
  }
  if (!*record) return;
  FF_ASSERT((*record)->length <= class_bytes(size_class), (*record)->length);
  FF_ASSERT((*record)->crcs.size() == checksum_blocks((*record)->length, kUnit), (*record)->length);
}

void batch(Bytes bytes) {
  if (bytes.size() < kSectorBytes) return;
  BatchHeader header;
  if (look_at_batch_start(bytes.first(kSectorBytes), header) != BatchState::kWhole) return;
  if (batch_bytes(header.payload_bytes) > bytes.size()) return;
  const BatchLook look = look_at_batch(header, bytes.first(batch_bytes(header.payload_bytes)));
  if (look.state == BatchState::kWhole) journal_records(look.payload, header.records);
}

void superblock(Bytes bytes) {
  const auto decoded = decode_superblock(bytes);
  if (decoded) FF_ASSERT(decode_superblock(encode_superblock(*decoded))->identity.target == decoded->identity.target);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return 0;
  const auto bytes = std::as_bytes(std::span(data, size)).subspan(2);
  switch (data[0]) {
    case 0: journal_records(bytes, data[1]); break;
    case 1: table_record(bytes, data[1] % kSizeClasses); break;
    case 2: batch(bytes); break;
    case 3: superblock(bytes); break;
    default: break;
  }
  return 0;
}
