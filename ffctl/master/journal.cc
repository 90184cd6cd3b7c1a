#include "ffctl/master/journal.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "libcommon/kv/key_range.hpp"
#include "libcommon/runtime/scope.hpp"

namespace ff::ctl {

using namespace std::chrono_literals;
using runtime::Task;

namespace {

constexpr int kAttemptsMax = 20;  // after conflicts
constexpr std::size_t kBatchBytes = 8u << 20;
constexpr auto kCommitTimeout = 8s;

}  // namespace

Journal::Journal(runtime::Env& env, kv::KvStore& store, std::string prefix)
    : env_(env), store_(store), prefix_(std::move(prefix)) {
  const kv::Limits limits = store_.limits();
  // The guard and the header take some.
  operations_max_ = limits.transaction_operations_max == 0 ? 0 : limits.transaction_operations_max - 8;
  bytes_max_ = std::min(kBatchBytes, limits.transaction_bytes_max / 4 * 3);
}

bool Journal::fits(std::size_t operations, std::size_t bytes) const noexcept {
  return (operations_max_ == 0 || operations <= operations_max_) && bytes <= bytes_max_;
}

void Journal::append(Change change) {
  appended_ = change.sequence;
  queue_.push_back(std::move(change));
  more_.set();
}

Task<Result<>> Journal::wait(std::uint64_t sequence) {
  while (durable_ < sequence) {
    if (failed_) co_return std::unexpected(*failed_);
    FF_CO_TRY(co_await waits_.wait());
  }
  co_return {};
}

void Journal::fail(const Error& why) {
  if (!failed_) failed_ = why;
  waits_.fail_all(why);
}

// The longest run of changes that one transaction takes; one at least.
std::optional<Journal::Batch> Journal::take_batch() {
  if (queue_.empty()) return std::nullopt;
  Batch batch;
  std::size_t bytes = 0;
  while (!queue_.empty()) {
    Change& change = queue_.front();
    bytes += change.bytes();
    if (batch.sequence != 0 && !fits(batch.writes.size() + change.writes.size(), bytes)) break;
    batch.sequence = change.sequence;
    batch.header = std::move(change.header);
    for (Write& write : change.writes) batch.writes.insert_or_assign(std::move(write.key), std::move(write.value));
    queue_.pop_front();
  }
  return batch;
}

Task<Result<>> Journal::write(kv::Lease& lease, std::vector<Write> writes, std::optional<std::string> header) {
  const std::string header_key = prefix_ + std::string(kHeaderKey);
  for (int attempt = 1; attempt <= kAttemptsMax; ++attempt) {
    const auto transaction = store_.begin();
    FF_CO_TRY(co_await lease.guard(*transaction));
    FF_CO_TRY_ASSIGN(const auto stored, co_await transaction->get(header_key));
    if (stored.value_or("") != header_) co_return ff::fail(Errc::kUnavailable, "state: was changed by somebody else");
    for (const Write& one : writes) {
      if (one.value) {
        transaction->set(prefix_ + one.key, *one.value);
      } else {
        transaction->clear(prefix_ + one.key);
      }
    }
    if (header) transaction->set(header_key, *header);
    FF_CO_TRY_ASSIGN(const kv::Commit done, co_await transaction->commit());
    if (done.outcome == kv::Outcome::kCommitted) {
      if (header) header_ = std::move(*header);
      ++transactions_;
      co_return {};
    }
    if (done.outcome == kv::Outcome::kMaybeCommitted)
      co_return ff::fail(Errc::kUnavailable, "state: nobody knows whether it was written");
    FF_CO_TRY(co_await runtime::sleep(std::chrono::milliseconds(1 + env_.rng().below(10))));
  }
  co_return ff::fail(Errc::kUnavailable, "state: conflict after conflict");
}

Task<Result<>> Journal::write_batch(kv::Lease& lease, Batch batch) {
  std::vector<Write> writes;
  std::size_t bytes = batch.header.size();
  for (auto& [key, value] : batch.writes) {
    const std::size_t more = prefix_.size() + key.size() + (value ? value->size() : 0);
    if (!writes.empty() && !fits(writes.size() + 1, bytes + more)) {
      FF_CO_TRY(co_await write(lease, std::move(writes), std::nullopt));
      writes.clear();
      bytes = batch.header.size();
    }
    bytes += more;
    writes.push_back({key, std::move(value)});
  }
  co_return co_await write(lease, std::move(writes), std::move(batch.header));
}

Task<Result<>> Journal::run(kv::Lease& lease) {
  for (;;) {
    std::optional<Batch> batch = take_batch();
    if (!batch) {
      more_.reset();
      FF_CO_TRY(co_await more_.wait());
      continue;
    }
    const std::uint64_t sequence = batch->sequence;
    Result<> written =
        co_await runtime::with_timeout(kCommitTimeout, "storing the state", write_batch(lease, std::move(*batch)));
    if (!written) {
      const Error why(Errc::kUnavailable, "storing the state: " + written.error().message());
      fail(why);
      co_return std::unexpected(why);
    }
    durable_ = sequence;
    waits_.wake_all();
  }
}

Task<Result<State>> Journal::load(kv::Lease& lease) {
  queue_.clear();
  const auto transaction = store_.begin();
  FF_CO_TRY(co_await lease.guard(*transaction));
  State state;
  kv::KeyRange range = kv::prefix_range(prefix_);
  for (bool more = true; more;) {
    FF_CO_TRY_ASSIGN(const kv::RangeResult part, co_await transaction->get_range(range, {.limit = 10'000}));
    for (const kv::KeyValue& pair : part.pairs)
      FF_CO_TRY(read_record(std::string_view(pair.key).substr(prefix_.size()), pair.value, state));
    more = part.more;
    if (more) range.begin = kv::key_after(part.pairs.back().key);
  }
  FF_CO_TRY(finish_reading(state));
  state.header.set_sequence(state.header.sequence() + 1);
  std::string header = encode(state.header);
  transaction->set(prefix_ + std::string(kHeaderKey), header);
  FF_CO_TRY_ASSIGN(const kv::Commit done, co_await transaction->commit());
  if (done.outcome != kv::Outcome::kCommitted)
    co_return ff::fail(Errc::kUnavailable, "state: nobody knows whether it was taken over");
  header_ = std::move(header);
  durable_ = appended_ = state.header.sequence();
  failed_.reset();
  co_return state;
}

}  // namespace ff::ctl
