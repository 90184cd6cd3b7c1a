#include "ffs/cmd/drain.hpp"

#include <fmt/core.h>

#include <map>
#include <memory>

#include "ffs/cmd/session.hpp"
#include "ffs/cmd/text.hpp"
#include "ffs/mgmt/replacement.hpp"
#include "ffs/mgmt/routing_client.hpp"
#include "libcommon/cli/progress.hpp"
#include "libcommon/runtime/sleep.hpp"

namespace ff::ffs {

using namespace std::chrono_literals;
using runtime::Task;

namespace {

struct Options {
  ClusterOptions cluster;
  cli::ProgressOption progress;
  std::string number;  // of the node or the target
  std::string replacement;
  bool wait = false;
};

// Those that leave their chains, with what takes their places (0: nothing yet): one target, or those of a node.
using Leaving = std::map<std::uint64_t, std::uint64_t>;

Leaving leaving_of(const RoutingView& view, std::uint64_t node, std::uint64_t target) {
  Leaving out;
  const Replacements now(view.message());
  for (const std::uint64_t id : now.leaving()) {
    const bool meant = node != 0 ? view.target(TargetId{id})->node() == node : id == target;
    if (meant) out[id] = now.successor_of(id);
  }
  return out;
}

Task<Result<int>> wait_for_end(FileSystem& fs, const Options& options, std::uint64_t node, std::uint64_t target) {
  FF_CO_TRY_ASSIGN(auto view, co_await fs.manager().fetch());
  Leaving left = leaving_of(*view, node, target);
  cli::Progress progress({.label = "targets", .total = left.size(), .enabled = options.progress.enabled()});
  std::size_t done = 0;
  while (!left.empty()) {
    FF_CO_TRY(co_await runtime::sleep(500ms));
    FF_CO_TRY_ASSIGN(view, co_await fs.manager().fetch());
    Leaving now = leaving_of(*view, node, target);
    for (const auto& [id, successor] : left) {
      if (now.contains(id)) continue;
      const TargetInfo* const info = view->target(TargetId{id});
      if (info != nullptr && info->chain() != 0)
        co_return fail(Errc::kCancelled,
                       fmt::format("target {}: stays in chain {}, somebody has undone the drain", id, info->chain()));
      FF_CO_TRY(print(successor == 0 ? fmt::format("target {}: is out of its chain\n", id)
                                     : fmt::format("target {}: target {} serves in its place\n", id, successor)));
      ++done;
    }
    left = std::move(now);
    progress.update(done);
  }
  progress.finish();
  co_return 0;
}

// What is said of a drain that goes on.
Task<Result<int>> tell(FileSystem& fs, const Options& options, std::uint64_t node, std::uint64_t target) {
  if (options.wait) co_return co_await wait_for_end(fs, options, node, target);
  FF_CO_TRY_ASSIGN(const auto view, co_await fs.manager().fetch());
  const std::size_t left = leaving_of(*view, node, target).size();
  const std::string what = node != 0 ? fmt::format("node {}", node) : fmt::format("target {}", target);
  if (left == 0) {
    FF_CO_TRY(print(what + (node != 0 ? ": none of its targets is in a chain\n" : ": is in no chain\n")));
  } else if (node != 0) {
    FF_CO_TRY(print(fmt::format("{}: {} target{} to leave (--wait waits for it; `ffs status` counts them)\n", what,
                                left, left == 1 ? "" : "s")));
  } else {
    FF_CO_TRY(
        print(what + ": is to leave its chain (--wait waits for it; `ffs target list` shows who takes its place)\n"));
  }
  co_return 0;
}

Task<Result<int>> set_node(FileSystem& fs, const Options& options, Drain drain) {
  FF_CO_TRY_ASSIGN(const std::uint64_t node, parse_number(options.number, "node"));
  SetNodeRequest request;
  request.set_node(node);
  request.set_drain(drain);
  FF_CO_TRY(co_await fs.manager().set_node(std::move(request), options.cluster.timeout()));
  if (drain == DRAIN_UNDO) co_return 0;
  co_return co_await tell(fs, options, node, 0);
}

Task<Result<int>> set_target(FileSystem& fs, const Options& options, Drain drain) {
  FF_CO_TRY_ASSIGN(const std::uint64_t target, parse_number(options.number, "target"));
  SetTargetRequest request;
  request.set_target(target);
  request.set_drain(drain);
  if (!options.replacement.empty()) {
    FF_CO_TRY_ASSIGN(const std::uint64_t replacement, parse_number(options.replacement, "target"));
    request.set_replacement(replacement);
  }
  FF_CO_TRY(co_await fs.manager().set_target(std::move(request), options.cluster.timeout()));
  if (drain == DRAIN_UNDO) co_return 0;
  co_return co_await tell(fs, options, 0, target);
}

Task<Result<int>> drain_node(FileSystem& fs, const Options& o) { co_return co_await set_node(fs, o, DRAIN_OUT); }
Task<Result<int>> undrain_node(FileSystem& fs, const Options& o) { co_return co_await set_node(fs, o, DRAIN_UNDO); }
Task<Result<int>> drain_target(FileSystem& fs, const Options& o) { co_return co_await set_target(fs, o, DRAIN_OUT); }
Task<Result<int>> undrain_target(FileSystem& fs, const Options& o) { co_return co_await set_target(fs, o, DRAIN_UNDO); }

struct Words {
  const char* family;  // "node" or "target"
  const char* name;
  const char* summary;
  const char* description;
  std::vector<cli::Example> examples;
  bool waits = true;
  bool names_replacement = false;
};

cli::Command make(Words words, FsCall<Options> body) {
  const auto options = std::make_shared<Options>();
  cli::Command command;
  command.name = words.name;
  command.summary = words.summary;
  command.description = words.description;
  command.options.push_back({.names = words.family,
                             .target = &options->number,
                             .help = fmt::format("the {}", words.family),
                             .value_name = words.family == std::string_view("node") ? "NODE" : "TARGET",
                             .required = true});
  if (words.names_replacement) {
    command.options.push_back({.names = "replacement",
                               .target = &options->replacement,
                               .help = "an empty target that is in no chain",
                               .value_name = "REPLACEMENT",
                               .required = true});
  }
  if (words.waits) {
    command.options.push_back(
        {.names = "--wait", .target = &options->wait, .help = "until it is out; Ctrl-C stops the waiting alone"});
    options->progress.add_to(command);
  }
  command.examples = std::move(words.examples);
  runs(command, options, body, fmt::format("{} {}", words.family, words.name));
  return command;
}

}  // namespace

std::vector<cli::Command> node_drain_commands() {
  return {
      make(
          {.family = "node",
           .name = "drain",
           .summary = "Move all that a node holds to other nodes",
           .description =
               "Of each chain with a target of the node, a spare target of another machine becomes a member and "
               "catches "
               "up; when it serves, the node's target leaves. No chain loses a copy meanwhile. The manager does this, "
               "whatever becomes of the command; repeat it with --wait to see the end. Works for a node that is dead, "
               "too. Refused when spare targets are missing (see ffs format) and for a last complete copy.",
           .examples = {{"ffs node drain 4 --wait && ffs node forget 4", "before the machine goes; stop it in between"},
                        {"ffs node drain 4", "begin, and look later with ffs status"}}},
          drain_node),
      make({.family = "node",
            .name = "undrain",
            .summary = "Let a node keep what it holds, or hold something again",
            .description =
                "What is out of its chain stays out. Replacements that have begun to catch up leave again, and stay "
                "drained, for they are not empty.",
            .examples = {{"ffs node undrain 4", "it stays after all"}},
            .waits = false},
           undrain_node)};
}

std::vector<cli::Command> target_drain_commands() {
  return {
      make(
          {.family = "target",
           .name = "drain",
           .summary = "Move what a target holds to a spare one",
           .description =
               "As ffs node drain, for one target: a disk that is to be taken out, or has failed. A target that is out "
               "of its chain takes nobody's place until ffs target undrain.",
           .examples = {{"ffs target drain 16781313 --wait", "before its disk is pulled"}}},
          drain_target),
      make({.family = "target",
            .name = "undrain",
            .summary = "Let a target stay in its chain, or take a place again",
            .description =
                "A replacement that has begun to catch up leaves again, and stays drained. A target takes a place only "
                "when it is empty: stop its node, remove the target's folder, and format the node again.",
            .examples = {{"ffs target undrain 16781313", "it stays after all"}},
            .waits = false},
           undrain_target),
      make({.family = "target",
            .name = "replace",
            .summary = "Put a target of your choice in the place of another",
            .description =
                "As ffs target drain, with the replacement named. ffs target list shows which are in no chain.",
            .examples = {{"ffs target replace 16781313 67112962 --wait", "to that very disk"}},
            .names_replacement = true},
           drain_target)};
}

}  // namespace ff::ffs
