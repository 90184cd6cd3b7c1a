// Peer: small remote calls through gRPC C++, server and client, as fast as that library does them here.
//
// Settings, tried on two cores of the development machine:
//  - the asynchronous interface, one thread and one completion queue on each side: 48,000 to 57,000 requests a second
//  with
//    64 outstanding on one connection and 30,000 to 49,000 on 64 connections, where the callback interface reached
//    39,000 and 33,000 in the same minutes for about the same processor time;
//  - the 'minimal stack' of filters on channels and server (a tenth to a third more), no retries, no channelz, and no
//    bandwidth probes (no difference);
//  - no deadline on calls: each would start a timer, and leaving it out favours gRPC;
//  - messages are reused from call to call, and enough accepted calls wait that the server never runs out.
#include <grpcpp/grpcpp.h>

#include <chrono>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "libcommon/base/deadline.hpp"
#include "libcommon/cli/app.hpp"
#include "tests/bench/load.hpp"
#include "tests/bench/peers/grpc_echo.grpc.pb.h"

namespace ff::bench {
namespace {

// A call that hangs this long has failed.
constexpr std::chrono::seconds kPatience{10};

class ServerCall {
 public:
  ServerCall(Echo::AsyncService& service, grpc::ServerCompletionQueue& queue) : service_(service), queue_(queue) {
    accept();
  }

  // The event that was waited for has come: a request is there, or its answer has left.
  void proceed(bool ok) {
    if (!answering_ && ok) {
      answering_ = true;
      state_->responder.Finish(message_, grpc::Status::OK, this);
    } else {
      accept();
    }
  }

 private:
  struct State {
    State() : responder(&context) {}
    grpc::ServerContext context;
    grpc::ServerAsyncResponseWriter<EchoMessage> responder;
  };

  void accept() {
    answering_ = false;
    state_.emplace();
    service_.RequestCall(&state_->context, &message_, &state_->responder, &queue_, &queue_, this);
  }

  Echo::AsyncService& service_;
  grpc::ServerCompletionQueue& queue_;
  std::optional<State> state_;
  EchoMessage message_;
  bool answering_ = false;
};

Result<int> serve(std::int64_t port) {
  block_termination();
  Echo::AsyncService service;
  grpc::ServerBuilder builder;
  int bound = 0;
  builder.AddListeningPort("127.0.0.1:" + std::to_string(port), grpc::InsecureServerCredentials(), &bound);
  builder.AddChannelArgument(GRPC_ARG_MINIMAL_STACK, 1);
  builder.AddChannelArgument(GRPC_ARG_ENABLE_CHANNELZ, 0);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.RegisterService(&service);
  auto queue = builder.AddCompletionQueue();
  auto server = builder.BuildAndStart();
  if (server == nullptr || bound == 0)
    return fail(Errc::kUnavailable, "--port: gRPC cannot listen there (is the port in use?)");
  std::deque<ServerCall> calls;
  for (int i = 0; i < 512; ++i) calls.emplace_back(service, *queue);
  std::thread worker([&queue] {
    void* tag = nullptr;
    bool ok = false;
    while (queue->Next(&tag, &ok)) static_cast<ServerCall*>(tag)->proceed(ok);
  });
  worker.detach();
  report_when_terminated(static_cast<std::uint16_t>(bound));
}

struct ClientCall {
  struct State {
    grpc::ClientContext context;
    std::unique_ptr<grpc::ClientAsyncResponseReader<EchoMessage>> reader;
  };
  Echo::Stub* stub = nullptr;
  std::optional<State> state;
  EchoMessage answer;
  grpc::Status status;
  Clock::time_point due;
};

class Client {
 public:
  explicit Client(const LoadOptions& options) : options_(options) {
    request_.set_payload(std::string(static_cast<std::size_t>(options.bytes), 'x'));
  }

  Result<void> connect() {
    for (std::int64_t i = 0; i < options_.connections; ++i) {
      grpc::ChannelArguments arguments;
      // Without a pool of its own, channels to one address share one connection.
      arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
      arguments.SetInt(GRPC_ARG_MINIMAL_STACK, 1);
      arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
      arguments.SetInt(GRPC_ARG_ENABLE_CHANNELZ, 0);
      arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
      arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
      auto channel = grpc::CreateCustomChannel("127.0.0.1:" + std::to_string(options_.port),
                                               grpc::InsecureChannelCredentials(), arguments);
      if (!channel->WaitForConnected(std::chrono::system_clock::now() + kPatience))
        return fail(Errc::kUnavailable, "127.0.0.1:" + std::to_string(options_.port) +
                                            ": no gRPC server answers (start `grpc_echo server` there)");
      stubs_.push_back(Echo::NewStub(channel));
    }
    calls_.resize(static_cast<std::size_t>(options_.connections * options_.outstanding));
    for (std::size_t i = 0; i < calls_.size(); ++i) {
      calls_[i].stub = stubs_[i % stubs_.size()].get();
      idle_.push_back(&calls_[i]);
    }
    return {};
  }

