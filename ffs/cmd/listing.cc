// ls, tree, du, find: what is there.
#include <fmt/core.h>
#include <fnmatch.h>

#include <map>
#include <memory>

#include "ffs/cmd/commands.hpp"
#include "ffs/cmd/session.hpp"
#include "ffs/cmd/text.hpp"
#include "ffs/cmd/walk.hpp"
#include "libcommon/report/utf8.hpp"

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
  bool zero = false;
  std::string name;
  std::string type = "any";
  cli::ByteSize larger{};
  std::int64_t depth = 1000;
};

// Tells what could not be read and remembers that something was not.
class Trouble {
 public:
  explicit Trouble(const char* command) : command_(command) {}
  void operator()(const std::string& path, const Error& error) {
    fmt::print(stderr, "ffs: {}\n", report::printable(fmt::format("{}: {}: {}", command_, path, error.message())));
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
      const std::string shown = prefix ? join_path(clean, entry.name()) : entry.name();
      if (!entry.has_attributes()) trouble(join_path(clean, entry.name()), no_attributes());
      table.add_row(entry.has_attributes() ? attribute_cells(shown, entry.attributes())
                                           : attribute_cells(shown, entry.type()));
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
          const std::string name = found.depth == 0 ? found.path : base_name(found.path);
          text.append(2 * found.depth, ' ').append(report::printable(name));
          if (found.attributes.type() == SYMLINK) {
            text.append(" -> ").append(report::printable(found.attributes.target()));
          }
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

bool matches(const Options& options, const Found& found) {
  const Attributes& a = found.attributes;
  return (options.type == "any" || options.type == type_text(a.type())) &&
         (options.name.empty() || ::fnmatch(options.name.c_str(), base_name(found.path).c_str(), 0) == 0) &&
         a.size() >= options.larger.bytes;
}

Task<Result<int>> find(FileSystem& fs, const Options& options, Format format) {
  Table table("ff.ffs-find/1", attribute_columns("path", "PATH"));
  Trouble trouble("find");
  for (const std::string& path : paths_or_root(options)) {
    Result<> written;
    FF_CO_TRY(co_await walk(
        fs, path,
        [&](const Found& found) {
          if (matches(options, found)) {
            if (!options.zero) {
              table.add_row(attribute_cells(found.path, found.attributes));
            } else if (written) {
              written = print(found.path + '\0');
            }
          }
          return written && found.depth < static_cast<std::size_t>(options.depth);
        },
        std::ref(trouble)));
    FF_CO_TRY(std::move(written));
  }
  if (!options.zero) FF_CO_TRY(print(table.render(format)));
  co_return trouble.exit_code();
}

const cli::ExitCode kPartialCode = {3, "something below could not be read; the rest is shown"};

cli::Option depth_option(Options& options) {
  return {.names = "-d,--depth",
          .target = &options.depth,
          .help = "levels to go down",
          .value_name = "N",
          .min = 0,
          .max = 1000000};
}

}  // namespace

cli::Command ls_command() {
  const auto options = std::make_shared<Options>();
  cli::Command command;
  command.name = "ls";
  command.summary = "List folders";
  command.description =
      "Shows what is in each folder, ordered by the bytes of the names, and files that are named themselves. Without "
      "PATH, the root. A name that is not UTF-8 is in JSON twice: as text with U+FFFD, and in name_base64.";
  command.options = {
      paths_option(options->paths, "folders or files", false),
      {.names = "-R,--recursive", .target = &options->recursive, .help = "everything below, by its path"}};
  command.examples = {{"ffs ls /data", "a folder"},
                      {"ffs ls -R -o name /data | wc -l", "how many things are below it"}};
  command.exit_codes = {kPartialCode};
  reports(command, options, list);
  return command;
}

cli::Command tree_command() {
  const auto options = std::make_shared<Options>();
  cli::Command command;
  command.name = "tree";
  command.summary = "Draw a tree of folders";
  command.options = {paths_option(options->paths, "where to begin", false), depth_option(*options)};
  command.examples = {{"ffs tree /data", "everything below /data"}, {"ffs tree -d 1", "what is in the root"}};
  command.exit_codes = {kPartialCode};
  runs(command, options, draw_tree);
  return command;
}

cli::Command du_command() {
  const auto options = std::make_shared<Options>();
  cli::Command command;
  command.name = "du";
  command.summary = "Add up the sizes of what is below a path";
  command.description = "Sums of lengths, not of the space that replicas take; a file with several links counts once.";
  command.options = {paths_option(options->paths, "folders or files", false)};
  command.examples = {{"ffs du /data /home", "two sums"},
                      {"ffs du --json / | jq '.rows[0].bytes'", "the bytes of all files"}};
  command.exit_codes = {kPartialCode};
  reports(command, options, add_up);
  return command;
}

cli::Command find_command() {
  const auto options = std::make_shared<Options>();
  cli::Command command;
  command.name = "find";
  command.summary = "Find files by name, type and size";
  command.options = {paths_option(options->paths, "where to begin", false),
                     {.names = "-n,--name",
                      .target = &options->name,
                      .help = "pattern of the shell that the name matches",
                      .value_name = "GLOB"},
                     {.names = "-t,--type",
                      .target = &options->type,
                      .help = "what it is",
                      .value_name = "TYPE",
                      .choices = {"any", "file", "folder", "link"}},
                     {.names = "--larger", .target = &options->larger, .help = "of this size or larger"},
                     depth_option(*options),
                     {.names = "-0,--print0",
                      .target = &options->zero,
                      .help = "paths alone, their bytes as they are, each ended by a zero byte: for xargs -0"}};
  command.examples = {{"ffs find /ckpt -n '*.bin' --larger 1GiB", "large checkpoints"},
                      {"ffs find /tmp -t file -0 | xargs -0 ffs rm", "remove what was found, whatever its names"}};
  command.exit_codes = {kPartialCode};
  reports(command, options, find);
  return command;
}

}  // namespace ff::ffs
