#include "ffs/store/journal_record.hpp"

#include <algorithm>

#include "ffs/store/store_codec.hpp"
#include "libcommon/base/crc32c.hpp"

namespace ff::ffs {

namespace {

constexpr std::uint64_t kBatchMagic = 0x324e524a53534646;  // "FFSSJRN2"
constexpr std::size_t kRecordFixedMax = 640;               // of a state record, without CRCs and bytes

enum StateFlags : std::uint8_t { kHasCommitted = 1, kHasPending = 2, kRemoved = 4, kBad = 8 };

std::unexpected<Error> bad_record(const char* what) { return fail(Errc::kCorrupt, what); }

void begin_record(StoreEncoder& out, RecordKind kind, std::uint8_t flags, ChunkId chunk) {
  out.put(std::uint32_t{0});  // the size, see end_record()
  out.put(static_cast<std::uint8_t>(kind));
  out.put(flags);
  out.put(std::uint16_t{0});
  out.put(number(chunk.inode));
  out.put(chunk.index);
}

std::vector<std::byte> end_record(std::vector<std::byte> bytes) {
  bytes.resize((bytes.size() + 7) / 8 * 8);
  const auto size = static_cast<std::uint32_t>(bytes.size());
  std::memcpy(bytes.data(), &size, sizeof size);
  return bytes;
}

// CRCs as what differs from `base`, which the reader has.
void put_content(StoreEncoder& out, const StoredContent& content, std::span<const std::uint32_t> base) {
  const auto& crcs = content.crcs;
  std::size_t first = 0, last = crcs.size();
  const std::size_t common = std::min(base.size(), crcs.size());
  while (first < common && crcs[first] == base[first]) ++first;
  if (base.size() >= crcs.size()) {
    while (last > first && crcs[last - 1] == base[last - 1]) --last;
  }
  const BlockPlace place = content.block->place();
  out.put(place.size_class);
  out.put(std::uint8_t{0});
  out.put(std::uint16_t{0});
  out.put(place.index);
  out.put(content.length);
  out.put(static_cast<std::uint32_t>(first));
  out.put(static_cast<std::uint32_t>(last - first));
  for (std::size_t i = first; i < last; ++i) out.put(crcs[i]);
}

Result<ContentRecord> get_content(StoreDecoder& in, std::span<const std::uint32_t> base, std::uint32_t checksum_bytes) {
  ContentRecord out;
  out.place.size_class = in.get<std::uint8_t>();
  in.bytes(3);
  out.place.index = in.get<std::uint32_t>();
  out.length = in.get<std::uint32_t>();
  const std::uint64_t first = in.get<std::uint32_t>(), count = in.get<std::uint32_t>();
  if (!in.ok() || out.place.size_class >= kSizeClasses || out.length > out.place.bytes()) {
    return bad_record("a record names an impossible block");
  }
  const std::uint32_t blocks = checksum_blocks(out.length, checksum_bytes);
  if (first > blocks || count > blocks - first || (first + count < blocks && base.size() < blocks) ||
      first > base.size()) {
    return bad_record("a record's checksums do not fit its length");
  }
  out.crcs.assign(base.begin(), base.begin() + static_cast<std::ptrdiff_t>(std::min<std::size_t>(base.size(), blocks)));
  out.crcs.resize(blocks);
  for (std::uint64_t i = first; i < first + count; ++i) out.crcs[i] = in.get<std::uint32_t>();
  if (!in.ok()) return bad_record("a record's checksums are cut short");
  return out;
}

void put_committed(StoreEncoder& out, const CommittedState& state) {
  out.put(state.version);
  out.put(state.chain_version);
  out.put(state.truncate_epoch);
  out.put(state.chunk_bytes);
  out.put(std::uint32_t{0});
  for (const RememberedUpdate& update : state.recent) {
    out.put(update.tag.client);
    out.put(update.tag.sequence);
    out.put(update.version);
  }
}

CommittedState get_committed(StoreDecoder& in, std::uint8_t flags) {
  CommittedState state;
  state.version = in.get<std::uint64_t>();
  state.chain_version = in.get<std::uint64_t>();
  state.truncate_epoch = in.get<std::uint64_t>();
  state.chunk_bytes = in.get<std::uint32_t>();
  in.bytes(4);
  for (RememberedUpdate& update : state.recent) {
    update.tag.client = in.get<std::uint64_t>();
    update.tag.sequence = in.get<std::uint64_t>();
    update.version = in.get<std::uint64_t>();
  }
  state.removed = (flags & kRemoved) != 0;
  state.bad = (flags & kBad) != 0;
  return state;
}

void put_pending(StoreEncoder& out, const PendingState& state) {
  out.put(static_cast<std::uint32_t>(state.kind));
  out.put(state.chunk_bytes);
  out.put(state.version);
  out.put(state.chain_version);
  out.put(state.tag.client);
  out.put(state.tag.sequence);
  out.put(state.truncate_epoch);
  out.put(std::uint32_t{0});
  out.put(static_cast<std::uint32_t>(state.own.size()));
  for (const auto& [index, bytes] : state.own) {
    out.put(index);
    out.bytes(*bytes);
  }
}

Result<PendingState> get_pending(StoreDecoder& in, std::uint32_t checksum_bytes) {
  PendingState state;
  const auto kind = in.get<std::uint32_t>();
  if (kind < 1 || kind > 3) return bad_record("a record names an unknown kind of update");
  state.kind = static_cast<UpdateKind>(kind);
  state.chunk_bytes = in.get<std::uint32_t>();
  state.version = in.get<std::uint64_t>();
  state.chain_version = in.get<std::uint64_t>();
  state.tag.client = in.get<std::uint64_t>();
  state.tag.sequence = in.get<std::uint64_t>();
  state.truncate_epoch = in.get<std::uint64_t>();
  in.bytes(4);
  const auto own = in.get<std::uint32_t>();
  for (std::uint32_t i = 0; i < own && in.ok(); ++i) {
    const auto index = in.get<std::uint32_t>();
    const auto bytes = in.bytes(checksum_bytes);
    if (in.ok()) state.own.set(index, std::make_shared<const std::vector<std::byte>>(bytes.begin(), bytes.end()));
  }
  if (!in.ok()) return bad_record("a pending update is cut short");
  return state;
}

Result<StateRecord> get_state(StoreDecoder& in, std::uint8_t flags, std::uint32_t checksum_bytes) {
  StateRecord out;
  std::span<const std::uint32_t> base;
  if ((flags & kHasCommitted) != 0) {
    out.committed = get_committed(in, flags);
    FF_TRY_ASSIGN(out.committed_content, get_content(in, {}, checksum_bytes));
    base = out.committed_content.crcs;
  }
  if ((flags & kHasPending) != 0) {
    FF_TRY_ASSIGN(out.pending, get_pending(in, checksum_bytes));
    FF_TRY_ASSIGN(out.pending_content, get_content(in, base, checksum_bytes));
    if (!out.pending->own.empty() && out.pending->own.back().first >= out.pending_content.crcs.size()) {
      return bad_record("a record has bytes beyond its length");
    }
  }
  if (!in.ok() || (!out.committed && !out.pending)) return bad_record("a state record is cut short");
  return out;
}

Result<JournalRecord> get_record(std::span<const std::byte> bytes, std::uint32_t checksum_bytes) {
  StoreDecoder in(bytes);
  in.bytes(4);
  JournalRecord out;
  out.kind = static_cast<RecordKind>(in.get<std::uint8_t>());
  const auto flags = in.get<std::uint8_t>();
  in.bytes(2);
  out.chunk.inode = InodeId{in.get<std::uint64_t>()};
  out.chunk.index = in.get<std::uint64_t>();
  switch (out.kind) {
    case RecordKind::kState: {
      FF_TRY_ASSIGN(out.state, get_state(in, flags, checksum_bytes));
      break;
    }
    case RecordKind::kCommit:
      out.version = in.get<std::uint64_t>();
      out.chain_version = in.get<std::uint64_t>();
      break;
    case RecordKind::kBad: out.version = in.get<std::uint64_t>(); break;
    case RecordKind::kAbort:
    case RecordKind::kPurge: break;
    default: return bad_record("a record of an unknown kind");
  }
  if (!in.ok()) return bad_record("a record is cut short");
  return out;
}

}  // namespace

std::vector<std::byte> encode_batch_header(const BatchHeader& header) {
  std::vector<std::byte> bytes;
  StoreEncoder out(bytes);
  out.put(kBatchMagic);
  out.put(header.generation);
  out.put(header.sequence);
  out.put(header.position);
  out.put(header.payload_bytes);
  out.put(header.records);
  out.put(header.payload_crc);
  out.put(header.flags);
  bytes.resize(kBatchHeaderBytes - 4);
  out.put(crc32c(0, bytes.data(), bytes.size()));
  return bytes;
}

std::optional<BatchHeader> decode_batch_header(std::span<const std::byte> bytes) {
  if (bytes.size() < kBatchHeaderBytes) return std::nullopt;
  StoreDecoder in(bytes);
  if (in.get<std::uint64_t>() != kBatchMagic) return std::nullopt;
  BatchHeader out;
  out.generation = in.get<std::uint64_t>();
  out.sequence = in.get<std::uint64_t>();
  out.position = in.get<std::uint64_t>();
  out.payload_bytes = in.get<std::uint32_t>();
  out.records = in.get<std::uint32_t>();
  out.payload_crc = in.get<std::uint32_t>();
  out.flags = in.get<std::uint32_t>();
  StoreDecoder tail(bytes.subspan(kBatchHeaderBytes - 4));
  out.stamp = tail.get<std::uint32_t>();
  if (out.stamp != crc32c(0, bytes.data(), kBatchHeaderBytes - 4)) return std::nullopt;
  return out;
}

void encode_batch(BatchHeader header, std::span<const std::vector<std::byte>> records, std::span<std::byte> into) {
  header.payload_bytes = header.payload_crc = 0;
  for (const auto& record : records) {
    header.payload_bytes += static_cast<std::uint32_t>(record.size());
    header.payload_crc = crc32c(header.payload_crc, record.data(), record.size());
  }
  header.records = static_cast<std::uint32_t>(records.size());
  const auto first = encode_batch_header(header);
  std::size_t at = 0;  // in the sectors' payloads
  const auto put = [&](std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const std::size_t inside = at % kSectorPayloadBytes;
      const std::size_t piece = std::min(bytes.size(), kSectorPayloadBytes - inside);
      std::memcpy(into.data() + at / kSectorPayloadBytes * kSectorBytes + kSectorTagBytes + inside, bytes.data(),
                  piece);
      bytes = bytes.subspan(piece);
      at += piece;
    }
  };
  put(first);
  for (const auto& record : records) put(record);
  std::uint32_t stamp = 0;
  std::memcpy(&stamp, first.data() + kBatchHeaderBytes - 4, sizeof stamp);
  for (std::size_t s = 0; s < into.size(); s += kSectorBytes) seal_sector(into.subspan(s, kSectorBytes), stamp);
}

