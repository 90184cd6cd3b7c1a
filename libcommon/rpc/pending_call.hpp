// PendingCall: a request that has been sent, and the coroutine that waits for its answer. For this folder only.
//
// Lifetime  In the frame of Client::call(); destroyed while it waits (a simulation that kills its node), it is
// forgotten.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "libcommon/net/network.hpp"
#include "libcommon/rpc/retry.hpp"
#include "libcommon/runtime/env.hpp"

namespace google::protobuf {
class MessageLite;
}

namespace ff::rpc {

class ClientLink;

class PendingCall final : private runtime::Waiter, private runtime::CancelHook, private runtime::Timer {
 public:
  PendingCall() = default;
  ~PendingCall() override;

  // What the answer fills.
  google::protobuf::MessageLite* reply = nullptr;
  std::span<std::byte> inline_receive;
  std::uint64_t received = 0;  // bytes of it
  // How it ended, when it ended with an error.
  Failure failure;

  // Taken by ClientLink::enter().
  void entered(ClientLink& link, std::uint64_t id) noexcept {
    link_ = &link;
    id_ = id;
    error_.reset();
    asked = false;
  }
  void forgotten() noexcept { link_ = nullptr; }
  std::uint64_t id() const noexcept { return id_; }
  bool asked = false;             // has asked for grants
  bool cancel_on_timeout = true;  // tell the server when the time is over
  runtime::Time until = runtime::kNever;

  // The answer is here, or will never be.
  void complete() noexcept;
  void complete(Error error, Failure how) noexcept;

  // co_await pending → Result<>. REQUIRES: entered, and no suspension since.
  bool await_ready() const noexcept { return false; }
  template <runtime::TaskPromise Promise>
  bool await_suspend(std::coroutine_handle<Promise> self) {
    return wait(*self.promise().context, self);
  }
  Result<> await_resume() {
    if (error_) return std::unexpected(std::move(*error_));
    return {};
  }

 private:
  bool wait(runtime::Context& context, std::coroutine_handle<> handle);
  void wake() noexcept;
  void expired() override;
  void on_cancel(const Error& why) override;

  ClientLink* link_ = nullptr;
  runtime::Env* env_ = nullptr;
  std::uint64_t id_ = 0;
  std::optional<Error> error_;
};

}  // namespace ff::rpc
