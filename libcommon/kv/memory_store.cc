#include "libcommon/kv/memory_store.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "libcommon/kv/key_range.hpp"
#include "libcommon/kv/lease_rules.hpp"

namespace ff::kv {

using runtime::Duration;
using runtime::Task;
using runtime::Time;

namespace {
// How often it is tried again what another may have made possible: a lease may be released, an outage be ended.
constexpr Duration kPoll = std::chrono::milliseconds(50);
}  // namespace

class MemoryTransaction final : public BufferedTransaction {
 public:
  explicit MemoryTransaction(MemoryStore& store)
      : BufferedTransaction(&store, store.cluster_.options_.limits), store_(store) {}
  ~MemoryTransaction() override {
    if (pinned_) store_.cluster_.unpin(*pinned_);
  }

 private:
  Task<Result<Version>> take_snapshot() override {
    FF_CO_TRY(co_await store_.reach());
    pinned_ = store_.cluster_.pin_last();
    FF_CO_TRY_CTX(co_await store_.travel(), "take a snapshot");
    co_return *pinned_;
  }
  Task<Result<std::optional<std::string>>> read(const std::string& key) override {
    FF_CO_TRY(co_await store_.reach());
    auto value = store_.cluster_.read(key, *pinned_);
    FF_CO_TRY(co_await store_.travel());
    co_return value;
  }
  Task<Result<RangeResult>> scan(const KeyRange& range, std::size_t limit, std::size_t bytes_limit,
                                 bool reverse) override {
    FF_CO_TRY(co_await store_.reach());
    RangeResult result = store_.cluster_.scan(range, limit, bytes_limit, reverse, *pinned_);
    FF_CO_TRY(co_await store_.travel());
    co_return result;
  }
  Task<Result<Commit>> submit(Submission submission) override {
    MemoryCluster::Request request{.snapshot = submission.snapshot.value_or(store_.cluster_.last_version()),
                                   .reads = std::move(submission.reads),
                                   .writes = std::move(submission.writes),
                                   .guards = std::move(submission.guards)};
    co_return co_await store_.commit(std::move(request));
  }

  MemoryStore& store_;
  std::optional<Version> pinned_;
};

// What the lease and the task that renews it share.
struct MemoryStore::LeaseState {
  std::string name;
  std::uint64_t epoch = 0;
  Duration ttl{};
  Time sure_until{};      // by the handle's clock
  bool ended = false;     // lost or released
  runtime::Event over;    // with `ended`
  runtime::Event let_go;  // no more renewals are wanted

  // The holder stops being sure some time before the cluster's clock can have let another in.
  void renewed(Time asked) { sure_until = asked + ttl - ttl / 8; }
  void end() {
    ended = true;
    over.set();
  }
};

class MemoryLease final : public Lease {
 public:
  MemoryLease(MemoryStore& store, std::shared_ptr<MemoryStore::LeaseState> state)
      : store_(store), state_(std::move(state)) {}
  ~MemoryLease() override { state_->let_go.set(); }

  bool held() const noexcept override { return !state_->ended && store_.env_.now() < state_->sure_until; }
  Task<void> lost() override { (void)co_await state_->over.wait(); }
  Task<Result<>> guard(Transaction& transaction) override {
    auto* ours = dynamic_cast<MemoryTransaction*>(&transaction);
    if (ours == nullptr || ours->owner() != &store_) {
      co_return fail(Errc::kInvalidArgument,
                     fmt::format("lease '{}': the transaction is of another store", state_->name));
    }
    if (!held()) co_return fail(lease_lost_error(state_->name));
    ours->add_guard({state_->name, state_->epoch});
    co_return {};
  }
  Task<Result<>> release() override {
    state_->let_go.set();
    state_->end();
    FF_CO_TRY_CTX(co_await store_.reach(), "release a lease (it will run out)");
    store_.cluster_.give_up(state_->name, state_->epoch);
    co_return {};
  }
  std::uint64_t epoch() const noexcept override { return state_->epoch; }

