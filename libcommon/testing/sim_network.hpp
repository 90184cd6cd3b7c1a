// SimFabric: the network between the nodes of a simulated world, and its faults. SimNetwork: one process's door to it.
//
// Addresses  Node n has host "10.<plane>.<n/250>.<n%250+1>" on each plane; SimWorld::address() makes them. A listener
//            listens on all planes of its node. Unix sockets are not simulated (kUnsupported).
// Time       A message arrives after the queueing of its link (bandwidth), the latency drawn for it, the queueing at
//            the receiver's downlink (set_downlink()), and delays for lost segments (LinkModel); never before an
//            earlier one of its connection.
// Cuts       What meets a cut waits, as retransmissions do; it arrives some time after the cut has healed. A
//            connection that is cut, in either direction, on all its planes for NetworkModel::dead_after is lost at
//            both ends, not at the same time.
// Dead peers A node that lost power answers nothing: its peers hold half-open connections until dead_after, or until
//            the node runs again and answers with a reset. With NetworkModel::kill_resets they hear of it sooner.
//            A process that exits or is killed resets its connections.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "libcommon/net/network.hpp"
#include "libcommon/runtime/wait_queue.hpp"
#include "libcommon/testing/sim_world.hpp"

namespace ff::testing {

class SimBulk;
class SimConnection;
class SimListener;
class SimNetwork;

inline constexpr std::uint32_t kAllPlanes = ~std::uint32_t{0};

class SimFabric {
 public:
  SimFabric(SimWorld& world, std::uint64_t seed);
  ~SimFabric();

  // "10.1.0.4" is node 3 on plane 1.
  static std::string host(NodeId node, std::uint32_t plane);

  // One direction; and both, and all.
  LinkModel& model(NodeId from, NodeId to) { return link(from, to).model; }
  void set_model(const LinkModel& model);
  // The last hop to a node, which all that others send it shares: one queue, in the order of sending, without bound (it
  // delays, and loses nothing). 0: no limit.
  void set_downlink(NodeId node, double bytes_per_second) { downlinks_[node].bytes_per_second = bytes_per_second; }

  // Nothing passes from `from` to `to` on these planes (a bit each) until healed.
  void cut_one_way(NodeId from, NodeId to, std::uint32_t planes = kAllPlanes);
  void cut(NodeId a, NodeId b, std::uint32_t planes = kAllPlanes);
  void heal_one_way(NodeId from, NodeId to, std::uint32_t planes = kAllPlanes);
  void heal(NodeId a, NodeId b, std::uint32_t planes = kAllPlanes);
  // Cuts every pair with one node inside and one outside `island`.
  void isolate(const std::vector<NodeId>& island);
  void heal_all();
  // No plane of the mask passes.
  bool blocked(NodeId from, NodeId to, std::uint32_t planes = kAllPlanes) const noexcept;
  // Breaks all connections between two nodes now, at both ends.
  void reset_connections(NodeId a, NodeId b);

  std::uint64_t messages_delivered() const noexcept { return delivered_; }
  std::size_t connections() const;

 private:
  friend class SimWorld;
  friend class SimNetwork;
  friend class SimListener;
  friend class SimConnection;
  friend class SimBulk;
  struct Link {
    LinkModel model;
    runtime::Time free_at{};
    std::uint32_t cut = 0;
  };
  struct Downlink {
    double bytes_per_second = 0;
    runtime::Time free_at{};
  };

  void add_node();
  void node_started(NodeId node);
  void node_stopped(SimEnv& env, bool power_cut);
  void node_resumed(NodeId node);

  Link& link(NodeId from, NodeId to) { return links_[from][to]; }
  const Link& link(NodeId from, NodeId to) const { return links_[from][to]; }
  // Latency, queueing and retransmission for so many bytes sent now.
  runtime::Time arrival(NodeId from, NodeId to, std::size_t bytes, std::uint32_t planes);
  void changed(NodeId a, NodeId b);
  template <class F>
  void for_connections(F visit);
  SimListener* listener(NodeId node, std::uint16_t port);

  SimWorld& world_;
  Rng rng_;
  std::vector<std::vector<Link>> links_;
  std::vector<Downlink> downlinks_;
  std::map<std::pair<NodeId, std::uint16_t>, SimListener*> listeners_;
  std::map<std::uint64_t, std::shared_ptr<SimBulk>> bulks_;  // under way
  std::uint64_t next_id_ = 1;
  std::uint64_t delivered_ = 0;
};

class SimNetwork final : public net::Network {
 public:
  SimNetwork(SimEnv& env, std::uint64_t instance_id);
  ~SimNetwork() override;

  runtime::Task<Result<std::unique_ptr<net::Listener>>> listen(net::Address at) override;
  runtime::Task<Result<std::shared_ptr<net::Connection>>> connect(net::PeerAddress to,
                                                                  net::ConnectOptions options) override;
  runtime::Task<void> stop() override;

 private:
  friend class SimFabric;
  friend class SimListener;
  friend class SimConnection;
  enum class Attempt : std::uint8_t { kConnected, kRefused, kSilent };
  struct Target {
    NodeId node;
    std::uint32_t plane;
  };

  Result<Target> find(const net::Address& address) const;
  runtime::Task<Result<Attempt>> attempt(Target target, std::uint16_t port, std::uint32_t planes,
                                         std::shared_ptr<SimConnection>& out);
  net::PeerIdentity identity() const;
  static std::unexpected<Error> stopped_error();

  SimEnv& env_;
  std::uint64_t instance_id_;
  bool stopped_ = false;
  std::uint16_t next_port_ = 32768;
  std::map<std::uint64_t, std::shared_ptr<SimConnection>> connections_;  // until their on_closed() has run
  std::vector<SimListener*> listeners_;
};

class SimListener final : public net::Listener {
 public:
  SimListener(SimNetwork& network, net::Address address);
  ~SimListener() override;
  runtime::Task<Result<std::shared_ptr<net::Connection>>> accept() override;
  const net::Address& address() const noexcept override { return address_; }

 private:
  friend class SimNetwork;
  friend class SimFabric;
  static constexpr std::size_t kBacklog = 4096;
  void offer(std::shared_ptr<SimConnection> connection);
  // No more connections; accept() ends with kUnavailable.
  void shut();

  SimNetwork* network_;  // null when shut
  net::Address address_;
  std::deque<std::shared_ptr<SimConnection>> waiting_;
  runtime::WaitQueue accepting_;
};

}  // namespace ff::testing
