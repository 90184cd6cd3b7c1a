#include "ffbench/net/cases.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <deque>
#include <functional>
#include <map>
#include <optional>

#include "ffbench/stats/summary.hpp"
#include "libcommon/base/byte_size.hpp"

namespace ff::bench {
namespace {

using Nanoseconds = std::chrono::nanoseconds;

constexpr std::pair<const char*, double> kQuantiles[] = {
    {"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p999", 0.999}, {"max", 1}};

// One run whose figures several rows show.
template <class T>
class Shared {
 public:
  using Measure = std::function<Result<T>(Nanoseconds, std::stop_token)>;
  explicit Shared(Measure measure) : measure_(std::move(measure)) {}
  // Each member's n-th call gets run n: warm-up and rounds come in the same order for all, however long they are.
  const Result<T>& get(std::size_t member, Nanoseconds duration, const std::stop_token& stop) {
    const std::uint64_t wanted = calls_[member]++;
    const auto have = std::ranges::find(runs_, wanted, &Run::number);
    if (have != runs_.end()) return have->result;
    // A member is at most a warm-up and a round ahead of the others.
    if (runs_.size() == 2) runs_.pop_front();
    runs_.push_back({wanted, measure_(duration, stop)});
    return runs_.back().result;
  }

 private:
  struct Run {
    std::uint64_t number = 0;
    Result<T> result;
  };
  Measure measure_;
  std::deque<Run> runs_;
  std::map<std::size_t, std::uint64_t> calls_;  // by member
};

Fields with(Fields fields, Fields more) {
  fields.insert(fields.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
  return fields;
}

Metric bandwidth_metric(std::string name = "bandwidth", std::string formula = "bytes received / time") {
  return {.name = std::move(name), .unit = "B/s", .better = Better::kHigher, .formula = std::move(formula)};
}

NetTest test_of(const NetPlan& plan, NetPattern pattern, std::uint64_t bytes) {
  NetTest test = plan.test;
  test.set_pattern(pattern);
  test.set_message_bytes(bytes);
  if (pattern == NET_BANDWIDTH) {
    test.set_rate(0);
    test.set_spin(false);
  }
  return test;
}

Result<TestFigures> run_test(Cluster& cluster, NetTest test, std::vector<FlowSpec> flows, std::uint32_t connections,
                             Nanoseconds duration, const std::stop_token& stop) {
  FF_TRY_ASSIGN(
      TestFigures figures,
      cluster.run<TestFigures>(
          cluster.controller().run_test(std::move(test), flows, connections,
                                        RunTiming::of(std::max<Nanoseconds>(duration, std::chrono::milliseconds(1)))),
          stop));
  return figures;
}

// A rate over ff is made of whole pushes: one alone says how long it took, not what goes on all the time.
constexpr std::uint64_t kPushesMin = 2;

bool has_moved(const NetTest& test, const FlowFigures& figures) {
  const bool pushes = test.transport() == NET_FF && test.iterations() == 0;
  return figures.bandwidth > 0 && (!pushes || figures.messages >= kPushesMin);
}

Result<> check_moved(const NetTest& test, const std::vector<AgentPeer>& agents, const FlowSpec& flow,
                     const FlowFigures& figures) {
  if (has_moved(test, figures)) return {};
  const std::string little =
      figures.messages == 0 ? "nothing" : fmt::format("only {} message", figures.messages);  // below kPushesMin
  return fail(Errc::kTimeout, fmt::format("{} -> {}: {} arrived within the window (give a longer --duration, or a "
                                          "smaller --size)",
                                          agents[flow.from].name, agents[flow.to].name, little));
}

// Latencies are halves of round trips; each bucket's middle is halved.
metrics::Histogram halved(const metrics::Histogram& round_trip) {
  metrics::Histogram half(round_trip.layout());
  const auto counts = round_trip.counts();
  for (std::size_t i = 0; i < counts.size(); ++i) {
    if (counts[i] == 0) continue;
    const std::int64_t low = std::max(round_trip.layout().lowest(i), round_trip.min());
    const std::int64_t high = std::min(round_trip.layout().highest(i), round_trip.max());
    half.record((low + (high - low) / 2) / 2, counts[i]);
  }
  return half;
}

void append_quantiles(std::vector<std::optional<double>>& values, const metrics::Histogram& histogram, double scale) {
  for (const auto& [name, q] : kQuantiles) values.push_back(static_cast<double>(histogram.percentile(q)) * scale);
}

std::vector<Metric> quantile_metrics(const std::string& prefix, const std::string& formula) {
  std::vector<Metric> out;
  for (const auto& [name, q] : kQuantiles)
    out.push_back({.name = prefix + "_" + name, .unit = "ns", .better = Better::kLower, .formula = formula});
  return out;
}

Metric unanswered_metric() {
  return {.name = "unanswered",
          .unit = "ratio",
          .better = Better::kLower,
          .formula = "requests due in the window without answer / all due in it"};
}

double share(std::uint64_t part, std::uint64_t all) {
  return all > 0 ? static_cast<double>(part) / static_cast<double>(all) : 0;
}

std::string row_name(const char* command, const NetPlan& plan, std::uint64_t bytes) {
  std::string traits = plan.traits;
  const bool pushes = plan.test.transport() == NET_FF;
  // All that changes the figure: runs are compared by name.
  if (pushes && std::string_view(command) != "lat" && traits.find(" depth=") == std::string::npos)
    traits += fmt::format(" depth={}", plan.test.depth());
  return fmt::format("{} {} size={}", command, traits, exact_byte_size(bytes));
}

}  // namespace

std::vector<Case> bandwidth_cases(Cluster& cluster, const NetPlan& plan) {
  std::vector<Case> cases;
  for (const std::uint64_t bytes : plan.sizes) {
    Case each;
    each.row.name = row_name("bw", plan, bytes);
    each.row.parameters = with(plan.parameters, {{"size", static_cast<std::int64_t>(bytes)}});
    each.row.metrics = {
        bandwidth_metric(),
        {.name = "message_rate", .unit = "1/s", .formula = "bandwidth / size"},
        {.name = "cpu_sender", .unit = "ns/B", .better = Better::kLower, .formula = "processor time / bytes"},
        {.name = "cpu_receiver", .unit = "ns/B", .better = Better::kLower, .formula = "processor time / bytes"}};
    each.measure = [&cluster, plan, bytes](Nanoseconds duration, std::stop_token stop) -> Result<Reading> {
      std::vector<FlowSpec> flows = {{.from = 0, .to = 1}};
      if (plan.bidirectional) flows.push_back({.from = 1, .to = 0, .to_accepts = false});
      FF_TRY_ASSIGN(const TestFigures figures,
                    run_test(cluster, test_of(plan, NET_BANDWIDTH, bytes), flows, plan.connections, duration, stop));
      double bandwidth = 0;
      for (std::size_t i = 0; i < flows.size(); ++i) {
        FF_TRY(check_moved(plan.test, cluster.controller().agents(), flows[i], figures.flows[i]));
        bandwidth += figures.flows[i].bandwidth;
      }
      return Reading{{bandwidth, bandwidth / static_cast<double>(bytes), figures.cpu_per_second[0] * 1e9 / bandwidth,
                      figures.cpu_per_second[1] * 1e9 / bandwidth}};
    };
    cases.push_back(std::move(each));
  }
  return cases;
}

std::vector<Case> latency_cases(Cluster& cluster, const NetPlan& plan) {
  std::vector<Case> cases;
  for (const std::uint64_t bytes : plan.sizes) {
    Case each;
    each.row.name = row_name("lat", plan, bytes);
    each.row.parameters = with(plan.parameters, {{"size", static_cast<std::int64_t>(bytes)}});
    each.row.metrics =
        quantile_metrics("latency", plan.test.rate() > 0 ? "(answered - due) / 2" : "(answered - sent) / 2");
    const bool open_loop = plan.test.rate() > 0;
    if (open_loop) each.row.metrics.push_back(unanswered_metric());
    each.row.metrics.push_back({.name = "request_rate", .unit = "1/s", .formula = "answered in the window / time"});
    each.row.latencies = {{"latency", metrics::Histogram()}, {"round_trip", metrics::Histogram()}};
    each.measure = [&cluster, plan, bytes, open_loop](Nanoseconds duration, std::stop_token stop) -> Result<Reading> {
      FF_TRY_ASSIGN(const TestFigures figures, run_test(cluster, test_of(plan, NET_LATENCY, bytes),
                                                        {{.from = 0, .to = 1}}, plan.connections, duration, stop));
      const FlowFigures& flow = figures.flows.front();
      if (flow.round_trip.count() == 0)
        return fail(Errc::kTimeout, "no answer within the window (give a longer --duration)");
      Reading reading;
      append_quantiles(reading.values, flow.round_trip, 0.5);
      if (open_loop) reading.values.push_back(share(flow.unanswered, flow.round_trip.count()));
      reading.values.push_back(flow.seconds > 0 ? static_cast<double>(flow.messages) / flow.seconds : 0);
      reading.latencies = {halved(flow.round_trip), flow.round_trip};
      return reading;
    };
    cases.push_back(std::move(each));
  }
  return cases;
}

std::vector<Case> all_to_all_cases(Cluster& cluster, const NetPlan& plan) {
  const std::vector<AgentPeer>& agents = cluster.controller().agents();
  std::vector<FlowSpec> flows;
  for (const auto& [from, to] : all_pairs(agents.size())) flows.push_back({.from = from, .to = to});
  std::vector<Case> cases;
  for (const std::uint64_t bytes : plan.sizes) {
    const auto shared = std::make_shared<Shared<TestFigures>>(
        [&cluster, plan, bytes, flows](Nanoseconds duration, std::stop_token stop) -> Result<TestFigures> {
          FF_TRY_ASSIGN(TestFigures figures, run_test(cluster, test_of(plan, NET_BANDWIDTH, bytes), flows,
                                                      plan.connections, duration, stop));
          // One pair that gets nothing is a figure, the worst; all of them are none.
          if (std::ranges::none_of(figures.flows, [&](const FlowFigures& flow) { return has_moved(plan.test, flow); }))
            FF_TRY(check_moved(plan.test, cluster.controller().agents(), flows.front(), figures.flows.front()));
          return figures;
        });
    const std::string name = row_name("all2all", plan, bytes);
    const Fields parameters = with(plan.parameters, {{"size", static_cast<std::int64_t>(bytes)},
                                                     {"hosts", static_cast<std::int64_t>(agents.size())}});
    Case sum;
    sum.row.name = fmt::format("{} hosts={}", name, agents.size());
    sum.row.parameters = parameters;
    sum.row.metrics = {bandwidth_metric("bandwidth", "sum over all pairs"),
                       bandwidth_metric("pair_min"),
                       bandwidth_metric("pair_max"),
                       {.name = "fairness", .unit = "ratio", .formula = "pair_min / pair_max"}};
    sum.measure = [shared](Nanoseconds duration, std::stop_token stop) -> Result<Reading> {
      FF_TRY_ASSIGN(const TestFigures figures, shared->get(0, duration, stop));
      double total = 0, least = figures.flows.front().bandwidth, most = least;
      for (const FlowFigures& flow : figures.flows) {
        total += flow.bandwidth;
        least = std::min(least, flow.bandwidth);
        most = std::max(most, flow.bandwidth);
      }
      return Reading{{total, least, most, least / most}};
    };
    cases.push_back(std::move(sum));
    for (std::size_t i = 0; i < flows.size(); ++i) {
      const std::string &from = agents[flows[i].from].name, &to = agents[flows[i].to].name;
      Case pair;
      pair.row.name = fmt::format("{} {} -> {}", name, from, to);
      pair.row.parameters = with(parameters, {{"from", from}, {"to", to}});
      pair.row.metrics = {bandwidth_metric()};
      pair.measure = [shared, i](Nanoseconds duration, std::stop_token stop) -> Result<Reading> {
        FF_TRY_ASSIGN(const TestFigures figures, shared->get(i + 1, duration, stop));
        return Reading{{figures.flows[i].bandwidth}};
      };
      cases.push_back(std::move(pair));
    }
  }
  return cases;
}

std::vector<Case> incast_cases(Cluster& cluster, const IncastPlan& plan) {
  std::vector<Case> cases;
  for (const std::uint64_t bytes : plan.sizes) {
    const std::string name = fmt::format("incast senders={} q={} class={} bystander={} rate={:g} size={}",
                                         plan.spec.senders.size(), plan.spec.streams, plan.spec.traffic_class,
                                         plan.spec.bystander_class, plan.spec.bystander_rate, exact_byte_size(bytes));
    std::array<std::shared_ptr<Shared<IncastFigures>>, 2> runs;  // without and with request-to-send
    for (const bool grants : {false, true}) {
      runs[grants] = std::make_shared<Shared<IncastFigures>>(
          [&cluster, spec = plan.spec, bytes, grants](Nanoseconds duration,
                                                      std::stop_token stop) mutable -> Result<IncastFigures> {
            spec.piece_bytes = bytes;
            spec.grants = grants;
            FF_TRY_ASSIGN(IncastFigures figures,
                          cluster.run<IncastFigures>(
                              cluster.controller().run_incast(
                                  spec, RunTiming::of(std::max<Nanoseconds>(duration, std::chrono::milliseconds(1)))),
                              stop));
            if (figures.goodput <= 0)
              return fail(Errc::kTimeout,
                          "no piece arrived within the window (give a longer --duration, or a smaller --size)");
            if (figures.bystander.count() == 0)
              return fail(Errc::kTimeout, "the bystander had no answer within the window");
            return figures;
          });
      Case each;
      each.row.name = fmt::format("{} request-to-send={}", name, grants ? "on" : "off");
      each.row.parameters =
          with(plan.parameters, {{"size", static_cast<std::int64_t>(bytes)}, {"request_to_send", grants}});
      each.row.metrics = {
          bandwidth_metric("goodput", "bytes in the window, of pieces over its edges by their share of it / time")};
      for (Metric& metric : quantile_metrics("bystander", "answered - due"))
        each.row.metrics.push_back(std::move(metric));
      each.row.metrics.push_back(unanswered_metric());
      each.row.metrics.push_back({.name = "fairness", .unit = "ratio", .formula = "sender served least / most"});
      each.row.latencies = {{"bystander_round_trip", metrics::Histogram()}};
      each.measure = [run = runs[grants]](Nanoseconds duration, std::stop_token stop) -> Result<Reading> {
        FF_TRY_ASSIGN(const IncastFigures figures, run->get(0, duration, stop));
        Reading reading{{figures.goodput}};
        append_quantiles(reading.values, figures.bystander, 1);
        reading.values.push_back(share(figures.unanswered, figures.bystander.count()));
        reading.values.push_back(figures.fairness);
        reading.latencies = {figures.bystander};
        return reading;
      };
      cases.push_back(std::move(each));
    }
    Case ratio;
    ratio.row.name = fmt::format("{} ratio off/on", name);
    ratio.row.parameters = with(plan.parameters, {{"size", static_cast<std::int64_t>(bytes)}});
    for (const char* metric : {"goodput_ratio", "bystander_p50_ratio", "bystander_p99_ratio"})
      ratio.row.metrics.push_back(
          {.name = metric, .unit = "ratio", .better = Better::kNeither, .formula = "without request-to-send / with"});
    ratio.measure = [runs](Nanoseconds duration, std::stop_token stop) -> Result<Reading> {
      FF_TRY_ASSIGN(const IncastFigures off, runs[0]->get(1, duration, stop));
      FF_TRY_ASSIGN(const IncastFigures on, runs[1]->get(1, duration, stop));
      const auto at = [](const IncastFigures& figures, double q) {
        return std::max(1.0, static_cast<double>(figures.bystander.percentile(q)));
      };
      return Reading{{off.goodput / on.goodput, at(off, 0.5) / at(on, 0.5), at(off, 0.99) / at(on, 0.99)}};
    };
    cases.push_back(std::move(ratio));
  }
  return cases;
}

namespace {

struct RoundFigures {
  TestFigures bandwidth, latency;
};

Result<RoundFigures> measure_round(Cluster& cluster, const MeshPlan& plan, const std::vector<FlowSpec>& flows,
                                   Nanoseconds duration, const std::stop_token& stop) {
  RoundFigures out;
  FF_TRY_ASSIGN(out.bandwidth, run_test(cluster, test_of(plan.net, NET_BANDWIDTH, plan.net.sizes.front()), flows,
                                        plan.net.connections, duration * 2 / 3, stop));
  FF_TRY_ASSIGN(out.latency,
                run_test(cluster, test_of(plan.net, NET_LATENCY, plan.latency_bytes), flows, 1, duration / 3, stop));
  for (std::size_t i = 0; i < flows.size(); ++i) {
    FF_TRY(check_moved(plan.net.test, cluster.controller().agents(), flows[i], out.bandwidth.flows[i]));
    if (out.latency.flows[i].round_trip.count() == 0)
      return fail(Errc::kTimeout, "no answer within the window (give a longer --duration)");
  }
  return out;
}

}  // namespace

std::vector<Case> mesh_cases(Cluster& cluster, const MeshPlan& plan) {
  const std::vector<AgentPeer>& agents = cluster.controller().agents();
  std::vector<Case> cases;
  const std::string name = fmt::format("{} latency-size={}", row_name("mesh", plan.net, plan.net.sizes.front()),
                                       exact_byte_size(plan.latency_bytes));
  for (const std::vector<Pair>& round : mesh_rounds(agents.size(), plan.at_once)) {
    std::vector<FlowSpec> flows;
    for (const auto& [from, to] : round) flows.push_back({.from = from, .to = to});
    const auto shared =
        std::make_shared<Shared<RoundFigures>>([&cluster, plan, flows](Nanoseconds duration, std::stop_token stop) {
          return measure_round(cluster, plan, flows, duration, stop);
        });
    for (std::size_t i = 0; i < flows.size(); ++i) {
      const std::string &from = agents[flows[i].from].name, &to = agents[flows[i].to].name;
      Case each;
      each.row.name = fmt::format("{} {} -> {}", name, from, to);
      each.row.parameters = with(plan.net.parameters, {{"size", static_cast<std::int64_t>(plan.net.sizes.front())},
                                                       {"latency_size", static_cast<std::int64_t>(plan.latency_bytes)},
                                                       {"from", from},
                                                       {"to", to}});
      each.row.metrics = {bandwidth_metric(),
                          {.name = "latency_p50", .unit = "ns", .better = Better::kLower, .formula = "round trip / 2"},
                          {.name = "latency_p99", .unit = "ns", .better = Better::kLower, .formula = "round trip / 2"}};
      each.row.latencies = {{"round_trip", metrics::Histogram()}};
      each.measure = [&cluster, plan, flows, shared, i](Nanoseconds duration, std::stop_token stop) -> Result<Reading> {
        Result<RoundFigures> round = shared->get(i, duration, stop);
        std::size_t at = i;
        // One bad link of a round is no fault of the other pairs: each is measured alone.
        if (!round && flows.size() > 1 && !stop.stop_requested()) {
          round = measure_round(cluster, plan, {flows[i]}, duration, stop);
          at = 0;
        }
        FF_TRY_ASSIGN(const RoundFigures figures, std::move(round));
        const metrics::Histogram& round_trip = figures.latency.flows[at].round_trip;
        return Reading{{figures.bandwidth.flows[at].bandwidth, static_cast<double>(round_trip.percentile(0.5)) / 2,
                        static_cast<double>(round_trip.percentile(0.99)) / 2},
                       {round_trip}};
      };
      cases.push_back(std::move(each));
    }
  }
  return cases;
}

Matrix mesh_matrix(const std::vector<Row>& rows, const std::vector<std::string>& names, const std::string& metric) {
  Matrix matrix(names.size(), std::vector<std::optional<double>>(names.size()));
  const auto index_of = [&](const Row& row, std::string_view key) -> std::optional<std::size_t> {
    for (const auto& [field, value] : row.parameters) {
      if (field != key || !std::holds_alternative<std::string>(value)) continue;
      const auto found = std::ranges::find(names, std::get<std::string>(value));
      if (found != names.end()) return static_cast<std::size_t>(found - names.begin());
    }
    return std::nullopt;
  };
  for (const Row& row : rows) {
    const auto from = index_of(row, "from"), to = index_of(row, "to");
    if (!from || !to) continue;
    for (const Metric& each : row.metrics)
      if (each.name == metric && !each.samples.empty()) matrix[*from][*to] = median(each.samples);
  }
  return matrix;
}

}  // namespace ff::bench
