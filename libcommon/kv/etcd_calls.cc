#include "libcommon/kv/etcd_calls.hpp"

#include <grpc/support/time.h>

#include <array>

namespace ff::kv {

using runtime::Task;

EtcdCompletions::EtcdCompletions(runtime::Env& env) : thread_([this, &env] { wait_for_completions(env); }) {}

void EtcdCompletions::wait_for_completions(runtime::Env& env) {
  void* tag = nullptr;
  bool ok = false;
  while (queue_.Next(&tag, &ok)) {
    const std::lock_guard lock(returned_->mutex);
    returned_->tags.emplace_back(static_cast<EtcdTag*>(tag), ok);
    if (returned_->posted) continue;
    // Refused by an Env that has ended: stop() runs what is here.
    returned_->posted = env.post([returned = returned_] { returned->run(); });
  }
}

void EtcdCompletions::Returned::run() {
  std::vector<std::pair<EtcdTag*, bool>> now;
  {
    const std::lock_guard lock(mutex);
    now.swap(tags);
    posted = false;
  }
  for (const auto& [tag, ok] : now) tag->completed(ok);
}

void EtcdCompletions::stop() {
  if (stopped_) return;
  stopped_ = true;
  ongoing_.for_each([](EtcdOngoing& call) { call.cancel(); });
  queue_.Shutdown();
  thread_.join();
  returned_->run();
}

void prepare_etcd_context(grpc::ClientContext& context, std::optional<runtime::Duration> timeout) {
  if (timeout) {
    context.set_deadline(
        gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_nanos(timeout->count(), GPR_TIMESPAN)));
  }
  context.AddMetadata("hasleader", "true");
}

namespace {

namespace rpc = etcdserverpb;

class WatchCall final : public EtcdOngoing, public std::enable_shared_from_this<WatchCall> {
 public:
  WatchCall(EtcdCompletions& completions, std::shared_ptr<grpc::Channel> channel, std::string peer)
      : completions_(completions), peer_(std::move(peer)) {
    prepare_etcd_context(context_, std::nullopt);
    completions_.add(*this);
    grpc::TemplatedGenericStub<rpc::WatchRequest, rpc::WatchResponse> stub(std::move(channel));
    stream_ = stub.PrepareCall(&context_, "/etcdserverpb.Watch/Watch", &completions_.queue());
  }

  Task<Result<>> write(rpc::WatchRequest request) {
    FF_CO_TRY(co_await start());
    if (!writing_) {
      if (completions_.stopped()) co_return fail(etcd_stopped_error());
      stream_->Write(request, begin(write_));
      writing_ = true;
    }
    FF_CO_TRY(co_await write_.done.wait());
    writing_ = false;
    if (!write_.ok) co_return co_await why();
    co_return {};
  }

  Task<Result<rpc::WatchResponse>> read() {
    FF_CO_TRY(co_await start());
    if (!reading_) {
      if (completions_.stopped()) co_return fail(etcd_stopped_error());
      stream_->Read(&incoming_, begin(read_));
      reading_ = true;
    }
    FF_CO_TRY(co_await read_.done.wait());
    reading_ = false;
    if (!read_.ok) {
      FF_CO_TRY(co_await why());
    }
    co_return std::move(incoming_);
  }

  void cancel() override { context_.TryCancel(); }

 private:
  struct Operation final : EtcdTag {
    runtime::Event done;
    bool ok = false;
    std::shared_ptr<WatchCall> keep;  // while gRPC has it
    void completed(bool success) override {
      ok = success;
      done.set();
      const auto last = std::move(keep);
    }
  };

  void* begin(Operation& operation) {
    operation.done.reset();
    operation.keep = shared_from_this();
    return static_cast<EtcdTag*>(&operation);
  }

  Task<Result<>> start() {
    FF_CO_TRY(co_await runtime::not_cancelled());
    if (!started_) {
      if (completions_.stopped()) co_return fail(etcd_stopped_error());
      started_ = true;
      stream_->StartCall(begin(start_));
    }
    FF_CO_TRY(co_await start_.done.wait());
    if (!start_.ok) co_return co_await why();
    co_return {};
  }

  // Always an error. Either side's failure asks; the answer is one.
  Task<Result<>> why() {
    if (!finishing_) {
      if (completions_.stopped()) co_return fail(etcd_stopped_error());
      finishing_ = true;
      stream_->Finish(&status_, begin(finish_));
    }
    FF_CO_TRY(co_await finish_.done.wait());
    EtcdFailure failure{static_cast<int>(status_.error_code()), status_.error_message()};
    if (failure.code == 0) failure = {static_cast<int>(grpc::StatusCode::UNAVAILABLE), "the watch stream was ended"};
    co_return fail(etcd_error(peer_, failure));
  }

  EtcdCompletions& completions_;
  const std::string peer_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientAsyncReaderWriter<rpc::WatchRequest, rpc::WatchResponse>> stream_;
  rpc::WatchResponse incoming_;
  grpc::Status status_;
  Operation start_, write_, read_, finish_;
  bool started_ = false;
  bool writing_ = false;
  bool reading_ = false;
  bool finishing_ = false;
};

// The owner's end: what gRPC still has keeps the call itself.
class WatchStream final : public EtcdWatchStream {
 public:
  explicit WatchStream(std::shared_ptr<WatchCall> call) : call_(std::move(call)) {}
  ~WatchStream() override { call_->cancel(); }
  Task<Result<>> write(rpc::WatchRequest request) override {
    const auto call = call_;
    co_return co_await call->write(std::move(request));
  }
  Task<Result<rpc::WatchResponse>> read() override {
    const auto call = call_;
    co_return co_await call->read();
  }

 private:
  std::shared_ptr<WatchCall> call_;
};

}  // namespace

std::unique_ptr<EtcdWatchStream> open_etcd_watch_stream(EtcdCompletions& completions,
                                                        std::shared_ptr<grpc::Channel> channel, std::string peer) {
  return std::make_unique<WatchStream>(std::make_shared<WatchCall>(completions, std::move(channel), std::move(peer)));
}

}  // namespace ff::kv
