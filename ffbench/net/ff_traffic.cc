#include "ffbench/net/ff_traffic.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <vector>

#include "ffbench/net/ff_lane.hpp"
#include "libcommon/runtime/scope.hpp"

namespace ff::bench {
namespace {

using namespace std::chrono_literals;
using runtime::Duration;
using runtime::Task;
using runtime::Time;

class FfTraffic final : public Traffic {
 public:
  FfTraffic(runtime::Env& env, const NetTest& test, const TrafficHost& host, TrafficHost::FfNetwork network)
      : env_(env), test_(test), host_(host), network_(std::move(network)), accepting_(env) {}

  Task<Result<NetOpened>> open() override;
  Task<Result<>> connect(const NetPeers& peers) override;
  Task<Result<NetOutcome>> run(const NetSchedule& schedule) override;
  void abort() override {
    if (working_ != nullptr) working_->cancel();
  }
  Task<void> close() override;

 private:
  Duration timeout() const { return Duration(static_cast<std::int64_t>(test_.timeout_ns())); }
  bool timed() const { return test_.iterations() == 0; }
  std::size_t expected() const;
  const NetFlow* find_flow(FfLane::Joining joining) const;
  Task<Result<>> accept_lanes();
  Task<Result<>> connect_lanes(std::vector<net::PeerAddress> peers);
  Task<Result<>> sleep_until(Time when);
  Task<Result<>> measure(NetSchedule schedule, NetOutcome& outcome, runtime::Scope& drivers);
  Task<Result<>> measure_iterations(NetOutcome& outcome, runtime::Scope& drivers);
  Task<void> drive(FfLane& lane, std::size_t index);
  Task<Result<>> wait_for(const std::function<bool()>& done, Time deadline);
  bool broken() const;
  void edge(bool first, NetOutcome& outcome);
  void collect(NetOutcome& outcome);

