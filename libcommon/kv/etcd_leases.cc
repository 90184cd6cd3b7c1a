#include "libcommon/kv/etcd_leases.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "libcommon/kv/buffered_transaction.hpp"
#include "libcommon/kv/lease_rules.hpp"

namespace ff::kv {

using runtime::Duration;
using runtime::Task;
using runtime::Time;
using namespace std::chrono_literals;

namespace rpc = etcdserverpb;

namespace {
// Between tries while the cluster cannot be reached, or when a watch told nothing.
constexpr Duration kPause = 100ms;
constexpr Duration kLookAgain = 2s;
}  // namespace

// What a lease and the task that renews it share.
struct EtcdLeases::State {
  std::string name;
  std::int64_t id = 0;
  std::uint64_t epoch = 0;
  Duration ttl{};
  Time sure_until{};
  bool ended = false;     // lost or released
  runtime::Event over;    // with `ended`
  runtime::Event let_go;  // no more renewals are wanted

  void renewed(Time asked) { sure_until = asked + ttl - ttl / 8; }
  void end() {
    ended = true;
    over.set();
  }
};

class EtcdLeases::Held final : public Lease {
 public:
  Held(EtcdLeases& leases, std::shared_ptr<State> state) : leases_(leases), state_(std::move(state)) {}
  ~Held() override { state_->let_go.set(); }