BatchState look_at_batch_start(std::span<const std::byte> sector, BatchHeader& header) {
  const SectorLook look = look_at_sector(sector);
  if (look.state == SectorState::kDamaged) return BatchState::kDamaged;
  if (look.state == SectorState::kEmpty) return BatchState::kTorn;
  const auto found = decode_batch_header(sector.subspan(kSectorTagBytes, kSectorPayloadBytes));
  if (!found || found->stamp != look.stamp) return BatchState::kTorn;
  header = *found;
  return BatchState::kWhole;
}

BatchLook look_at_batch(const BatchHeader& header, std::span<const std::byte> bytes) {
  BatchLook out{.state = BatchState::kWhole, .payload = {}};
  const std::size_t wanted = kBatchHeaderBytes + std::size_t{header.payload_bytes};
  out.payload.reserve(wanted);
  for (std::size_t at = 0; at < bytes.size(); at += kSectorBytes) {
    const auto sector = bytes.subspan(at, kSectorBytes);
    const SectorLook look = look_at_sector(sector);
    if (look.state == SectorState::kDamaged) return {.state = BatchState::kDamaged, .payload = {}};
    if (look.state == SectorState::kEmpty || look.stamp != header.stamp) out.state = BatchState::kTorn;
    const auto payload = sector.subspan(kSectorTagBytes, std::min(kSectorPayloadBytes, wanted - out.payload.size()));
    out.payload.insert(out.payload.end(), payload.begin(), payload.end());
  }
  out.payload.erase(out.payload.begin(), out.payload.begin() + kBatchHeaderBytes);
  const bool sound = crc32c(0, out.payload.data(), out.payload.size()) == header.payload_crc;
  if (out.state == BatchState::kWhole && !sound) out.state = BatchState::kDamaged;
  if (out.state != BatchState::kWhole) out.payload.clear();
  return out;
}

