// ls, tree, du, find: what is there.
#include <fmt/core.h>
#include <fnmatch.h>

#include <map>
#include <memory>

#include "ffs/cmd/commands.hpp"
#include "ffs/cmd/session.hpp"
#include "ffs/cmd/text.hpp"
#include "ffs/cmd/walk.hpp"
#include "libcommon/cli/output.hpp"

namespace ff::ffs {

using report::Cell;
using report::Format;
using report::Table;
using runtime::Task;

namespace {

struct Options {
  ClusterOptions cluster;
  cli::OutputOptions output;
  std::vector<std::string> paths;
  bool recursive = false;
  bool all = false;
  std::string name;
  std::string type = "any";
  cli::ByteSize larger{};
  std::int64_t depth = 1000;
};

void add_paths(cli::Command& command, Options& options, const char* help) {
  command.options.push_back({.names = "path", .target = &options.paths, .help = help, .value_name = "PATH"});
}

// Tells what could not be read and remembers that something was not.
class Trouble {
 public:
  explicit Trouble(const char* command) : command_(command) {}
  void operator()(const std::string& path, const Error& error) {
    fmt::print(stderr, "ffs: {}: {}: {}\n", command_, path, error.message());
    any_ = true;
  }
  int exit_code() const noexcept { return any_ ? cli::kExitPartial : cli::kExitOk; }

