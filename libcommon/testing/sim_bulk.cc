#include "libcommon/testing/sim_bulk.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cstring>

#include "libcommon/testing/sim_connection.hpp"
#include "libcommon/testing/sim_env.hpp"

namespace ff::testing {

using net::Access;
using net::RemoteMemory;
using runtime::Task;

class SimExposure final : public net::Exposure {
 public:
  SimExposure(std::weak_ptr<SimConnection> connection, std::uint64_t region, std::uint64_t bytes)
      : connection_(std::move(connection)), region_(region), bytes_(bytes) {}
  ~SimExposure() override { forget(); }
  RemoteMemory remote() const noexcept override { return {region_, 0, bytes_}; }
  Task<void> revoke() override {
    forget();
    co_return;
  }
  std::uint64_t arrived() const noexcept override {
    const auto connection = connection_.lock();
    if (!connection) return arrived_;
    const auto found = connection->regions_.find(region_);
    return found == connection->regions_.end() ? arrived_ : found->second.arrived;
  }

 private:
  void forget() noexcept {
    arrived_ = arrived();
    if (const auto connection = connection_.lock()) connection->regions_.erase(region_);
  }
  std::weak_ptr<SimConnection> connection_;
  std::uint64_t region_, bytes_;
  std::uint64_t arrived_ = 0;  // when it was revoked
};

Result<std::unique_ptr<net::Exposure>> SimConnection::expose(std::span<std::byte> memory, Access access) {
  if (closed_) return closed_error();
  const std::uint64_t region = next_region_++;
  regions_.emplace(region, Region{memory, access, 0});
  auto self = std::static_pointer_cast<SimConnection>(shared_from_this());
  return std::make_unique<SimExposure>(std::move(self), region, memory.size());
}

namespace {

// The coroutine that waits for a bulk operation may be destroyed at any time.
class Holder {
 public:
  explicit Holder(std::shared_ptr<SimBulk> bulk) noexcept : bulk_(std::move(bulk)) {}
  Holder(const Holder&) = delete;
  Holder& operator=(const Holder&) = delete;
  ~Holder() { bulk_->abandon(); }
  SimBulk& operator*() const noexcept { return *bulk_; }

