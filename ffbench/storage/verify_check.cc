#include "ffbench/storage/verify_check.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>

#include "libcommon/runtime/scope.hpp"

namespace ff::bench {
namespace {

using runtime::Task;

constexpr std::uint64_t kPieceBytes = 1 << 20;

// What each block must and may hold, from the journal alone.
class Promises {
 public:
  explicit Promises(const VerifyJournal& journal) : run_(journal.run), required_(journal.run.blocks, 0) {
    VerifyOrder order(journal.run);
    const std::uint64_t synced = journal.last.synced, blocks = journal.run.blocks;
    // The last two passes touch every block that was ever written.
    const std::uint64_t first = synced > 2 * blocks ? synced - 2 * blocks + 1 : 1;
    for (std::uint64_t sequence = first; sequence <= synced; ++sequence) required_[order.block_of(sequence)] = sequence;
    for (std::uint64_t sequence = synced + 1; sequence <= synced + journal.run.window; ++sequence)
      allowed_[order.block_of(sequence)].push_back(sequence);
  }

  BlockPromise of(std::uint64_t block) const {
    BlockPromise promise{.run = run_.run,
                         .seed = run_.seed,
                         .offset = run_.offset + block * run_.block_bytes,
                         .required = required_[block]};
    if (const auto found = allowed_.find(block); found != allowed_.end()) promise.allowed = found->second;
    return promise;
  }

 private:
  VerifyRun run_;
  std::vector<std::uint64_t> required_;
  std::map<std::uint64_t, std::vector<std::uint64_t>> allowed_;
};

class Checker {
 public:
  Checker(runtime::File& file, const VerifyJournal& journal, VerifyReport& report, std::stop_token stop)
      : file_(file),
        run_(journal.run),
        promises_(journal),
        report_(report),
        stop_(std::move(stop)),
        piece_blocks_(std::max<std::uint64_t>(1, kPieceBytes / run_.block_bytes)) {}

  std::uint64_t piece_bytes() const { return piece_blocks_ * run_.block_bytes; }

  Task<Result<>> run(std::vector<runtime::DiskBuffer> buffers) {
    FF_CO_TRY(co_await runtime::with_scope([&](runtime::Scope& scope) -> Task<Result<>> {
      for (auto& buffer : buffers) scope.spawn(read_pieces(std::move(buffer)));
      co_return {};
    }));
    std::ranges::sort(report_.failures, {}, &VerifyFailure::offset);
    co_return {};
  }

 private:
  Task<Result<>> read_pieces(runtime::DiskBuffer buffer) {
    while (next_ < run_.blocks && !stop_.stop_requested()) {
      const std::uint64_t first = next_, count = std::min(piece_blocks_, run_.blocks - next_);
      next_ += count;
      const auto memory = buffer.span().first(count * run_.block_bytes);
      Result<> read = co_await read_zero_filled(first, memory);
      if (read) {
        for (std::uint64_t i = 0; i < count; ++i)
          judge(first + i, memory.subspan(i * run_.block_bytes, run_.block_bytes));
        continue;
      }
      if (read.error().code() == Errc::kCancelled) co_return read;
      // One bad block must not hide its neighbours.
      for (std::uint64_t i = 0; i < count; ++i) FF_CO_TRY(co_await read_one(first + i, memory));
    }
    co_return {};
  }

  Task<Result<>> read_one(std::uint64_t block, std::span<std::byte> memory) {
    const auto place = memory.first(run_.block_bytes);
    const Result<> read = co_await read_zero_filled(block, place);
    if (read)
      judge(block, place);
    else if (read.error().code() == Errc::kCancelled)
      co_return read;
    else
      count(block, {.verdict = BlockVerdict::kUnreadable, .detail = read.error().message()});
    co_return {};
  }

