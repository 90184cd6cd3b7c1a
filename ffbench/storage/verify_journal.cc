#include "ffbench/storage/verify_journal.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <optional>

#include "ffbench/storage/verify_block.hpp"
#include "ffbench/storage/verify_bytes.hpp"
#include "libcommon/base/assert.hpp"
#include "libcommon/base/crc32c.hpp"

namespace ff::bench {
namespace {

constexpr std::uint64_t kHeaderMagic = 0x314c4e4a56424646;  // "FFBVJNL1"
constexpr std::uint64_t kRecordMagic = 0x3143455256424646;  // "FFBVREC1"
constexpr std::uint16_t kVersion = 1;
constexpr std::size_t kHeaderBytes = 72, kHeaderChecksumAt = 64;
constexpr std::size_t kRecordBytes = 40, kRecordChecksumAt = 32;

// With the field of 4 bytes at `field` taken as zero.
std::uint32_t checksum_of(std::span<const std::byte> bytes, std::size_t field) noexcept {
  const std::uint32_t zero = 0;
  std::uint32_t crc = crc32c(0, bytes.data(), field);
  crc = crc32c(crc, &zero, sizeof zero);
  return crc32c(crc, bytes.data() + field + sizeof zero, bytes.size() - field - sizeof zero);
}

std::optional<VerifyRecord> decode_record(std::span<const std::byte> page, std::uint64_t run) {
  const auto bytes = page.first(kRecordBytes);
  if (get_number<std::uint64_t>(bytes, 0) != kRecordMagic || get_number<std::uint64_t>(bytes, 8) != run)
    return std::nullopt;
  if (get_number<std::uint32_t>(bytes, kRecordChecksumAt) != checksum_of(bytes, kRecordChecksumAt)) return std::nullopt;
  const VerifyRecord record{.number = get_number<std::uint64_t>(bytes, 16),
                            .synced = get_number<std::uint64_t>(bytes, 24)};
  if (record.synced > static_cast<std::uint64_t>(INT64_MAX)) return std::nullopt;  // nobody lives to write that many
  return record;
}

Result<VerifyRun> decode_header(std::span<const std::byte> page) {
  const auto corrupt = [](std::string what) { return fail(Errc::kCorrupt, "journal: " + std::move(what)); };
  const auto bytes = page.first(kHeaderBytes);
  if (get_number<std::uint64_t>(bytes, 0) != kHeaderMagic) return corrupt("is no journal of `verify write`");
  if (const auto version = get_number<std::uint16_t>(bytes, 8); version != kVersion)
    return corrupt(fmt::format("has version {}, this program knows {}", version, kVersion));
  if (get_number<std::uint16_t>(bytes, 10) != kHeaderBytes || get_number<std::uint32_t>(bytes, 56) > 1 ||
      get_number<std::uint32_t>(bytes, 60) != 0 || get_number<std::uint32_t>(bytes, 68) != 0)
    return corrupt("has a malformed header");
  if (get_number<std::uint32_t>(bytes, kHeaderChecksumAt) != checksum_of(bytes, kHeaderChecksumAt))
    return corrupt("the checksum of its header does not match");
  VerifyRun run{.run = get_number<std::uint64_t>(bytes, 16),
                .seed = get_number<std::uint64_t>(bytes, 24),
                .offset = get_number<std::uint64_t>(bytes, 32),
                .blocks = get_number<std::uint64_t>(bytes, 40),
                .window = get_number<std::uint64_t>(bytes, 48),
                .block_bytes = get_number<std::uint32_t>(bytes, 12),
                .random = get_number<std::uint32_t>(bytes, 56) == 1};
  if (const auto sound = check(run); !sound) return corrupt(sound.error().message());
  return run;
}

}  // namespace

Result<> check(const VerifyRun& run) {
  const auto wrong = [](std::string what) { return fail(Errc::kInvalidArgument, std::move(what)); };
  if (run.block_bytes == 0 || run.block_bytes % kVerifySectorBytes != 0 || run.block_bytes > kVerifyBlockBytesMax)
    return wrong(fmt::format("--bs: {} bytes are no multiple of {} up to {}", run.block_bytes, kVerifySectorBytes,
                             kVerifyBlockBytesMax));
  if (run.blocks == 0 || run.blocks > kVerifyBlocksMax)
    return wrong(
        fmt::format("--size: {} blocks are not from 1 to {} (take another --bs)", run.blocks, kVerifyBlocksMax));
  if (run.window == 0 || run.window > kVerifyWindowMax)
    return wrong(fmt::format("--fsync: a window of {} writes is not from 1 to {}", run.window, kVerifyWindowMax));
  if (run.offset > static_cast<std::uint64_t>(INT64_MAX) - run.blocks * run.block_bytes)
    return wrong(fmt::format("--offset: {} is beyond what a file can be", run.offset));
  return {};
}

void encode_journal_header(const VerifyRun& run, std::span<std::byte> page) {
  FF_ASSERT(page.size() == kJournalPageBytes, page.size());
  std::ranges::fill(page, std::byte{0});
  put_number(page, 0, kHeaderMagic);
  put_number(page, 8, kVersion);
  put_number(page, 10, static_cast<std::uint16_t>(kHeaderBytes));
  put_number(page, 12, run.block_bytes);
  put_number(page, 16, run.run);
  put_number(page, 24, run.seed);
  put_number(page, 32, run.offset);
  put_number(page, 40, run.blocks);
  put_number(page, 48, run.window);
  put_number(page, 56, std::uint32_t{run.random});
  put_number(page, kHeaderChecksumAt, checksum_of(page.first(kHeaderBytes), kHeaderChecksumAt));
}

void encode_journal_record(std::uint64_t run, const VerifyRecord& record, std::span<std::byte> page) {
  FF_ASSERT(page.size() == kJournalPageBytes, page.size());
  std::ranges::fill(page, std::byte{0});
  put_number(page, 0, kRecordMagic);
  put_number(page, 8, run);
  put_number(page, 16, record.number);
  put_number(page, 24, record.synced);
  put_number(page, kRecordChecksumAt, checksum_of(page.first(kRecordBytes), kRecordChecksumAt));
}

Result<VerifyJournal> decode_journal(std::span<const std::byte> bytes) {
  if (bytes.size() < kJournalPageBytes)
    return fail(Errc::kCorrupt, fmt::format("journal: {} bytes are too few", bytes.size()));
  VerifyJournal journal;
  FF_TRY_ASSIGN(journal.run, decode_header(bytes.first(kJournalPageBytes)));
  std::optional<VerifyRecord> last;
  for (std::size_t page = 1; page < kJournalPages && (page + 1) * kJournalPageBytes <= bytes.size(); ++page) {
    const auto record = decode_record(bytes.subspan(page * kJournalPageBytes, kJournalPageBytes), journal.run.run);
    if (record && (!last || record->number > last->number)) last = record;
  }
  if (!last) return fail(Errc::kCorrupt, "journal: holds no valid record");
  journal.last = *last;
  return journal;
}

VerifyOrder::VerifyOrder(const VerifyRun& run)
    : blocks_(run.blocks), seed_(run.seed), random_(run.random), order_(run.blocks, mix_number(run.seed)) {}

std::uint64_t VerifyOrder::block_of(std::uint64_t sequence) {
  const std::uint64_t pass = (sequence - 1) / blocks_, index = (sequence - 1) % blocks_;
  if (!random_) return index;
  if (pass != pass_) {
    pass_ = pass;
    order_ = Permutation(blocks_, mix_number(seed_ + pass));
  }
  return order_.at(index);
}

}  // namespace ff::bench