 private:
  MemoryStore& store_;
  std::shared_ptr<MemoryStore::LeaseState> state_;
};

MemoryStore::MemoryStore(MemoryCluster& cluster, runtime::Env& env, std::shared_ptr<MemoryCluster::Listener> listener)
    : cluster_(cluster), env_(env), listener_(std::move(listener)), scope_(env) {
  listener_->store = this;
}

MemoryStore::~MemoryStore() = default;

std::unique_ptr<Transaction> MemoryStore::begin() { return std::make_unique<MemoryTransaction>(*this); }

std::string MemoryStore::describe() const { return "memory of this process"; }

Task<void> MemoryStore::stop() {
  scope_.cancel();
  (void)co_await scope_.join();
}

Duration MemoryStore::random_up_to(Duration bound) noexcept {
  return Duration(cluster_.rng_.below(static_cast<std::uint64_t>(std::max<Duration::rep>(bound.count(), 0)) + 1));
}

Task<Result<>> MemoryStore::travel() {
  if (faults_.delay_max > Duration::zero()) {
    const Duration delay = faults_.delay_min + random_up_to(faults_.delay_max - faults_.delay_min);
    co_return co_await runtime::sleep(delay);
  }
  runtime::Context& context = co_await runtime::current_context();
  if (context.cancelled()) co_return std::unexpected(context.why());
  co_return {};
}

Task<Result<>> MemoryStore::reach() {
  FF_CO_TRY(co_await travel());
  if (roll(faults_.outage)) faults_.unreachable_until = env_.now() + random_up_to(faults_.outage_max);
  if (env_.now() < faults_.unreachable_until) {
    co_return fail(Errc::kUnavailable, "memory store: cannot be reached (an injected outage)");
  }
  cluster_.settle();
  co_return {};
}

Task<Result<>> MemoryStore::arrive() {
  const auto cut_off = [this] { return env_.now() < faults_.unreachable_until; };
  do {
    while (cut_off()) FF_CO_TRY(co_await runtime::sleep(std::min(faults_.unreachable_until - env_.now(), kPoll)));
    FF_CO_TRY(co_await travel());
  } while (cut_off());
  co_return {};
}

void MemoryStore::hear(std::shared_ptr<const WriteSet> writes, Version version) {
  if (scope_.context().cancelled()) return;
  news_.push_back({std::move(writes), version});
  if (news_.size() == 1) scope_.spawn(tell_watches());
}

Task<void> MemoryStore::tell_watches() {
  while (!news_.empty()) {
    // What comes meanwhile sets out after these.
    const std::size_t on_the_way = news_.size();
    if (!co_await arrive()) co_return;
    for (std::size_t i = 0; i < on_the_way; ++i) {
      listener_->watches.wrote(*news_.front().writes, news_.front().version);
      news_.pop_front();
    }
  }
}

Task<Result<Commit>> MemoryStore::commit(MemoryCluster::Request request) {
  FF_CO_TRY(co_await reach());
  if (roll(faults_.conflict)) co_return Commit{.outcome = Outcome::kConflict, .version = 0};
  const Commit unsure{.outcome = Outcome::kMaybeCommitted, .version = 0};
  if (const NextCommit next = std::exchange(faults_.next_commit, NextCommit::kUsual); next != NextCommit::kUsual) {
    if (next == NextCommit::kMaybeApplied) (void)cluster_.commit(request);
    co_return unsure;
  }
  if (roll(faults_.maybe_committed)) {
    commit_unsurely(std::move(request));
    (void)co_await travel();
    co_return unsure;
  }
  FF_CO_TRY_ASSIGN(const Commit commit, cluster_.commit(request));
  // Whoever does not wait for the answer does not know it.
  if (const auto answered = co_await travel(); !answered) co_return unsure;
  co_return commit;
}

void MemoryStore::commit_unsurely(MemoryCluster::Request request) {
  if (!roll(faults_.maybe_applied)) return;
  if (!roll(faults_.maybe_late)) {
    (void)cluster_.commit(request);
    return;
  }
  const Duration wait = random_up_to(faults_.late_max);
  cluster_.commit_later(cluster_.options_.clock() + wait, std::move(request));
  if (!scope_.context().cancelled()) scope_.spawn(settle_after(wait));
}

Task<Result<>> MemoryStore::settle_after(Duration wait) {
  FF_CO_TRY(co_await runtime::sleep(wait));
  cluster_.settle();
  co_return {};
}

Task<Result<std::unique_ptr<Watch>>> MemoryStore::watch(KeyRange range, Version after) {
  FF_CO_TRY(co_await reach());
  const bool changed = cluster_.resolver_.changed_since(range, after);
  co_return listener_->watches.add(std::move(range), changed, cluster_.last_version());
}

Task<Result<std::optional<std::string>>> MemoryStore::current_holder(std::string name) {
  FF_CO_TRY(co_await reach());
  auto holder = cluster_.holder(name);
  FF_CO_TRY(co_await travel());
  co_return holder;
}

Task<Result<std::unique_ptr<Lease>>> MemoryStore::acquire_lease(std::string name, std::string holder, Duration ttl) {
  FF_CO_TRY(check_lease_arguments(name, holder, ttl));
  for (;;) {
    const Time asked = env_.now();
    MemoryCluster::ClaimResult claim{.epoch = std::nullopt, .wait = kPoll};
    auto reached = co_await reach();
    if (!reached && reached.error().code() != Errc::kUnavailable) co_return std::unexpected(std::move(reached).error());
    if (reached) claim = cluster_.claim(name, holder, ttl);
    FF_CO_TRY(co_await travel());
    if (claim.epoch) {
      auto state = std::make_shared<LeaseState>();
      state->name = std::move(name);
      state->epoch = *claim.epoch;
      state->ttl = ttl;
      state->renewed(asked);
      scope_.spawn(keep(state));
      co_return std::make_unique<MemoryLease>(*this, std::move(state));
    }
    // Once it may be free, or earlier: it may be released.
    FF_CO_TRY(co_await runtime::sleep(std::clamp(claim.wait, Duration(1), kPoll)));
  }
}

Task<Result<bool>> MemoryStore::renew(std::shared_ptr<LeaseState> lease) {
  FF_CO_TRY(co_await reach());
  const bool renewed = cluster_.renew(lease->name, lease->epoch, lease->ttl);
  FF_CO_TRY(co_await travel());
  co_return renewed;
}

Task<void> MemoryStore::keep(std::shared_ptr<LeaseState> lease) {
  while (!lease->ended) {
    const Time next = std::min(env_.now() + lease->ttl / 3, lease->sure_until);
    const auto let_go = co_await runtime::with_deadline(next, "lease", lease->let_go.wait());
    if (let_go || let_go.error().code() != Errc::kTimeout) break;
    const Time asked = env_.now();
    if (asked >= lease->sure_until) break;
    const auto renewed = co_await runtime::with_deadline(lease->sure_until, "lease renewal", renew(lease));
    if (renewed && !*renewed) break;
    if (renewed) lease->renewed(asked);
  }
  lease->end();
}

}  // namespace ff::kv
