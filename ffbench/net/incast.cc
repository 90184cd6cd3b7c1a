#include "ffbench/net/incast.hpp"

#include <algorithm>
#include <vector>

#include "ffbench/net/agent.ff.hpp"
#include "libcommon/metrics/histogram.hpp"
#include "libcommon/runtime/scope.hpp"

namespace ff::bench {
namespace {

using namespace std::chrono_literals;
using runtime::Duration;
using runtime::Task;
using runtime::Time;

class Receiver {
 public:
  Receiver(runtime::Env& env, const NetIncast& incast, const TrafficHost& host)
      : env_(env), incast_(incast), host_(host) {}

  Result<> prepare();
  Task<Result<>> connect();
  Task<Result<NetIncastOutcome>> measure();
  Task<void> stop();

 private:
  struct Sender {
    std::unique_ptr<rpc::Client> client;
    double bytes = 0;
  };
  Duration timeout() const { return Duration(static_cast<std::int64_t>(incast_.timeout_ns())); }
  rpc::CallOptions options(net::TrafficClass traffic) const {
    rpc::CallOptions out;
    out.timeout = timeout();
    out.attempts = 1;
    out.wait_for_connection = false;
    out.traffic = traffic;
    return out;
  }
  Task<Result<>> fetch(Sender& sender);
  Task<Result<>> bystand(runtime::Scope& scope);
  Task<void> small_call(Time due);
  Time due_at(std::uint64_t call) const {
    return bystander_began_ +
           Duration(static_cast<std::int64_t>(static_cast<double>(call) * 1e9 / incast_.bystander_rate()));
  }
  void settle();
  bool in_window(Time at) const { return at >= from_ && at < until_; }

