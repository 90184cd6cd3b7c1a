// status, node, target, chain: what the cluster is made of and how it does, and what an administrator may change.
#include <fmt/core.h>

#include <memory>

#include "ffs/cmd/commands.hpp"
#include "ffs/cmd/drain.hpp"
#include "ffs/cmd/session.hpp"
#include "ffs/cmd/text.hpp"
#include "ffs/mgmt/explain.hpp"
#include "ffs/mgmt/replacement.hpp"
#include "ffs/mgmt/routing_client.hpp"

namespace ff::ffs {

using report::Cell;
using report::Format;
using report::Table;
using report::Unit;
using runtime::Task;

namespace {

struct Options {
  ClusterOptions cluster;
  cli::OutputOptions output;
  std::string chain;
  std::string target;
  std::string node;
  std::string folder;
  std::vector<std::string> order;
  bool force = false;
  bool yes = false;
};

std::string state_text(PublicState state) {
  switch (state) {
    case SERVING: return "serving";
    case LASTSRV: return "lastsrv";
    case SYNCING: return "syncing";
    case WAITING: return "waiting";
    case OFFLINE: return "offline";
    default: return "none";
  }
}

std::string local_text(LocalState state) {
  switch (state) {
    case LOCAL_UPTODATE: return "uptodate";
    case LOCAL_ONLINE: return "online";
    case LOCAL_OFFLINE: return "offline";
    default: return "none";
  }
}

std::string roles_text(const NodeInfo& node) {
  std::string text;
  for (const int role : node.roles()) {
    const char* const name = role == ROLE_MGMTD    ? "mgmtd"
                             : role == ROLE_METAD  ? "metad"
                             : role == ROLE_STORED ? "stored"
                                                   : "client";
    text.append(text.empty() ? "" : ",").append(name);
  }
  return text;
}

std::string members_text(const ChainInfo& chain) {
  std::string text;
  for (const ChainMember& member : chain.members()) {
    text += fmt::format("{}{}:{}", text.empty() ? "" : " ", member.target(), state_text(member.state()));
  }
  return text;
}

std::size_t serving(const ChainInfo& chain) {
  return static_cast<std::size_t>(
      std::ranges::count_if(chain.members(), [](const ChainMember& member) { return member.state() == SERVING; }));
}

Task<Result<int>> list_nodes(FileSystem& fs, const Options&, Format format) {
  FF_CO_TRY_ASSIGN(const auto view, co_await fs.manager().fetch());
  Table table("ff.ffs-nodes/1", {{.key = "node", .title = "NODE"},
                                 {.key = "roles", .title = "ROLES"},
                                 {.key = "alive", .title = "ALIVE"},
                                 {.key = "primary", .title = "PRIMARY"},
                                 {.key = "disabled", .title = "DISABLED"},
                                 {.key = "drain", .title = "DRAIN"},
                                 {.key = "silent", .title = "SILENT", .unit = Unit::kNanoseconds},
                                 {.key = "addresses", .title = "ADDRESSES"},
                                 {.key = "host", .title = "HOST"},
                                 {.key = "version", .title = "VERSION", .wide_only = true}});
  const auto drain = [&](const NodeInfo& node) -> Cell {
    if (!node.draining()) return Cell();
    const bool done = std::ranges::none_of(view->message().targets(), [&](const TargetInfo& target) {
      return target.node() == node.node() && target.chain() != 0;
    });
    return done ? "done" : "under way";
  };
  for (const NodeInfo& node : view->message().nodes()) {
    std::string addresses;
    for (const std::string& address : node.addresses()) addresses.append(addresses.empty() ? "" : ",").append(address);
    table.add_row({count(node.node()), roles_text(node), node.alive(), node.node() == view->message().primary(),
                   node.disabled(), drain(node), count(node.silent_ms() * 1'000'000), addresses, node.host(),
                   node.version()});
  }
  FF_CO_TRY(print(table.render(format)));
  co_return 0;
}

Task<Result<int>> list_targets(FileSystem& fs, const Options&, Format format) {
  FF_CO_TRY_ASSIGN(const auto view, co_await fs.manager().fetch());
  Table table("ff.ffs-targets/1", {{.key = "target", .title = "TARGET"},
                                   {.key = "node", .title = "NODE"},
                                   {.key = "chain", .title = "CHAIN"},
                                   {.key = "state", .title = "STATE"},
                                   {.key = "local", .title = "LOCAL"},
                                   {.key = "capacity_bytes", .title = "CAPACITY", .unit = Unit::kBytes},
                                   {.key = "used_bytes", .title = "USED", .unit = Unit::kBytes},
                                   {.key = "chunks", .title = "CHUNKS"},
                                   {.key = "sync_left_bytes", .title = "TO-SYNC", .unit = Unit::kBytes},
                                   {.key = "drain", .title = "DRAIN"},
                                   {.key = "replacement", .title = "REPLACEMENT"},
                                   {.key = "trouble", .title = "TROUBLE"},
                                   {.key = "path", .title = "PATH", .wide_only = true}});
  const Replacements replacements(view->message());
  for (const TargetInfo& target : view->message().targets()) {
    const std::uint64_t successor = replacements.successor_of(target.target());
    const Cell drain = !replacements.leaves(target.target()) ? Cell() : target.chain() == 0 ? "done" : "under way";
    table.add_row({count(target.target()), count(target.node()), target.chain() == 0 ? Cell() : count(target.chain()),
                   state_text(target.state()), local_text(target.local()), count(target.capacity_bytes()),
                   count(target.used_bytes()), count(target.chunks()), count(target.sync_left_bytes()), drain,
                   successor == 0 ? Cell() : count(successor), target.trouble(), target.path()});
  }
  FF_CO_TRY(print(table.render(format)));
  co_return 0;
}

Task<Result<int>> list_chains(FileSystem& fs, const Options&, Format format) {
  FF_CO_TRY_ASSIGN(const auto view, co_await fs.manager().fetch());
  Table table("ff.ffs-chains/1", {{.key = "chain", .title = "CHAIN"},
                                  {.key = "version", .title = "VERSION"},
                                  {.key = "serving", .title = "SERVING"},
                                  {.key = "replicas", .title = "REPLICAS"},
                                  {.key = "members", .title = "MEMBERS"}});
  for (const ChainInfo& chain : view->message().chains()) {
    table.add_row({count(chain.chain()), count(chain.version()), count(serving(chain)),
                   count(static_cast<std::uint64_t>(chain.members_size())), members_text(chain)});
  }
  FF_CO_TRY(print(table.render(format)));
  co_return 0;
}

Task<Result<int>> show_status(FileSystem& fs, const Options&, Format format) {
  FF_CO_TRY_ASSIGN(const auto view, co_await fs.manager().fetch());
  const Routing& routing = view->message();
  std::uint64_t alive = 0, whole = 0, degraded = 0, down = 0;
  for (const NodeInfo& node : routing.nodes()) alive += node.alive() ? 1 : 0;
  const Replacements replacements(routing);
  for (const ChainInfo& chain : routing.chains()) {
    const std::size_t up = serving(chain);
    ++(up == 0 ? down : up < replacements.wanted(chain) ? degraded : whole);
  }
  const bool metad = !view->nodes_with(ROLE_METAD).empty();
  const std::string verdict = down > 0 || !metad                                                         ? "down"
                              : degraded > 0 || alive < static_cast<std::uint64_t>(routing.nodes_size()) ? "degraded"
                                                                                                         : "healthy";
  Table table("ff.ffs-status/1", {{.key = "status", .title = "STATUS"},
                                  {.key = "nodes_alive", .title = "ALIVE"},
                                  {.key = "nodes", .title = "NODES"},
                                  {.key = "chains", .title = "CHAINS"},
                                  {.key = "chains_whole", .title = "WHOLE"},
                                  {.key = "chains_degraded", .title = "DEGRADED"},
                                  {.key = "chains_down", .title = "DOWN"},
                                  {.key = "targets_leaving", .title = "DRAINING"},
                                  {.key = "primary", .title = "PRIMARY"},
                                  {.key = "routing_version", .title = "ROUTING"}});
  table.add_row({verdict, count(alive), count(static_cast<std::uint64_t>(routing.nodes_size())),
                 count(static_cast<std::uint64_t>(routing.chains_size())), count(whole), count(degraded), count(down),
                 count(replacements.leaving().size()), count(routing.primary()), count(routing.version())});
  FF_CO_TRY(print(table.render(format)));
  co_return verdict == "healthy" ? 0 : verdict == "degraded" ? 10 : 20;
}

Task<Result<int>> change_chain(FileSystem& fs, const Options& options, UpdateChainRequest::Change change) {
  UpdateChainRequest request;
  FF_CO_TRY_ASSIGN(const std::uint64_t chain, parse_number(options.chain, "chain"));
  request.set_chain(chain);
  request.set_change(change);
  request.set_force(options.force);
  if (!options.target.empty()) {
    FF_CO_TRY_ASSIGN(const std::uint64_t target, parse_number(options.target, "target"));
    request.set_target(target);
  }
  for (const std::string& text : options.order) {
    FF_CO_TRY_ASSIGN(const std::uint64_t target, parse_number(text, "target"));
    request.add_order(target);
  }
  if (change == UpdateChainRequest::ADD) {
    FF_CO_TRY_ASSIGN(const std::uint64_t node, parse_number(options.node, "node"));
    request.mutable_added()->set_target(request.target());
    request.mutable_added()->set_node(node);
    request.mutable_added()->set_path(options.folder);
  }
  FF_CO_TRY_ASSIGN(const UpdateChainReply reply, co_await fs.manager().update_chain(std::move(request)));
  FF_CO_TRY(print(fmt::format("chain {} version {}: {}\n", reply.chain().chain(), reply.chain().version(),
                              members_text(reply.chain()))));
  co_return 0;
}

Task<Result<int>> explain(FileSystem& fs, const Options& options, Format format) {
  FF_CO_TRY_ASSIGN(const std::uint64_t chain, parse_number(options.chain, "chain"));
  FF_CO_TRY_ASSIGN(const auto view, co_await fs.manager().fetch());
  FF_CO_TRY_ASSIGN(const ChainExplanation why, explain_chain(*view, ChainId{chain}));
  Table table("ff.ffs-explain/1", {{.key = "what", .title = "WHAT"}, {.key = "text", .title = "TEXT"}});
  table.set_header("serves", why.serves);
  table.set_header("complete", why.complete);
  table.add_row({"chain", why.summary});
  for (const std::string& cause : why.causes) table.add_row({"because", cause});
  for (const std::string& fix : why.fixes) table.add_row({"to mend", fix});
  FF_CO_TRY(print(table.render(format)));
  co_return why.complete&& why.causes.empty() ? 0 : why.serves ? 10 : 20;
}

// `what` is the whole of the command: "node list".
cli::Command show_command(std::string name, std::string what, std::string summary, FsReport<Options> body,
                          std::vector<cli::Example> examples) {
  cli::Command command;
  command.name = std::move(name);
  command.summary = std::move(summary);
  command.examples = std::move(examples);
  reports(command, std::make_shared<Options>(), body, std::move(what));
  return command;
}

struct ChainChange {
  const char* name;
  UpdateChainRequest::Change change;
  const char* summary;
  const char* description;
  const char* example;
};

cli::Command chain_change_command(const ChainChange& what) {
  const auto options = std::make_shared<Options>();
  cli::Command command;
  command.name = what.name;
  command.summary = what.summary;
  command.description = what.description;
  command.options.push_back(
      {.names = "chain", .target = &options->chain, .help = "the chain", .value_name = "CHAIN", .required = true});
  if (what.change == UpdateChainRequest::PREFERRED_ORDER) {
    command.options.push_back({.names = "target",
                               .target = &options->order,
                               .help = "all targets of the chain, the first that takes writes first",
                               .value_name = "TARGET",
                               .required = true});
  } else {
    command.options.push_back({.names = "target",
                               .target = &options->target,
                               .help = "the target",
                               .value_name = "TARGET",
                               .required = true});
  }
  if (what.change == UpdateChainRequest::ADD) {
    command.options.push_back({.names = "--node",
                               .target = &options->node,
                               .help = "node that serves the target",
                               .value_name = "NODE",
                               .required = true});
    command.options.push_back({.names = "--folder",
                               .target = &options->folder,
                               .help = "its folder there, for people to read",
                               .value_name = "FOLDER"});
  }
  if (what.change == UpdateChainRequest::SET_OFFLINE || what.change == UpdateChainRequest::ROTATE_LASTSRV) {
    command.options.push_back({.names = "--force",
                               .target = &options->force,
                               .help = "although acknowledged data may be lost or become unreachable"});
  }
  options->cluster.add_to(command);
  command.exit_codes = {kStoppedCode};
  command.examples = {{what.example, "as the summary says"}, {"ffs chain list", "what became of it"}};
  command.run = [options, change = what.change, name = std::string("ffs chain ") + what.name]() -> Result<int> {
    return with_file_system(options->cluster, name, [&] [[clang::coro_wrapper]] (FileSystem & fs) {
      return change_chain(fs, *options, change);
    });
  };
  return command;
}

cli::Command node_change_command(std::string name, std::string summary, void (*fill)(SetNodeRequest&),
                                 std::string example) {
  const auto options = std::make_shared<Options>();
  cli::Command command;
  command.name = name;
  command.summary = std::move(summary);
  command.options.push_back(
      {.names = "node", .target = &options->node, .help = "the node", .value_name = "NODE", .required = true});
  options->cluster.add_to(command);
  command.exit_codes = {kStoppedCode};
  command.examples = {{std::move(example), "as the summary says"}, {"ffs node list", "what became of it"}};
  command.run = [options, fill, what = "ffs node " + name]() -> Result<int> {
    return with_file_system(options->cluster, what, [&](FileSystem& fs) -> Task<Result<int>> {
      SetNodeRequest request;
      FF_CO_TRY_ASSIGN(const std::uint64_t node, parse_number(options->node, "node"));
      request.set_node(node);
      fill(request);
      FF_CO_TRY(co_await fs.manager().set_node(std::move(request)));
      co_return 0;
    });
  };
  return command;
}

}  // namespace

cli::Command status_command() {
  cli::Command command =
      show_command("status", "status", "Tell in a line how the file system does", show_status,
                   {{"ffs status", "for people"}, {"ffs status >/dev/null || alert", "for scripts"}});
  command.description =
      "healthy: every node is alive and every chain whole. degraded: all data can be read and written, with fewer "
      "copies than wanted. down: "
      "some chain, or the namespace, cannot be reached. DRAINING counts targets that leave their chains; that alone is "
      "healthy.";
  command.exit_codes.push_back({10, "degraded"});
  command.exit_codes.push_back({20, "down"});
  return command;
}

cli::Command node_command() {
  cli::Command command;
  command.name = "node";
  command.summary = "Show and change nodes";
  command.examples = {{"ffs node list", "who is there"}};
  command.commands = {
      show_command("list", "node list", "List the nodes", list_nodes,
                   {{"ffs node list", "all nodes"},
                    {"ffs node list --json | jq '.rows[] | select(.alive|not).node'", "the dead ones"}}),
      node_change_command(
          "disable", "Give a node no new work", [](SetNodeRequest& r) { r.set_disabled(true); }, "ffs node disable 3"),
      node_change_command(
          "enable", "Undo disable", [](SetNodeRequest& r) { r.set_disabled(false); }, "ffs node enable 3"),
      node_change_command(
          "forget", "Forget a node that is gone for good and has no targets in chains",
          [](SetNodeRequest& r) { r.set_forget(true); }, "ffs node forget 3")};
  for (cli::Command& one : node_drain_commands()) command.commands.push_back(std::move(one));
  return command;
}

cli::Command target_command() {
  cli::Command command;
  command.name = "target";
  command.summary = "Show and change targets";
  command.examples = {{"ffs target list", "what each holds and how it does"}};
  command.commands = {
      show_command("list", "target list", "List the targets", list_targets,
                   {{"ffs target list", "all targets"}, {"ffs target list -o wide", "with their folders"}})};
  for (cli::Command& one : target_drain_commands()) command.commands.push_back(std::move(one));
  return command;
}

cli::Command chain_command() {
  cli::Command command;
  command.name = "chain";
  command.summary = "Show and change chains";
  command.examples = {{"ffs chain list", "who replicates for whom"}};
  command.commands.push_back(show_command(
      "list", "chain list", "List the chains", list_chains,
      {{"ffs chain list", "all chains"},
       {"ffs chain list --json | jq '.rows[] | select(.serving < .replicas)'", "those with copies missing"}}));
  const auto options = std::make_shared<Options>();
  cli::Command why;
  why.name = "explain";
  why.summary = "Say why a chain is not whole or not well, and what would help";
  why.options.push_back(
      {.names = "chain", .target = &options->chain, .help = "the chain", .value_name = "CHAIN", .required = true});
  why.examples = {{"ffs chain explain 5", "for people"}, {"ffs chain explain 5 --json | jq .serves", "for scripts"}};
  why.description =
      "Of each member: why it does not serve, or what is wrong with it although it serves, as the manager knows it "
      "now.";
  why.exit_codes = {{10, "serves, with copies missing or in trouble"}, {20, "does not serve"}};
  reports(why, options, explain, "chain explain");
  command.commands.push_back(std::move(why));
  for (const ChainChange& change : std::initializer_list<ChainChange>{
           {"offline", UpdateChainRequest::SET_OFFLINE, "Take a target out of service",
            "Refused for the last complete copy, unless forced.", "ffs chain offline 5 16781313"},
           {"online", UpdateChainRequest::SET_ONLINE, "Let a target that was taken out come back",
            "It catches up first.", "ffs chain online 5 16781313"},
           {"add", UpdateChainRequest::ADD, "Add a target to a chain",
            "It receives a copy of everything before it serves.", "ffs chain add 5 67112961 --node 4 --folder /disk/0"},
           {"remove", UpdateChainRequest::REMOVE, "Remove a target that is offline from a chain", "",
            "ffs chain remove 5 16781313"},
           {"rotate", UpdateChainRequest::ROTATE_LASTSRV,
            "Stop waiting for the last complete copies, and go on with another",
            "What only the lost copies held is gone: the last resort when they will never come back.",
            "ffs chain rotate 5 33558529 --force"},
           {"order", UpdateChainRequest::PREFERRED_ORDER, "Set the order in which writes should travel", "",
            "ffs chain order 5 16781313 33558529 50335745"}}) {
    command.commands.push_back(chain_change_command(change));
  }
  return command;
}

}  // namespace ff::ffs