  Result<int> run() {
    const double cpu_before = cpu_seconds();
    const auto start = Clock::now();
    const auto load = std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(options_.seconds));
    FF_TRY(options_.rate > 0 ? open_loop(start, start + load) : closed_loop(start + load));
    const double elapsed = std::chrono::duration<double>(Clock::now() - start).count();
    const double cpu = cpu_seconds() - cpu_before;
    return print_load(latencies_, elapsed, cpu);
  }

 private:
  void send(Clock::time_point due) {
    ClientCall* call = idle_.front();
    idle_.pop_front();
    call->due = due;
    call->state.emplace();
    call->state->reader = call->stub->AsyncCall(&call->state->context, request_, &queue_);
    call->state->reader->Finish(&call->answer, &call->status, call);
  }

  // Waits for an answer at most until `wait`; false when none came.
  Result<bool> receive(Clock::time_point wait) {
    void* tag = nullptr;
    bool ok = false;
    const auto limit = wait <= Clock::now()
                           ? gpr_inf_past(GPR_CLOCK_MONOTONIC)
                           : gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                                          gpr_time_from_nanos((wait - Clock::now()).count(), GPR_TIMESPAN));
    if (queue_.AsyncNext(&tag, &ok, limit) != grpc::CompletionQueue::GOT_EVENT) return false;
    auto* call = static_cast<ClientCall*>(tag);
    if (!ok || !call->status.ok())
      return fail(Errc::kUnavailable, "call: " + call->status.error_message() + " (is the server still there?)");
    if (call->answer.payload().size() != request_.payload().size())
      return fail(Errc::kCorrupt, "call: the answer has another size than the request");
    latencies_.record(Clock::now() - call->due);
    last_answer_ = Clock::now();
    idle_.push_back(call);
    return true;
  }

  Result<void> receive_one() {
    FF_TRY_ASSIGN(const bool got, receive(Clock::now() + kPatience));
    if (!got) return fail(Errc::kTimeout, "call: no answer for 10 s (is the server stopped?)");
    return {};
  }

  Result<void> drain() {
    while (idle_.size() < calls_.size()) FF_TRY(receive_one());
    return {};
  }

  Result<void> closed_loop(Clock::time_point end) {
    while (!idle_.empty()) send(Clock::now());
    for (;;) {
      FF_TRY(receive_one());
      if (last_answer_ >= end) break;
      send(last_answer_);
    }
    return drain();
  }

  // Polls while it waits for the next request to be due: waits of gRPC's queue are rounded up to a millisecond, which
  // would send late and in bursts.
  Result<void> open_loop(Clock::time_point start, Clock::time_point end) {
    last_answer_ = start;
    std::uint64_t sent = 0;
    for (;;) {
      const auto due =
          start + std::chrono::nanoseconds(static_cast<std::int64_t>(static_cast<double>(sent) * 1e9 / options_.rate));
      if (due >= end) break;
      if (due <= Clock::now() && !idle_.empty()) {
        send(due);
        ++sent;
        continue;
      }
      FF_TRY_ASSIGN(const bool got, receive(Clock::time_point::min()));
      if (!got && idle_.size() < calls_.size() && Clock::now() > last_answer_ + std::chrono::seconds(1) + kPatience)
        return fail(Errc::kTimeout, "call: no answer for 10 s (is the server stopped?)");
      if (!got && idle_.size() == calls_.size()) last_answer_ = Clock::now();
    }
    return drain();
  }

  const LoadOptions options_;
  EchoMessage request_;
  grpc::CompletionQueue queue_;
  std::vector<std::unique_ptr<Echo::Stub>> stubs_;
  std::deque<ClientCall> calls_;
  std::deque<ClientCall*> idle_;
  LatencyHistogram latencies_;
  Clock::time_point last_answer_;
};

Result<int> load(const LoadOptions& options) {
  Client client(options);
  FF_TRY(client.connect());
  return client.run();
}

}  // namespace
}  // namespace ff::bench

int main(int argc, char** argv) {
  using namespace ff::bench;
  return run_echo(
      {.name = "grpc_echo", .summary = "Small calls through gRPC C++, to compare with", .serve = &serve, .load = &load},
      argc, argv);
}
