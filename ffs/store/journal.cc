#include "ffs/store/journal.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "ffs/store/store_codec.hpp"
#include "libcommon/base/assert.hpp"
#include "libcommon/base/crc32c.hpp"

namespace ff::ffs {

using runtime::Task;

namespace {

constexpr std::uint64_t kHeadMagic = 0x3248524a53534646;  // "FFSSJRH2"
constexpr std::size_t kHeadUsedBytes = 48;
constexpr std::size_t kTransfer = 1u << 20;

}  // namespace

std::vector<std::byte> encode_journal_head(const JournalHead& head) {
  std::vector<std::byte> bytes;
  StoreEncoder out(bytes);
  out.put(kHeadMagic);
  out.put(head.generation);
  out.put(head.writes);
  out.put(head.position);
  out.put(head.sequence);
  out.put(std::uint32_t{0});
  out.put(crc32c(0, bytes.data(), bytes.size()));
  return bytes;
}

std::optional<JournalHead> decode_journal_head(std::span<const std::byte> bytes) {
  if (bytes.size() < kHeadUsedBytes) return std::nullopt;
  StoreDecoder in(bytes);
  if (in.get<std::uint64_t>() != kHeadMagic) return std::nullopt;
  JournalHead head;
  head.generation = in.get<std::uint64_t>();
  head.writes = in.get<std::uint64_t>();
  head.position = in.get<std::uint64_t>();
  head.sequence = in.get<std::uint64_t>();
  in.bytes(4);
  if (in.get<std::uint32_t>() != crc32c(0, bytes.data(), kHeadUsedBytes - 4)) return std::nullopt;
  return head;
}

Task<Result<>> Journal::create(runtime::Disk& disk, std::string path, std::uint64_t ring_bytes,
                               std::uint64_t generation) {
  FF_CO_TRY_ASSIGN(auto file, co_await disk.open(path, {.write = true, .create = true, .exclusive = true}));
  const std::uint64_t total = kJournalRingAt + ring_bytes;
  FF_CO_TRY(co_await file->allocate(0, total));
  const std::vector<std::byte> zeros(std::min<std::uint64_t>(kTransfer, total));
  for (std::uint64_t at = 0; at < total; at += zeros.size()) {
    const auto piece = std::span(zeros).first(std::min<std::uint64_t>(zeros.size(), total - at));
    FF_CO_TRY(co_await file->write(at, piece));
  }
  const auto head = encode_journal_head({.generation = generation, .writes = 1, .position = 0, .sequence = 1});
  FF_CO_TRY(co_await file->write(kJournalHeadBytes, head));
  FF_CO_TRY(co_await file->sync());
  co_return co_await file->close();
}

Task<Result<std::optional<JournalHead>>> Journal::read_head(std::uint64_t at) {
  FF_CO_TRY_ASSIGN(auto buffer, disk_.buffer(kJournalHeadBytes));
  FF_CO_TRY_ASSIGN(const std::size_t got, co_await file_.read(at, buffer.span()));
  co_return decode_journal_head(buffer.span().first(got));
}

Task<Result<>> Journal::load_head() {
  std::optional<JournalHead> newest;
  std::optional<Error> unread;
  bool foreign = false;
  for (const std::uint64_t at : {std::uint64_t{0}, std::uint64_t{kJournalHeadBytes}}) {
    auto head = co_await read_head(at);
    if (!head) {
      unread = std::move(head).error();
      continue;
    }
    if (!*head) continue;
    if ((*head)->generation != generation_) {
      foreign = true;
    } else if (!newest || (*head)->writes > newest->writes) {
      newest = **head;
    }
  }
  if (!newest && unread) co_return std::unexpected(std::move(*unread));
  if (!newest && foreign) {
    co_return fail(Errc::kCorrupt, "journal: it is another store's (are the files of two stores mixed?)");
  }
  if (!newest) co_return fail(Errc::kCorrupt, "journal: no copy of its head is good");
  head_ = *newest;
  tail_ = head_.position;
  next_sequence_ = head_.sequence;
  co_return {};
}

Task<Result<>> Journal::read_ring(std::uint64_t position, std::span<std::byte> into) {
  while (!into.empty()) {
    const std::uint64_t at = position % ring_bytes_;
    const std::size_t piece = std::min<std::uint64_t>({into.size(), ring_bytes_ - at, kTransfer});
    FF_CO_TRY_ASSIGN(const std::size_t got, co_await file_.read(kJournalRingAt + at, into.first(piece)));
    if (got < piece) co_return fail(Errc::kCorrupt, "journal: cut short");
    position += piece;
    into = into.subspan(piece);
  }
  co_return {};
}

Task<Result<>> Journal::write_ring(std::uint64_t position, std::span<const std::byte> from) {
  while (!from.empty()) {
    const std::uint64_t at = position % ring_bytes_;
    const std::size_t piece = std::min<std::uint64_t>(from.size(), ring_bytes_ - at);
    FF_CO_TRY(co_await file_.write(kJournalRingAt + at, from.first(piece)));
    position += piece;
    from = from.subspan(piece);
  }
  co_return {};
}

Task<Result<std::optional<JournalBatch>>> Journal::read_next(std::uint32_t checksum_bytes) {
  if (used() + kJournalUnit > ring_bytes_) co_return std::optional<JournalBatch>();
  const auto damaged = [this](const char* what) {
    return fail(Errc::kCorrupt,
                fmt::format("journal: batch {}: {}; what it says may have been acknowledged", next_sequence_, what));
  };
  FF_CO_TRY_ASSIGN(auto first, disk_.buffer(kJournalUnit));
  FF_CO_TRY(co_await read_ring(tail_, first.span()));
  BatchHeader header;
  const BatchState start = look_at_batch_start(first.span().first(kSectorBytes), header);
  if (start == BatchState::kDamaged) co_return damaged("the disk has changed its first sector");
  if (start == BatchState::kTorn || header.generation != generation_ || header.sequence != next_sequence_ ||
      header.position != tail_) {
    co_return std::optional<JournalBatch>();
  }
  const std::uint64_t bytes = batch_bytes(header.payload_bytes);
  if (used() + bytes > ring_bytes_) co_return damaged("its size is impossible");
  FF_CO_TRY_ASSIGN(auto whole, disk_.buffer(bytes));
  FF_CO_TRY(co_await read_ring(tail_, whole.span()));
  const BatchLook look = look_at_batch(header, whole.span());
  if (look.state == BatchState::kDamaged) co_return damaged("the disk has changed it");
  if (look.state == BatchState::kTorn) co_return std::optional<JournalBatch>();
  JournalBatch batch{.header = header, .records = {}};
  FF_CO_TRY_ASSIGN(batch.records, decode_records(look.payload, header.records, checksum_bytes));
  tail_ += bytes;
  ++next_sequence_;
  last_read_ = std::move(whole);
  co_return std::optional(std::move(batch));
}

bool Journal::later_batch(std::span<const std::byte> unit, std::uint64_t position) const {
  BatchHeader header;
  return look_at_batch_start(unit.first(kSectorBytes), header) == BatchState::kWhole &&
         header.generation == generation_ && header.sequence > next_sequence_ && header.position == position;
}

// What cannot be read there is no batch that anybody needs, or else one before it would be missing too.
Task<Result<>> Journal::check_end() {
  FF_CO_TRY_ASSIGN(auto buffer, disk_.buffer(kTransfer));
  const std::uint64_t end = head_.position + ring_bytes_;
  for (std::uint64_t at = tail_; at < end; at += kTransfer) {
    const auto part = buffer.span().first(std::min<std::uint64_t>(kTransfer, end - at));
    const Result<> read = co_await read_ring(at, part);
    if (!read && read.error().code() != Errc::kIo) co_return read;
    for (std::size_t unit = 0; unit < part.size(); unit += kJournalUnit) {
      const auto bytes = part.subspan(unit, kJournalUnit);
      if (!read && !co_await read_ring(at + unit, bytes)) continue;
      if (later_batch(bytes, at + unit)) {
        co_return fail(Errc::kCorrupt,
                       fmt::format("journal: batch {} is not there, but later ones are", next_sequence_));
      }
    }
  }
  co_return {};
}

Task<Result<>> Journal::make_durable() {
  if (last_read_.size() > 0) {
    FF_CO_TRY(co_await write_ring(tail_ - last_read_.size(), last_read_.span()));
    last_read_ = {};
  }
  co_return co_await write_head(head_);
}

Task<Result<>> Journal::append(std::vector<std::vector<std::byte>> records, std::uint32_t flags) {
  std::uint64_t payload_bytes = 0;
  for (const auto& record : records) payload_bytes += record.size();
  const std::uint64_t total = batch_bytes(payload_bytes);
  FF_ASSERT(used() + total <= ring_bytes_, used(), total, ring_bytes_);
  FF_CO_TRY_ASSIGN(auto buffer, disk_.buffer(total));
  encode_batch({.generation = generation_, .sequence = next_sequence_, .position = tail_, .flags = flags}, records,
               buffer.span());
  const std::uint64_t position = tail_;
  tail_ += total;
  ++next_sequence_;
  Result<> written = co_await write_ring(position, buffer.span());
  if (!written) {
    // What a failed write leaves may look like what the disk has changed. Nobody will be told that this batch is there:
    // if the disk lets it, let nothing be there.
    std::ranges::fill(buffer.span(), std::byte{0});
    if (co_await write_ring(position, buffer.span())) (void)co_await file_.sync();
  }
  co_return written;
}

Task<Result<>> Journal::write_head(JournalHead head) {
  head.writes = head_.writes + 1;
  FF_CO_TRY_ASSIGN(auto buffer, disk_.buffer(kJournalHeadBytes));
  std::ranges::copy(encode_journal_head(head), buffer.data());
  FF_CO_TRY(co_await file_.write(head.writes % 2 * kJournalHeadBytes, buffer.span()));
  FF_CO_TRY(co_await file_.sync());
  head_ = head;
  co_return {};
}

Task<Result<>> Journal::set_head(std::uint64_t position, std::uint64_t sequence) {
  co_return co_await write_head({.generation = generation_, .position = position, .sequence = sequence});
}

}  // namespace ff::ffs
