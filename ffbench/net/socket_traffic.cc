#include "ffbench/net/socket_traffic.hpp"

#include <fmt/core.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <list>
#include <mutex>
#include <thread>
#include <vector>

#include "ffbench/measure/clock.hpp"
#include "ffbench/net/socket_lane.hpp"
#include "ffbench/net/socket_loops.hpp"
#include "libcommon/runtime/scope.hpp"

namespace ff::bench {
namespace {

using namespace std::chrono_literals;
using runtime::Duration;
using runtime::Task;
using runtime::Time;

struct Lane {
  std::size_t flow = 0;  // index of the test's flows
  std::uint32_t index = 0;
  UniqueFd fd;
  std::atomic<bool> ready{false};  // fd is set
  SocketLoop loop;
  Result<> ended;  // by the thread, before `done`
  std::atomic<bool> done{false};
  std::uint64_t bytes_from = 0, bytes_until = 0;
  std::jthread thread;
};

class SocketTraffic final : public Traffic {
 public:
  SocketTraffic(runtime::Env& env, const NetTest& test, const TrafficHost& host) : env_(env), test_(test), host_(host) {
    for (int i = 0; i < test_.flows_size(); ++i) {
      for (std::uint32_t c = 0; c < test_.flows(i).connections(); ++c) {
        Lane& lane = lanes_.emplace_back();
        lane.flow = static_cast<std::size_t>(i);
        lane.index = c;
      }
    }
  }
  ~SocketTraffic() override { end_threads(); }

  Task<Result<NetOpened>> open() override;
  Task<Result<>> connect(const NetPeers& peers) override;
  Task<Result<NetOutcome>> run(const NetSchedule& schedule) override;
  void abort() override {
    giving_up_ = true;
    if (working_ != nullptr) working_->cancel();
  }
  Task<void> close() override {
    end_threads();
    co_return;
  }

 private:
  const NetFlow& flow(const Lane& lane) const { return test_.flows(static_cast<int>(lane.flow)); }
  Duration timeout() const { return Duration(static_cast<std::int64_t>(test_.timeout_ns())); }
  bool timed() const { return test_.iterations() == 0; }
  bool drives(const Lane& lane) const { return flow(lane).sends(); }

  void accept_lanes(std::stop_token stop);
  void take_in(UniqueFd fd);
  Result<> connect_lanes(const std::vector<net::PeerAddress>& peers);
  Task<Result<>> wait_for_lanes();
  void start_lane(Lane& lane, const NetSchedule& schedule);
  void move_bytes(Lane& lane);
  // Ends early when a lane has: its peer is gone, and nothing that comes could still be measured.
  Task<Result<>> sleep_until(Time when);
  Task<Result<>> measure(NetSchedule schedule, NetOutcome& outcome);
  Task<Result<>> wait_until_done(Time deadline);
  bool is_over(const Lane& lane) const;
  Task<Result<>> agree_on_the_end();
  void edge(bool first, NetOutcome& outcome);
  void end_threads() noexcept;
  void collect(NetOutcome& outcome);

