#include "ffbench/storage/verify_write.hpp"

#include <fmt/core.h>

#include <deque>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "ffbench/storage/job.hpp"
#include "ffbench/storage/verify_block.hpp"
#include "libcommon/base/file.hpp"
#include "libcommon/runtime/scope.hpp"

namespace ff::bench {
namespace {

using runtime::Task;

class Journal {
 public:
  Journal(std::unique_ptr<runtime::File> file, std::uint64_t run) : file_(std::move(file)), run_(run) {}

  Task<Result<>> begin(const VerifyRun& run) {
    std::vector<std::byte> page(kJournalPageBytes);
    encode_journal_header(run, page);
    FF_CO_TRY(co_await file_->write(0, page));
    co_return co_await note(0);
  }
  // Durable when it returns.
  Task<Result<>> note(std::uint64_t synced) {
    std::vector<std::byte> page(kJournalPageBytes);
    const VerifyRecord record{.number = next_++, .synced = synced};
    encode_journal_record(run_, record, page);
    FF_CO_TRY(co_await file_->write(journal_page_of(record.number) * kJournalPageBytes, page));
    co_return co_await file_->sync();
  }
  Task<Result<>> close() { co_return co_await file_->close(); }

 private:
  std::unique_ptr<runtime::File> file_;
  std::uint64_t run_;
  std::uint64_t next_ = 0;
};

class Writer {
 public:
  Writer(runtime::Env& env, runtime::File& target, Journal& journal, const VerifyWriteOptions& options,
         VerifyWriteReading& reading, std::stop_token stop)
      : env_(env),
        target_(target),
        journal_(journal),
        options_(options),
        reading_(reading),
        stop_(std::move(stop)),
        order_(reading.run),
        begin_(env.now()),
        end_(options.writes_max > 0 ? runtime::kNever : runtime::saturating_add(begin_, options.duration)) {}

  Task<Result<>> run(std::vector<runtime::DiskBuffer> buffers) {
    writers_ = buffers.size();
    co_return co_await runtime::with_scope([&](runtime::Scope& scope) -> Task<Result<>> {
      for (auto& buffer : buffers) scope.spawn(write_blocks(std::move(buffer)));
      scope.spawn(sync_and_note());
      co_return {};
    });
  }

  std::int64_t elapsed_ns() const { return (env_.now() - begin_).count(); }

 private:
  struct Turn {
    std::uint64_t sequence = 0, block = 0;
  };

  bool over() const {
    return stop_.stop_requested() || (options_.writes_max > 0 && next_ > options_.writes_max) || env_.now() >= end_;
  }

  // The next write of the run, when the window allows it and no earlier write of its block is in flight. Nothing: the
  // run is over. Turns are given one at a time, so that the writes of one block begin in their order.
  Task<Result<std::optional<Turn>>> take_turn() {
    FF_CO_TRY_ASSIGN(const auto lock, co_await turns_.lock());
    if (over()) co_return std::nullopt;
    const std::uint64_t block = order_.block_of(next_);
    while (next_ > reading_.synced + reading_.run.window || busy_.contains(block)) FF_CO_TRY(co_await changed_.wait());
    if (over()) co_return std::nullopt;
    busy_.insert(block);
    acknowledged_.push_back(false);
    co_return Turn{next_++, block};
  }

  void acknowledge(const Turn& turn) {
    busy_.erase(turn.block);
    acknowledged_[turn.sequence - prefix_ - 1] = true;
    for (; !acknowledged_.empty() && acknowledged_.front(); acknowledged_.pop_front()) ++prefix_;
    ++reading_.writes;
    changed_.wake_all();
  }

  Task<Result<>> write_blocks(runtime::DiskBuffer buffer) {
    const std::span<std::byte> memory = buffer.span().first(options_.block_bytes);
    for (;;) {
      FF_CO_TRY_ASSIGN(const auto turn, co_await take_turn());
      if (!turn) break;
      const std::uint64_t offset = options_.offset + turn->block * options_.block_bytes;
      encode_block({reading_.run.run, options_.seed, offset, turn->sequence}, memory);
      const auto submitted = env_.now();
      FF_CO_TRY(co_await target_.write(offset, memory));
      reading_.write.record((env_.now() - submitted).count());
      acknowledge(*turn);
    }
    --writers_;
    changed_.wake_all();
    co_return {};
  }

  Task<Result<>> sync_and_note() {
    for (;;) {
      while (prefix_ - reading_.synced < options_.sync_every && writers_ > 0) FF_CO_TRY(co_await changed_.wait());
      const std::uint64_t covered = prefix_;
      if (covered == reading_.synced) co_return {};  // all that will be written is synced
      const auto submitted = env_.now();
      FF_CO_TRY(co_await target_.sync());
      reading_.sync.record((env_.now() - submitted).count());
      FF_CO_TRY(co_await journal_.note(covered));
      reading_.synced = covered;
      changed_.wake_all();
    }
  }