  runtime::Env& env_;
  const NetTest test_;
  const TrafficHost& host_;
  TrafficHost::FfNetwork network_;
  std::unique_ptr<net::Listener> listener_;
  std::vector<std::unique_ptr<FfLane>> lanes_;
  std::vector<std::optional<Error>> failures_;  // of drive(), by lane
  std::size_t driving_ = 0;
  runtime::Scope* working_ = nullptr;
  Time from_{};
  std::uint64_t cpu_from_ = 0;
  bool spinning_ = false;
  runtime::Scope accepting_;  // last: its tasks use the rest
};

std::size_t FfTraffic::expected() const {
  std::size_t count = 0;
  for (const NetFlow& flow : test_.flows()) count += flow.connections();
  return count;
}

const NetFlow* FfTraffic::find_flow(FfLane::Joining joining) const {
  for (const NetFlow& flow : test_.flows()) {
    if (flow.connects() || flow.id() != joining.flow || joining.index >= flow.connections()) continue;
    const bool taken = std::ranges::any_of(
        lanes_, [&](const auto& l) { return l->flow() == &flow && l->index() == joining.index && l->ready(); });
    return taken ? nullptr : &flow;
  }
  return nullptr;
}

Task<Result<NetOpened>> FfTraffic::open() {
  NetOpened opened;
  if (std::ranges::all_of(test_.flows(), [](const NetFlow& f) { return f.connects(); })) co_return opened;
  FF_CO_TRY_ASSIGN(listener_, co_await network_.network->listen(net::Address::tcp("", 0)));
  opened.set_port(listener_->address().port);
  accepting_.spawn(accept_lanes());
  co_return opened;
}

Task<Result<>> FfTraffic::accept_lanes() {
  // Strangers come beside the expected; who holds the cluster key may be wrong but not many.
  for (std::size_t accepted = 0; accepted < expected() + 64; ++accepted) {
    FF_CO_TRY_ASSIGN(auto connection, co_await listener_->accept());
    lanes_.push_back(std::make_unique<FfLane>(env_, test_, std::move(connection),
                                              [this](FfLane::Joining joining) { return find_flow(joining); }));
    (void)lanes_.back()->begin();
  }
  co_return {};
}

Task<Result<>> FfTraffic::connect_lanes(std::vector<net::PeerAddress> peers) {
  net::ConnectOptions options{.timeout = timeout()};
  if (!test_.traffic_class().empty()) {
    FF_CO_TRY_ASSIGN(options.traffic, net::parse_traffic_class(test_.traffic_class()));
  }
  for (int i = 0; i < test_.flows_size(); ++i) {
    const NetFlow& flow = test_.flows(i);
    for (std::uint32_t c = 0; flow.connects() && c < flow.connections(); ++c) {
      FF_CO_TRY_ASSIGN(auto connection,
                       co_await network_.network->connect(peers[static_cast<std::size_t>(i)], options));
      lanes_.push_back(std::make_unique<FfLane>(env_, test_, std::move(connection), flow, c));
      FF_CO_TRY(lanes_.back()->begin());
    }
  }
  const auto ready = [this] {
    return static_cast<std::size_t>(std::ranges::count_if(lanes_, [](const auto& l) { return l->ready(); }));
  };
  FF_CO_TRY(co_await wait_for([&] { return ready() == expected(); }, env_.now() + timeout()));
  if (ready() < expected())
    co_return fail(Errc::kTimeout, fmt::format("only {} of {} connections stand", ready(), expected()));
  runtime::Scope opening(co_await runtime::current_context());
  for (const auto& lane : lanes_)
    if (lane->ready()) opening.spawn(lane->open_bulk());
  co_return co_await opening.join();
}

Task<Result<>> FfTraffic::connect(const NetPeers& peers) {
  FF_CO_TRY_ASSIGN(std::vector<net::PeerAddress> addresses, peers_of(test_, peers));
  runtime::Scope scope(co_await runtime::current_context());
  working_ = &scope;
  scope.spawn([](FfTraffic& self, std::vector<net::PeerAddress> to) -> Task<Result<>> {
    FF_CO_TRY(co_await runtime::with_timeout(2 * self.timeout(), "connect", self.connect_lanes(std::move(to))));
    co_return {};
  }(*this, std::move(addresses)));
  Result<> result = co_await scope.join();
  working_ = nullptr;
  if (result && scope.context().cancelled()) result = fail(Errc::kCancelled, "stopped on request");
  if (!result) co_return result;
  // The strangers among those that came.
  for (auto& lane : lanes_)
    if (!lane->ready()) co_await lane->shut();
  failures_.assign(lanes_.size(), std::nullopt);
  co_return result;
}

Task<Result<>> FfTraffic::wait_for(const std::function<bool()>& done, Time deadline) {
  while (!done() && env_.now() < deadline) FF_CO_TRY(co_await runtime::sleep(500us));
  co_return {};
}

bool FfTraffic::broken() const {
  for (std::size_t i = 0; i < failures_.size(); ++i)
    if (lanes_[i]->ready() && (lanes_[i]->lost() || failures_[i])) return true;
  return false;
}

Task<Result<>> FfTraffic::sleep_until(Time when) {
  while (env_.now() < when && !broken()) FF_CO_TRY(co_await runtime::sleep_until(std::min(when, env_.now() + 10ms)));
  co_return {};
}

Task<void> FfTraffic::drive(FfLane& lane, std::size_t index) {
  const Result<> result = co_await lane.drive();
  if (!result && result.error().code() != Errc::kCancelled) failures_[index] = result.error();
  --driving_;
}

void FfTraffic::edge(bool first, NetOutcome& outcome) {
  const Time now = env_.now();
  for (const auto& lane : lanes_) lane->set_window(first ? now : from_, first ? runtime::kNever : now);
  const std::uint64_t cpu = host_.cpu_ns ? host_.cpu_ns() : 0;
  if (first) {
    from_ = now;
    cpu_from_ = cpu;
    return;
  }
  outcome.set_elapsed_ns(static_cast<std::uint64_t>((now - from_).count()));
  outcome.set_cpu_ns(cpu - cpu_from_);
}

Task<Result<>> FfTraffic::measure_iterations(NetOutcome& outcome, runtime::Scope& drivers) {
  edge(true, outcome);
  for (std::size_t i = 0; i < failures_.size(); ++i) {
    if (!lanes_[i]->ready() || !lanes_[i]->flow()->sends()) continue;
    ++driving_;
    drivers.spawn(drive(*lanes_[i], i));
  }
  const auto received = [this] {
    return std::ranges::all_of(lanes_, [this](const auto& l) {
      return !l->ready() || l->flow()->sends() || test_.pattern() == NET_LATENCY || l->peer_has_ended();
    });
  };
  FF_CO_TRY(co_await wait_for([&] { return broken() || (driving_ == 0 && received()); }, runtime::kNever));
  edge(false, outcome);
  co_return {};
}

Task<Result<>> FfTraffic::measure(NetSchedule schedule, NetOutcome& outcome, runtime::Scope& drivers) {
  const auto lead = Duration(static_cast<std::int64_t>(schedule.lead_ns()));
  const Time start = env_.now();
  for (const auto& lane : lanes_) lane->set_window(runtime::kNever, runtime::kNever);
  if (!timed()) {
    FF_CO_TRY(co_await sleep_until(start + lead));
    co_return co_await measure_iterations(outcome, drivers);
  }
  for (std::size_t i = 0; i < failures_.size(); ++i) {
    if (!lanes_[i]->ready() || !lanes_[i]->flow()->sends()) continue;
    ++driving_;
    drivers.spawn(drive(*lanes_[i], i));
  }
  FF_CO_TRY(co_await sleep_until(start + lead));
  const auto steady = [this] {
    return std::ranges::all_of(lanes_, [](const auto& l) { return !l->ready() || l->is_steady(); });
  };
  FF_CO_TRY(co_await wait_for([&] { return broken() || steady(); }, env_.now() + timeout() / 4));
  edge(true, outcome);
  FF_CO_TRY(co_await sleep_until(from_ + Duration(static_cast<std::int64_t>(schedule.window_ns()))));
  edge(false, outcome);
  if (broken()) {
    outcome.set_elapsed_ns(0);
    co_return {};
  }
  FF_CO_TRY(co_await sleep_until(env_.now() + Duration(static_cast<std::int64_t>(schedule.tail_ns()))));
  // What was under way when the window ended goes on beside others, as before: alone it would be quicker.
  const auto past_the_end = [this] {
    return std::ranges::none_of(lanes_, [](const auto& l) { return l->spans_the_end(); });
  };
  FF_CO_TRY(co_await wait_for([&] { return broken() || past_the_end(); }, env_.now() + timeout() / 4));
  for (const auto& lane : lanes_) lane->finish();
  const auto answered = [this] {
    return std::ranges::none_of(lanes_, [](const auto& l) { return l->waiting_for_answers(); });
  };
  FF_CO_TRY(co_await wait_for([&] { return broken() || (driving_ == 0 && answered()); }, env_.now() + timeout() / 4));
  for (const auto& lane : lanes_) lane->settle(env_.now());
  co_return {};
}

Task<Result<NetOutcome>> FfTraffic::run(const NetSchedule& schedule) {
  NetOutcome outcome;
  runtime::Scope scope(co_await runtime::current_context());
  working_ = &scope;
  Result<> measured;
  const bool spin = test_.spin();
  spinning_ = spin;
  scope.spawn(
      [](FfTraffic& self, NetSchedule when, NetOutcome& out, runtime::Scope& drivers, Result<>& result) -> Task<void> {
        result = co_await self.measure(std::move(when), out, drivers);
        self.spinning_ = false;
        drivers.cancel();
      }(*this, schedule, outcome, scope, measured));
  // A reactor with something ready polls instead of sleeping.
  if (spin)
    scope.spawn([](FfTraffic& self) -> Task<void> {
      while (self.spinning_) co_await runtime::yield();
    }(*this));
  (void)co_await scope.join();
  working_ = nullptr;
  if (!measured) co_return std::unexpected(measured.error());
  collect(outcome);
  co_return outcome;
}

void FfTraffic::collect(NetOutcome& outcome) {
  for (const NetFlow& flow : test_.flows()) {
    NetFlowOutcome& out = *outcome.add_flows();
    out.set_id(flow.id());
    out.set_sends(flow.sends());
    out.set_elapsed_ns(outcome.elapsed_ns());
    metrics::Histogram round_trip;
    std::uint64_t slowest = 0;
    for (std::size_t i = 0; i < failures_.size(); ++i) {
      const FfLane& lane = *lanes_[i];
      if (lane.flow() != &flow || !lane.ready()) continue;
      out.set_bytes(out.bytes() + lane.pushed_bytes());
      out.set_messages(out.messages() + lane.answered() + lane.pushes_ended());
      out.set_unanswered(out.unanswered() + lane.unanswered());
      slowest = std::max(slowest, lane.elapsed_ns());
      (void)round_trip.merge(lane.round_trip());  // one layout
      const auto& why = failures_[i] ? failures_[i] : lane.lost();
      if (why) out.set_error(why->message());
    }
    if (out.error().empty() && timed() && outcome.elapsed_ns() == 0)
      out.set_error("another connection ended before its time");
    if (!timed() && flow.sends()) out.set_elapsed_ns(slowest);
    if (flow.sends() && test_.pattern() == NET_LATENCY) out.set_round_trip(round_trip.encode());
  }
}

Task<void> FfTraffic::close() {
  accepting_.cancel();
  (void)co_await accepting_.join();
  listener_.reset();
  for (const auto& lane : lanes_) co_await lane->shut();
  if (network_.stop) {
    co_await network_.network->stop();
    co_return;
  }
  // A network that others use: its connections tell when they are done with their lanes, within its linger time.
  while (!std::ranges::all_of(lanes_, [](const auto& l) { return l->closed(); }))
    if (!co_await runtime::sleep(1ms)) co_return;
}

}  // namespace

std::unique_ptr<Traffic> make_ff_traffic(runtime::Env& env, const NetTest& test, const TrafficHost& host,
                                         TrafficHost::FfNetwork network) {
  return std::make_unique<FfTraffic>(env, test, host, std::move(network));
}

}  // namespace ff::bench