std::vector<std::byte> encode_state(ChunkId chunk, const CommittedState* committed, const PendingState* pending) {
  std::vector<std::byte> bytes;
  StoreEncoder out(bytes);
  std::uint8_t flags = 0;
  if (committed != nullptr) {
    flags |= kHasCommitted | (committed->removed ? kRemoved : 0) | (committed->bad ? kBad : 0);
  }
  if (pending != nullptr) flags |= kHasPending;
  begin_record(out, RecordKind::kState, flags, chunk);
  std::span<const std::uint32_t> base;
  if (committed != nullptr) {
    put_committed(out, *committed);
    put_content(out, *committed->content, {});
    base = committed->content->crcs;
  }
  if (pending != nullptr) {
    put_pending(out, *pending);
    put_content(out, *pending->content, base);
  }
  return end_record(std::move(bytes));
}

std::vector<std::byte> encode_commit(ChunkId chunk, ChunkVersion version, ChainVersion chain_version) {
  std::vector<std::byte> bytes;
  StoreEncoder out(bytes);
  begin_record(out, RecordKind::kCommit, 0, chunk);
  out.put(version);
  out.put(chain_version);
  return end_record(std::move(bytes));
}

std::vector<std::byte> encode_mark(RecordKind kind, ChunkId chunk) {
  std::vector<std::byte> bytes;
  StoreEncoder out(bytes);
  begin_record(out, kind, 0, chunk);
  return end_record(std::move(bytes));
}

