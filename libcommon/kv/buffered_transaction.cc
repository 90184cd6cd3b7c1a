#include "libcommon/kv/buffered_transaction.hpp"

#include <algorithm>

#include "libcommon/kv/key_range.hpp"

namespace ff::kv {

using runtime::Task;

namespace {
Error finished_error() { return {Errc::kInvalidArgument, "transaction: was committed already (begin another)"}; }
}  // namespace

Task<Result<>> BufferedTransaction::ensure_snapshot() {
  if (finished_) co_return fail(finished_error());
  if (!snapshot_) {
    FF_CO_TRY_ASSIGN(const Version taken, co_await take_snapshot());
    snapshot_ = taken;
  }
  co_return {};
}

Task<Result<Version>> BufferedTransaction::read_version() {
  FF_CO_TRY(co_await ensure_snapshot());
  co_return *snapshot_;
}

Task<Result<std::optional<std::string>>> BufferedTransaction::get(std::string key, Read mode) {
  if (key.empty()) co_return fail(Errc::kInvalidArgument, "key: is empty (keys have at least one byte)");
  FF_CO_TRY(co_await ensure_snapshot());
  // A value that this transaction decides alone is no read of the store.
  const PointWrite* write = writes_.find(key);
  if (write != nullptr && write->kind == PointWrite::Kind::kSet) co_return write->value;
  if (write != nullptr && write->kind == PointWrite::Kind::kClear) co_return std::nullopt;
  if (write == nullptr && writes_.is_cleared(key)) co_return std::nullopt;

  FF_CO_TRY_ASSIGN(auto value, co_await read(key));
  if (write != nullptr) {
    FF_CO_TRY_ASSIGN(value, apply_atomics(key, value, write->atomics));
  }
  if (mode == Read::kConflicting) reads_.points.push_back(std::move(key));
  co_return value;
}

Task<Result<RangeResult>> BufferedTransaction::get_range(KeyRange range, RangeOptions options) {
  if (options.limit == 0) co_return fail(Errc::kInvalidArgument, "range: a limit of 0 pairs (ask for at least 1)");
  FF_CO_TRY(co_await ensure_snapshot());
  RangeResult result;
  if (is_empty(range)) co_return result;

  std::size_t bytes = 0;
  // False when a limit does not let the pair in.
  const auto add = [&](KeyValue pair) {
    const std::size_t size = pair.key.size() + pair.value.size();
    if (!result.pairs.empty() && bytes + size > options.bytes_limit) return false;
    bytes += size;
    result.pairs.push_back(std::move(pair));
    return result.pairs.size() < options.limit;
  };

  // Own writes may hide pairs of the snapshot: ask for some more then, so that few pages are needed.
  const std::size_t slack = writes_.touches(range) ? 64 : 0;
  KeyRange rest = range;
  bool more_pages = true;
  while (more_pages && !result.more && !is_empty(rest)) {
    FF_CO_TRY_ASSIGN(RangeResult page, co_await scan(rest, options.limit - result.pairs.size() + slack,
                                                     options.bytes_limit, options.reverse));
    more_pages = page.more;
    // The part of the range that the page tells about, and what is left.
    KeyRange covered = rest;
    if (more_pages && options.reverse) covered.begin = rest.end = page.pairs.back().key;
    if (more_pages && !options.reverse) covered.end = rest.begin = key_after(page.pairs.back().key);
    if (writes_.touches(covered)) {
      FF_CO_TRY_ASSIGN(page.pairs, overlay(writes_, covered, std::move(page.pairs), options.reverse));
    }
    for (std::size_t i = 0; i < page.pairs.size() && !result.more; ++i) {
      const std::size_t had = result.pairs.size();
      const bool room = add(std::move(page.pairs[i]));
      // Full after the last pair of all is not cut short.
      if (!room) result.more = result.pairs.size() == had || i + 1 < page.pairs.size() || more_pages;
    }
  }

  if (options.mode == Read::kConflicting) {
    if (result.more && options.reverse) range.begin = result.pairs.back().key;
    if (result.more && !options.reverse) range.end = key_after(result.pairs.back().key);
    reads_.ranges.push_back(std::move(range));
  }
  co_return result;
}

void BufferedTransaction::add_read_conflict(KeyRange range) {
  if (is_empty(range)) return;
  reads_.ranges.push_back(std::move(range));
}

Task<Result<Commit>> BufferedTransaction::commit() {
  if (finished_) co_return fail(finished_error());
  runtime::Context& context = co_await runtime::current_context();
  if (context.cancelled()) co_return std::unexpected(context.why());
  FF_CO_TRY(writes_.check(limits_, reads_.size()));
  finished_ = true;
  if (writes_.empty()) co_return Commit{.outcome = Outcome::kCommitted, .version = 0};
  co_return co_await submit({snapshot_, std::move(reads_), std::move(writes_), std::move(guards_)});
}

}  // namespace ff::kv