 private:
  const char* command_;
  bool any_ = false;
};

std::vector<std::string> paths_or_root(const Options& options) {
  return options.paths.empty() ? std::vector<std::string>{"/"} : options.paths;
}

Task<Result<int>> list(FileSystem& fs, const Options& options, Format format) {
  Table table("ff.ffs-ls/1", attribute_columns("name", "NAME"));
  Trouble trouble("ls");
  const std::vector<std::string> paths = paths_or_root(options);
  for (const std::string& path : paths) {
    const bool prefix = paths.size() > 1 || options.recursive;
    if (options.recursive) {
      FF_CO_TRY(co_await walk(
          fs, path,
          [&](const Found& found) {
            if (found.depth > 0) table.add_row(attribute_cells(found.path, found.attributes));
            return true;
          },
          std::ref(trouble)));
      continue;
    }
    FF_CO_TRY_ASSIGN(const std::string clean, clean_path(path));
    FF_CO_TRY_ASSIGN(const Attributes attributes, co_await fs.stat(clean));
    if (attributes.type() != DIRECTORY) {
      table.add_row(attribute_cells(path, attributes));
      continue;
    }
    FF_CO_TRY(co_await fs.list(clean, true, [&](const Entry& entry) {
      table.add_row(attribute_cells(prefix ? join_path(clean, entry.name()) : entry.name(), entry.attributes()));
      return true;
    }));
  }
  FF_CO_TRY(print(table.render(format)));
  co_return trouble.exit_code();
}

Task<Result<int>> draw_tree(FileSystem& fs, const Options& options) {
  Trouble trouble("tree");
  for (const std::string& path : paths_or_root(options)) {
    std::uint64_t folders = 0, files = 0;
    std::string text;
    FF_CO_TRY(co_await walk(
        fs, path,
        [&](const Found& found) {
          text.append(2 * found.depth, ' ').append(found.depth == 0 ? found.path : base_name(found.path));
          if (found.attributes.type() == SYMLINK) text.append(" -> ").append(found.attributes.target());
          if (found.attributes.type() == DIRECTORY && found.path != "/") text += '/';
          text += '\n';
          ++(found.attributes.type() == DIRECTORY ? folders : files);
          return found.depth < static_cast<std::size_t>(options.depth);
        },
        std::ref(trouble)));
    text += fmt::format("{} folders, {} files\n", folders, files);
    FF_CO_TRY(print(text));
  }
  co_return trouble.exit_code();
}

// Sums of everything below each path; hard links count once.
Task<Result<int>> add_up(FileSystem& fs, const Options& options, Format format) {
  Table table("ff.ffs-du/1", {{.key = "path", .title = "PATH"},
                              {.key = "bytes", .title = "BYTES", .unit = report::Unit::kBytes},
                              {.key = "files", .title = "FILES"},
                              {.key = "folders", .title = "FOLDERS"}});
  Trouble trouble("du");
  for (const std::string& path : paths_or_root(options)) {
    std::int64_t bytes = 0, files = 0, folders = 0;
    std::map<std::uint64_t, bool> linked;
    FF_CO_TRY(co_await walk(
        fs, path,
        [&](const Found& found) {
          const Attributes& a = found.attributes;
          if (a.type() == DIRECTORY) {
            ++folders;
          } else if (a.links() <= 1 || linked.emplace(a.inode(), true).second) {
            ++files;
            bytes += static_cast<std::int64_t>(a.size());
          }
          return true;
        },
        std::ref(trouble)));
    table.add_row({path, bytes, files, folders});
  }
  FF_CO_TRY(print(table.render(format)));
  co_return trouble.exit_code();
}

Task<Result<int>> find(FileSystem& fs, const Options& options, Format format) {
  Table table("ff.ffs-find/1", attribute_columns("path", "PATH"));
  Trouble trouble("find");
  for (const std::string& path : paths_or_root(options)) {
    FF_CO_TRY(co_await walk(
        fs, path,
        [&](const Found& found) {
          const bool wanted =
              (options.type == "any" || options.type == type_text(found.attributes.type())) &&
              (options.name.empty() || ::fnmatch(options.name.c_str(), base_name(found.path).c_str(), 0) == 0) &&
              found.attributes.size() >= options.larger.bytes;
          if (wanted) table.add_row(attribute_cells(found.path, found.attributes));
          return found.depth < static_cast<std::size_t>(options.depth);
        },
        std::ref(trouble)));
  }
  FF_CO_TRY(print(table.render(format)));
  co_return trouble.exit_code();
}

const std::vector<cli::ExitCode> kListCodes = {{3, "something below could not be read; the rest is shown"},
                                               {130, "stopped by Ctrl-C (143: by SIGTERM)"}};

}  // namespace

cli::Command ls_command() {
  const auto options = std::make_shared<Options>();
  cli::Command command;
  command.name = "ls";
  command.summary = "List folders";
  command.description =
      "Shows what is in each folder, ordered by the bytes of the names, and files that are named themselves. Without "
      "PATH, the root.";
  add_paths(command, *options, "folders or files");
  command.options.push_back(
      {.names = "-R,--recursive", .target = &options->recursive, .help = "everything below, by its path"});
  options->output.add_to(command);
  options->cluster.add_to(command);
  command.examples = {{"ffs ls /data", "a folder"},
                      {"ffs ls -R -o name /data | wc -l", "how many things are below it"}};
  command.exit_codes = kListCodes;
  command.run = [options]() -> Result<int> {
    FF_TRY_ASSIGN(const Format format, options->output.format());
    return with_file_system(options->cluster, "ffs ls",
                            [&] [[clang::coro_wrapper]] (FileSystem & fs) { return list(fs, *options, format); });
  };
  return command;
}

cli::Command tree_command() {
  const auto options = std::make_shared<Options>();
  cli::Command command;
  command.name = "tree";
  command.summary = "Draw a tree of folders";
  add_paths(command, *options, "where to begin");
  command.options.push_back({.names = "-d,--depth",
                             .target = &options->depth,
                             .help = "levels to go down",
                             .value_name = "N",
                             .min = 0,
                             .max = 1000000});
  options->cluster.add_to(command);
  command.examples = {{"ffs tree /data", "everything below /data"}, {"ffs tree -d 1", "what is in the root"}};
  command.exit_codes = kListCodes;
  command.run = [options]() -> Result<int> {
    return with_file_system(options->cluster, "ffs tree",
                            [&] [[clang::coro_wrapper]] (FileSystem & fs) { return draw_tree(fs, *options); });
  };
  return command;
}

cli::Command du_command() {
  const auto options = std::make_shared<Options>();
  cli::Command command;
  command.name = "du";
  command.summary = "Add up the sizes of what is below a path";
  command.description = "Sums of lengths, not of the space that replicas take; a file with several links counts once.";
  add_paths(command, *options, "folders or files");
  options->output.add_to(command);
  options->cluster.add_to(command);
  command.examples = {{"ffs du /data /home", "two sums"},
                      {"ffs du --json / | jq '.rows[0].bytes'", "the bytes of all files"}};
  command.exit_codes = kListCodes;
  command.run = [options]() -> Result<int> {
    FF_TRY_ASSIGN(const Format format, options->output.format());
    return with_file_system(options->cluster, "ffs du",
                            [&] [[clang::coro_wrapper]] (FileSystem & fs) { return add_up(fs, *options, format); });
  };
  return command;
}

cli::Command find_command() {
  const auto options = std::make_shared<Options>();
  cli::Command command;
  command.name = "find";
  command.summary = "Find files by name, type and size";
  add_paths(command, *options, "where to begin");
  command.options.push_back({.names = "-n,--name",
                             .target = &options->name,
                             .help = "pattern of the shell that the name matches",
                             .value_name = "GLOB"});
  command.options.push_back({.names = "-t,--type",
                             .target = &options->type,
                             .help = "what it is",
                             .value_name = "TYPE",
                             .choices = {"any", "file", "folder", "link"}});
  command.options.push_back({.names = "--larger", .target = &options->larger, .help = "of this size or larger"});
  command.options.push_back({.names = "-d,--depth",
                             .target = &options->depth,
                             .help = "levels to go down",
                             .value_name = "N",
                             .min = 0,
                             .max = 1000000});
  options->output.add_to(command);
  options->cluster.add_to(command);
  command.examples = {{"ffs find /ckpt -n '*.bin' --larger 1GiB", "large checkpoints"},
                      {"ffs find /tmp -t file -o name | xargs ffs rm", "remove what was found"}};
  command.exit_codes = kListCodes;
  command.run = [options]() -> Result<int> {
    FF_TRY_ASSIGN(const Format format, options->output.format());
    return with_file_system(options->cluster, "ffs find",
                            [&] [[clang::coro_wrapper]] (FileSystem & fs) { return find(fs, *options, format); });
  };
  return command;
}

}  // namespace ff::ffs