  bool held() const noexcept override { return !state_->ended && leases_.parts_.env.now() < state_->sure_until; }
  Task<void> lost() override {
    const auto state = state_;
    (void)co_await state->over.wait();
  }
  Task<Result<>> guard(Transaction& transaction) override {
    auto* ours = dynamic_cast<BufferedTransaction*>(&transaction);
    if (ours == nullptr || ours->owner() != leases_.owner_) {
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
    FF_CO_TRY_CTX(co_await leases_.parts_.client.revoke_lease(state_->id), "release a lease (it will run out)");
    co_return {};
  }
  std::uint64_t epoch() const noexcept override { return state_->epoch; }

 private:
  EtcdLeases& leases_;
  std::shared_ptr<State> state_;
};

Task<Result<std::optional<std::string>>> EtcdLeases::holder(std::string name) {
  rpc::RangeRequest request;
  request.set_key(parts_.keys.lease(name));
  FF_CO_TRY_ASSIGN(auto answer, co_await parts_.client.range(std::move(request)));
  if (answer.reply.kvs_size() == 0) co_return std::nullopt;
  co_return std::move(*answer.reply.mutable_kvs(0)->mutable_value());
}

Task<Result<std::unique_ptr<Lease>>> EtcdLeases::acquire(std::string name, std::string holder, Duration ttl) {
  FF_CO_TRY(check_lease_arguments(name, holder, ttl));
  runtime::Context& context = co_await runtime::current_context();
  for (;;) {
    auto state = co_await campaign_once(name, holder, ttl);
    if (state && *state) {
      parts_.scope.spawn(keep(*state));
      co_return std::make_unique<Held>(*this, std::move(*state));
    }
    if (state) continue;
    // A campaign outlasts what may pass; what does not pass ends it.
    const Errc code = state.error().code();
    const bool may_pass = code == Errc::kUnavailable || code == Errc::kTimeout;
    if (context.cancelled() || parts_.scope.context().cancelled() || !may_pass) {
      co_return std::unexpected(std::move(state).error());
    }
    FF_CO_TRY(co_await runtime::sleep(kPause));
  }
}

// Null: somebody else had it, and perhaps has not any more.
Task<Result<std::shared_ptr<EtcdLeases::State>>> EtcdLeases::campaign_once(std::string name, std::string holder,
                                                                           Duration ttl) {
  FF_CO_TRY_ASSIGN(const Claim present, co_await look(name, 0));
  if (present.epoch) {
    FF_CO_TRY(co_await wait_until_free(name, present.revision));
    co_return nullptr;
  }
  const Time asked = parts_.env.now();
  FF_CO_TRY_ASSIGN(const auto granted,
                   co_await parts_.client.grant_lease(std::chrono::ceil<std::chrono::seconds>(ttl).count()));
  const Result<Claim> claimed = co_await claim(name, holder, granted.id());
  auto state = std::make_shared<State>();
  state->ttl = ttl;
  state->renewed(asked);
  const bool ours = claimed && claimed->epoch && parts_.env.now() < state->sure_until;
  if (!ours) revoke_later(granted.id());
  if (!claimed) co_return std::unexpected(claimed.error());
  if (!ours) {
    if (!claimed->epoch) FF_CO_TRY(co_await wait_until_free(name, claimed->revision));
    co_return nullptr;
  }
  state->name = std::move(name);
  state->id = granted.id();
  state->epoch = *claimed->epoch;
  co_return state;
}

Task<Result<EtcdLeases::Claim>> EtcdLeases::claim(const std::string& name, const std::string& holder, std::int64_t id) {
  rpc::TxnRequest request;
  auto* compare = request.add_compare();
  compare->set_key(parts_.keys.lease(name));
  compare->set_target(rpc::Compare::CREATE);
  compare->set_result(rpc::Compare::EQUAL);
  compare->set_create_revision(0);
  auto* put = request.add_success()->mutable_request_put();
  put->set_key(compare->key());
  put->set_value(holder);
  put->set_lease(id);
  FF_CO_TRY_ASSIGN(const auto answer, co_await parts_.client.commit(std::move(request)));
  if (!answer) {
    FF_CO_TRY(co_await runtime::not_cancelled());
    FF_CO_TRY_ASSIGN(Claim seen, co_await look(name, id));
    co_return seen;
  }
  const auto revision = static_cast<Version>(answer->header().revision());
  if (!answer->succeeded()) co_return Claim{.epoch = std::nullopt, .revision = revision};
  co_return Claim{.epoch = revision, .revision = revision};
}

// With an id: the epoch if that lease has it. Without: whoever has it.
Task<Result<EtcdLeases::Claim>> EtcdLeases::look(const std::string& name, std::int64_t id) {
  rpc::RangeRequest request;
  request.set_key(parts_.keys.lease(name));
  FF_CO_TRY_ASSIGN(const auto answer, co_await parts_.client.range(std::move(request)));
  Claim claim{.epoch = std::nullopt, .revision = static_cast<Version>(answer.reply.header().revision())};
  if (answer.reply.kvs_size() > 0 && (id == 0 || answer.reply.kvs(0).lease() == id)) {
    claim.epoch = static_cast<std::uint64_t>(answer.reply.kvs(0).create_revision());
  }
  co_return claim;
}

Task<Result<>> EtcdLeases::wait_until_free(const std::string& name, Version since) {
  const auto watch = parts_.watches.add({parts_.keys.lease(name), {}}, since);
  const auto told = co_await runtime::with_timeout(kLookAgain, "campaign", watch->changed());
  co_return co_await runtime::not_cancelled();
}

void EtcdLeases::revoke_later(std::int64_t id) {
  // If it fails, the lease runs out.
  if (!parts_.scope.context().cancelled()) {
    parts_.scope.spawn([](EtcdClient& client, std::int64_t lease) -> Task<void> {
      (void)co_await client.revoke_lease(lease);
    }(parts_.client, id));
  }
}

Task<void> EtcdLeases::keep(std::shared_ptr<State> lease) {
  // A quarter after the last was asked for: after one that took long, at once.
  Time asked = parts_.env.now();
  while (!lease->ended) {
    const Time next = std::min(asked + lease->ttl / 4, lease->sure_until);
    const auto let_go = co_await runtime::with_deadline(next, "lease", lease->let_go.wait());
    if (let_go || let_go.error().code() != Errc::kTimeout) break;
    asked = parts_.env.now();
    if (asked >= lease->sure_until) break;
    // Short tries: a member that passes the call on to a leader which stands still leaves time for the others.
    const auto renewed = co_await runtime::with_deadline(lease->sure_until, "lease renewal",
                                                         parts_.client.renew_lease(lease->id, lease->ttl / 8));
    if (renewed && !*renewed) break;
    if (renewed) lease->renewed(asked);
  }
  lease->end();
}

}  // namespace ff::kv
