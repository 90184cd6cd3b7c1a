#include "ffbench/net/controller.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "ffbench/net/traffic.hpp"

namespace ff::bench {

using namespace std::chrono_literals;
using runtime::Duration;
using runtime::Task;

namespace {

constexpr Duration kIterationsMax = 10min;  // of one run that counts messages instead of time
constexpr Duration kCloseTimeout = 2s;
constexpr Duration kLaneStart = 100us;  // until a connection's thread runs, at most

std::uint64_t ns(Duration duration) { return static_cast<std::uint64_t>(duration.count()); }

std::string new_token(Rng& rng) {
  // A name that no other test has, against strays; who may use the agents is settled by the cluster key.
  std::string token;
  while (token.size() < kTestTokenBytes) token.push_back(static_cast<char>(rng.next()));
  return token;
}

Result<metrics::Histogram> decode(const std::string& bytes) {
  if (bytes.empty()) return metrics::Histogram();
  return metrics::Histogram::decode(bytes);
}

}  // namespace

RunTiming RunTiming::of(Duration window) noexcept {
  return {.lead = std::clamp<Duration>(window / 10, 20ms, 500ms), .window = window, .tail = 20ms};
}

struct Controller::Running {
  NetSchedule schedule;
  std::vector<NetTest> tests;   // by agent; without flows: has no part
  std::vector<NetPeers> peers;  // by agent
  std::vector<NetOpened> opened;
  std::vector<NetOutcome> outcomes;
  std::vector<bool> begun;  // Open was sent
  std::vector<NetHost> described;
  bool timed = true;

