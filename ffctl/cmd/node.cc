// node: the machines, and what administrators do to them.
#include <fmt/core.h>

#include <memory>

#include "ffctl/cmd/commands.hpp"
#include "ffctl/cmd/master_session.hpp"
#include "ffctl/cmd/text.hpp"

namespace ff::ctl {

using namespace std::chrono_literals;
using report::Cell;
using report::Format;
using report::Unit;
using runtime::Task;

namespace {

struct Options {
  ControlNodeRequest::Verb verb = ControlNodeRequest::VERB_NONE;
  MasterChoice master;
  cli::OutputOptions output;
  std::vector<std::string> nodes;
  std::string text;
  bool preempt = false, remove = false;
};

template <class List>
std::string joined(const List& list) {
  std::string out;
  for (const auto& one : list) out += (out.empty() ? "" : ",") + fmt::format("{}", one);
  return out;
}

Cell text_cell(std::string text) { return text.empty() ? Cell() : Cell(std::move(text)); }

Task<Result<int>> list(MasterSession& master, const Options& o, Format format) {
  ListNodesRequest request;
  for (const std::string& node : o.nodes) request.add_names(node);
  FF_CO_TRY_ASSIGN(const ListNodesReply reply, co_await master.ask(&MasterClient::list_nodes, std::move(request)));
  report::Table table("ff.node/1", {{.key = "node", .title = "NODE"},
                                    {.key = "state", .title = "STATE"},
                                    {.key = "gpus", .title = "GPUS"},
                                    {.key = "cpus", .title = "CPUS"},
                                    {.key = "memory_bytes", .title = "MEMORY", .unit = Unit::kBytes},
                                    {.key = "jobs", .title = "JOBS"},
                                    {.key = "reason", .title = "REASON"},
                                    {.key = "labels", .title = "LABELS", .wide_only = true},
                                    {.key = "zone", .title = "ZONE", .wide_only = true},
                                    {.key = "leaf", .title = "LEAF", .wide_only = true},
                                    {.key = "address", .title = "ADDRESS", .wide_only = true},
                                    {.key = "gpu_model", .title = "GPU-MODEL", .wide_only = true},
                                    {.key = "fake_gpus", .title = "FAKE", .wide_only = true},
                                    {.key = "cgroups", .title = "CGROUPS", .wide_only = true},
                                    {.key = "last_report", .title = "LAST-REPORT", .wide_only = true},
                                    {.key = "last_check", .title = "LAST-CHECK", .wide_only = true},
                                    {.key = "last_check_time", .title = "CHECKED", .wide_only = true},
                                    {.key = "drained_by", .title = "DRAINED-BY", .wide_only = true},
                                    {.key = "version", .title = "VERSION", .wide_only = true}});
  for (const NodeInfo& node : reply.nodes()) {
    const NodeFacts& facts = node.facts();
    std::string state = lower_name(NodeInfo::State_Name(node.state()));
    if (node.draining() && node.state() != NodeInfo::DRAINED) state += ",draining";
    std::string labels = joined(facts.labels());
    if (!node.labels().empty()) labels += (labels.empty() ? "" : ",") + joined(node.labels());
    table.add_row({facts.name(), state, count_cell(facts.gpus()), count_cell(facts.cpus()),
                   count_cell(facts.memory_bytes()), text_cell(joined(node.jobs())),
                   text_cell(node.drain_reason().empty() ? node.trouble() : node.drain_reason()),
                   text_cell(std::move(labels)), text_cell(facts.zone()), text_cell(facts.leaf()),
                   text_cell(facts.address()), text_cell(facts.gpu_model()), facts.fake_gpus(), facts.cgroups(),
                   time_cell(node.last_report_ms()), text_cell(node.last_check()), time_cell(node.last_check_ms()),
                   text_cell(node.drained_by()), text_cell(facts.version())});
  }
  FF_CO_TRY(print(table.render(format)));
  co_return cli::kExitOk;
}

Task<Result<int>> control(MasterSession& master, const Options& o, Format format) {
  ControlNodeRequest request;
  request.set_verb(o.remove ? ControlNodeRequest::REMOVE_LABEL : o.verb);
  request.set_text(o.text);
  request.set_preempt(o.preempt);
  for (const std::string& node : o.nodes) request.add_nodes(node);
  // A full check takes minutes.
  const runtime::Duration own = o.verb == ControlNodeRequest::CHECK ? runtime::Duration(30min) : runtime::Duration(0);
  FF_CO_TRY_ASSIGN(const ControlNodeReply reply,
                   co_await master.ask(&MasterClient::control_node, std::move(request), own));
  report::Table table(
      "ff.node-control/1",
      {{.key = "node", .title = "NODE"}, {.key = "done", .title = "DONE"}, {.key = "text", .title = "TEXT"}});
  int code = cli::kExitOk;
  for (const ControlNodeReply::One& one : reply.nodes()) {
    table.add_row({one.node(), one.error().empty(), text_cell(one.error().empty() ? one.text() : one.error())});
    if (one.error().empty()) continue;
    const Error error(static_cast<Errc>(one.code()), one.error());
    cli::report_error("ffctl", error, format == Format::kJson);
    if (code != cli::kExitOk) continue;
    code = error.code() == Errc::kUnavailable ? kExitWrongPhase : exit_code_of(error);
  }
  FF_CO_TRY(print(table.render(format)));
  co_return code;
}

cli::Option nodes_option(Options& o, bool required) {
  return {.names = "node", .target = &o.nodes, .help = "names of nodes", .value_name = "NODE", .required = required};
}

cli::Command list_command(const char* name, const char* summary, bool required, std::vector<cli::Example> examples) {
  const auto options = std::make_shared<Options>();
  cli::Command command;
  command.name = name;
  command.summary = summary;
  command.options = {nodes_option(*options, required)};
  command.examples = std::move(examples);
  reports(command, options, list);
  return command;
}

cli::Command change_command(ControlNodeRequest::Verb verb, const char* name, const char* summary,
                            const char* description, std::vector<cli::Example> examples) {
  const auto options = std::make_shared<Options>();
  options->verb = verb;
  cli::Command command;
  command.name = name;
  command.summary = summary;
  command.description = description;
  command.options = {nodes_option(*options, true)};
  if (verb == ControlNodeRequest::ADD_LABEL) {
    command.options.insert(command.options.begin(), {.names = "label",
                                                     .target = &options->text,
                                                     .help = "without spaces and commas",
                                                     .value_name = "LABEL",
                                                     .required = true});
    command.options.push_back({.names = "--remove", .target = &options->remove, .help = "take it away"});
  } else if (verb == ControlNodeRequest::DRAIN) {
    command.options.push_back({.names = "--reason",
                               .target = &options->text,
                               .help = "why, for people who look later",
                               .value_name = "TEXT"});
    command.options.push_back({.names = "--preempt",
                               .target = &options->preempt,
                               .help = "suspend the jobs on it now; they go on elsewhere"});
  } else if (verb == ControlNodeRequest::CHECK) {
    options->text = "quick";
    command.options.push_back(
        {.names = "--level", .target = &options->text, .help = "how much is tested", .choices = {"quick", "full"}});
  }
  command.examples = std::move(examples);
  command.exit_codes.push_back({kExitWrongPhase, "a node is busy, or in a state in which that cannot be done"});
  reports(command, options, control);
  return command;
}

}  // namespace

cli::Command node_command() {
  cli::Command command;
  command.name = "node";
  command.summary = "Show and change nodes";
  command.examples = {{"ffctl node ls", "who is there, and what each does"}};
  command.commands = {
      list_command("ls", "List nodes", false,
                   {{"ffctl node ls", "all of them"},
                    {"ffctl node ls -o jsonl | jq -r 'select(.state == \"drained\") | .reason'", "why nodes are out"}}),
      list_command("show", "Show nodes in all columns with -o wide or --json", true,
                   {{"ffctl node show n17 --json", "all that is known of it"}}),
      change_command(ControlNodeRequest::DRAIN, "drain", "Give nodes no new jobs",
                     "Jobs that run there end by themselves, unless --preempt is given.",
                     {{"ffctl node drain n17 --reason 'fan is loud'", "before a repair"},
                      {"ffctl node drain n17 --preempt", "when it cannot wait"}}),
      change_command(ControlNodeRequest::UNDRAIN, "undrain", "Undo drain", "",
                     {{"ffctl node undrain n17", "it may be used again"}}),
      change_command(ControlNodeRequest::ADD_LABEL, "label", "Give nodes a label that jobs may require",
                     "Beside those that their agents were started with, which are not changed. Jobs that run stay.",
                     {{"ffctl node label ib n1 n2", "`ffctl submit --require ib` means these two"},
                      {"ffctl node label ib n2 --remove", "and now one"}}),
      change_command(ControlNodeRequest::FORGET, "forget", "Take nodes that are lost off the list",
                     "For machines that do not come back. One whose agent reports again is there again.",
                     {{"ffctl node forget n17", "it was sold"}}),
      node_tree_command(),
      change_command(ControlNodeRequest::CHECK, "check", "Test nodes that have no jobs",
                     "Runs `ffbench node` there. A node that fails is drained with the reason.",
                     {{"ffctl node check n17", "in seconds"}, {"ffctl node check n17 --level full", "in minutes"}})};
  return command;
}

}  // namespace ff::ctl