 private:
  std::shared_ptr<SimBulk> bulk_;
};

}  // namespace

Task<Result<>> SimConnection::push(std::span<const std::byte> from, RemoteMemory to) {
  const auto self = shared_from_this();
  if (closed_) co_return closed_error();
  const Holder bulk(SimBulk::push(*this, from, to));
  co_return co_await (*bulk).wait();
}

Task<Result<>> SimConnection::pull(RemoteMemory from, std::span<std::byte> into) {
  const auto self = shared_from_this();
  if (closed_) co_return closed_error();
  const Holder bulk(SimBulk::pull(*this, from, into));
  co_return co_await (*bulk).wait();
}

SimBulk::SimBulk(SimConnection& initiator, Kind kind, RemoteMemory remote, std::uint64_t id)
    : fabric_(initiator.fabric_), kind_(kind), remote_(remote), id_(id) {
  initiator_ = std::static_pointer_cast<SimConnection>(initiator.shared_from_this());
  if (initiator.peer_ != nullptr)
    target_ = std::static_pointer_cast<SimConnection>(initiator.peer_->shared_from_this());
}

std::shared_ptr<SimBulk> SimBulk::push(SimConnection& initiator, std::span<const std::byte> from, RemoteMemory to) {
  SimFabric& fabric = initiator.fabric_;
  auto bulk = std::make_shared<SimBulk>(initiator, Kind::kPush, to, fabric.next_id_++);
  fabric.bulks_.emplace(bulk->id_, bulk);
  fabric.world_.event(initiator.node_, "pushes {} bytes on connection {}", from.size(), initiator.id_);
  bulk->data_.assign(from.begin(), from.end());
  const std::uint64_t count = 1 + fabric.rng_.below(4);
  const std::uint64_t step = (from.size() + count - 1) / count;
  for (std::uint64_t offset = 0; offset < from.size() || bulk->pieces_.empty();
       offset += std::max<std::uint64_t>(step, 1)) {
    const std::uint64_t bytes = std::min<std::uint64_t>(step, from.size() - offset);
    bulk->pieces_.push_back(
        {fabric.arrival(initiator.node_, initiator.peer_node_, bytes, initiator.planes_), offset, bytes});
  }
  std::sort(bulk->pieces_.begin(), bulk->pieces_.end(),
            [](const Piece& a, const Piece& b) { return std::pair(a.at, a.offset) > std::pair(b.at, b.offset); });
  fabric.world_.events_.arm(*bulk, bulk->pieces_.back().at);
  return bulk;
}

std::shared_ptr<SimBulk> SimBulk::pull(SimConnection& initiator, RemoteMemory from, std::span<std::byte> into) {
  SimFabric& fabric = initiator.fabric_;
  auto bulk = std::make_shared<SimBulk>(initiator, Kind::kPull, from, fabric.next_id_++);
  fabric.bulks_.emplace(bulk->id_, bulk);
  fabric.world_.event(initiator.node_, "pulls {} bytes on connection {}", into.size(), initiator.id_);
  bulk->into_ = into;
  bulk->pieces_.push_back(
      {fabric.arrival(initiator.node_, initiator.peer_node_, 0, initiator.planes_), 0, into.size()});
  fabric.world_.events_.arm(*bulk, bulk->pieces_.back().at);
  return bulk;
}

Task<Result<>> SimBulk::wait() {
  while (!result_) FF_CO_TRY(co_await finished_.wait());
  co_return *result_;
}

void SimBulk::abandon() noexcept {
  abandoned_ = true;
  into_ = {};
  if (result_ || kind_ == Kind::kPull) fabric_.bulks_.erase(id_);
}

void SimBulk::expired() {
  const auto self = fabric_.bulks_.at(id_);  // finish() may let the last one go
  stalled_ = !(returning_ ? reach_initiator() : reach_target());
}

bool SimBulk::reach_target() {
  const auto target = target_.lock();
  const auto initiator = initiator_.lock();
  if (!target || target->closed_) {
    // Nobody answers; the initiator learns of it with its connection. If it is gone too, this has ended.
    if (abandoned_ || !initiator || initiator->closed_) fabric_.bulks_.erase(id_);
    return true;
  }
  if (target->env_->paused() || fabric_.blocked(target->peer_node_, target->node_, target->planes_)) return false;
  const Piece piece = pieces_.back();
  const auto memory = locate(*target, kind_ == Kind::kPush ? data_.size() : piece.bytes);
  if (!memory) {
    outcome_ = std::unexpected(memory.error());
    return_to_initiator(*target, 0);
    return true;
  }
  if (kind_ == Kind::kPull) {
    data_.assign(memory->begin(), memory->end());
    return_to_initiator(*target, data_.size());
    return true;
  }
  if (piece.bytes > 0) std::memcpy(memory->data() + piece.offset, data_.data() + piece.offset, piece.bytes);
  target->regions_.at(remote_.region).arrived += piece.bytes;
  pieces_.pop_back();
  if (pieces_.empty()) {
    return_to_initiator(*target, 0);
  } else {
    fabric_.world_.events_.arm(*this, std::max(pieces_.back().at, fabric_.world_.now_));
  }
  return true;
}

Result<std::span<std::byte>> SimBulk::locate(SimConnection& target, std::uint64_t bytes) {
  const auto found = target.regions_.find(remote_.region);
  if (found == target.regions_.end()) {
    return fail(Errc::kNotFound, fmt::format("remote memory {}: not exposed (any more)", remote_.region));
  }
  const SimConnection::Region& region = found->second;
  const auto needed = kind_ == Kind::kPush ? Access::kPush : Access::kPull;
  if ((static_cast<int>(region.access) & static_cast<int>(needed)) == 0) {
    return fail(Errc::kPermission, fmt::format("remote memory {}: not exposed for this", remote_.region));
  }
  if (bytes > remote_.bytes || remote_.offset > region.memory.size() || bytes > region.memory.size() - remote_.offset) {
    return fail(Errc::kInvalidArgument, fmt::format("remote memory {}: {} bytes at {} are out of its range",
                                                    remote_.region, bytes, remote_.offset));
  }
  return region.memory.subspan(remote_.offset, bytes);
}

void SimBulk::return_to_initiator(SimConnection& target, std::size_t bytes) {
  returning_ = true;
  pieces_.clear();
  fabric_.world_.events_.arm(*this, fabric_.arrival(target.node_, target.peer_node_, bytes, target.planes_));
}

bool SimBulk::reach_initiator() {
  const auto initiator = initiator_.lock();
  if (abandoned_ || !initiator || initiator->closed_) {
    fabric_.bulks_.erase(id_);
    return true;
  }
  if (initiator->env_->paused() || fabric_.blocked(initiator->peer_node_, initiator->node_, initiator->planes_))
    return false;
  if (kind_ == Kind::kPull && outcome_ && !into_.empty()) std::memcpy(into_.data(), data_.data(), into_.size());
  finish(outcome_);
  return true;
}

void SimBulk::finish(Result<> result) {
  if (result_) return;
  result_ = std::move(result);
  finished_.wake_all();
  if (returning_) fabric_.bulks_.erase(id_);
}

void SimBulk::connection_lost(SimFabric& fabric, SimConnection& connection) {
  for (const auto& [id, bulk] : fabric.bulks_) {
    if (bulk->result_ || bulk->initiator_.lock().get() != &connection) continue;
    bulk->result_ = connection.closed_error();
    bulk->into_ = {};
    bulk->finished_.wake_all();
  }
}

void SimBulk::kick_all(SimFabric& fabric) {
  for (const auto& [id, bulk] : fabric.bulks_) {
    if (!bulk->stalled_ || bulk->armed()) continue;
    fabric.world_.events_.arm(*bulk, fabric.world_.now_ + LinkModel{}.latency.draw(fabric.rng_));
  }
}

}  // namespace ff::testing
