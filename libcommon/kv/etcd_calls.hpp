// gRPC calls as tasks: a thread that waits at the completion queue, unary calls, streams. Only etcd_client.cc and
// etcd_calls.cc include this, because it includes gRPC.
//
// Ownership  A call keeps itself until gRPC has returned all that was begun, also when nobody waits for it any more.
// Threads    The Env's, except the completion thread itself.
#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/completion_queue.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/impl/codegen/proto_utils.h>

#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "libcommon/kv/etcd_client.hpp"
#include "libcommon/runtime/scope.hpp"
#include "libcommon/runtime/sleep.hpp"
#include "libcommon/runtime/sync.hpp"

namespace ff::kv {

// What a completion queue returns; its address is the tag.
class EtcdTag {
 public:
  virtual void completed(bool ok) = 0;

 protected:
  ~EtcdTag() = default;
};

// A call that stop() must cancel.
class EtcdOngoing : public runtime::ListHook<EtcdOngoing> {
 public:
  virtual void cancel() = 0;

 protected:
  ~EtcdOngoing() = default;
};

class EtcdCompletions {
 public:
  explicit EtcdCompletions(runtime::Env& env);
  ~EtcdCompletions() { stop(); }

  grpc::CompletionQueue& queue() noexcept { return queue_; }
  // REQUIRES: !stopped().
  void add(EtcdOngoing& call) noexcept { ongoing_.push_back(call); }
  bool stopped() const noexcept { return stopped_; }
  // Cancels all calls and returns when gRPC has returned them. Blocks for moments: they are cancelled.
  void stop();

 private:
  // Shared with posts that the Env may still hold when this is gone.
  struct Returned {
    std::mutex mutex;  // guards both
    std::vector<std::pair<EtcdTag*, bool>> tags;
    bool posted = false;
    void run();
  };
  void wait_for_completions(runtime::Env& env);

  grpc::CompletionQueue queue_;
  std::shared_ptr<Returned> returned_ = std::make_shared<Returned>();
  runtime::IntrusiveList<EtcdOngoing, EtcdOngoing> ongoing_;
  bool stopped_ = false;
  std::jthread thread_;  // last: it uses the others
};

inline Error etcd_stopped_error() { return {Errc::kCancelled, "etcd: the store has been stopped"}; }

// Deadline by the monotonic clock; members that have no leader refuse at once.
void prepare_etcd_context(grpc::ClientContext& context, std::optional<runtime::Duration> timeout);

// One try of a unary call.
template <class Reply>
struct EtcdAttempt {
  Reply reply;
  EtcdFailure failure;             // code 0: there is a reply
  std::optional<Error> cancelled;  // the task was; the outcome is unknown
};

template <class Reply, class Request>
class EtcdUnaryCall final : public EtcdTag, public EtcdOngoing {
 public:
  // A cancelled task waits up to `grace` more for the answer, under the context `lasting`.
  static runtime::Task<EtcdAttempt<Reply>> run(EtcdCompletions& completions, std::shared_ptr<grpc::Channel> channel,
                                               std::string method, const Request& request, runtime::Duration timeout,
                                               runtime::Duration grace, runtime::Context& lasting) {
    EtcdAttempt<Reply> attempt;
    if (auto live = co_await runtime::not_cancelled(); !live) attempt.cancelled = std::move(live).error();
    if (!attempt.cancelled && completions.stopped()) attempt.cancelled = etcd_stopped_error();
    if (attempt.cancelled) co_return attempt;

    auto call = std::make_shared<EtcdUnaryCall>();
    call->keep_ = call;
    prepare_etcd_context(call->context_, timeout);
    completions.add(*call);
    grpc::TemplatedGenericStub<Request, Reply> stub(channel);
    call->reader_ = stub.PrepareUnaryCall(&call->context_, method, request, &completions.queue());
    call->reader_->StartCall();
    call->reader_->Finish(&call->reply_, &call->status_, static_cast<EtcdTag*>(call.get()));

    auto waited = co_await call->done_.wait();
    if (!waited && grace > runtime::Duration::zero()) {
      const auto cancelled =
          std::exchange(waited, co_await runtime::with_timeout(grace, "answer", call->done_.wait()).under(lasting));
      if (!waited) waited = cancelled;
    }
    if (!waited) {
      call->context_.TryCancel();
      attempt.cancelled = std::move(waited).error();
    } else {
      attempt.failure = {static_cast<int>(call->status_.error_code()), call->status_.error_message()};
      attempt.reply = std::move(call->reply_);
    }
    co_return attempt;
  }

  void completed(bool /*ok*/) override {
    unlink();
    done_.set();
    const auto last = std::move(keep_);
  }
  void cancel() override { context_.TryCancel(); }

 private:
  grpc::ClientContext context_;
  Reply reply_;
  grpc::Status status_;
  std::unique_ptr<grpc::ClientAsyncResponseReader<Reply>> reader_;
  runtime::Event done_;
  std::shared_ptr<EtcdUnaryCall> keep_;
};

// A call of `channel` to Watch. `peer` is for messages.
std::unique_ptr<EtcdWatchStream> open_etcd_watch_stream(EtcdCompletions& completions,
                                                        std::shared_ptr<grpc::Channel> channel, std::string peer);

}  // namespace ff::kv
