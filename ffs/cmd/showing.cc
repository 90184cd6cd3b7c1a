// stat and df: one file in full, and how much there is.
#include <fmt/core.h>

#include <memory>

#include "ffs/cmd/commands.hpp"
#include "ffs/cmd/session.hpp"
#include "ffs/cmd/text.hpp"
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
  std::vector<std::string> paths;
  bool no_follow = false;
};

Task<Result<int>> show(FileSystem& fs, const Options& options, Format format) {
  std::vector<report::Column> columns = attribute_columns("path", "PATH");
  for (report::Column& column : columns) column.wide_only = column.key == "path_base64";
  Table table("ff.ffs-stat/1", std::move(columns));
  for (const std::string& path : options.paths) {
    FF_CO_TRY_ASSIGN(const Attributes attributes, co_await fs.stat(path, !options.no_follow));
    table.add_row(attribute_cells(path, attributes));
  }
  FF_CO_TRY(print(table.render(format)));
  co_return 0;
}

Task<Result<int>> space(FileSystem& fs, const Options&, Format format) {
  FF_CO_TRY_ASSIGN(const auto view, co_await fs.manager().fetch());
  FF_CO_TRY_ASSIGN(const StatFsReply names, co_await fs.meta().stat_fs());
  // A chain takes what its smallest member takes.
  std::uint64_t capacity = 0, used = 0;
  for (const ChainInfo& chain : view->message().chains()) {
    std::uint64_t least = ~std::uint64_t{0}, most_used = 0;
    for (const ChainMember& member : chain.members()) {
      const TargetInfo* const target = view->target(TargetId{member.target()});
      if (target == nullptr || member.state() != SERVING) continue;
      least = std::min(least, target->capacity_bytes());
      most_used = std::max(most_used, target->used_bytes());
    }
    if (least == ~std::uint64_t{0}) continue;
    capacity += least;
    used += most_used;
  }
  Table table("ff.ffs-df/1", {{.key = "capacity_bytes", .title = "CAPACITY", .unit = Unit::kBytes},
                              {.key = "used_bytes", .title = "USED", .unit = Unit::kBytes},
                              {.key = "free_bytes", .title = "FREE", .unit = Unit::kBytes},
                              {.key = "used_percent", .title = "USE", .unit = Unit::kPercent, .decimals = 1},
                              {.key = "files", .title = "FILES"},
                              {.key = "folders", .title = "FOLDERS"}});
  table.add_row({count(capacity), count(used), count(capacity - std::min(capacity, used)),
                 capacity == 0 ? Cell() : Cell(100.0 * static_cast<double>(used) / static_cast<double>(capacity)),
                 count(names.files()), count(names.directories())});
  FF_CO_TRY(print(table.render(format)));
  co_return 0;
}

}  // namespace

cli::Command stat_command() {
  const auto options = std::make_shared<Options>();
  cli::Command command;
  command.name = "stat";
  command.summary = "Show all attributes of files";
  command.options.push_back(paths_option(options->paths, "files and folders"));
  command.options.push_back(
      {.names = "-P,--no-follow", .target = &options->no_follow, .help = "of a symbolic link itself"});
  command.examples = {{"ffs stat /data/a", "one file"},
                      {"ffs stat --json /data/a | jq '.rows[0].size'", "its length, in a script"}};
  reports(command, options, show);
  return command;
}

cli::Command df_command() {
  const auto options = std::make_shared<Options>();
  cli::Command command;
  command.name = "df";
  command.summary = "Show how much space and how many files there are";
  command.description =
      "Space as files see it: a chain counts once, whatever the number of its replicas, and with its smallest member.";
  command.examples = {{"ffs df", "for people"}, {"ffs df --json | jq '.rows[0].free_bytes'", "for scripts"}};
  reports(command, options, space);
  return command;
}

}  // namespace ff::ffs
