// ServerCall: one request in the hands of its handler: who asks, until when, and its bulk data.
//
//   Task<Result<ReadReply>> read(rpc::ServerCall& call, const ReadRequest& request) override {
//     ...
//     FF_CO_TRY(co_await call.push_bulk(bytes));     // straight into the client's memory
//     co_return reply;
//   }
//
// Context    The handler runs under context(): cancelled with kTimeout at the request's deadline, with kCancelled when
//            the client cancels, with kUnavailable when its connection is lost. A call with an idempotency key outlives
//            its connection: the client will ask again, and this run answers.
// Errors     What the handler returns travels: code and text. kUnavailable, kExhausted, kTimeout and kCancelled invite
//            clients to run the operation again, so return them only when that is safe; of a keyed call, the others are
//            kept as its answer.
// Lifetime   Until the handler's task has ended.
// Bulk       One push and one pull at a time for a call.
// Threads    Those of the Env.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "libcommon/net/network.hpp"
#include "libcommon/rpc/method.hpp"
#include "libcommon/rpc/wire.hpp"
#include "libcommon/runtime/context.hpp"
#include "libcommon/runtime/frame_pool.hpp"
#include "libcommon/runtime/timer.hpp"
#include "libcommon/runtime/wait_queue.hpp"

namespace google::protobuf {
class MessageLite;
}

namespace ff::rpc {

class ServerLink;
class ServerCore;
struct MethodState;

class ServerCall final : private runtime::Timer, public runtime::ListHook<ServerCall> {
 public:
  enum class State : std::uint8_t { kRunning, kPulling, kWaitingForGrant, kPushing, kAnswering };

  const MethodInfo& method() const noexcept;
  runtime::Context& context() noexcept { return context_; }
  runtime::Time deadline() const noexcept { return context_.deadline(); }
  std::uint64_t trace() const noexcept { return context_.trace(); }
  // Valid until the connection is lost, and after that until the handler has ended.
  const net::PeerIdentity& peer() const noexcept;
  std::string peer_text() const;
  IdempotencyKey key() const noexcept { return key_; }

  // What the client has for the server to take, and has room for.
  std::uint64_t bulk_send_bytes() const noexcept;
  std::uint64_t bulk_receive_bytes() const noexcept;
  // Moves bytes from the client's memory at `offset`, or into it; done when all are in place. The memory given stays
  // until the task has ended. kInvalidArgument: beyond what the client offered; kUnavailable: the attempt that offered
  // this memory has ended (the client gave it up, or its connection is lost), and a repeated one may run the operation
  // again; else as Connection::pull() and push().
  // Pushes of kGrantBytesMin or more wait for the client's grant, unless it asked for none.
  runtime::Task<Result<>> pull_bulk(std::span<std::byte> into, std::uint64_t offset = 0);
  runtime::Task<Result<>> push_bulk(std::span<const std::byte> from, std::uint64_t offset = 0);

  // Advice that travels with the error that the handler returns.
  void set_retry_after(runtime::Duration wait) noexcept;

  // The rest is for the server and the generated code.

  // A client that waits for this call's answer: the first, or a repeated attempt that joined.
  struct Requester : runtime::ListHook<Requester> {
    ServerCall* call = nullptr;
    ServerLink* link = nullptr;
    std::uint64_t id = 0;
  };

  static void* operator new(std::size_t bytes) { return runtime::allocate_frame(bytes); }
  static void operator delete(void* memory, std::size_t bytes) noexcept { runtime::free_frame(memory, bytes); }

  ServerCall(ServerCore& core, ServerLink& link, MethodState& method, const RequestView& request,
             std::uint64_t charged_bytes);
  ~ServerCall() override;
  ServerCall(const ServerCall&) = delete;
  ServerCall& operator=(const ServerCall&) = delete;

  // One of the two, once. They queue the answer; when a peer reads too slowly, flush() waits for it.
  void succeed(const google::protobuf::MessageLite& reply);
  void fail(const Error& error);
  bool flushing() const noexcept { return !unsent_.empty(); }
  runtime::Task<void> flush();

  // It will not run: somebody else answers.
  void abandon() noexcept;
  // False: kJoinedMax others have joined and still wait.
  bool join(ServerLink& link, std::uint64_t id);
  static constexpr std::size_t kJoinedMax = 16;
  // The requester has cancelled, or its connection is lost.
  void leave(Requester& requester, const Error& why, bool connection_lost);
  void granted(std::uint32_t grant) noexcept;
  // Its key stands in the server's cache until the call has ended.
  void key_entered() noexcept { key_entered_ = true; }

  State state() const noexcept { return state_; }
  runtime::Time since() const noexcept { return since_; }
  const ServerLink& link() const noexcept { return *link_; }

 private:
  struct Unsent {
    std::shared_ptr<net::Connection> connection;
    net::Message message;
  };

  void expired() override;
  runtime::Task<Result<>> push_piece(std::span<const std::byte> from, net::RemoteMemory to);
  runtime::Task<Result<>> wait_for_grant(std::uint64_t bytes);
  // Sends it as soon as the connection's queue has room.
  runtime::Task<Result<>> send_control(ControlView control);
  // kUnavailable when nobody waits at the other end any more.
  Result<> bulk_there() const;
  // What an operation on exposed memory comes to.
  Result<> bulk_ended(Result<> result) const;
  Result<> check_bulk(const char* what, std::uint64_t offset, std::uint64_t bytes, std::uint64_t room) const;
  void send(Requester& requester, net::Message message);
  void remember(bool ok, Errc code, std::span<const std::byte> bytes);
  void finished(bool ok);
  // With those who still wait.
  template <class F>
  void for_each_requester(F visit);
  bool wanted() const noexcept;

  ServerCore& core_;
  ServerLink* link_;
  MethodState& method_;
  runtime::Context context_;
  const runtime::Time since_;
  const std::uint64_t charged_bytes_;
  const IdempotencyKey key_;
  const net::RemoteMemory bulk_send_;
  const net::RemoteMemory bulk_receive_;
  const std::uint32_t inline_receive_;
  const bool grants_;
  bool key_entered_ = false;
  bool done_ = false;
  State state_ = State::kRunning;
  std::uint32_t retry_after_ms_ = 0;
  std::uint32_t grant_ = 0;  // the last asked for
  bool grant_here_ = false;
  bool bulk_gone_ = false;  // nobody waits at the other end of bulk_send_ and bulk_receive_
  runtime::WaitQueue grant_wait_;
  std::vector<std::byte> inline_in_;
  std::vector<std::byte> inline_out_;
  Requester first_;
  std::vector<std::unique_ptr<Requester>> joined_;
  std::vector<Unsent> unsent_;
};

using ServerCallPtr = std::unique_ptr<ServerCall>;

}  // namespace ff::rpc
