#include "libcommon/testing/sim_connection.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cstring>

#include "libcommon/testing/sim_bulk.hpp"
#include "libcommon/testing/sim_env.hpp"

namespace ff::testing {

using runtime::Duration;
using runtime::Task;
using runtime::Time;

SimConnection::SimConnection(SimFabric& fabric, SimEnv& env, NodeId peer_node, net::PeerIdentity peer, std::uint64_t id,
                             std::uint32_t planes)
    : fabric_(fabric),
      env_(&env),
      node_(env.node()),
      peer_node_(peer_node),
      peer_identity_(std::move(peer)),
      id_(id),
      planes_(planes) {}

SimConnection::~SimConnection() {
  if (peer_ != nullptr) peer_->peer_ = nullptr;
}

void SimConnection::join(SimConnection& a, SimConnection& b) noexcept {
  a.peer_ = &b;
  b.peer_ = &a;
}

std::string SimConnection::peer_text() const {
  return fmt::format("{} ({} {})", SimFabric::host(peer_node_, 0), peer_identity_.role, peer_identity_.node_id);
}

std::unexpected<Error> SimConnection::closed_error() const {
  const std::string reason = why_ ? why_->message() : std::string("closed");
  return fail(Errc::kUnavailable, fmt::format("{}: {}", peer_text(), reason));
}

void SimConnection::start(net::ConnectionHandler& handler) {
  FF_ASSERT(handler_ == nullptr, id_);
  handler_ = &handler;
  if (closed_) {
    if (env_ != nullptr && !notified_ && !notification_.armed())
      fabric_.world_.events_.arm(notification_, fabric_.world_.now_);
  } else {
    kick(Duration(0));
  }
}

Result<> SimConnection::send(net::Message message) {
  if (closed_) return closed_error();
  if (message.size() > net::kMessageBytesMax) {
    return fail(Errc::kInvalidArgument, fmt::format("{}: message of {} bytes, more than {} (send bulk data by push)",
                                                    peer_text(), message.size(), net::kMessageBytesMax));
  }
  SimWorld& world = fabric_.world_;
  if (queue_.empty() && unacknowledged_ < world.options_.network.window_bytes) {
    transmit(std::move(message));
    return {};
  }
  if (queued_bytes_ >= world.options_.network.queue_bytes_max) {
    return fail(Errc::kExhausted,
                fmt::format("{}: {} bytes wait to be sent (wait for writable())", peer_text(), queued_bytes_));
  }
  queued_bytes_ += message.size();
  queue_.push_back(std::move(message));
  return {};
}

void SimConnection::transmit(net::Message message) {
  SimWorld& world = fabric_.world_;
  const LinkModel& model = fabric_.link(node_, peer_node_).model;
  Rng& rng = fabric_.rng_;
  unacknowledged_ += message.size();
  world.event(node_, "sends {} bytes on connection {}", message.size(), id_);
  if (peer_ == nullptr) {
    // The other end is gone. A machine that runs says so; one without power says nothing.
    if (world.nodes_[peer_node_]->powered) reset_after(model.latency.draw(rng) * 2);
    return;
  }
  if (chance(rng, model.reset)) {
    reset_after(Duration(0));
    peer_->reset_after(model.latency.draw(rng));
  }
  Time at = fabric_.arrival(node_, peer_node_, message.size(), planes_);
  if (model.unreliable) {
    if (chance(rng, model.loss)) {
      world.event(node_, "loses {} bytes on connection {}", message.size(), id_);
      unacknowledged_ -= message.size();
      return;
    }
    if (chance(rng, model.duplicate)) duplicate(message, at + model.latency.draw(rng));
    if (!chance(rng, model.reorder)) last_arrival_ = at = std::max(at, last_arrival_);
  } else {
    last_arrival_ = at = std::max(at, last_arrival_);
  }
  peer_->enqueue({.at = at, .message = std::move(message)});
}

void SimConnection::duplicate(const net::Message& message, Time at) {
  fabric_.world_.event(node_, "duplicates {} bytes on connection {}", message.size(), id_);
  net::Message copy(message.size());
  if (message.size() > 0) std::memcpy(copy.payload().data(), message.payload().data(), message.size());
  unacknowledged_ += message.size();
  peer_->enqueue({.at = at, .message = std::move(copy)});
}

void SimConnection::enqueue(Item item) {
  if (closed_) {
    // A process that closed, or is gone, answers data with a reset.
    if (!item.last && peer_ != nullptr)
      peer_->reset_after(fabric_.link(node_, peer_node_).model.latency.draw(fabric_.rng_));
    return;
  }
  auto place = incoming_.end();
  while (place != incoming_.begin() && std::prev(place)->at > item.at) --place;
  const bool first = place == incoming_.begin();
  incoming_.insert(place, std::move(item));
  if (!first) return;
  arrival_.disarm();
  fabric_.world_.events_.arm(arrival_, std::max(incoming_.front().at, fabric_.world_.now_));
}

bool SimConnection::can_deliver() const noexcept {
  return !closed_ && env_ != nullptr && handler_ != nullptr && reading_ && !env_->paused() &&
         !fabric_.blocked(peer_node_, node_, planes_);
}

void SimConnection::kick(Duration delay) {
  if (incoming_.empty() || arrival_.armed() || closed_) return;
  fabric_.world_.events_.arm(arrival_, std::max(incoming_.front().at, fabric_.world_.now_ + delay));
}

void SimConnection::arrived() {
  const auto self = shared_from_this();  // the handler may drop the last one
  const Time now = fabric_.world_.now_;
  while (!incoming_.empty() && incoming_.front().at <= now && can_deliver()) {
    Item item = std::move(incoming_.front());
    incoming_.pop_front();
    take(std::move(item));
  }
  // What cannot be delivered now waits for whoever removes the obstacle: start(), resume, heal.
  if (!incoming_.empty() && incoming_.front().at > now) kick(Duration(0));
}

void SimConnection::take(Item item) {
  if (item.last) {
    lose(Error(Errc::kUnavailable, "the peer closed the connection"));
    return;
  }
  const std::size_t bytes = item.message.size();
  SimWorld& world = fabric_.world_;
  world.event(node_, "takes {} bytes from connection {}", bytes, id_);
  ++fabric_.delivered_;
  {
    const SimWorld::Inside inside(world);
    handler_->on_message(*this, std::as_const(item.message).payload());
  }
  if (peer_ == nullptr) return;
  if (fabric_.blocked(node_, peer_node_, planes_)) {
    unreported_ += bytes;
  } else {
    peer_->acknowledged(bytes + std::exchange(unreported_, 0));
  }
}

void SimConnection::acknowledged(std::size_t bytes) {
  unacknowledged_ -= std::min(bytes, unacknowledged_);
  if (queue_.empty()) return;
  const NetworkModel& options = fabric_.world_.options_.network;
  while (!queue_.empty() && unacknowledged_ < options.window_bytes) {
    net::Message next = std::move(queue_.front());
    queue_.pop_front();
    queued_bytes_ -= next.size();
    transmit(std::move(next));
  }
  if (queued_bytes_ < options.queue_bytes_max / 2) writable_.wake_all();
}

Task<Result<>> SimConnection::writable() {
  const auto self = shared_from_this();
  while (!closed_ && queued_bytes_ >= fabric_.world_.options_.network.queue_bytes_max / 2) {
    FF_CO_TRY(co_await writable_.wait());
  }
  if (closed_) co_return closed_error();
  co_return {};
}

void SimConnection::resume_reading() noexcept {
  reading_ = true;
  kick(Duration(0));
}

void SimConnection::close(Error why) {
  if (closed_) return;
  if (peer_ != nullptr) {
    while (!queue_.empty()) {
      net::Message next = std::move(queue_.front());
      queue_.pop_front();
      transmit(std::move(next));
    }
    const Time at = fabric_.arrival(node_, peer_node_, 0, planes_);
    last_arrival_ = std::max(at, last_arrival_);
    peer_->enqueue({.at = last_arrival_, .message = {}, .last = true});
  }
  lose(std::move(why));
}

void SimConnection::lose(Error why) {
  if (closed_) return;
  SimWorld& world = fabric_.world_;
  world.event(node_, "connection {} closes, code {}", id_, static_cast<std::uint64_t>(why.code()));
  closed_ = true;
  why_ = std::move(why);
  queue_.clear();
  queued_bytes_ = 0;
  incoming_.clear();
  arrival_.disarm();
  reset_.disarm();
  silence_.disarm();
  writable_.fail_all(closed_error().error());
  SimBulk::connection_lost(fabric_, *this);
  if (env_ != nullptr) world.events_.arm(notification_, world.now_);
}

void SimConnection::notify() {
  if (env_ == nullptr || env_->paused() || notified_) return;  // a paused process hears of it when it is resumed
  if (handler_ == nullptr) {
    env_->network_.connections_.erase(id_);  // nobody to tell; start() may come later and be told then
    return;
  }
  const auto self = shared_from_this();
  notified_ = true;
  SimEnv& env = *env_;
  env.network_.connections_.erase(id_);
  const SimWorld::Inside inside(fabric_.world_);
  handler_->on_closed(*this, *why_);
}

void SimConnection::reset_after(Duration delay) {
  if (closed_ || reset_.armed()) return;
  fabric_.world_.events_.arm(reset_, fabric_.world_.now_ + delay);
}

void SimConnection::peer_reset() {
  if (fabric_.blocked(peer_node_, node_, planes_)) return;  // it never arrives; the silence will be noticed
  const auto self = shared_from_this();
  lose(Error(Errc::kUnavailable, "connection reset by peer"));
}

void SimConnection::silent_too_long() {
  const auto self = shared_from_this();
  lose(Error(Errc::kUnavailable, "the peer is silent (given up)"));
}

void SimConnection::watch() {
  if (closed_ || env_ == nullptr) return;
  const bool cut = fabric_.blocked(node_, peer_node_, planes_) || fabric_.blocked(peer_node_, node_, planes_);
  if (!cut && peer_ != nullptr) {
    silence_.disarm();
  } else if (!silence_.armed()) {
    const double part = 0.5 + 0.5 * fabric_.rng_.uniform();
    const auto limit = static_cast<double>(fabric_.world_.options_.network.dead_after.count());
    fabric_.world_.events_.arm(silence_, fabric_.world_.now_ + Duration(static_cast<std::int64_t>(limit * part)));
  }
}

void SimConnection::orphan() noexcept {
  closed_ = true;
  if (!why_) why_ = Error(Errc::kUnavailable, "the process is gone");
  env_ = nullptr;
  handler_ = nullptr;
  arrival_.disarm();
  notification_.disarm();
  reset_.disarm();
  silence_.disarm();
  if (peer_ != nullptr) peer_->peer_ = nullptr;
  peer_ = nullptr;
  queue_.clear();
  incoming_.clear();
  regions_.clear();
}

}  // namespace ff::testing
