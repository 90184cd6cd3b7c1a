// node tree: the nodes by zone and leaf switch.
#include <fmt/core.h>

#include <map>
#include <memory>

#include "ffctl/cmd/commands.hpp"
#include "ffctl/cmd/master_session.hpp"
#include "ffctl/cmd/text.hpp"

namespace ff::ctl {

using report::Cell;
using report::Format;
using runtime::Task;

namespace {

struct Options {
  MasterChoice master;
  cli::OutputOptions output;
  bool brief = false;
};

// What is below a switch, or a zone.
struct Sum {
  std::uint64_t nodes = 0, busy = 0, ready = 0, out = 0, gpus = 0;
  void add(const NodeInfo& node) {
    ++nodes;
    gpus += node.facts().gpus();
    ++(node.state() == NodeInfo::BUSY ? busy : node.state() == NodeInfo::READY ? ready : out);
  }
  std::string text() const {
    return fmt::format("{} nodes: {} busy, {} ready, {} out; {} GPUs", nodes, busy, ready, out, gpus);
  }
};
struct Leaf {
  Sum sum;
  std::vector<const NodeInfo*> nodes;
};
struct Zone {
  Sum sum;
  std::map<std::string, Leaf> leaves;
};
using Zones = std::map<std::string, Zone>;

std::string or_dash(const std::string& name) { return name.empty() ? "-" : name; }

std::string node_text(const NodeInfo& node) {
  std::string text = fmt::format("{}  {}", node.facts().name(), lower_name(NodeInfo::State_Name(node.state())));
  if (node.facts().gpus() != 0) text += fmt::format("  {} GPUs", node.facts().gpus());
  std::string jobs;
  for (const std::uint64_t job : node.jobs()) jobs += (jobs.empty() ? "  jobs " : ",") + std::to_string(job);
  return text + jobs;
}

std::string drawn(const Zones& zones, bool brief) {
  std::string text;
  for (const auto& [zone_name, zone] : zones) {
    text += fmt::format("zone {}  ({})\n", or_dash(zone_name), zone.sum.text());
    for (const auto& [leaf_name, leaf] : zone.leaves) {
      const bool last_leaf = &leaf == &zone.leaves.rbegin()->second;
      text += fmt::format("{}leaf {}  ({})\n", last_leaf ? "`- " : "|- ", or_dash(leaf_name), leaf.sum.text());
      for (const NodeInfo* const node : leaf.nodes) {
        if (brief) break;
        text += fmt::format("{}{}{}\n", last_leaf ? "   " : "|  ", node == leaf.nodes.back() ? "`- " : "|- ",
                            node_text(*node));
      }
    }
  }
  return text;
}

Task<Result<int>> tree(MasterSession& master, const Options& o, Format format) {
  FF_CO_TRY_ASSIGN(const ListNodesReply reply, co_await master.ask(&MasterClient::list_nodes, ListNodesRequest()));
  Zones zones;
  for (const NodeInfo& node : reply.nodes()) {
    Zone& zone = zones[node.facts().zone()];
    Leaf& leaf = zone.leaves[node.facts().leaf()];
    zone.sum.add(node);
    leaf.sum.add(node);
    leaf.nodes.push_back(&node);
  }
  if (format == Format::kTable || format == Format::kWide) {
    FF_CO_TRY(print(drawn(zones, o.brief)));
    co_return cli::kExitOk;
  }
  report::Table table("ff.node-tree/1", {{.key = "zone", .title = "ZONE"},
                                         {.key = "leaf", .title = "LEAF"},
                                         {.key = "nodes", .title = "NODES"},
                                         {.key = "busy", .title = "BUSY"},
                                         {.key = "ready", .title = "READY"},
                                         {.key = "out", .title = "OUT"},
                                         {.key = "gpus", .title = "GPUS"}});
  for (const auto& [zone_name, zone] : zones)
    for (const auto& [leaf_name, leaf] : zone.leaves)
      table.add_row({zone_name, leaf_name, count_cell(leaf.sum.nodes), count_cell(leaf.sum.busy),
                     count_cell(leaf.sum.ready), count_cell(leaf.sum.out), count_cell(leaf.sum.gpus)});
  FF_CO_TRY(print(table.render(format)));
  co_return cli::kExitOk;
}

}  // namespace

cli::Command node_tree_command() {
  const auto options = std::make_shared<Options>();
  cli::Command command;
  command.name = "tree";
  command.summary = "Draw nodes below their leaf switches and zones";
  command.description =
      "As agents were told where they are (ffnoded --zone, --leaf); out is drained, lost or being checked. Other "
      "formats "
      "than the table give a row for each leaf switch.";
  command.options = {{.names = "-b,--brief", .target = &options->brief, .help = "switches and zones alone"}};
  command.examples = {{"ffctl node tree", "who is where"},
                      {"ffctl node tree --json | jq '.rows[] | select(.out > 0) | .leaf'", "switches with trouble"}};
  reports(command, options, tree);
  return command;
}

}  // namespace ff::ctl
