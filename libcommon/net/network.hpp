// Network, Listener, Connection: what every transport is (TCP on the reactor, the simulation, later verbs). Shaped for
// verbs: messages are delivered whole and in order; bulk data goes straight from the sender's memory into memory that
// its receiver has exposed, and never through a message.
//
//   message   SEND: up to kMessageBytesMax opaque bytes, reliable, ordered, delivered by ConnectionHandler::on_message.
//   expose    memory registration: lets the peer of this connection push into, or pull from, a range of local memory.
//   push      RDMA WRITE: local memory → the peer's exposed memory; done when the peer's side has all bytes.
//   pull      RDMA READ: the peer's exposed memory → local memory.
//
// Order      A message sent after push() has completed is delivered after the pushed bytes are in place. Pushes and
//            pulls are not ordered among each other.
// Failure    A connection lives until closed by either side, or until it is lost. Then every wait on it ends with
//            kUnavailable, ConnectionHandler::on_closed runs once, and messages still queued may or may not have
//            arrived.
// Planes     A peer address may name several planes: bulk is striped over them, and what a lost plane carried is sent
//            again over the others. The connection is lost when its last plane is.
// Ownership  Connections are shared; the Network owns the tasks that serve them. Env outlives all.
// Threads    Those of the Env.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "libcommon/net/address.hpp"
#include "libcommon/net/message.hpp"
#include "libcommon/net/peer.hpp"
#include "libcommon/net/traffic_class.hpp"
#include "libcommon/runtime/task.hpp"

namespace ff::net {

class Connection;

// A range of a peer's memory, as that peer's Exposure gave it; travels inside messages.
struct RemoteMemory {
  std::uint64_t region = 0;  // 0: none
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
};

// The least bound of a connection's queue: while less than this waits, no transport refuses a message as kExhausted.
inline constexpr std::size_t kSendQueueBytesMin = 64u << 10;

enum class Access : std::uint8_t { kPush = 1, kPull = 2, kBoth = 3 };  // what the peer may do

// Local memory that one peer may reach. Keep the memory until revoke() has returned (or the Exposure was never given
// to anyone). Destroying it without revoke() is allowed only once the connection is closed and its tasks have ended, or
// when the memory outlives the connection.
class Exposure {
 public:
  virtual ~Exposure() = default;
  virtual RemoteMemory remote() const noexcept = 0;
  // Ends the peer's access; returns when nothing writes into or reads from the memory any more. Not cancellable, and
  // prompt: it waits for the local kernel at most, never for the peer.
  virtual runtime::Task<void> revoke() = 0;
  // Bytes that have arrived by push (for progress; each byte counted once).
  virtual std::uint64_t arrived() const noexcept = 0;
};

// Calls come from the Env's ready queue, never from inside a call of the Connection. They must not block; `message` is
// valid during the call only.
class ConnectionHandler {
 public:
  virtual void on_message(Connection& connection, std::span<const std::byte> message) = 0;
  virtual void on_closed(Connection& connection, const Error& why) = 0;

 protected:
  ~ConnectionHandler() = default;
};

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  virtual ~Connection() = default;
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Begins delivery. Until then nothing is read from the peer. REQUIRES: called once; handler outlives on_closed().
  virtual void start(ConnectionHandler& handler) = 0;

  virtual const PeerIdentity& peer() const noexcept = 0;
  // For messages to people: "10.0.0.1:9000 (stored 12)".
  virtual std::string peer_text() const = 0;

  // Queues a message. kExhausted: as much as the queue's bound, or more, waits already (the peer reads slowly: wait for
  // writable(), or drop the peer); the size of this message does not matter. kInvalidArgument: too large; kUnavailable:
  // closed.
  virtual Result<> send(Message message) = 0;
  // Until less than half of the bound is queued.
  virtual runtime::Task<Result<>> writable() = 0;
  virtual std::size_t queued_bytes() const noexcept = 0;
  // Stops and resumes reading messages (bulk goes on): how a server that is behind slows its peer.
  virtual void pause_reading() noexcept = 0;
  virtual void resume_reading() noexcept = 0;

  virtual Result<std::unique_ptr<Exposure>> expose(std::span<std::byte> memory, Access access) = 0;
  // REQUIRES of both: the local memory stays until the task has ended, cancelled or not.
  // kNotFound: the peer has revoked it; kInvalidArgument: out of its range; kCorrupt: a checksum failed after retries.
  virtual runtime::Task<Result<>> push(std::span<const std::byte> from, RemoteMemory to) = 0;
  virtual runtime::Task<Result<>> pull(RemoteMemory from, std::span<std::byte> into) = 0;

  // Starts closing: what is queued is still sent for a short while. Idempotent.
  virtual void close(Error why) = 0;
  virtual bool closed() const noexcept = 0;

 protected:
  Connection() = default;
};

class Listener {
 public:
  virtual ~Listener() = default;
  // The next authenticated connection. Peers that fail or dawdle in the handshake are dropped and counted, not
  // returned.
  virtual runtime::Task<Result<std::shared_ptr<Connection>>> accept() = 0;
  // As bound: with the real port.
  virtual const Address& address() const noexcept = 0;

 protected:
  Listener() = default;
};

struct ConnectOptions {
  TrafficClass traffic = TrafficClass::kControl;
  runtime::Duration timeout = std::chrono::seconds(5);  // for connecting and the handshake, all planes tried
};

class Network {
 public:
  virtual ~Network() = default;
  Network(const Network&) = delete;
  Network& operator=(const Network&) = delete;

  virtual runtime::Task<Result<std::unique_ptr<Listener>>> listen(Address at) = 0;
  virtual runtime::Task<Result<std::shared_ptr<Connection>>> connect(PeerAddress to, ConnectOptions options) = 0;
  // Closes all connections and listeners and joins their tasks.
  virtual runtime::Task<void> stop() = 0;

 protected:
  Network() = default;
};

}  // namespace ff::net