  explicit Running(std::size_t agents)
      : tests(agents), peers(agents), opened(agents), outcomes(agents), begun(agents), described(agents) {}
  std::vector<std::size_t> parts() const {
    std::vector<std::size_t> out;
    for (std::size_t i = 0; i < tests.size(); ++i)
      if (tests[i].flows_size() > 0) out.push_back(i);
    return out;
  }
};

Controller::Controller(runtime::Env& env, std::vector<AgentPeer> agents, Duration timeout)
    : env_(env), agents_(std::move(agents)), timeout_(timeout), lost_(agents_.size()) {
  for (const AgentPeer& agent : agents_)
    clients_.push_back(
        std::make_unique<rpc::Client>(env_, agent.control, rpc::ClientOptions{.connect_timeout = timeout_}));
}

Controller::~Controller() = default;

Task<void> Controller::stop() {
  for (const auto& client : clients_) co_await client->stop();
}

rpc::CallOptions Controller::options(Duration more) const {
  rpc::CallOptions out;
  out.timeout = timeout_ + more;
  out.attempts = 1;
  out.wait_for_connection = false;
  out.traffic = net::TrafficClass::kControl;
  return out;
}

Error Controller::at(std::size_t agent, Error error) const {
  // The call's own prefix names the method, which nobody who reads this has asked for.
  const std::string& text = error.message();
  const std::string prefix = fmt::format(" at {}: ", agents_[agent].control.text());
  const auto found = text.starts_with("ff.bench.") ? text.find(prefix) : std::string::npos;
  return Error(error.code(),
               fmt::format("peer {}: {}", agents_[agent].name,
                           found == std::string::npos ? text : text.substr(found + prefix.size())),
               error.sys_errno());
}

std::string Controller::lost_text() const {
  for (std::size_t i = 0; i < lost_.size(); ++i)
    if (lost_[i]) return lost_[i]->message();
  return {};
}

Result<> Controller::check_not_lost(const std::vector<std::size_t>& agents) const {
  for (const std::size_t agent : agents)
    if (lost_[agent]) return std::unexpected(*lost_[agent]);
  return {};
}

Task<Result<>> Controller::at_all(Running& running, Step step) {
  runtime::Scope scope(co_await runtime::current_context());
  for (const std::size_t agent : running.parts()) scope.spawn((this->*step)(running, agent));
  co_return co_await scope.join();
}

Task<Result<>> Controller::describe_at(Running& running, std::size_t agent) {
  auto host = co_await NetAgentClient(*clients_[agent]).describe({}, options());
  if (!host) co_return std::unexpected(at(agent, std::move(host).error()));
  running.described[agent] = *host;
  // Again: the first call had to connect.
  const runtime::Time asked = env_.now();
  if (auto again = co_await NetAgentClient(*clients_[agent]).describe({}, options()); !again)
    co_return std::unexpected(at(agent, std::move(again).error()));
  round_trip_ = std::max(round_trip_, env_.now() - asked);
  co_return {};
}

Task<Result<>> Controller::describe() {
  Running running(agents_.size());
  for (NetTest& test : running.tests) test.add_flows();
  FF_CO_TRY(co_await at_all(running, &Controller::describe_at));
  for (std::size_t i = 1; i < agents_.size(); ++i) {
    if (running.described[i].version() == running.described[0].version()) continue;
    co_return fail(Errc::kUnsupported,
                   fmt::format("peer {}: runs ffbench {}, peer {} runs {} (install the same on both)", agents_[i].name,
                               running.described[i].version(), agents_[0].name, running.described[0].version()));
  }
  co_return {};
}

Task<Result<>> Controller::open_at(Running& running, std::size_t agent) {
  running.begun[agent] = true;
  auto opened = co_await NetAgentClient(*clients_[agent]).open(running.tests[agent], options());
  if (!opened) co_return std::unexpected(at(agent, std::move(opened).error()));
  running.opened[agent] = std::move(*opened);
  co_return {};
}

Task<Result<>> Controller::connect_at(Running& running, std::size_t agent) {
  // The agent's own deadline is `timeout_`; its answer comes after that.
  auto connected = co_await NetAgentClient(*clients_[agent]).connect(running.peers[agent], options(timeout_));
  if (!connected) co_return std::unexpected(at(agent, std::move(connected).error()));
  co_return {};
}

Task<Result<>> Controller::run_at(Running& running, std::size_t agent) {
  const NetSchedule& schedule = running.schedule;
  const Duration planned =
      running.timed
          ? Duration(static_cast<std::int64_t>(schedule.lead_ns() + schedule.window_ns() + schedule.tail_ns()))
          : kIterationsMax;
  auto outcome = co_await NetAgentClient(*clients_[agent]).run(schedule, options(planned + timeout_));
  if (!outcome) co_return std::unexpected(at(agent, std::move(outcome).error()));
  running.outcomes[agent] = std::move(*outcome);
  co_return {};
}

Task<Result<>> Controller::close_at(Running& running, std::size_t agent) {
  if (!running.begun[agent]) co_return {};
  NetToken token;
  token.set_token(running.tests[agent].token());
  rpc::CallOptions call = options();
  call.timeout = kCloseTimeout;
  const auto closed = co_await NetAgentClient(*clients_[agent]).close(token, call);
  // Busy is not lost: only an answer that did not come tells.
  if (!closed) co_await probe(agent);
  co_return {};
}

Task<void> Controller::probe(std::size_t agent) {
  rpc::CallOptions call = options();
  call.timeout = kCloseTimeout;
  const auto answer = co_await NetAgentClient(*clients_[agent]).describe({}, call);
  if (answer || lost_[agent]) co_return;
  const Error why = at(agent, answer.error());
  const std::string name = fmt::format("peer {}: ", agents_[agent].name);
  lost_[agent] = Error(Errc::kUnavailable,
                       fmt::format("peer {} is lost: {}", agents_[agent].name, why.message().substr(name.size())));
}

Task<void> Controller::probe_all(std::vector<std::size_t> agents) {
  runtime::Scope scope(co_await runtime::current_context());
  for (const std::size_t agent : agents) scope.spawn(probe(agent));
  (void)co_await scope.join();
}

Task<void> Controller::close_all(Running& running) { (void)co_await at_all(running, &Controller::close_at); }

void Controller::fill(Running& running, const std::vector<FlowSpec>& flows, std::uint32_t connections) {
  for (std::size_t i = 0; i < flows.size(); ++i) {
    const FlowSpec& spec = flows[i];
    for (const bool sends : {true, false}) {
      NetFlow& flow = *running.tests[sends ? spec.from : spec.to].add_flows();
      flow.set_id(static_cast<std::uint32_t>(i));
      flow.set_sends(sends);
      flow.set_connects(sends == spec.to_accepts);
      flow.set_connections(connections);
    }
  }
}

Task<Result<TestFigures>> Controller::run_test(NetTest test, std::vector<FlowSpec> flows, std::uint32_t connections,
                                               RunTiming timing) {
  Running running(agents_.size());
  test.set_token(new_token(env_.rng()));
  test.set_timeout_ns(ns(timeout_));
  running.timed = test.iterations() == 0;
  running.schedule.set_token(test.token());
  std::vector<std::uint32_t> lanes(agents_.size());
  for (const FlowSpec& flow : flows)
    for (const std::size_t end : {flow.from, flow.to}) lanes[end] += connections;
  const Duration apart = round_trip_ + kLaneStart * std::ranges::max(lanes);
  timing.lead += apart;
  timing.tail += apart;
  running.schedule.set_lead_ns(ns(timing.lead));
  running.schedule.set_window_ns(running.timed ? ns(timing.window) : 0);
  running.schedule.set_tail_ns(ns(timing.tail));
  for (std::size_t i = 0; i < agents_.size(); ++i) {
    running.tests[i] = test;
    for (const int processor : agents_[i].processors)
      running.tests[i].add_processors(static_cast<std::uint32_t>(processor));
    running.peers[i].set_token(test.token());
  }
  fill(running, flows, connections);
  FF_CO_TRY(check_not_lost(running.parts()));

  Result<> result = co_await at_all(running, &Controller::open_at);
  if (result) {
    for (std::size_t i = 0; i < flows.size(); ++i) {
      const auto [from, to, to_accepts] = flows[i];
      const std::size_t acceptor = to_accepts ? to : from, connector = to_accepts ? from : to;
      const NetOpened& opened = running.opened[acceptor];
      net::PeerAddress where;
      if (!opened.unix_name().empty()) {
        where.planes = {net::Address::unix_abstract(opened.unix_name())};
      } else {
        for (const std::string& host : agents_[acceptor].hosts)
          where.planes.push_back(net::Address::tcp(host, static_cast<std::uint16_t>(opened.port())));
      }
      NetFlow& flow = *running.peers[connector].add_flows();
      flow.set_id(static_cast<std::uint32_t>(i));
      flow.set_connects(true);
      flow.set_peer(where.text());
    }
    result = co_await at_all(running, &Controller::connect_at);
  }
  if (result) result = co_await at_all(running, &Controller::run_at);
  Result<TestFigures> out = result ? figures(running, flows) : Result<TestFigures>(std::unexpected(result.error()));
  // Also when this test has been cancelled: under a context of its own, with deadlines.
  runtime::Context closing(env_);
  co_await close_all(running).under(closing);
  if (!out) FF_CO_TRY(check_not_lost(running.parts()));
  co_return out;
}

Result<TestFigures> Controller::figures(const Running& running, const std::vector<FlowSpec>& flows) const {
  TestFigures out;
  out.cpu_per_second.resize(agents_.size());
  for (const std::size_t agent : running.parts()) {
    const NetOutcome& outcome = running.outcomes[agent];
    if (outcome.elapsed_ns() > 0)
      out.cpu_per_second[agent] = static_cast<double>(outcome.cpu_ns()) / static_cast<double>(outcome.elapsed_ns());
  }
  const auto end_of = [&](std::size_t agent, std::size_t flow, bool sends) -> const NetFlowOutcome* {
    for (const NetFlowOutcome& end : running.outcomes[agent].flows())
      if (end.id() == flow && end.sends() == sends) return &end;
    return nullptr;
  };
  for (std::size_t i = 0; i < flows.size(); ++i) {
    const std::string name = fmt::format("{} -> {}", agents_[flows[i].from].name, agents_[flows[i].to].name);
    const NetFlowOutcome* sent = end_of(flows[i].from, i, true);
    const NetFlowOutcome* received = end_of(flows[i].to, i, false);
    if (sent == nullptr || received == nullptr)
      return fail(Errc::kCorrupt, fmt::format("{}: an end told nothing", name));
    for (const NetFlowOutcome* end : {sent, received})
      if (!end->error().empty()) return fail(Errc::kUnavailable, fmt::format("{}: {}", name, end->error()));
    FlowFigures flow;
    const bool ff = running.tests[flows[i].from].transport() == NET_FF;
    flow.bytes = (ff ? sent : received)->bytes();
    flow.messages = sent->messages();
    flow.unanswered = sent->unanswered();
    // Of the end that counted.
    const bool at_receiver = running.timed && !ff && running.tests[flows[i].from].pattern() == NET_BANDWIDTH;
    flow.seconds = static_cast<double>((at_receiver ? received : sent)->elapsed_ns()) * 1e-9;
    if (flow.seconds > 0) flow.bandwidth = static_cast<double>(flow.bytes) / flow.seconds;
    FF_TRY_ASSIGN(flow.round_trip, decode(sent->round_trip()));
    out.flows.push_back(std::move(flow));
  }
  return out;
}

Task<Result<IncastFigures>> Controller::run_incast(IncastSpec spec, RunTiming timing) {
  std::vector<std::size_t> parts = spec.senders;
  parts.push_back(spec.receiver);
  parts.push_back(spec.bystander);
  std::ranges::sort(parts);
  parts.erase(std::ranges::unique(parts).begin(), parts.end());
  FF_CO_TRY(check_not_lost(parts));
  const auto service = [this](std::size_t agent) {
    return net::Address::tcp(agents_[agent].hosts.front(), agents_[agent].port).text();
  };
  NetIncast request;
  for (const std::size_t sender : spec.senders) request.add_senders(service(sender));
  request.set_bystander(service(spec.bystander));
  request.set_piece_bytes(spec.piece_bytes);
  request.set_streams(spec.streams);
  request.set_grants(spec.grants);
  request.set_bystander_rate(spec.bystander_rate);
  request.set_traffic_class(spec.traffic_class);
  request.set_bystander_class(spec.bystander_class);
  request.set_lead_ns(ns(timing.lead));
  request.set_window_ns(ns(timing.window));
  request.set_timeout_ns(ns(timeout_));
  auto outcome = co_await NetAgentClient(*clients_[spec.receiver])
                     .receive_incast(request, options(timing.lead + timing.window + timeout_));
  if (!outcome) {
    runtime::Context probing(env_);
    co_await probe_all(parts).under(probing);
    FF_CO_TRY(check_not_lost(parts));
    co_return std::unexpected(at(spec.receiver, std::move(outcome).error()));
  }
  IncastFigures out;
  const double seconds = static_cast<double>(outcome->elapsed_ns()) * 1e-9;
  if (seconds <= 0) co_return fail(Errc::kCorrupt, "incast: the receiver measured no time");
  out.goodput = static_cast<double>(outcome->bytes()) / seconds;
  out.cpu_per_second = static_cast<double>(outcome->cpu_ns()) * 1e-9 / seconds;
  out.unanswered = outcome->unanswered();
  if (outcome->per_sender_max() > 0)
    out.fairness = static_cast<double>(outcome->per_sender_min()) / static_cast<double>(outcome->per_sender_max());
  FF_CO_TRY_ASSIGN(out.bystander, decode(outcome->round_trip()));
  co_return out;
}

}  // namespace ff::bench
