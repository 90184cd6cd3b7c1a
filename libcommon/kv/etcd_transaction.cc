#include "libcommon/kv/etcd_transaction.hpp"

#include <algorithm>

#include "libcommon/kv/key_range.hpp"

namespace ff::kv {

using runtime::Task;
using namespace std::chrono_literals;

namespace rpc = etcdserverpb;

namespace {

constexpr std::size_t kPageFirst = 64;
constexpr std::size_t kPageMax = 1024;
// Of a commit that is computed from values which others keep changing. Each failure means that another commit
// succeeded.
constexpr int kComputedTries = 64;

}  // namespace

EtcdTransaction::EtcdTransaction(const void* owner, const Limits& limits, EtcdParts parts)
    // Operations are counted exactly when the commit has been built.
    : BufferedTransaction(owner,
                          [&] {
                            Limits own = limits;
                            own.transaction_operations_max = 0;
                            return own;
                          }()),
      parts_(parts),
      page_(kPageFirst) {}

Task<Result<Version>> EtcdTransaction::take_snapshot() {
  first_read_ = std::move(first_key_);
  FF_CO_TRY_ASSIGN(first_, co_await parts_.reads.fresh(first_read_.empty() ? parts_.keys.stamps() : first_read_));
  co_return first_->snapshot;
}

Task<Result<std::optional<std::string>>> EtcdTransaction::read(const std::string& key) {
  std::string stored = parts_.keys.data(key);
  EtcdValue value;
  if (stored == first_read_) {
    first_read_.clear();
    value = std::move(first_->value);
  } else {
    FF_CO_TRY_ASSIGN(value, co_await parts_.reads.at(std::move(stored), first_->snapshot, first_->member));
  }
  record_.saw(key, value.revision);
  co_return std::move(value.value);
}

Task<Result<RangeResult>> EtcdTransaction::scan(const KeyRange& range, std::size_t limit, std::size_t bytes_limit,
                                                bool reverse) {
  EtcdRange stored = parts_.keys.data(range);
  rpc::RangeRequest request;
  request.set_key(std::move(stored.key));
  request.set_range_end(std::move(stored.range_end));
  request.set_revision(static_cast<std::int64_t>(first_->snapshot));
  request.set_serializable(true);
  request.set_limit(static_cast<std::int64_t>(std::min(limit, page_)));
  if (reverse) {
    request.set_sort_order(rpc::RangeRequest::DESCEND);
    request.set_sort_target(rpc::RangeRequest::KEY);
  }
  FF_CO_TRY_ASSIGN(auto answer, co_await parts_.client.range(std::move(request), first_->member));

  RangeResult result;
  result.more = answer.reply.more();
  result.pairs.reserve(static_cast<std::size_t>(answer.reply.kvs_size()));
  std::size_t bytes = 0;
  for (auto& pair : *answer.reply.mutable_kvs()) {
    std::string key(parts_.keys.logical(pair.key()));
    bytes += key.size() + pair.value().size();
    record_.saw(key, pair.mod_revision());
    result.pairs.push_back({std::move(key), std::move(*pair.mutable_value())});
  }
  KeyRange whole = range;
  if (result.more && reverse) whole.begin = result.pairs.back().key;
  if (result.more && !reverse) whole.end = key_after(result.pairs.back().key);
  record_.saw_all_of(std::move(whole));
  // The next page will be what the caller has room for.
  if (!result.pairs.empty()) {
    page_ = std::clamp<std::size_t>(bytes_limit / (bytes / result.pairs.size() + 1), 16, kPageMax);
  }
  co_return result;
}

Task<Result<Commit>> EtcdTransaction::submit(Submission submission) {
  EtcdCommit commit{.snapshot = submission.snapshot,
                    .reads = std::move(submission.reads),
                    .writes = std::move(submission.writes),
                    .guards = std::move(submission.guards),
                    .record = std::move(record_)};
  FF_CO_TRY(co_await learn_ranges(commit));
  auto operands = operands_of(parts_.keys, commit.writes);
  if (operands.empty()) co_return co_await commit_plainly(commit);
  co_return co_await commit_computed(commit, std::move(operands));
}

Task<Result<>> EtcdTransaction::learn_ranges(EtcdCommit& commit) {
  if (!commit.snapshot) co_return {};
  for (const KeyRange& range : commit.reads.ranges) {
    if (commit.record.has_all_of(range)) continue;
    EtcdRange stored = parts_.keys.data(range);
    rpc::RangeRequest request;
    request.set_key(std::move(stored.key));
    request.set_range_end(std::move(stored.range_end));
    request.set_revision(static_cast<std::int64_t>(*commit.snapshot));
    request.set_serializable(true);
    request.set_keys_only(true);
    request.set_limit(kEtcdOperationsMax);
    FF_CO_TRY_ASSIGN(const auto answer, co_await parts_.client.range(std::move(request), first_->member));
    if (answer.reply.more()) continue;  // goes by markers
    for (const auto& pair : answer.reply.kvs()) {
      commit.record.saw(std::string(parts_.keys.logical(pair.key())), pair.mod_revision());
    }
    commit.record.saw_all_of(range);
  }
  co_return {};
}

Task<Result<Commit>> EtcdTransaction::commit_plainly(const EtcdCommit& commit) {
  FF_CO_TRY_ASSIGN(auto request, build_commit(parts_.keys, commit, {}, 0));
  FF_CO_TRY_ASSIGN(const auto answer, co_await parts_.client.commit(std::move(request)));
  if (!answer) co_return Commit{.outcome = Outcome::kMaybeCommitted, .version = 0};
  if (!answer->succeeded()) co_return Commit{.outcome = Outcome::kConflict, .version = 0};
  co_return Commit{.outcome = Outcome::kCommitted, .version = static_cast<Version>(answer->header().revision())};
}

Task<Result<Commit>> EtcdTransaction::commit_computed(const EtcdCommit& commit, std::vector<std::string> operands) {
  auto held = parts_.locks.hold();
  FF_CO_TRY(co_await held.take(operands));
  EtcdValues values;
  rpc::TxnRequest read;
  for (const std::string& operand : operands) read.add_success()->mutable_request_range()->set_key(operand);
  if (operands.size() > kEtcdOperationsMax) {
    co_return fail(Errc::kExhausted, "transaction: more than 128 atomic operations (split it)");
  }
  FF_CO_TRY_ASSIGN(auto fresh, co_await parts_.client.read(std::move(read)));
  rpc::TxnResponse newest = std::move(fresh.reply);

  for (int attempt = 1; attempt <= kComputedTries; ++attempt) {
    bool changed = false;
    for (std::size_t i = 0; i < operands.size(); ++i) {
      auto* range = newest.mutable_responses(static_cast<int>(i))->mutable_response_range();
      EtcdValue value;
      if (range->kvs_size() > 0)
        value = {std::move(*range->mutable_kvs(0)->mutable_value()), range->kvs(0).mod_revision()};
      EtcdValue& known = values[operands[i]];
      changed = changed || known.revision != value.revision;
      known = std::move(value);
    }
    // What made it fail was none of the operands.
    if (attempt > 1 && !changed) break;
    if (attempt > 2) FF_CO_TRY(co_await runtime::sleep(parts_.env.rng().below(2 + attempt) * 1ms));

    const Version stamp = static_cast<Version>(newest.header().revision()) + 1;
    FF_CO_TRY_ASSIGN(auto request, build_commit(parts_.keys, commit, values, stamp));
    FF_CO_TRY_ASSIGN(auto answer, co_await parts_.client.commit(std::move(request)));
    if (!answer) co_return Commit{.outcome = Outcome::kMaybeCommitted, .version = 0};
    if (answer->succeeded()) {
      const bool stamped = !commit.writes.stamped().empty();
      co_return Commit{.outcome = Outcome::kCommitted,
                       .version = stamped ? stamp : static_cast<Version>(answer->header().revision())};
    }
    newest = std::move(*answer);
  }
  co_return Commit{.outcome = Outcome::kConflict, .version = 0};
}

}  // namespace ff::kv
