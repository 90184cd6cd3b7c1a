// SimConnection: one end of a simulated connection. See sim_network.hpp for what it does to messages.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "libcommon/net/network.hpp"
#include "libcommon/runtime/timer.hpp"
#include "libcommon/runtime/wait_queue.hpp"
#include "libcommon/testing/sim_network.hpp"

namespace ff::testing {

class SimConnection final : public net::Connection {
 public:
  // `env` and `peer_node`: where this end lives and where the other one does. Ends are made in pairs: join().
  SimConnection(SimFabric& fabric, SimEnv& env, NodeId peer_node, net::PeerIdentity peer, std::uint64_t id,
                std::uint32_t planes);
  ~SimConnection() override;
  static void join(SimConnection& a, SimConnection& b) noexcept;

  void start(net::ConnectionHandler& handler) override;
  const net::PeerIdentity& peer() const noexcept override { return peer_identity_; }
  std::string peer_text() const override;
  Result<> send(net::Message message) override;
  runtime::Task<Result<>> writable() override;
  std::size_t queued_bytes() const noexcept override { return queued_bytes_; }
  void pause_reading() noexcept override { reading_ = false; }
  void resume_reading() noexcept override;
  Result<std::unique_ptr<net::Exposure>> expose(std::span<std::byte> memory, net::Access access) override;
  runtime::Task<Result<>> push(std::span<const std::byte> from, net::RemoteMemory to) override;
  runtime::Task<Result<>> pull(net::RemoteMemory from, std::span<std::byte> into) override;
  void close(Error why) override;
  bool closed() const noexcept override { return closed_; }

 private:
  friend class SimFabric;
  friend class SimNetwork;
  friend class SimBulk;
  friend class SimExposure;

  struct Item {
    runtime::Time at;
    net::Message message;
    bool last = false;  // the peer has closed; no message
  };
  struct Region {
    std::span<std::byte> memory;
    net::Access access;
    std::uint64_t arrived = 0;
  };
  // A timer in the world's queue that calls a member of its connection.
  class Event final : public runtime::Timer {
   public:
    Event(SimConnection& owner, void (SimConnection::*call)()) noexcept : owner_(owner), call_(call) {}
    void expired() override { (owner_.*call_)(); }

   private:
    SimConnection& owner_;
    void (SimConnection::*call_)();
  };

  std::unexpected<Error> closed_error() const;
  void transmit(net::Message message);
  // A copy of what is on its way; only for unreliable links.
  void duplicate(const net::Message& message, runtime::Time at);
  void enqueue(Item item);
  // The peer has taken so many bytes: the window opens.
  void acknowledged(std::size_t bytes);
  bool can_deliver() const noexcept;
  // Looks again at what waits to be delivered, after `delay`.
  void kick(runtime::Duration delay);
  void arrived();
  void take(Item item);
  void lose(Error why);
  void notify();
  void peer_reset();
  void reset_after(runtime::Duration delay);
  void silent_too_long();
  // Starts, or stops, counting towards dead_after.
  void watch();
  // The process is gone: no more calls into it.
  void orphan() noexcept;

  SimFabric& fabric_;
  SimEnv* env_;  // null when the process is gone
  NodeId node_, peer_node_;
  net::PeerIdentity peer_identity_;
  std::uint64_t id_;
  std::uint32_t planes_;
  SimConnection* peer_ = nullptr;  // null when there is none any more
  net::ConnectionHandler* handler_ = nullptr;
  bool reading_ = true;
  bool closed_ = false;
  bool notified_ = false;
  std::optional<Error> why_;

  // Sending.
  std::deque<net::Message> queue_;
  std::size_t queued_bytes_ = 0;
  std::size_t unacknowledged_ = 0;
  runtime::Time last_arrival_{};
  runtime::WaitQueue writable_;
  // Receiving.
  std::deque<Item> incoming_;   // by arrival
  std::size_t unreported_ = 0;  // taken, but the way back is cut
  std::map<std::uint64_t, Region> regions_;
  std::uint64_t next_region_ = 1;

  Event arrival_{*this, &SimConnection::arrived};
  Event notification_{*this, &SimConnection::notify};
  Event reset_{*this, &SimConnection::peer_reset};
  Event silence_{*this, &SimConnection::silent_too_long};
};

}  // namespace ff::testing