  // Beyond the end of the file there are zeros: what should be there is then lost.
  Task<Result<>> read_zero_filled(std::uint64_t first, std::span<std::byte> memory) {
    FF_CO_TRY_ASSIGN(const std::size_t got, co_await file_.read(run_.offset + first * run_.block_bytes, memory));
    std::memset(memory.data() + got, 0, memory.size() - got);
    co_return {};
  }

  void judge(std::uint64_t block, std::span<const std::byte> bytes) {
    count(block, judge_block(bytes, promises_.of(block)));
  }

  void count(std::uint64_t block, BlockFinding finding) {
    ++report_.blocks;
    ++report_.counts[static_cast<std::size_t>(finding.verdict)];
    if (is_failure(finding.verdict) && report_.failures.size() < VerifyReport::kFailuresListed)
      report_.failures.push_back({run_.offset + block * run_.block_bytes, std::move(finding)});
  }

  runtime::File& file_;
  const VerifyRun& run_;
  Promises promises_;
  VerifyReport& report_;
  std::stop_token stop_;
  std::uint64_t piece_blocks_;
  std::uint64_t next_ = 0;
};

Task<Result<VerifyJournal>> read_journal(runtime::Disk& disk, std::string path) {
  FF_CO_TRY_ASSIGN(const auto file, co_await disk.open(path, {}));
  std::vector<std::byte> bytes(kJournalBytes);
  FF_CO_TRY_ASSIGN(const std::size_t got, co_await file->read(0, bytes));
  auto journal = decode_journal(std::span<const std::byte>(bytes).first(got));
  FF_CO_TRY(co_await file->close());
  if (!journal) co_return fail(std::move(journal).error().context(path));
  co_return journal;
}

}  // namespace

std::uint64_t VerifyReport::failed() const {
  std::uint64_t all = 0;
  for (std::size_t i = 0; i < counts.size(); ++i)
    if (is_failure(static_cast<BlockVerdict>(i))) all += counts[i];
  return all;
}

std::string describe(const VerifyFailure& failure) {
  std::string text =
      fmt::format("offset {}: {}: {}", failure.offset, name_of(failure.finding.verdict), failure.finding.detail);
  constexpr std::size_t kShown = 4;
  const auto& flips = failure.finding.flips;
  for (std::size_t i = 0; i < std::min(kShown, flips.size()); ++i)
    text += fmt::format("{}byte {} bit {}", i == 0 ? " (" : ", ", flips[i].byte, flips[i].bit);
  if (!flips.empty()) text += failure.finding.flipped_bits > kShown ? ", ...)" : ")";
  return text;
}

Task<Result<VerifyReport>> verify_check(runtime::Env& env, runtime::Disk& disk, std::string target_path,
                                        std::string journal_path, VerifyCheckOptions options, std::stop_token stop) {
  FF_CO_TRY_ASSIGN(const VerifyJournal journal, co_await read_journal(disk, std::move(journal_path)));
  FF_CO_TRY_ASSIGN(const auto file, co_await disk.open(target_path, {.direct = options.direct}));
  const std::size_t alignment = file->alignment();
  if (journal.run.block_bytes % alignment != 0 || journal.run.offset % alignment != 0)
    co_return fail(Errc::kInvalidArgument,
                   fmt::format("{}: its blocks of {} bytes cannot be read by direct I/O, which wants multiples of {}",
                               target_path, journal.run.block_bytes, alignment));
  VerifyReport report;
  report.run = journal.run;
  report.synced = journal.last.synced;
  report.direct = alignment != 1;
  const auto begin = env.now();
  Checker checker(*file, journal, report, std::move(stop));
  std::vector<runtime::DiskBuffer> buffers(std::max<std::uint32_t>(1, options.depth));
  for (auto& buffer : buffers) {
    FF_CO_TRY_ASSIGN(buffer, disk.buffer(checker.piece_bytes()));
  }
  FF_CO_TRY(co_await checker.run(std::move(buffers)));
  report.elapsed_ns = (env.now() - begin).count();
  FF_CO_TRY(co_await file->close());
  co_return report;
}

}  // namespace ff::bench
