#include "libcommon/kv/memory_cluster.hpp"

#include <algorithm>

#include "libcommon/base/assert.hpp"
#include "libcommon/kv/key_range.hpp"
#include "libcommon/kv/memory_store.hpp"

namespace ff::kv {

using runtime::Duration;
using runtime::Time;

namespace {
// Recent writes that are remembered: a snapshot older than so many is too old to commit on.
constexpr std::size_t kWindowEntries = 1u << 16;
}  // namespace

MemoryCluster::MemoryCluster(MemoryClusterOptions options)
    : options_(std::move(options)), rng_(options_.seed), resolver_(0, kWindowEntries) {
  FF_ASSERT(options_.clock != nullptr);
}

MemoryCluster::~MemoryCluster() = default;

std::unique_ptr<MemoryStore> MemoryCluster::connect(runtime::Env& env) {
  auto listener = std::make_shared<Listener>(env);
  std::erase_if(listeners_, [](const auto& old) { return old.expired(); });
  listeners_.push_back(listener);
  return std::unique_ptr<MemoryStore>(new MemoryStore(*this, env, std::move(listener)));
}

void MemoryCluster::settle() {
  while (!late_.empty()) {
    const auto first = std::ranges::min_element(late_, {}, &LateRequest::due);
    if (first->due > options_.clock()) return;
    const LateRequest late = std::move(*first);
    late_.erase(first);
    (void)commit(late.request);  // whoever asked was told kMaybeCommitted long ago
    unpin(late.request.snapshot);
  }
}

void MemoryCluster::commit_later(Time due, Request request) {
  pin(request.snapshot);
  late_.push_back({due, std::move(request)});
}

Version MemoryCluster::pin_last() {
  settle();
  pin(resolver_.last());
  return resolver_.last();
}

const std::string* MemoryCluster::value_at(const Chain& chain, Version version) const {
  for (auto at = chain.rbegin(); at != chain.rend(); ++at) {
    if (at->first <= version) return at->second ? &*at->second : nullptr;
  }
  return nullptr;
}

std::optional<std::string> MemoryCluster::read(const std::string& key, Version version) const {
  const auto found = data_.find(key);
  if (found == data_.end()) return std::nullopt;
  const std::string* value = value_at(found->second, version);
  return value != nullptr ? std::optional(*value) : std::nullopt;
}

RangeResult MemoryCluster::scan(const KeyRange& range, std::size_t limit, std::size_t bytes_limit, bool reverse,
                                Version version) const {
  RangeResult result;
  std::size_t bytes = 0;
  // False when a limit ends it.
  const auto visit = [&](const std::string& key, const Chain& chain) {
    const std::string* value = value_at(chain, version);
    if (value == nullptr) return true;
    bytes += key.size() + value->size();
    result.more = !result.pairs.empty() && (result.pairs.size() >= limit || bytes > bytes_limit);
    if (!result.more) result.pairs.push_back({key, *value});
    return !result.more;
  };
  auto first = data_.lower_bound(range.begin);
  auto last = range.end.empty() ? data_.end() : data_.lower_bound(range.end);
  if (reverse) {
    while (last != first && visit(std::prev(last)->first, std::prev(last)->second)) --last;
  } else {
    while (first != last && visit(first->first, first->second)) ++first;
  }
  return result;
}

// Turns operations over present values into the values that they give.
Result<WriteSet> MemoryCluster::resolve_atomics(const WriteSet& writes) const {
  WriteSet resolved = writes;
  for (const auto& [key, write] : writes.points()) {
    if (write.kind != PointWrite::Kind::kAtomic) continue;
    const auto present = read(key, resolver_.last());
    FF_TRY_ASSIGN(std::string value, apply_atomics(key, present, write.atomics));
    resolved.set(key, std::move(value));
  }
  return resolved;
}

Result<Commit> MemoryCluster::commit(const Request& request) {
  const bool guarded =
      std::ranges::all_of(request.guards, [&](const LeaseGuard& guard) { return is_current(guard.name, guard.epoch); });
  if (!guarded || resolver_.check(request.snapshot, request.reads) != Resolver::Verdict::kCommit) {
    return Commit{.outcome = Outcome::kConflict, .version = 0};
  }
  FF_TRY_ASSIGN(WriteSet writes, resolve_atomics(request.writes));
  const Version version = resolver_.next();
  apply(writes, version);
  tell(std::make_shared<const WriteSet>(std::move(writes)), version);
  return Commit{.outcome = Outcome::kCommitted, .version = version};
}

void MemoryCluster::apply(const WriteSet& writes, Version version) {
  for (const auto& [begin, end] : writes.cleared()) {
    resolver_.wrote(KeyRange{begin, end}, version);
    for (auto at = data_.lower_bound(begin); at != data_.end() && before_end(at->first, end); ++at) {
      if (at->second.back().second) put(at->first, std::nullopt, version);
    }
  }
  for (const auto& [key, write] : writes.points()) {
    resolver_.wrote(key, version);
    const bool set = write.kind == PointWrite::Kind::kSet;
    put(key, set ? std::optional(write.value) : std::nullopt, version);
  }
  std::uint16_t order = 0;
  for (const StampedKey& stamped : writes.stamped()) {
    const std::string key = stamped.key(version, order++);
    resolver_.wrote(key, version);
    put(key, stamped.value, version);
  }
  collect_garbage();
}

void MemoryCluster::put(const std::string& key, std::optional<std::string> value, Version version) {
  Chain& chain = data_[key];
  if (!chain.empty() && chain.back().first == version) {
    chain.back().second = std::move(value);  // cleared and set again by one commit
    return;
  }
  chain.emplace_back(version, std::move(value));
  garbage_.emplace(version, key);
}

void MemoryCluster::collect_garbage() {
  const Version oldest = pins_.empty() ? resolver_.last() : *pins_.begin();
  while (!garbage_.empty() && garbage_.begin()->first <= oldest) {
    const auto found = data_.find(garbage_.begin()->second);
    garbage_.erase(garbage_.begin());
    if (found == data_.end()) continue;
    Chain& chain = found->second;
    // All but the newest version that the oldest snapshot sees; that too if it says "absent".
    auto seen = std::ranges::find_if(chain, [&](const auto& entry) { return entry.first > oldest; });
    if (seen == chain.begin()) continue;
    if (std::prev(seen)->second) --seen;
    chain.erase(chain.begin(), seen);
    if (chain.empty()) data_.erase(found);
  }
}

void MemoryCluster::tell(std::shared_ptr<const WriteSet> writes, Version version) {
  for (const auto& weak : listeners_) {
    const auto listener = weak.lock();
    if (listener == nullptr || listener->watches.empty()) continue;
    listener->env.post([weak, writes, version] {
      if (const auto alive = weak.lock()) alive->store->hear(writes, version);
    });
  }
}

MemoryCluster::ClaimResult MemoryCluster::claim(const std::string& name, const std::string& holder, Duration ttl) {
  settle();
  Claim& claim = claims_[name];
  const Time now = options_.clock();
  if (claim.expires > now) return {std::nullopt, claim.expires - now};
  claim = {claim.epoch + 1, holder, now + ttl};
  return {claim.epoch, {}};
}

bool MemoryCluster::is_current(const std::string& name, std::uint64_t epoch) const {
  const auto found = claims_.find(name);
  return found != claims_.end() && found->second.epoch == epoch && found->second.expires > options_.clock();
}

bool MemoryCluster::renew(const std::string& name, std::uint64_t epoch, Duration ttl) {
  settle();
  if (!is_current(name, epoch)) return false;
  claims_[name].expires = options_.clock() + ttl;
  return true;
}

void MemoryCluster::give_up(const std::string& name, std::uint64_t epoch) {
  settle();
  if (is_current(name, epoch)) claims_[name].expires = Time{};
}

std::optional<std::string> MemoryCluster::holder(const std::string& name) const {
  const auto found = claims_.find(name);
  if (found == claims_.end() || found->second.expires <= options_.clock()) return std::nullopt;
  return found->second.holder;
}

}  // namespace ff::kv