std::vector<std::byte> encode_bad(ChunkId chunk, ChunkVersion version) {
  std::vector<std::byte> bytes;
  StoreEncoder out(bytes);
  begin_record(out, RecordKind::kBad, 0, chunk);
  out.put(version);
  return end_record(std::move(bytes));
}

std::uint64_t state_bytes_max(std::uint64_t crcs, std::uint64_t own_blocks, std::uint32_t checksum_bytes) noexcept {
  return kRecordFixedMax + 4 * crcs + own_blocks * (4 + std::uint64_t{checksum_bytes});
}

Result<std::vector<JournalRecord>> decode_records(std::span<const std::byte> payload, std::uint32_t records,
                                                  std::uint32_t checksum_bytes) {
  std::vector<JournalRecord> out;
  for (std::uint32_t i = 0; i < records; ++i) {
    StoreDecoder in(payload);
    const auto size = in.get<std::uint32_t>();
    if (!in.ok() || size < 24 || size % 8 != 0 || size > payload.size()) {
      return bad_record("a journal record's size is impossible");
    }
    FF_TRY_ASSIGN(auto record, get_record(payload.first(size), checksum_bytes));
    out.push_back(std::move(record));
    payload = payload.subspan(size);
  }
  if (!payload.empty()) return bad_record("bytes after the last record of a batch");
  return out;
}

}  // namespace ff::ffs
