// The flush loop: batches of records, one at a time.
#include <fmt/core.h>

#include "ffs/store/local_store.hpp"

namespace ff::ffs {

using runtime::Task;
using namespace std::chrono_literals;

namespace {

// How long a record that nobody waits for may wait for company.
constexpr runtime::Duration kLazyFlush = 100ms;

Task<Result<>> wait_event(runtime::Event& event) { co_return co_await event.wait(); }

}  // namespace

Result<> LocalChunkStore::usable() const {
  if (failed_) return std::unexpected(*failed_);
  if (stopping_) return fail(Errc::kUnavailable, fmt::format("{}: the store is stopping", folder_));
  return {};
}

void LocalChunkStore::fail_store(const Error& error) {
  if (failed_) return;
  failed_ = error;
  queue_.permits.clear();
  durable_.wake_all();
  checkpoint_ended_.wake_all();
  for (BlockSync& sync : block_syncs_) sync.done.wake_all();
  work_.set();
}

std::uint64_t LocalChunkStore::enqueue(std::vector<std::byte> record, bool urgent) {
  queue_.bytes += record.size();
  queue_.records.push_back(std::move(record));
  queue_.urgent = queue_.urgent || urgent;
  work_.set();
  return next_sequence_;
}

Task<Result<>> LocalChunkStore::wait_durable(std::uint64_t sequence) {
  while (durable_sequence_ < sequence) {
    if (failed_) co_return std::unexpected(*failed_);
    FF_CO_TRY(co_await durable_.wait());
  }
  co_return {};
}

Task<Result<>> LocalChunkStore::sync() {
  FF_CO_TRY(usable());
  if (queue_.records.empty()) co_return co_await wait_durable(next_sequence_ - 1);
  queue_.urgent = true;
  work_.set();
  co_return co_await wait_durable(next_sequence_);
}

Task<Result<>> LocalChunkStore::wait_for_work() {
  std::optional<runtime::Time> lazy_until;
  while (!queue_.urgent && !(checkpoint_wanted_ && !checkpoint_runs_)) {
    work_.reset();
    if (queue_.records.empty()) {
      FF_CO_TRY(co_await work_.wait());
      continue;
    }
    if (!lazy_until) lazy_until = env_.now() + kLazyFlush;
    Result<> waited = co_await runtime::with_deadline(*lazy_until, "flush", wait_event(work_));
    if (waited) continue;
    FF_CO_TRY(co_await runtime::not_cancelled());
    co_return {};
  }
  co_return {};
}

Task<void> LocalChunkStore::flush_loop() {
  while (!failed_) {
    if (!co_await wait_for_work()) co_return;
    if (failed_) co_return;
    Result<> done = co_await flush();
    if (!done && (co_await runtime::current_context()).cancelled()) co_return;
    if (!done) fail_store(done.error());
  }
}

// Room for the batches beside a checkpoint is bounded so that the one at the next cut will fit, and after a kill the
// one that recovery writes.
bool LocalChunkStore::has_room(std::uint64_t payload_bytes) const noexcept {
  const std::uint64_t bytes = batch_bytes(payload_bytes), ring = journal_.ring_bytes();
  if (journal_.used() + bytes > ring) return false;
  return !checkpoint_runs_ || journal_.tail() - cut_position_ + bytes <= ring / 8 * 3;
}

Task<Result<>> LocalChunkStore::flush() {
  bool cut_now = false;
  std::vector<std::vector<std::byte>> again;
  for (;;) {
    cut_now = !checkpoint_runs_ && (checkpoint_wanted_ || journal_.used() >= journal_.ring_bytes() / 4);
    std::uint64_t bytes = queue_.bytes;
    if (cut_now) {
      again = pending_records();
      for (const auto& record : again) bytes += record.size();
    }
    if (has_room(bytes)) break;
    if (!checkpoint_runs_) co_return fail(Errc::kInternal, fmt::format("{}: the journal is overfull", folder_));
    FF_CO_TRY(co_await checkpoint_ended_.wait());
    if (failed_) co_return std::unexpected(*failed_);
  }
  Checkpoint checkpoint;
  if (cut_now) checkpoint = cut();
  Queue batch = std::exchange(queue_, {});
  const std::uint32_t flags = batch.records.empty() ? kOnlyRepeats : 0;
  // Behind the commits that wait: a record of what a commit made must not come before it.
  for (auto& record : again) batch.records.push_back(std::move(record));
  if (!batch.records.empty()) {
    const std::uint64_t sequence = next_sequence_++;
    FF_CO_TRY(co_await write_batch(std::move(batch), flags));
    durable_sequence_ = sequence;
    durable_.wake_all();
  }
  if (cut_now) scope_.spawn(run_checkpoint(std::move(checkpoint)));
  co_return {};
}

Task<Result<>> LocalChunkStore::write_batch(Queue batch, std::uint32_t flags) {
  FF_CO_TRY(co_await journal_.append(std::move(batch.records), flags));
  const runtime::Time begun = env_.now();
  Result<> synced = co_await journal_.sync();
  syncs_.record(env_.now() - begun);
  co_return synced;
}

}  // namespace ff::ffs
