// ClientLink: a Client's connection of one traffic class, and the calls that wait on it. For this folder only.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "libcommon/rpc/client.hpp"
#include "libcommon/rpc/pending_call.hpp"
#include "libcommon/rpc/wire.hpp"

namespace ff::rpc {

class ClientLink final : public net::ConnectionHandler, public GrantScheduler::Owner {
 public:
  ClientLink(Client& client, net::TrafficClass traffic);
  ~ClientLink();

  // Null while there is none.
  const std::shared_ptr<net::Connection>& connection() const noexcept { return connection_; }
  // Until there is a connection. Without `patient`, until the attempt to make one that runs, or begins, has ended.
  runtime::Task<Result<>> up(bool patient);
  const std::optional<Error>& last_error() const noexcept { return last_error_; }

  // False: options.calls_max wait already.
  bool enter(PendingCall& call);
  void leave(PendingCall& call, bool cancel);
  void drop_grants(const PendingCall& call);
  // Tells the server that nobody waits for this one any more.
  void cancel(std::uint64_t id) { send_control({.type = Type::kCancel, .id = id}); }
  // False while something is still to be sent for which the connection's queue had no room. It goes before requests, so
  // that no more of it comes than the calls in flight make.
  bool send_kept();
  std::size_t waiting() const noexcept { return slots_.size() - free_.size(); }

  // Afterwards no callback comes any more.
  void close();
  runtime::Task<void> closed();

 private:
  struct Slot {
    PendingCall* call = nullptr;
    std::uint32_t generation = 1;
  };

  static runtime::Task<void> connect_loop(ClientLink* link);
  void on_message(net::Connection& connection, std::span<const std::byte> message) override;
  void on_closed(net::Connection& connection, const Error& why) override;
  void grant(std::uint64_t call, std::uint32_t grant) override;
  Result<> dispatch(std::span<const std::byte> message);
  Result<> answer(const ResponseView& view);
  void error(const ErrorView& view);
  Result<> control(const ControlView& view);
  PendingCall* find(std::uint64_t id) const noexcept;
  void fail_all(const Error& why);
  void send_control(const ControlView& control);
  static runtime::Task<void> send_kept_loop(ClientLink* link);

  Client& client_;
  const net::TrafficClass traffic_;
  std::shared_ptr<net::Connection> connection_;
  std::shared_ptr<net::Connection> previous_;  // kept until no callback of it can be running
  bool serving_ = false;                       // between start() and on_closed()
  bool connecting_ = false;
  std::uint32_t failures_ = 0;
  runtime::Time retry_at_{};
  std::optional<Error> last_error_;
  runtime::WaitQueue patient_;
  runtime::WaitQueue hasty_;
  runtime::WaitQueue closing_;
  std::deque<ControlView> kept_;  // for this connection; empty without one
  bool sending_kept_ = false;
  std::vector<Slot> slots_;
  std::vector<std::uint32_t> free_;
};

}  // namespace ff::rpc
