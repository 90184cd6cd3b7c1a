// top: what every node does at this moment, asked of the nodes themselves: it needs the cluster file and nothing else,
// and works while managers are away.
#include <fmt/core.h>

#include <algorithm>
#include <memory>
#include <optional>

#include "ffs/blocking/cluster_access.hpp"
#include "ffs/cmd/commands.hpp"
#include "ffs/cmd/session.hpp"
#include "ffs/cmd/text.hpp"
#include "ffs/cmd/top_rates.hpp"
#include "ffs/daemon/stats.ff.hpp"
#include "libcommon/base/duration.hpp"
#include "libcommon/cli/full_screen.hpp"
#include "libcommon/report/json.hpp"
#include "libcommon/rpc/client.hpp"
#include "libcommon/runtime/real_env.hpp"
#include "libcommon/runtime/scope.hpp"
#include "libcommon/runtime/sleep.hpp"
#include "libcommon/runtime/stop_signal.hpp"

namespace ff::ffs {

using report::Cell;
using report::Column;
using report::Format;
using report::Unit;
using runtime::Task;

namespace {

// How long a key waits to be seen.
constexpr runtime::Duration kKeyEvery = std::chrono::milliseconds(50);

struct Options {
  std::string cluster;
  cli::Duration delay = std::chrono::seconds(2);
  cli::Duration timeout = std::chrono::seconds(1);
  std::int64_t samples = 0;
  bool once = false;
  std::string sort = "node";
  cli::OutputOptions output{"table", {"table", "wide", "json", "jsonl"}};
};

// One node, and what it said last.
struct Node {
  Node(runtime::Env& env, const ClusterNode& what) : about(what), client(env, what.address) {}
  const ClusterNode& about;
  rpc::Client client;
  std::optional<NodeSample> last;
  std::optional<NodeRates> rates;  // nothing: it was asked once only, or does not answer
  std::string state = "dead";
  std::string error;  // why dead, or what it answered
};
using Nodes = std::vector<std::unique_ptr<Node>>;

std::string state_of(const NodeSample& sample) {
  if (sample.value("ff_ffs_node_lease_left_seconds") <= 0) return "no-lease";
  return sample.value("ff_ffs_target_trouble") > 0 ? "trouble" : "up";
}

Task<void> ask(Node* node, runtime::Duration timeout) {
  const StatsRequest request = top_request();
  const auto reply = co_await StatsClient(node->client)
                         .snapshot(request, {.timeout = timeout, .attempts = 1, .wait_for_connection = false});
  node->rates.reset();
  node->error.clear();
  auto sample = reply ? read_sample(*reply, node->client.env().now()) : Result<NodeSample>(fail(reply.error()));
  if (!sample) {
    // Whoever refuses is alive: another version, another key, too much to do.
    const bool silent = sample.error().code() == Errc::kTimeout || sample.error().code() == Errc::kUnavailable;
    node->state = silent ? "dead" : "error";
    node->error = sample.error().message();
    co_return;
  }
  node->state = state_of(*sample);
  if (node->last) node->rates = rates_between(*node->last, *sample);
  node->last = std::move(*sample);
}

// All nodes together; takes no longer than the timeout.
Task<void> ask_all(Nodes* nodes, runtime::Duration timeout) {
  runtime::Scope scope((*nodes).front()->client.env());
  for (const auto& node : *nodes) scope.spawn(ask(node.get(), timeout));
  (void)co_await scope.join();
}

// ---- rows ----------------------------------------------------------------------------------------------------------

const std::vector<Column>& columns() {
  static const std::vector<Column> kColumns = {
      {.key = "node", .title = "NODE"},
      {.key = "state", .title = "STATE"},
      {.key = "roles", .title = "ROLES"},
      {.key = "read_bytes_per_second", .title = "READ", .unit = Unit::kBytesPerSecond},
      {.key = "write_bytes_per_second", .title = "WRITE", .unit = Unit::kBytesPerSecond},
      {.key = "operations_per_second", .title = "IOPS", .decimals = 0},
      {.key = "read_p50_ns", .title = "READ-P50", .unit = Unit::kNanoseconds},
      {.key = "read_p99_ns", .title = "READ-P99", .unit = Unit::kNanoseconds},
      {.key = "update_p50_ns", .title = "WRITE-P50", .unit = Unit::kNanoseconds},
      {.key = "update_p99_ns", .title = "WRITE-P99", .unit = Unit::kNanoseconds},
      {.key = "meta_operations_per_second", .title = "META/S", .decimals = 0},
      {.key = "meta_p99_ns", .title = "META-P99", .unit = Unit::kNanoseconds},
      {.key = "used_bytes", .title = "USED", .unit = Unit::kBytes},
      {.key = "capacity_bytes", .title = "CAPACITY", .unit = Unit::kBytes},
      {.key = "pending", .title = "PENDING"},
      {.key = "resync_bytes_per_second", .title = "RESYNC", .unit = Unit::kBytesPerSecond},
      {.key = "resync_left_bytes", .title = "TO-SYNC", .unit = Unit::kBytes},
      {.key = "hedged_reads_per_second", .title = "HEDGED/S", .decimals = 1, .wide_only = true},
      {.key = "address", .title = "ADDRESS", .wide_only = true},
      {.key = "error", .title = "ERROR", .wide_only = true}};
  return kColumns;
}

std::string roles_text(const ClusterNode& node) {
  std::string text = node.mgmtd ? "mgmtd" : "";
  if (node.metad) text += text.empty() ? "metad" : ",metad";
  if (node.stored) text += text.empty() ? "stored" : ",stored";
  return text;
}

Cell percentile(const metrics::Histogram& times, double quantile) {
  return times.count() == 0 ? Cell() : Cell(times.percentile(quantile));
}

// The columns from "read_bytes_per_second" to "hedged_reads_per_second". Absent where nothing is known, or the roles
// have no such thing.
void add_rates(std::vector<Cell>& cells, const std::optional<NodeRates>& known, bool stored, bool metad) {
  const NodeRates none;
  const NodeRates& rates = known ? *known : none;
  const auto when = [&](bool there, Cell cell) { cells.push_back(known && there ? std::move(cell) : Cell()); };
  when(stored, rates.read_bytes);
  when(stored, rates.write_bytes);
  when(stored, rates.operations);
  when(stored, percentile(rates.read_times, 0.5));
  when(stored, percentile(rates.read_times, 0.99));
  when(stored, percentile(rates.update_times, 0.5));
  when(stored, percentile(rates.update_times, 0.99));
  when(metad, rates.meta_operations);
  when(metad, percentile(rates.meta_times, 0.99));
  when(stored, count(rates.used_bytes));
  when(stored, count(rates.capacity_bytes));
  when(stored, count(rates.pending));
  when(stored, rates.resync_bytes);
  when(stored, count(rates.resync_left_bytes));
  when(stored, rates.hedged_reads);
}

std::vector<Cell> node_row(const Node& node) {
  std::vector<Cell> cells = {count(number(node.about.id)), node.state, roles_text(node.about)};
  add_rates(cells, node.rates, node.about.stored, node.about.metad);
  cells.emplace_back(node.about.address.text());
  cells.push_back(node.error.empty() ? Cell() : Cell(node.error));
  return cells;
}

std::vector<Cell> total_row(const Nodes& nodes) {
  std::optional<NodeRates> total;
  std::size_t alive = 0;
  for (const auto& node : nodes) {
    alive += node->state != "dead" ? 1 : 0;
    if (!node->rates) continue;
    if (!total) total.emplace();
    add_to(*total, *node->rates);
  }
  std::vector<Cell> cells = {"total", fmt::format("{}/{}", alive, nodes.size()), ""};
  add_rates(cells, total, true, true);
  cells.resize(columns().size());
  return cells;
}

// By number, or by a figure, the largest first; those without one last.
std::vector<const Node*> sorted(const Nodes& nodes, const std::string& by) {
  std::vector<const Node*> order;
  for (const auto& node : nodes) order.push_back(node.get());
  const auto figure = [&](const Node* node) -> double {
    if (!node->rates) return -1;
    const NodeRates& rates = *node->rates;
    if (by == "read") return rates.read_bytes;
    if (by == "write") return rates.write_bytes;
    if (by == "iops") return rates.operations;
    if (by == "latency")
      return static_cast<double>(std::max(rates.read_times.percentile(0.99), rates.update_times.percentile(0.99)));
    return static_cast<double>(rates.used_bytes);
  };
  if (by != "node") {
    // Equal ones by number, so that lines do not change places for nothing.
    std::ranges::sort(order, [&](const Node* a, const Node* b) {
      return std::pair(-figure(a), number(a->about.id)) < std::pair(-figure(b), number(b->about.id));
    });
  }
  return order;
}

std::string table_text(const Nodes& nodes, const std::string& sort, Format format) {
  report::Table table("ff.ffs.top/1", columns());
  for (const Node* const node : sorted(nodes, sort)) table.add_row(node_row(*node));
  table.add_row(total_row(nodes));
  return table.render(format);
}

void write_cells(report::JsonWriter& json, const std::vector<Cell>& cells, std::size_t from, std::size_t to) {
  for (std::size_t i = from; i < to; ++i) {
    json.key(columns()[i].key);
    std::visit(
        [&](const auto& value) {
          if constexpr (std::is_same_v<std::decay_t<decltype(value)>, std::monostate>) {
            json.null();
          } else if constexpr (std::is_same_v<std::decay_t<decltype(value)>, std::string>) {
            json.value(std::string_view(value));
          } else {
            json.value(value);
          }
        },
        cells[i]);
  }
}

// One object a sample.
std::string json_text(const Nodes& nodes, const std::string& sort, const runtime::Env& env, runtime::Duration interval,
                      bool one_line) {
  report::JsonWriter json(one_line ? 0 : 2);
  const std::int64_t date =
      std::chrono::duration_cast<std::chrono::nanoseconds>(env.wall_now().time_since_epoch()).count();
  json.begin_object().field("schema", "ff.ffs.top/1").field("time_ns", date);
  json.field("interval_ns", std::int64_t{interval.count()}).key("nodes").begin_array();
  for (const Node* const node : sorted(nodes, sort)) {
    json.begin_object();
    write_cells(json, node_row(*node), 0, columns().size());
    json.end_object();
  }
  json.end_array().key("total").begin_object();
  std::int64_t alive = 0;
  for (const auto& node : nodes) alive += node->state != "dead" ? 1 : 0;
  json.field("nodes", static_cast<std::int64_t>(nodes.size())).field("nodes_alive", alive);
  write_cells(json, total_row(nodes), 3, columns().size() - 2);  // without node, state, roles; address, error
  json.end_object().end_object();
  return json.take() + '\n';
}

// ---- the loops -----------------------------------------------------------------------------------------------------

std::string sort_of_key(char key) {
  switch (key) {
    case 'n': return "node";
    case 'r': return "read";
    case 'w': return "write";
    case 'i': return "iops";
    case 'l': return "latency";
    case 'u': return "used";
    default: return {};
  }
}

// Asks all nodes every `delay`, and tells when there is something to draw.
Task<void> ask_for_ever(runtime::Env* env, Nodes* nodes, const Options* o, bool* changed) {
  for (runtime::Time next = env->now() + o->delay; co_await runtime::sleep_until(next);) {
    co_await ask_all(nodes, o->timeout);
    *changed = true;
    next = std::max(next + o->delay, env->now());
  }
}

// Until q is pressed, or the error of the context. A node that does not answer holds up neither keys nor drawing.
Task<Result<>> watch_keys(const Nodes* nodes, const Options* o, Format format, bool* changed) {
  cli::FullScreen screen;
  std::string sort = o->sort;
  for (;;) {
    if (std::exchange(*changed, false)) {
      const std::string head =
          fmt::format("ffs top: every {}; sorted by {} (n r w i l u), q quits\n", format_duration(o->delay), sort);
      FF_CO_TRY(screen.draw(head + table_text(*nodes, sort, format)));
    }
    FF_CO_TRY(co_await runtime::sleep(kKeyEvery));
    for (char key = screen.key(); key != 0; key = screen.key()) {
      if (key == 'q') co_return {};
      if (const std::string wanted = sort_of_key(key); !wanted.empty()) sort = wanted;
      *changed = true;
    }
    *changed = *changed || screen.resized();
  }
}

Task<Result<>> show_on_screen(runtime::Env& env, Nodes* nodes, const Options& o, Format format) {
  bool changed = true;
  runtime::Scope asking(env);
  asking.spawn(ask_for_ever(&env, nodes, &o, &changed));
  Result<> shown = co_await watch_keys(nodes, &o, format, &changed);
  asking.cancel();
  (void)co_await asking.join();
  co_return shown;
}

Task<Result<>> print_samples(runtime::Env& env, Nodes* nodes, const Options& o, Format format) {
  const std::int64_t most = o.once ? 1 : o.samples;
  runtime::Time next = env.now();
  for (std::int64_t done = 0; most == 0 || done < most; ++done) {
    next = std::max(next + o.delay, env.now());
    FF_CO_TRY(co_await runtime::sleep_until(next));
    co_await ask_all(nodes, o.timeout);
    FF_CO_TRY(co_await runtime::not_cancelled());
    const bool text = format == Format::kTable || format == Format::kWide;
    FF_CO_TRY(print(text ? (done == 0 ? "" : "\n") + table_text(*nodes, o.sort, format)
                         : json_text(*nodes, o.sort, env, o.delay, format == Format::kJsonl)));
    if (std::fflush(stdout) != 0) co_return fail(errno_error("standard output"));
  }
  co_return {};
}

Task<Result<>> stop_clients(Nodes* nodes) {
  for (const auto& node : *nodes) co_await node->client.stop();
  co_return {};
}

Task<Result<int>> run(runtime::RealEnv& env, const ClusterFile& cluster, const Options& o, Format format) {
  Nodes nodes;
  for (const ClusterNode& node : cluster.nodes) nodes.push_back(std::make_unique<Node>(env, node));
  const bool full_screen =
      !o.once && o.samples == 0 && (format == Format::kTable || format == Format::kWide) && cli::FullScreen::possible();
  co_await ask_all(&nodes, o.timeout);
  const Result<> shown =
      full_screen ? co_await show_on_screen(env, &nodes, o, format) : co_await print_samples(env, &nodes, o, format);
  co_await in_any_case(env, stop_clients(&nodes));
  co_await env.network().stop();
  if (!shown) co_return fail(shown.error());
  co_return 0;
}

Result<int> run_top(const Options& o) {
  FF_TRY_ASSIGN(const Format format, o.output.format());
  if (o.once && o.samples > 1) return fail(Errc::kInvalidArgument, "--once: contradicts --samples (give one of them)");
  FF_TRY_ASSIGN(const ClusterFile cluster, find_cluster_file(o.cluster));
  FF_TRY_ASSIGN(const auto env, make_cluster_env(cluster, "client", 0));
  const runtime::StopOnSignals signals(*env);
  Result<int> result = env->run(run(*env, cluster, o, format));
  if (signals.caught() != 0) return 128 + signals.caught();
  return result;
}

}  // namespace

cli::Command top_command() {
  const auto options = std::make_shared<Options>();
  Options& o = *options;
  cli::Command command;
  command.name = "top";
  command.summary = "Watch what every node does";
  command.description =
      "Asks every node of the cluster file for its counters, again and again. On a terminal: a table over the whole "
      "screen, until q is pressed; n, r, w, i, l, u sort it by node, read, write, iops, latency or used. Else, and "
      "with "
      "--samples: samples one after the other. READ is what reads were answered with, WRITE what went to disks, at "
      "every replica. READ-P50 and READ-P99 are a target's work on one read, WRITE-P50 and WRITE-P99 a head's on one "
      "request until all replicas have it, over the time since the sample before. A node is up; dead (no answer within "
      "--timeout); error (it refuses to tell; -o wide says why); no-lease (it answers, but the manager has not heard "
      "of it, so it serves nothing); or in trouble "
      "(ffs "
      "target list says why).";
  command.options = {
      {.names = "-d,--delay", .target = &o.delay, .help = "time between samples", .min = 0.1, .max = 3600},
      {.names = "-n,--samples",
       .target = &o.samples,
       .help = "print so many and end; 0: go on",
       .value_name = "N",
       .min = 0,
       .max = 1e9},
      {.names = "--once", .target = &o.once, .help = "print one sample, of --delay, and end"},
      {.names = "--sort",
       .target = &o.sort,
       .help = "by what: node or the largest first of read, write, iops, latency, used",
       .value_name = "KEY",
       .choices = {"node", "read", "write", "iops", "latency", "used"}}};
  o.output.add_to(command);
  command.options.push_back({.names = "--cluster",
                             .target = &o.cluster,
                             .help = "description of the file system, or the folder that holds it as cluster.yaml",
                             .value_name = "FILE",
                             .environment = "FF_CLUSTER",
                             .complete = "file"});
  command.options.push_back({.names = "--timeout",
                             .target = &o.timeout,
                             .help = "silence after which a node counts as dead",
                             .min = 0.05,
                             .max = 60});
  command.exit_codes = {kStoppedCode};
  command.examples = {{"ffs top", "on a terminal"},
                      {"ffs top -d 10s -o jsonl >>load.jsonl", "one object every ten seconds"},
                      {"ffs top --once --json", "one sample, for scripts"}};
  command.run = [options]() -> Result<int> { return run_top(*options); };
  return command;
}

}  // namespace ff::ffs