  runtime::Env& env_;
  const NetIncast& incast_;
  const TrafficHost& host_;
  std::vector<Sender> senders_;
  std::unique_ptr<rpc::Client> bystander_;
  net::TrafficClass piece_class_ = net::TrafficClass::kStorage;
  net::TrafficClass bystander_class_ = net::TrafficClass::kMetadata;
  bool ending_ = false;
  std::size_t under_way_ = 0, spanning_ = 0;  // fetches, and those of them that were when the window ended
  Time from_ = runtime::kNever, until_ = runtime::kNever;
  std::size_t small_calls_ = 0;
  Time bystander_began_ = runtime::kNever;
  std::uint64_t small_call_ = 0;  // the next one
  metrics::Histogram round_trip_;
  std::uint64_t unanswered_ = 0;
};

Result<> Receiver::prepare() {
  if (!incast_.traffic_class().empty()) {
    FF_TRY_ASSIGN(piece_class_, net::parse_traffic_class(incast_.traffic_class()));
  }
  if (!incast_.bystander_class().empty()) {
    FF_TRY_ASSIGN(bystander_class_, net::parse_traffic_class(incast_.bystander_class()));
  }
  const rpc::ClientOptions client{.grants = incast_.grants()};
  for (const std::string& text : incast_.senders()) {
    FF_TRY_ASSIGN(net::PeerAddress peer, net::parse_peer_address(text));
    senders_.push_back({std::make_unique<rpc::Client>(env_, std::move(peer), client)});
  }
  FF_TRY_ASSIGN(net::PeerAddress peer, net::parse_peer_address(incast_.bystander()));
  bystander_ = std::make_unique<rpc::Client>(env_, std::move(peer), client);
  return {};
}

// Before the clock runs: each connection and, by a first piece, its way for bulk.
Task<Result<>> Receiver::connect() {
  std::vector<std::byte> into(incast_.piece_bytes());
  NetPiece request;
  request.set_bytes(incast_.piece_bytes());
  for (Sender& sender : senders_) {
    rpc::CallOptions call = options(piece_class_);
    call.bulk_receive = into;
    FF_CO_TRY(co_await NetAgentClient(*sender.client).fetch(request, call));
  }
  FF_CO_TRY(co_await NetAgentClient(*bystander_).fetch({}, options(bystander_class_)));
  co_return {};
}

Task<Result<>> Receiver::fetch(Sender& sender) {
  std::vector<std::byte> into(incast_.piece_bytes());
  NetPiece request;
  request.set_bytes(incast_.piece_bytes());
  // A piece over an edge of the window counts by the share of its time that lies within. Those under way at its end go
  // on beside others: alone they would be quicker.
  while (!ending_ || spanning_ > 0) {
    rpc::CallOptions call = options(piece_class_);
    call.bulk_receive = into;
    ++under_way_;
    const Time began = env_.now();
    const bool before_the_end = until_ == runtime::kNever;
    const auto fetched = co_await NetAgentClient(*sender.client).fetch(request, call);
    --under_way_;
    if (before_the_end && until_ != runtime::kNever) --spanning_;
    if (!fetched) co_return std::unexpected(fetched.error());
    const Time ended = env_.now();
    if (from_ == runtime::kNever) continue;
    const Duration within = std::min(ended, until_) - std::max(began, from_);
    if (within.count() > 0)
      sender.bytes += static_cast<double>(incast_.piece_bytes()) * static_cast<double>(within.count()) /
                      static_cast<double>((ended - began).count());
  }
  co_return {};
}

Task<void> Receiver::small_call(Time due) {
  const auto reply = co_await NetAgentClient(*bystander_).fetch({}, options(bystander_class_));
  --small_calls_;
  if (!in_window(due)) co_return;
  // A call that fails at once was not served quickly: it counts as one that waited for its whole deadline.
  const Duration waited = env_.now() - due;
  round_trip_.record((reply ? waited : std::max(waited, timeout())).count());
  if (!reply) ++unanswered_;
}

Task<Result<>> Receiver::bystand(runtime::Scope& scope) {
  if (incast_.bystander_rate() <= 0) co_return {};
  bystander_began_ = env_.now();
  for (; !ending_; ++small_call_) {
    const Time due = due_at(small_call_);
    if (due > env_.now()) FF_CO_TRY(co_await runtime::sleep_until(due));
    while (small_calls_ >= kBystanderCallsMax && !ending_) FF_CO_TRY(co_await runtime::sleep(100us));
    if (ending_) break;
    ++small_calls_;
    scope.spawn(small_call(due));
    if (small_call_ % 64 == 63) co_await runtime::yield();  // late: let answers be read meanwhile
  }
  co_return {};
}

// Calls that were due in the window and never sent: the loop was late, or too many waited.
void Receiver::settle() {
  for (; bystander_began_ != runtime::kNever && due_at(small_call_) < until_; ++small_call_) {
    if (!in_window(due_at(small_call_))) continue;
    round_trip_.record(std::max(env_.now() - due_at(small_call_), timeout()).count());
    ++unanswered_;
  }
}

Task<Result<NetIncastOutcome>> Receiver::measure() {
  NetIncastOutcome outcome;
  std::uint64_t cpu = 0;
  FF_CO_TRY(co_await runtime::with_scope([&](runtime::Scope& scope) -> Task<Result<>> {
    for (Sender& sender : senders_)
      for (std::uint32_t stream = 0; stream < incast_.streams(); ++stream) scope.spawn(fetch(sender));
    scope.spawn(bystand(scope));
    FF_CO_TRY(co_await runtime::sleep(Duration(static_cast<std::int64_t>(incast_.lead_ns()))));
    from_ = env_.now();
    cpu = host_.cpu_ns ? host_.cpu_ns() : 0;
    FF_CO_TRY(co_await runtime::sleep(Duration(static_cast<std::int64_t>(incast_.window_ns()))));
    until_ = env_.now();
    spanning_ = under_way_;
    cpu = (host_.cpu_ns ? host_.cpu_ns() : 0) - cpu;
    ending_ = true;  // the scope waits for what is under way, which has deadlines
    co_return {};
  }));
  outcome.set_elapsed_ns(static_cast<std::uint64_t>((until_ - from_).count()));
  outcome.set_cpu_ns(cpu);
  outcome.set_per_sender_min(UINT64_MAX);
  for (const Sender& sender : senders_) {
    const auto bytes = static_cast<std::uint64_t>(sender.bytes);
    outcome.set_bytes(outcome.bytes() + bytes);
    outcome.set_per_sender_min(std::min<std::uint64_t>(outcome.per_sender_min(), bytes));
    outcome.set_per_sender_max(std::max<std::uint64_t>(outcome.per_sender_max(), bytes));
  }
  settle();
  outcome.set_round_trip(round_trip_.encode());
  outcome.set_unanswered(unanswered_);
  co_return outcome;
}

Task<void> Receiver::stop() {
  for (Sender& sender : senders_) co_await sender.client->stop();
  if (bystander_) co_await bystander_->stop();
}

}  // namespace

Task<Result<NetIncastOutcome>> run_incast(runtime::Env& env, NetIncast incast, const TrafficHost& host) {
  Receiver receiver(env, incast, host);
  Result<> ready = receiver.prepare();
  if (ready) ready = co_await receiver.connect();
  Result<NetIncastOutcome> outcome =
      ready ? co_await receiver.measure() : Result<NetIncastOutcome>(std::unexpected(ready.error()));
  co_await receiver.stop();
  co_return outcome;
}

}  // namespace ff::bench
