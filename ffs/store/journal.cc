#include "ffs/store/journal.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "ffs/store/store_codec.hpp"
#include "libcommon/base/assert.hpp"
#include "libcommon/base/crc32c.hpp"

namespace ff::ffs {

using runtime::Task;

namespace {

constexpr std::uint64_t kHeadMagic = 0x3148524a53534646;  // "FFSSJRH1"
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

Task<Result<>> Journal::load_head() {
  FF_CO_TRY_ASSIGN(auto buffer, disk_.buffer(kJournalRingAt));
  FF_CO_TRY_ASSIGN(const std::size_t got, co_await file_.read(0, buffer.span()));
  if (got < kJournalRingAt) co_return fail(Errc::kCorrupt, "journal: cut short");
  std::optional<JournalHead> newest;
  for (std::size_t at : {std::size_t{0}, kJournalHeadBytes}) {
    const auto head = decode_journal_head(buffer.span().subspan(at, kJournalHeadBytes));
    if (head && head->generation == generation_ && (!newest || head->writes > newest->writes)) newest = head;
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
  FF_CO_TRY_ASSIGN(auto first, disk_.buffer(kJournalUnit));
  FF_CO_TRY(co_await read_ring(tail_, first.span()));
  const auto header = decode_batch_header(first.span());
  if (!header || header->generation != generation_ || header->sequence != next_sequence_ || header->position != tail_ ||
      used() + batch_bytes(header->payload_bytes) > ring_bytes_) {
    co_return std::optional<JournalBatch>();
  }
  FF_CO_TRY_ASSIGN(auto whole, disk_.buffer(batch_bytes(header->payload_bytes)));
  FF_CO_TRY(co_await read_ring(tail_, whole.span()));
  const auto payload = whole.span().subspan(kBatchHeaderBytes, header->payload_bytes);
  if (crc32c(0, payload.data(), payload.size()) != header->payload_crc) co_return std::optional<JournalBatch>();
  JournalBatch batch{.header = *header, .records = {}};
  FF_CO_TRY_ASSIGN(batch.records, decode_records(payload, header->records, checksum_bytes));
  tail_ += batch_bytes(header->payload_bytes);
  ++next_sequence_;
  co_return std::optional(std::move(batch));
}

Task<Result<>> Journal::check_end() {
  FF_CO_TRY_ASSIGN(auto buffer, disk_.buffer(kTransfer));
  const std::uint64_t end = head_.position + ring_bytes_;
  for (std::uint64_t at = tail_; at < end; at += kTransfer) {
    const auto part = buffer.span().first(std::min<std::uint64_t>(kTransfer, end - at));
    FF_CO_TRY(co_await read_ring(at, part));
    for (std::size_t unit = 0; unit < part.size(); unit += kJournalUnit) {
      const auto header = decode_batch_header(part.subspan(unit, kJournalUnit));
      if (header && header->generation == generation_ && header->sequence > next_sequence_ &&
          header->position == at + unit) {
        co_return fail(Errc::kCorrupt, fmt::format("journal: batch {} is damaged but batch {} is there", next_sequence_,
                                                   header->sequence));
      }
    }
  }
  co_return {};
}

Task<Result<>> Journal::append(std::vector<std::vector<std::byte>> records, std::uint64_t durable) {
  std::uint64_t payload_bytes = 0;
  for (const auto& record : records) payload_bytes += record.size();
  const std::uint64_t total = batch_bytes(payload_bytes);
  FF_ASSERT(used() + total <= ring_bytes_, used(), total, ring_bytes_);
  FF_CO_TRY_ASSIGN(auto buffer, disk_.buffer(total));
  std::byte* to = buffer.data() + kBatchHeaderBytes;
  for (const auto& record : records) to = std::ranges::copy(record, to).out;
  const auto header = encode_batch_header({.generation = generation_,
                                           .sequence = next_sequence_,
                                           .durable = durable,
                                           .position = tail_,
                                           .payload_bytes = static_cast<std::uint32_t>(payload_bytes),
                                           .records = static_cast<std::uint32_t>(records.size()),
                                           .payload_crc = crc32c(0, buffer.data() + kBatchHeaderBytes, payload_bytes)});
  std::ranges::copy(header, buffer.data());
  const std::uint64_t position = tail_;
  tail_ += total;
  ++next_sequence_;
  co_return co_await write_ring(position, buffer.span());
}

Task<Result<>> Journal::set_head(std::uint64_t position, std::uint64_t sequence) {
  const JournalHead head{
      .generation = generation_, .writes = head_.writes + 1, .position = position, .sequence = sequence};
  FF_CO_TRY_ASSIGN(auto buffer, disk_.buffer(kJournalHeadBytes));
  std::ranges::copy(encode_journal_head(head), buffer.data());
  FF_CO_TRY(co_await file_.write(head.writes % 2 * kJournalHeadBytes, buffer.span()));
  FF_CO_TRY(co_await file_.sync());
  head_ = head;
  co_return {};
}

}  // namespace ff::ffs
