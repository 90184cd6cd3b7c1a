// TcpConnection: net::Connection over lanes. Messages run over lane 0 (here); bulk is the engine's.
//
// Life       serve() runs from the handshake to the end: it owns the connection's tasks, and calls on_closed().
// Ownership  Shared by its user and, while it lives, by the network.
// Threads    Those of the RealEnv.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "libcommon/net/bulk_engine.hpp"
#include "libcommon/net/frame.hpp"
#include "libcommon/net/lane_handshake.hpp"
#include "libcommon/net/network.hpp"
#include "libcommon/net/tcp_host.hpp"
#include "libcommon/runtime/scope.hpp"

namespace ff::net {

class TcpConnection final : public Connection, public runtime::ListHook<TcpConnection>, public BulkEngine::Owner {
 public:
  // `planes`: of the peer, where we connected; empty where we accepted.
  TcpConnection(TcpHost& host, Lane control, std::vector<Address> planes, TrafficClass traffic, PeerIdentity peer,
                std::string peer_text);
  ~TcpConnection() override = default;

  void start(ConnectionHandler& handler) override;
  const PeerIdentity& peer() const noexcept override { return peer_; }
  std::string peer_text() const override { return peer_text_; }
  Result<> send(Message message) override;
  runtime::Task<Result<>> writable() override;
  std::size_t queued_bytes() const noexcept override { return queued_bytes_; }
  void pause_reading() noexcept override { paused_ = true; }
  void resume_reading() noexcept override;
  Result<std::unique_ptr<Exposure>> expose(std::span<std::byte> memory, Access access) override;
  runtime::Task<Result<>> push(std::span<const std::byte> from, RemoteMemory to) override;
  runtime::Task<Result<>> pull(RemoteMemory from, std::span<std::byte> into) override;
  void close(Error why) override;
  bool closed() const noexcept override { return why_.has_value(); }

  // For the network.
  runtime::Task<void> serve();
  // Another lane of this connection, before its peer is told that it stands (gives its Lane::admission), and after.
  runtime::Task<Result<std::uint64_t>> before_lane(std::uint16_t number);
  void add_lane(Lane lane);
  void tick(runtime::Time now);
  // Calls on_closed(), once; when served.
  void tell_closed();
  // Ends it at once.
  void fail_with(Error why);
  const LinkSession& link() const noexcept { return link_; }
  // Descriptors of the bulk lanes that stand; for tests that cut one.
  std::vector<int> bulk_lane_fds() const;

 private:
  class TcpExposure;

  // Sending.
  runtime::Task<Result<>> drain();
  runtime::Task<void> write_control();
  runtime::Task<Result<>> write_batch();
  void post_frame(FrameType type, std::uint64_t transfer);
  void post_goaway(const Error& why);

  // Receiving (tcp_connection_read.cc).
  struct Assembly;
  runtime::Task<void> read_control();
  runtime::Task<Result<>> read_all();
  Result<std::size_t> deliver(std::span<const std::byte> bytes, FrameCutter& cutter);
  runtime::Task<Result<>> grow(Assembly& assembly, std::size_t bytes);
  runtime::Task<Result<>> resumed();
  Result<> on_frame(const FrameHeader& header, std::span<const std::byte> payload);
  Result<> on_ping(std::uint64_t number);

  // Lanes.
  BulkEngine& bulk();
  void want_lanes() override;
  void bulk_failed(Error why) override { fail_with(std::move(why)); }
  void open_lanes();
  runtime::Task<void> keep_lane(std::uint16_t number);
  runtime::Task<void> serve_lane(Lane lane);
  std::shared_ptr<BulkLane> bulk_lane(Lane lane) const;
  void mark_socket(int fd) const;
  Error ended() const;

  TcpHost& host_;
  const std::unique_ptr<runtime::Socket> socket_;
  const LinkSession link_;
  const std::vector<Address> planes_;
  TrafficClass traffic_;
  bool traffic_known_;
  const PeerIdentity peer_;
  const std::string peer_text_;

  ConnectionHandler* handler_ = nullptr;
  bool told_ = false;  // on_closed() was called
  bool served_ = false;
  runtime::Scope* scope_ = nullptr;  // of its tasks, while serve() runs

  std::deque<Message> queue_;   // with their headers
  std::deque<Message> urgent_;  // pings and the like: go first
  std::size_t queued_bytes_ = 0;
  runtime::WaitQueue work_;  // the writer waits here
  runtime::WaitQueue writable_;

  bool paused_ = false;
  runtime::WaitQueue resumed_;
  bool waiting_for_memory_ = false;  // the reader, for the network's budget
  bool partial_ = false;             // a frame has begun and not ended
  runtime::Time received_{}, pinged_{};

  std::optional<Error> why_;    // closed or failed
  bool broken_ = false;         // no more I/O
  bool peer_done_ = false;      // the reader is through
  runtime::WaitQueue changed_;  // of the three above, and of the queue running empty

  std::unique_ptr<BulkEngine> bulk_;
  bool lanes_wanted_ = false;
};

}  // namespace ff::net