  runtime::Env& env_;
  const NetTest test_;
  const TrafficHost& host_;
  std::list<Lane> lanes_;
  UniqueFd listener_;
  std::mutex refused_mutex_;
  std::string refused_;  // why the last connection was not taken; guarded by refused_mutex_
  std::atomic<bool> giving_up_{false};
  runtime::Scope* working_ = nullptr;
  Time from_{};
  std::uint64_t cpu_from_ = 0;
  std::jthread acceptor_;  // last: joined before what it uses goes
};

Task<Result<NetOpened>> SocketTraffic::open() {
  NetOpened opened;
  if (std::ranges::all_of(test_.flows(), [](const NetFlow& f) { return f.connects(); })) co_return opened;
  FF_CO_TRY_ASSIGN(listener_, listen_for(test_));
  if (test_.transport() == NET_UDS) {
    opened.set_unix_name(unix_name_of(test_));
  } else {
    FF_CO_TRY_ASSIGN(const net::Address at, net::local_address(listener_.get()));
    opened.set_port(at.port);
  }
  acceptor_ = std::jthread([this](std::stop_token stop) { accept_lanes(stop); });
  co_return opened;
}

void SocketTraffic::accept_lanes(std::stop_token stop) {
  const auto missing = [this] {
    return std::ranges::any_of(lanes_, [this](const Lane& l) { return !flow(l).connects() && !l.ready; });
  };
  while (!stop.stop_requested() && missing()) {
    pollfd waiting{listener_.get(), POLLIN, 0};
    if (::poll(&waiting, 1, 20) <= 0) continue;
    UniqueFd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (fd) take_in(std::move(fd));
  }
}

void SocketTraffic::take_in(UniqueFd fd) {
  // Short: the next in line waits meanwhile.
  const Deadline deadline = Deadline::after(std::min<Duration>(timeout(), 2s));
  const auto refuse = [this](std::string why) {
    const std::lock_guard lock(refused_mutex_);
    refused_ = std::move(why);
  };
  const Result<Joining> joining = read_joining(test_, fd.get(), deadline, giving_up_);
  if (!joining) return refuse(joining.error().message());
  const auto lane = std::ranges::find_if(lanes_, [&](const Lane& l) {
    return !flow(l).connects() && !l.ready && flow(l).id() == joining->flow && l.index == joining->index;
  });
  if (lane == lanes_.end()) return refuse("a connection that is none of the test's");
  if (const auto admitted = admit(test_, fd.get(), deadline, giving_up_); !admitted)
    return refuse(admitted.error().message());
  lane->fd = std::move(fd);
  lane->ready = true;
}

// On a thread where it may block.
Result<> SocketTraffic::connect_lanes(const std::vector<net::PeerAddress>& peers) {
  const Deadline deadline = Deadline::after(timeout());
  for (Lane& lane : lanes_) {
    if (!flow(lane).connects()) continue;
    if (giving_up_) return fail(Errc::kCancelled, "stopped on request");
    FF_TRY_ASSIGN(lane.fd, join_test(test_, peers[lane.flow].planes.front(), {flow(lane).id(), lane.index}, deadline,
                                     giving_up_));
    lane.ready = true;
  }
  return {};
}

Task<Result<>> SocketTraffic::wait_for_lanes() {
  const Time deadline = env_.now() + timeout();
  while (!std::ranges::all_of(lanes_, [](const Lane& l) { return l.ready.load(); })) {
    if (env_.now() >= deadline) {
      const auto stand = std::ranges::count_if(lanes_, [](const Lane& l) { return l.ready.load(); });
      const std::lock_guard lock(refused_mutex_);
      co_return fail(Errc::kTimeout, fmt::format("only {} of {} connections stand{}{}", stand, lanes_.size(),
                                                 refused_.empty() ? "" : "; the last refused: ", refused_));
    }
    FF_CO_TRY(co_await runtime::sleep(1ms));
  }
  co_return {};
}

Task<Result<>> SocketTraffic::connect(const NetPeers& peers) {
  FF_CO_TRY_ASSIGN(const std::vector<net::PeerAddress> addresses, peers_of(test_, peers));
  runtime::Scope scope(co_await runtime::current_context());
  working_ = &scope;
  scope.spawn([](SocketTraffic& self, const std::vector<net::PeerAddress>& to) -> Task<Result<>> {
    FF_CO_TRY_ASSIGN(const Result<> connected,
                     co_await runtime::offload(self.env_, [&] { return self.connect_lanes(to); }));
    FF_CO_TRY(connected);
    co_return co_await self.wait_for_lanes();
  }(*this, addresses));
  Result<> result = co_await scope.join();
  working_ = nullptr;
  if (result && scope.context().cancelled()) co_return fail(Errc::kCancelled, "stopped on request");
  co_return result;
}

void SocketTraffic::move_bytes(Lane& lane) {
  const int fd = lane.fd.get();
  std::vector<std::byte> buffer(test_.message_bytes(), std::byte{0x5a});
  if (test_.pattern() == NET_LATENCY) {
    lane.ended = !drives(lane)          ? answer_loop(fd, buffer, lane.loop)
                 : lane.loop.rate > 0.0 ? open_ask_loop(fd, buffer, lane.loop)
                                        : ask_loop(fd, buffer, lane.loop);
  } else if (drives(lane)) {
    lane.ended = send_loop(fd, buffer, lane.loop);
  } else {
    buffer.resize(std::max(buffer.size(), kReceiveBytes));
    if (buffer.size() > 8 * kReceiveBytes) buffer.resize(8 * kReceiveBytes);
    lane.ended = receive_loop(fd, buffer, lane.loop);
  }
  lane.done.store(true, std::memory_order_release);
}

void SocketTraffic::start_lane(Lane& lane, const NetSchedule& schedule) {
  lane.loop.spin = test_.spin();
  lane.loop.iterations = test_.iterations();
  lane.loop.rate = test_.rate();
  lane.loop.tail_ns = static_cast<std::int64_t>(schedule.tail_ns()) + timeout().count() / 4;
  lane.thread = std::jthread([this, &lane] { move_bytes(lane); });
}

// Before its time: one that answers measures nothing, and may be told early that all has been asked.
bool SocketTraffic::is_over(const Lane& lane) const {
  if (!lane.done.load(std::memory_order_acquire)) return false;
  return drives(lane) || test_.pattern() == NET_BANDWIDTH || !lane.ended;
}

Task<Result<>> SocketTraffic::sleep_until(Time when) {
  while (env_.now() < when) {
    if (timed() && std::ranges::any_of(lanes_, [this](const Lane& l) { return is_over(l); })) break;
    FF_CO_TRY(co_await runtime::sleep_until(std::min(when, env_.now() + 10ms)));
  }
  co_return {};
}

void SocketTraffic::edge(bool first, NetOutcome& outcome) {
  const std::uint64_t ticks = ticks_now();
  for (Lane& lane : lanes_) {
    (first ? lane.loop.window_from : lane.loop.window_until).store(ticks, std::memory_order_relaxed);
    (first ? lane.bytes_from : lane.bytes_until) = lane.loop.bytes.load(std::memory_order_relaxed);
  }
  const Time now = env_.now();
  const std::uint64_t cpu = host_.cpu_ns ? host_.cpu_ns() : 0;
  if (first) {
    from_ = now;
    cpu_from_ = cpu;
    return;
  }
  outcome.set_elapsed_ns(static_cast<std::uint64_t>((now - from_).count()));
  outcome.set_cpu_ns(cpu - cpu_from_);
}

Task<Result<>> SocketTraffic::wait_until_done(Time deadline) {
  while (env_.now() < deadline &&
         !std::ranges::all_of(lanes_, [](const Lane& l) { return l.done.load(std::memory_order_acquire); }))
    FF_CO_TRY(co_await runtime::sleep(1ms));
  co_return {};
}

// The receiver's window ends when it does, however much later it began: until then its sender sends. A byte the other
// way says that it has ended.
Task<Result<>> SocketTraffic::agree_on_the_end() {
  if (test_.pattern() != NET_BANDWIDTH) co_return {};
  const std::byte word{1};
  for (Lane& lane : lanes_)
    if (!drives(lane)) (void)::send(lane.fd.get(), &word, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
  const auto heard = [this](const Lane& lane) {
    std::byte ignored{};
    return !drives(lane) || lane.done.load(std::memory_order_acquire) ||
           ::recv(lane.fd.get(), &ignored, 1, MSG_PEEK | MSG_DONTWAIT) >= 0;
  };
  const Time deadline = env_.now() + timeout() / 4;
  while (env_.now() < deadline && !std::ranges::all_of(lanes_, heard)) FF_CO_TRY(co_await runtime::sleep(1ms));
  co_return {};
}

Task<Result<>> SocketTraffic::measure(NetSchedule schedule, NetOutcome& outcome) {
  const auto lead = Duration(static_cast<std::int64_t>(schedule.lead_ns()));
  const auto window = Duration(static_cast<std::int64_t>(schedule.window_ns()));
  const auto tail = Duration(static_cast<std::int64_t>(schedule.tail_ns()));
  const Time start = env_.now();
  for (Lane& lane : lanes_)
    if (timed() || !drives(lane)) start_lane(lane, schedule);
  FF_CO_TRY(co_await sleep_until(start + lead));
  edge(true, outcome);
  if (timed()) {
    FF_CO_TRY(co_await sleep_until(from_ + window));
    edge(false, outcome);
    const bool broken = std::ranges::any_of(lanes_, [this](const Lane& l) { return is_over(l); });
    if (broken) outcome.set_elapsed_ns(0);
    if (!broken) FF_CO_TRY(co_await agree_on_the_end());
    if (!broken) FF_CO_TRY(co_await sleep_until(env_.now() + tail));
    for (Lane& lane : lanes_)
      if (drives(lane) || broken) lane.loop.stop = true;
    co_return co_await wait_until_done(env_.now() + (broken ? Duration(0) : timeout()));
  }
  for (Lane& lane : lanes_)
    if (drives(lane)) start_lane(lane, schedule);
  FF_CO_TRY(co_await wait_until_done(runtime::kNever));
  edge(false, outcome);
  co_return {};
}

Task<Result<NetOutcome>> SocketTraffic::run(const NetSchedule& schedule) {
  NetOutcome outcome;
  runtime::Scope scope(co_await runtime::current_context());
  working_ = &scope;
  scope.spawn(measure(schedule, outcome));
  const Result<> measured = co_await scope.join();
  const bool aborted = scope.context().cancelled();
  working_ = nullptr;
  end_threads();
  if (!measured) co_return std::unexpected(measured.error());
  if (aborted) co_return fail(Errc::kCancelled, "stopped on request");
  collect(outcome);
  co_return outcome;
}

void SocketTraffic::end_threads() noexcept {
  giving_up_ = true;
  acceptor_.request_stop();
  for (Lane& lane : lanes_) {
    lane.loop.stop = true;
    // Not while the acceptor may still set it.
    if (lane.ready) ::shutdown(lane.fd.get(), SHUT_RDWR);
  }
  for (Lane& lane : lanes_)
    if (lane.thread.joinable()) lane.thread.join();
  if (acceptor_.joinable()) acceptor_.join();
}

void SocketTraffic::collect(NetOutcome& outcome) {
  const bool broken = timed() && outcome.elapsed_ns() == 0;
  for (int i = 0; i < test_.flows_size(); ++i) {
    NetFlowOutcome& out = *outcome.add_flows();
    out.set_id(test_.flows(i).id());
    out.set_sends(test_.flows(i).sends());
    out.set_elapsed_ns(outcome.elapsed_ns());
    metrics::Histogram round_trip;
    std::uint64_t slowest = 0;
    for (const Lane& lane : lanes_) {
      if (lane.flow != static_cast<std::size_t>(i)) continue;
      out.set_bytes(out.bytes() + (timed() ? lane.bytes_until - lane.bytes_from : lane.loop.bytes.load()));
      out.set_messages(out.messages() + lane.loop.answered);
      out.set_unanswered(out.unanswered() + lane.loop.unanswered);
      slowest = std::max(slowest, lane.loop.elapsed_ns);
      (void)round_trip.merge(lane.loop.round_trip);  // one layout
      if (!lane.ended && (broken || !timed())) out.set_error(lane.ended.error().message());
    }
    if (broken && out.error().empty()) out.set_error("a connection ended before its time");
    if (!timed() && out.sends()) out.set_elapsed_ns(slowest);
    if (out.sends() && test_.pattern() == NET_LATENCY) out.set_round_trip(round_trip.encode());
  }
}

}  // namespace

std::unique_ptr<Traffic> make_socket_traffic(runtime::Env& env, const NetTest& test, const TrafficHost& host) {
  return std::make_unique<SocketTraffic>(env, test, host);
}

}  // namespace ff::bench
