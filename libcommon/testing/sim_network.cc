#include "libcommon/testing/sim_network.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>

#include "libcommon/testing/sim_bulk.hpp"
#include "libcommon/testing/sim_connection.hpp"
#include "libcommon/testing/sim_env.hpp"

namespace ff::testing {

using net::Address;
using runtime::Duration;
using runtime::Task;
using runtime::Time;

namespace {

constexpr std::size_t kSegmentBytes = 1448;
constexpr std::size_t kSegmentOverhead = 66;
constexpr Duration kRetransmitMax = 10s;

// Through a queue that is empty at `free_at`: when the last byte of what gets there at `at` has left it.
Time pass(Time& free_at, Time at, std::size_t bytes, double bytes_per_second) {
  const double seconds = static_cast<double>(bytes) / bytes_per_second;
  return free_at = std::max(free_at, at) + Duration(static_cast<std::int64_t>(seconds * 1e9));
}

std::uint32_t plane_bits(std::uint32_t planes) { return planes >= 32 ? kAllPlanes : (1u << planes) - 1; }

}  // namespace

SimFabric::SimFabric(SimWorld& world, std::uint64_t seed) : world_(world), rng_(seed) {}
SimFabric::~SimFabric() = default;

std::string SimFabric::host(NodeId node, std::uint32_t plane) {
  return fmt::format("10.{}.{}.{}", plane, node / 250, node % 250 + 1);
}

void SimFabric::add_node() {
  for (auto& row : links_) row.emplace_back().model = world_.options_.link;
  links_.emplace_back(links_.size() + 1);
  for (Link& link : links_.back()) link.model = world_.options_.link;
  downlinks_.emplace_back();
}

void SimFabric::set_model(const LinkModel& model) {
  for (auto& row : links_) {
    for (Link& link : row) link.model = model;
  }
}

template <class F>
void SimFabric::for_connections(F visit) {
  for (const auto& node : world_.nodes_) {
    if (!node->env) continue;
    for (const auto& [id, connection] : node->env->network_.connections_) visit(*connection);
  }
}

std::size_t SimFabric::connections() const {
  std::size_t count = 0;
  for (const auto& node : world_.nodes_) count += node->env ? node->env->network_.connections_.size() : 0;
  return count;
}

bool SimFabric::blocked(NodeId from, NodeId to, std::uint32_t planes) const noexcept {
  const std::uint32_t existing = planes & plane_bits(world_.options_.network.planes);
  return (existing & ~links_[from][to].cut) == 0;
}

void SimFabric::cut_one_way(NodeId from, NodeId to, std::uint32_t planes) {
  world_.event(kNoNode, "cut from n{} to n{}", from, to);
  link(from, to).cut |= planes;
  changed(from, to);
}

void SimFabric::heal_one_way(NodeId from, NodeId to, std::uint32_t planes) {
  if ((link(from, to).cut & planes) == 0) return;
  world_.event(kNoNode, "heal from n{} to n{}", from, to);
  link(from, to).cut &= ~planes;
  changed(from, to);
}

void SimFabric::cut(NodeId a, NodeId b, std::uint32_t planes) {
  cut_one_way(a, b, planes);
  cut_one_way(b, a, planes);
}

void SimFabric::heal(NodeId a, NodeId b, std::uint32_t planes) {
  heal_one_way(a, b, planes);
  heal_one_way(b, a, planes);
}

void SimFabric::isolate(const std::vector<NodeId>& island) {
  const auto inside = [&](NodeId id) { return std::find(island.begin(), island.end(), id) != island.end(); };
  for (NodeId a = 0; a < links_.size(); ++a) {
    for (NodeId b = 0; b < a; ++b) {
      if (inside(a) != inside(b)) cut(a, b);
    }
  }
}

void SimFabric::heal_all() {
  for (NodeId a = 0; a < links_.size(); ++a) {
    for (NodeId b = 0; b < links_.size(); ++b) heal_one_way(a, b);
  }
}

void SimFabric::changed(NodeId a, NodeId b) {
  const auto backoff = static_cast<std::uint64_t>(2 * world_.options_.network.retransmit_after.count());
  for_connections([&](SimConnection& c) {
    if (!(c.node_ == a && c.peer_node_ == b) && !(c.node_ == b && c.peer_node_ == a)) return;
    c.watch();
    if (!blocked(c.peer_node_, c.node_, c.planes_))
      c.kick(Duration(static_cast<std::int64_t>(rng_.below(backoff + 1))));
    if (c.peer_ != nullptr && c.unreported_ > 0 && !blocked(c.node_, c.peer_node_, c.planes_)) {
      c.peer_->acknowledged(std::exchange(c.unreported_, 0));
    }
  });
  SimBulk::kick_all(*this);
}

void SimFabric::reset_connections(NodeId a, NodeId b) {
  world_.event(kNoNode, "connections reset between n{} and n{}", a, b);
  for_connections([&](SimConnection& c) {
    if (!(c.node_ == a && c.peer_node_ == b) && !(c.node_ == b && c.peer_node_ == a)) return;
    c.lose(Error(Errc::kUnavailable, "connection reset"));
  });
}

Time SimFabric::arrival(NodeId from, NodeId to, std::size_t bytes, std::uint32_t planes) {
  Link& path = link(from, to);
  const LinkModel& model = path.model;
  Time at = world_.now_;
  const std::size_t segments = 1 + bytes / kSegmentBytes;
  if (model.bytes_per_second > 0) {
    const std::uint32_t usable = planes & ~path.cut & plane_bits(world_.options_.network.planes);
    const double rate = model.bytes_per_second * std::max(1, std::popcount(usable));
    at = pass(path.free_at, at, bytes + segments * kSegmentOverhead, rate);
  }
  at += model.latency.draw(rng_);
  if (Downlink& last = downlinks_[to]; last.bytes_per_second > 0 && from != to)
    at = pass(last.free_at, at, bytes + segments * kSegmentOverhead, last.bytes_per_second);
  if (model.unreliable || model.loss <= 0) return at;
  if (!chance(rng_, 1 - std::pow(1 - model.loss, static_cast<double>(segments)))) return at;
  // Enough segments behind a lost one give it away within a round trip; else only the timer does.
  if (segments > 3 && !chance(rng_, model.loss)) return at + model.latency.draw(rng_) * 2;
  Duration timer = world_.options_.network.retransmit_after;
  at += timer;
  while (timer < kRetransmitMax && chance(rng_, model.loss)) {
    timer *= 2;
    at += timer;
  }
  return at;
}

SimListener* SimFabric::listener(NodeId node, std::uint16_t port) {
  const auto found = listeners_.find({node, port});
  return found == listeners_.end() ? nullptr : found->second;
}

void SimFabric::node_started(NodeId node) {
  // Keepalive probes of half-open peers now meet a machine that does not know them.
  const auto probes = static_cast<std::uint64_t>(world_.options_.network.dead_after.count() / 2);
  for_connections([&](SimConnection& c) {
    if (c.peer_node_ != node || c.peer_ != nullptr || c.closed_) return;
    c.reset_after(Duration(static_cast<std::int64_t>(rng_.below(probes + 1))));
  });
}

void SimFabric::node_stopped(SimEnv& env, bool power_cut) {
  SimNetwork& network = env.network_;
  while (!network.listeners_.empty()) {
    network.listeners_.back()->waiting_.clear();  // nobody is left to say goodbye to them
    network.listeners_.back()->shut();
  }
  const auto connections = std::move(network.connections_);
  network.connections_.clear();
  for (const auto& [id, connection] : connections) {
    SimConnection* peer = connection->peer_;
    const Time sent_before = connection->last_arrival_;
    connection->orphan();
    if (peer == nullptr || peer->closed_) continue;
    peer->watch();
    if (power_cut && !chance(rng_, world_.options_.network.kill_resets)) continue;
    const Time at = std::max(world_.now_ + link(connection->node_, peer->node_).model.latency.draw(rng_), sent_before);
    peer->reset_after(at - world_.now_);
  }
}

void SimFabric::node_resumed(NodeId node) {
  for (const auto& [id, connection] : world_.nodes_[node]->env->network_.connections_) {
    connection->kick(Duration(0));
    if (connection->closed_ && !connection->notified_ && !connection->notification_.armed()) {
      world_.events_.arm(connection->notification_, world_.now_);
    }
  }
  SimBulk::kick_all(*this);
}

SimNetwork::SimNetwork(SimEnv& env, std::uint64_t instance_id) : env_(env), instance_id_(instance_id) {}
SimNetwork::~SimNetwork() = default;

net::PeerIdentity SimNetwork::identity() const {
  const NodeOptions& options = env_.world().node(env_.node()).options;
  return {.role = options.role,
          .node_id = options.node_id,
          .instance_id = instance_id_,
          .authenticated = true,
          .local = {}};
}

std::unexpected<Error> SimNetwork::stopped_error() { return fail(Errc::kCancelled, "the network was stopped"); }

Task<Result<std::unique_ptr<net::Listener>>> SimNetwork::listen(Address at) {
  if (stopped_) co_return stopped_error();
  if (at.is_unix())
    co_return fail(Errc::kUnsupported, fmt::format("{}: Unix sockets are not simulated (use TCP)", at.text()));
  const NodeId me = env_.node();
  if (!at.host.empty()) {
    const auto found = find(at);
    if (!found || found->node != me) {
      co_return fail(Errc::kInvalidArgument,
                     fmt::format("{}: not an address of node {} (use {})", at.text(), me, SimFabric::host(me, 0)));
    }
  }
  SimFabric& fabric = *env_.world().fabric_;
  if (at.port == 0) {
    while (fabric.listener(me, next_port_) != nullptr) ++next_port_;
    at.port = next_port_++;
  }
  if (fabric.listener(me, at.port) != nullptr) {
    co_return fail(Errc::kAlreadyExists, fmt::format("{}: somebody listens there already", at.text()));
  }
  co_return std::make_unique<SimListener>(*this, Address::tcp(SimFabric::host(me, 0), at.port));
}

Result<SimNetwork::Target> SimNetwork::find(const Address& address) const {
  if (address.is_unix()) {
    return fail(Errc::kUnsupported, fmt::format("{}: Unix sockets are not simulated (use TCP)", address.text()));
  }
  std::array<std::uint32_t, 4> part{};
  const char* at = address.host.data();
  const char* const end = at + address.host.size();
  bool good = true;
  for (std::size_t i = 0; i < 4 && good; ++i) {
    const auto [next, code] = std::from_chars(at, end, part[i]);
    good = code == std::errc() && (i == 3 ? next == end : next != end && *next == '.');
    at = next + 1;
  }
  const std::uint64_t node = std::uint64_t{part[2]} * 250 + part[3] - 1;
  const SimWorld& world = env_.world_;
  good = good && part[0] == 10 && part[1] < world.options().network.planes && part[3] >= 1 && part[3] <= 250 &&
         node < world.nodes();
  if (!good)
    return fail(Errc::kNotFound, fmt::format("{}: no node of the simulation (ask SimWorld::address)", address.text()));
  return Target{static_cast<NodeId>(node), part[1]};
}

Task<Result<SimNetwork::Attempt>> SimNetwork::attempt(Target target, std::uint16_t port, std::uint32_t planes,
                                                      std::shared_ptr<SimConnection>& out) {
  SimWorld& world = env_.world();
  SimFabric& fabric = *world.fabric_;
  const NodeId me = env_.node();
  // Looked up each time: links change, and move, while this sleeps.
  const auto latency = [&fabric](NodeId from, NodeId to) { return fabric.model(from, to).latency.draw(fabric.rng_); };
  const bool silent = chance(fabric.rng_, fabric.model(me, target.node).connect_silent);
  const bool refused = chance(fabric.rng_, fabric.model(me, target.node).connect_refused);
  FF_CO_TRY(co_await runtime::sleep(latency(me, target.node)));
  if (stopped_) co_return stopped_error();
  const std::uint32_t plane = 1u << target.plane;
  if (silent || fabric.blocked(me, target.node, plane) || fabric.blocked(target.node, me, plane))
    co_return Attempt::kSilent;
  SimNode& node = world.node(target.node);
  if (!node.powered || node.paused) co_return Attempt::kSilent;
  SimListener* listener = node.env ? fabric.listener(target.node, port) : nullptr;
  if (refused || listener == nullptr || listener->waiting_.size() >= SimListener::kBacklog) {
    FF_CO_TRY(co_await runtime::sleep(latency(target.node, me)));
    co_return Attempt::kRefused;
  }
  const std::uint64_t id = fabric.next_id_;
  fabric.next_id_ += 2;
  world.event(me, "connects to n{} by connection {}", target.node, id);
  SimNetwork& other = node.env->network_;
  auto mine = std::make_shared<SimConnection>(fabric, env_, target.node, other.identity(), id, planes);
  auto theirs = std::make_shared<SimConnection>(fabric, *node.env, me, identity(), id + 1, planes);
  SimConnection::join(*mine, *theirs);
  connections_.emplace(id, mine);
  other.connections_.emplace(id + 1, theirs);
  listener->offer(std::move(theirs));
  // Whoever asked may have given up before the answer is back.
  struct Giveup {
    SimConnection* connection;
    ~Giveup() {
      if (connection != nullptr) connection->close(Error(Errc::kCancelled, "the connecting side gave up"));
    }
  } giveup{mine.get()};
  FF_CO_TRY(co_await runtime::sleep(latency(target.node, me)));
  if (stopped_) co_return stopped_error();
  if (mine->closed()) co_return Attempt::kSilent;
  giveup.connection = nullptr;
  out = std::move(mine);
  co_return Attempt::kConnected;
}

Task<Result<std::shared_ptr<net::Connection>>> SimNetwork::connect(net::PeerAddress to, net::ConnectOptions options) {
  if (to.planes.empty())
    co_return fail(Errc::kInvalidArgument, "connect: an address without planes (give at least one)");
  const Time deadline = runtime::saturating_add(env_.now(), options.timeout);
  std::vector<std::pair<Target, std::uint16_t>> targets;
  std::uint32_t planes = 0;
  for (const Address& address : to.planes) {
    FF_CO_TRY_ASSIGN(const Target target, find(address));
    targets.emplace_back(target, address.port);
    if (target.node == targets.front().first.node) planes |= 1u << target.plane;
  }
  for (Duration pause = 20ms;; pause = std::min<Duration>(pause * 2, 1s)) {
    if (stopped_) co_return stopped_error();
    bool refused = false;
    for (const auto& [target, port] : targets) {
      std::shared_ptr<SimConnection> made;
      FF_CO_TRY_ASSIGN(const Attempt outcome,
                       co_await runtime::with_deadline(deadline, "connect", attempt(target, port, planes, made)));
      if (outcome == Attempt::kConnected) co_return std::shared_ptr<net::Connection>(std::move(made));
      refused = refused || outcome == Attempt::kRefused;
    }
    if (refused)
      co_return fail(Errc::kUnavailable, fmt::format("connect to {}: refused (does it run?)", to.text()), ECONNREFUSED);
    FF_CO_TRY(co_await runtime::sleep_until(std::min(deadline, runtime::saturating_add(env_.now(), pause))));
    if (env_.now() >= deadline) {
      co_return fail(Errc::kTimeout,
                     fmt::format("connect to {}: no answer within {} ms", to.text(), options.timeout / 1ms));
    }
  }
}

Task<void> SimNetwork::stop() {
  stopped_ = true;
  while (!listeners_.empty()) listeners_.back()->shut();
  const auto connections = connections_;
  for (const auto& [id, connection] : connections) connection->close(Error(Errc::kCancelled, "the network stops"));
  co_await runtime::yield();
  for (const auto& [id, connection] : connections) {
    connection->notification_.disarm();
    connection->notify();
  }
}

SimListener::SimListener(SimNetwork& network, Address address) : network_(&network), address_(std::move(address)) {
  network.listeners_.push_back(this);
  network.env_.world_.fabric_->listeners_.emplace(std::pair(network.env_.node(), address_.port), this);
}

SimListener::~SimListener() { shut(); }

void SimListener::shut() {
  if (network_ == nullptr) return;
  network_->env_.world_.fabric_->listeners_.erase({network_->env_.node(), address_.port});
  std::erase(network_->listeners_, this);
  network_ = nullptr;
  for (const auto& connection : waiting_) connection->close(Error(Errc::kUnavailable, "the listener closed"));
  waiting_.clear();
  accepting_.fail_all(Error(Errc::kUnavailable, fmt::format("listener {}: closed", address_.text())));
}

void SimListener::offer(std::shared_ptr<SimConnection> connection) {
  waiting_.push_back(std::move(connection));
  accepting_.wake_one();
}

Task<Result<std::shared_ptr<net::Connection>>> SimListener::accept() {
  for (;;) {
    while (!waiting_.empty()) {
      const auto connection = std::move(waiting_.front());
      waiting_.pop_front();
      if (!connection->closed()) co_return std::shared_ptr<net::Connection>(connection);
    }
    if (network_ == nullptr) co_return fail(Errc::kUnavailable, fmt::format("listener {}: closed", address_.text()));
    FF_CO_TRY(co_await accepting_.wait());
  }
}

}  // namespace ff::testing