  runtime::Env& env_;
  runtime::File& target_;
  Journal& journal_;
  const VerifyWriteOptions& options_;
  VerifyWriteReading& reading_;
  std::stop_token stop_;
  VerifyOrder order_;
  runtime::Time begin_, end_;
  std::uint64_t next_ = 1;         // to begin
  std::uint64_t prefix_ = 0;       // all writes up to this are acknowledged
  std::deque<bool> acknowledged_;  // of those begun beyond it
  std::set<std::uint64_t> busy_;   // blocks with a write in flight
  std::size_t writers_ = 0;
  runtime::Mutex turns_;
  runtime::WaitQueue changed_;
};

using OpenedFile = Result<std::unique_ptr<runtime::File>>;

// A file that has appeared since somebody looked is not ours to overwrite.
OpenedFile unless_new(OpenedFile opened) {
  if (opened || opened.error().code() != Errc::kAlreadyExists) return opened;
  return fail(Errc::kAlreadyExists, opened.error().message() + " (somebody else has just made it)");
}

Task<OpenedFile> open_target(runtime::Disk& disk, const std::string& path, const VerifyWriteOptions& options) {
  const runtime::OpenOptions how{
      .write = true, .create = true, .exclusive = options.new_target, .direct = options.direct};
  FF_CO_TRY_ASSIGN(auto file, unless_new(co_await disk.open(path, how)));
  if (options.block_bytes % file->alignment() == 0 && options.offset % file->alignment() == 0) co_return file;
  if (options.new_target) (void)co_await disk.remove(path);
  co_return fail(Errc::kInvalidArgument,
                 fmt::format("{}: direct I/O wants --bs and --offset in multiples of {}", path, file->alignment()));
}

Task<OpenedFile> open_journal(runtime::Disk& disk, const std::string& path, const VerifyWriteOptions& options) {
  co_return unless_new(co_await disk.open(
      path, {.write = true, .create = true, .exclusive = options.new_journal, .truncate = !options.new_journal}));
}

Task<Result<>> make_names_durable(runtime::Disk& disk, const std::string& target, const std::string& journal) {
  FF_CO_TRY(co_await disk.sync_folder(parent_folder(journal)));
  if (parent_folder(target) != parent_folder(journal)) FF_CO_TRY(co_await disk.sync_folder(parent_folder(target)));
  co_return {};
}

}  // namespace

Result<VerifyRun> plan_verify_run(const VerifyWriteOptions& options) {
  if (options.depth == 0 || options.depth > 65'536)
    return fail(Errc::kInvalidArgument, fmt::format("--qd: {} is not from 1 to 65536", options.depth));
  if (options.sync_every == 0 || options.sync_every > (kVerifyWindowMax - options.depth) / 2)
    return fail(Errc::kInvalidArgument,
                fmt::format("--fsync: {} is not from 1 to {}: what is never synced cannot be checked",
                            options.sync_every, (kVerifyWindowMax - options.depth) / 2));
  VerifyRun run{.seed = options.seed,
                .offset = options.offset,
                .blocks = options.blocks,
                // Writing goes on while a sync runs: a second batch, and what is in flight.
                .window = 2 * options.sync_every + options.depth,
                .block_bytes = options.block_bytes,
                .random = options.random};
  FF_TRY(check(run));
  return run;
}

Task<Result<VerifyWriteReading>> verify_write(runtime::Env& env, runtime::Disk& disk, std::string target_path,
                                              std::string journal_path, VerifyWriteOptions options,
                                              std::stop_token stop) {
  VerifyWriteReading reading;
  reading.write = reading.sync = metrics::Histogram(storage_latency_layout());
  FF_CO_TRY_ASSIGN(reading.run, plan_verify_run(options));
  reading.run.run = env.rng().next();
  FF_CO_TRY_ASSIGN(const auto target, co_await open_target(disk, target_path, options));
  reading.direct = target->alignment() != 1;
  // Before the first write: from the moment it is on the disk it says that nothing of this run has been promised.
  OpenedFile journal_file = co_await open_journal(disk, journal_path, options);
  if (!journal_file && options.new_target) (void)co_await disk.remove(target_path);
  if (!journal_file) co_return std::unexpected(journal_file.error());
  Journal journal(std::move(*journal_file), reading.run.run);
  FF_CO_TRY(co_await journal.begin(reading.run));
  FF_CO_TRY(co_await make_names_durable(disk, target_path, journal_path));

  std::vector<runtime::DiskBuffer> buffers(options.depth);
  for (auto& buffer : buffers) {
    FF_CO_TRY_ASSIGN(buffer, disk.buffer(options.block_bytes));
  }
  Writer writer(env, *target, journal, options, reading, std::move(stop));
  const Result<> done = co_await writer.run(std::move(buffers));
  reading.elapsed_ns = writer.elapsed_ns();
  if (!done) reading.error = done.error();
  const Result<> closed = co_await target->close();
  const Result<> noted = co_await journal.close();
  for (const Result<>* each : {&closed, &noted})
    if (!*each && !reading.error) reading.error = each->error();
  co_return reading;
}

}  // namespace ff::bench
