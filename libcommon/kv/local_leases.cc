#include "libcommon/kv/local_leases.hpp"

#include <fmt/core.h>

#include "libcommon/base/defer.hpp"
#include "libcommon/kv/lease_rules.hpp"

namespace ff::kv {

using runtime::Task;

class LocalLeases::Held final : public Lease {
 public:
  Held(LocalLeases& leases, const std::string& name, Claim& claim)
      : leases_(leases), name_(name), claim_(claim), epoch_(claim.epoch) {
    claim_.over = &over_;
  }
  ~Held() override { end(); }

  bool held() const noexcept override { return !over_.is_set(); }
  Task<void> lost() override { (void)co_await over_.wait(); }
  Task<Result<>> guard(Transaction& transaction) override {
    auto* ours = dynamic_cast<BufferedTransaction*>(&transaction);
    if (ours == nullptr || ours->owner() != leases_.owner_) {
      co_return fail(Errc::kInvalidArgument, fmt::format("lease '{}': the transaction is of another store", name_));
    }
    if (!held()) co_return fail(lease_lost_error(name_));
    ours->add_guard({name_, epoch_});
    co_return {};
  }
  Task<Result<>> release() override {
    end();
    co_return {};
  }
  std::uint64_t epoch() const noexcept override { return epoch_; }

 private:
  void end() {
    if (over_.is_set()) return;
    over_.set();
    leases_.let_go(claim_);
  }

  LocalLeases& leases_;
  std::string name_;
  Claim& claim_;
  std::uint64_t epoch_;
  runtime::Event over_;
};

Task<Result<std::unique_ptr<Lease>>> LocalLeases::acquire(std::string name, std::string holder) {
  Claim& claim = claims_[name];
  while (claim.taken && !failure_) FF_CO_TRY(co_await claim.waiting.wait());
  if (failure_) co_return std::unexpected(*failure_);
  claim.taken = true;
  Defer give_back([&] { let_go(claim); });
  FF_CO_TRY_ASSIGN(claim.epoch, co_await epochs_.next_epoch(name));
  if (failure_) co_return std::unexpected(*failure_);
  claim.holder = std::move(holder);
  auto lease = std::make_unique<Held>(*this, name, claim);
  give_back.cancel();
  co_return lease;
}

void LocalLeases::let_go(Claim& claim) {
  claim.taken = false;
  claim.over = nullptr;
  claim.waiting.wake_one();
}

std::optional<std::string> LocalLeases::holder(const std::string& name) const {
  const auto found = claims_.find(name);
  if (found == claims_.end() || found->second.over == nullptr) return std::nullopt;
  return found->second.holder;
}

bool LocalLeases::is_current(const LeaseGuard& guard) const {
  const auto found = claims_.find(guard.name);
  return found != claims_.end() && found->second.over != nullptr && found->second.epoch == guard.epoch;
}

void LocalLeases::fail_all(const Error& why) {
  failure_ = why;
  for (auto& [name, claim] : claims_) {
    if (claim.over != nullptr) claim.over->set();
    claim.over = nullptr;
    claim.waiting.wake_all();
  }
}

}  // namespace ff::kv
