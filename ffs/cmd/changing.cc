// mkdir, rm, mv, ln: names, made, removed and changed.
#include <fmt/core.h>

#include <cerrno>
#include <memory>

#include "ffs/cmd/commands.hpp"
#include "ffs/cmd/each_path.hpp"
#include "ffs/cmd/session.hpp"
#include "ffs/cmd/text.hpp"

namespace ff::ffs {

using runtime::Task;

namespace {

struct Options {
  ClusterOptions cluster;
  std::vector<std::string> paths;
  std::string mode = "755";
  bool parents = false;
  bool recursive = false;
  bool force = false;
  bool trash = false;
  bool symbolic = false;
  bool no_replace = false;
  bool exchange = false;
};

Result<Where> where(const std::string& path, bool follow) {
  FF_TRY_ASSIGN(std::string clean, clean_path(path));
  return at(std::move(clean), follow);
}

Task<Result<int>> make_directories(FileSystem& fs, const Options& options) {
  FF_CO_TRY_ASSIGN(const std::uint32_t mode, parse_mode(options.mode));
  co_return co_await each_path(options.paths, [&](std::string path) -> Task<Result<>> {
    MakeDirectoryRequest request;
    FF_CO_TRY_ASSIGN(*request.mutable_where(), where(path, true));
    request.set_mode(mode);
    request.set_parents(options.parents);
    FF_CO_TRY(co_await fs.meta().make_directory(std::move(request)));
    co_return {};
  });
}

Task<Result<>> remove_one(FileSystem& fs, const Options& options, std::string path) {
  FF_CO_TRY_ASSIGN(const Attributes attributes, co_await fs.stat(path, false));
  RemoveRequest request;
  FF_CO_TRY_ASSIGN(*request.mutable_where(), where(path, false));
  request.set_directory(attributes.type() == DIRECTORY);
  request.set_recursive(options.recursive && attributes.type() == DIRECTORY);
  request.set_to_trash(options.trash);
  FF_CO_TRY(co_await fs.meta().remove(std::move(request)));
  co_return {};
}

Task<Result<int>> remove(FileSystem& fs, const Options& options) {
  for (const std::string& path : options.paths) {
    FF_CO_TRY_ASSIGN(const std::string clean, clean_path(path));
    if (clean == "/") co_return fail(Errc::kInvalidArgument, "/: the root stays (name what is in it)", EBUSY);
  }
  co_return co_await each_path(options.paths, [&](std::string path) -> Task<Result<>> {
    const Result<> removed = co_await remove_one(fs, options, std::move(path));
    const int why = removed ? 0 : removed.error().sys_errno();
    if (options.force && (why == ENOENT || why == ENOTDIR)) co_return {};
    co_return removed;
  });
}

Task<Result<bool>> is_folder(FileSystem& fs, const std::string& path) {
  const auto attributes = co_await fs.stat(path);
  if (!attributes && attributes.error().sys_errno() != ENOENT) co_return fail(attributes.error());
  co_return attributes && attributes->type() == DIRECTORY;
}

Task<Result<int>> move(FileSystem& fs, const Options& options) {
  if (options.paths.size() < 2)
    co_return fail(Errc::kInvalidArgument, "mv: one path (give what to move, and where to)");
  const std::string& target = options.paths.back();
  const bool plain = options.exchange || options.no_replace;
  FF_CO_TRY_ASSIGN(const bool into, co_await is_folder(fs, target));
  const bool inside = into && !options.exchange;
  if (!inside && options.paths.size() > 2)
    co_return fail(Errc::kNotFound, target + ": no such folder", plain ? EINVAL : ENOTDIR);
  for (std::size_t i = 0; i + 1 < options.paths.size(); ++i) {
    RenameRequest request;
    FF_CO_TRY_ASSIGN(*request.mutable_from(), where(options.paths[i], false));
    FF_CO_TRY_ASSIGN(*request.mutable_to(),
                     where(inside ? target + "/" + base_name(request.from().path()) : target, false));
    request.set_no_replace(options.no_replace);
    request.set_exchange(options.exchange);
    FF_CO_TRY(co_await fs.meta().rename(std::move(request)));
  }
  co_return 0;
}

Task<Result<int>> link(FileSystem& fs, const Options& options) {
  if (options.paths.size() != 2) co_return fail(Errc::kInvalidArgument, "ln: give what to link to, and the new name");
  if (options.symbolic) {
    MakeSymlinkRequest request;
    FF_CO_TRY_ASSIGN(*request.mutable_where(), where(options.paths[1], false));
    request.set_target(options.paths[0]);
    FF_CO_TRY(co_await fs.meta().make_symlink(std::move(request)));
    co_return 0;
  }
  LinkRequest request;
  FF_CO_TRY_ASSIGN(*request.mutable_from(), where(options.paths[0], false));
  FF_CO_TRY_ASSIGN(*request.mutable_to(), where(options.paths[1], false));
  FF_CO_TRY(co_await fs.meta().link(std::move(request)));
  co_return 0;
}

}  // namespace

cli::Command mkdir_command() {
  const auto options = std::make_shared<Options>();
  cli::Command command;
  command.name = "mkdir";
  command.summary = "Make folders";
  command.options.push_back(paths_option(options->paths, "folders to make"));
  command.options.push_back(
      {.names = "-p,--parents", .target = &options->parents, .help = "those above too; no error where one exists"});
  command.options.push_back(
      {.names = "-m,--mode", .target = &options->mode, .help = "permissions, octal", .value_name = "MODE"});
  command.examples = {{"ffs mkdir /data", "a folder"}, {"ffs mkdir -p /a/b/c", "with those above it"}};
  runs(command, options, make_directories);
  return command;
}

cli::Command rm_command() {
  const auto options = std::make_shared<Options>();
  cli::Command command;
  command.name = "rm";
  command.summary = "Remove files and folders";
  command.description =

      "A folder must be empty, or -r given: the tree then vanishes at once, and its space is freed in the background. "
      "Of "
      "several paths, one that cannot be removed is told and the others are removed.";
  command.options.push_back(paths_option(options->paths, "what to remove"));
  command.options.push_back(
      {.names = "-r,--recursive", .target = &options->recursive, .help = "folders with all that is in them"});
  command.options.push_back({.names = "-f,--force",
                             .target = &options->force,
                             .help = "no error where there is nothing, nor a folder for it"});
  command.options.push_back({.names = "--trash",
                             .target = &options->trash,
                             .help = "move into the trash, from which it can be fetched back for a while"});
  command.examples = {{"ffs rm /data/old.bin", "a file"}, {"ffs rm -r /ckpt/run3", "a tree"}};
  runs(command, options, remove);
  return command;
}

cli::Command mv_command() {
  const auto options = std::make_shared<Options>();
  cli::Command command;
  command.name = "mv";
  command.summary = "Rename or move";
  command.description = "Atomic: others see the old name or the new one. What stands at the new name is replaced.";
  command.options.push_back(paths_option(options->paths, "what to move, then where to"));
  command.options.push_back(
      {.names = "-n,--no-replace", .target = &options->no_replace, .help = "an error where the new name exists"});
  command.options.push_back({.names = "-x,--exchange", .target = &options->exchange, .help = "swap the two"});
  command.examples = {{"ffs mv /data/a /data/b", "a new name"},
                      {"ffs mv -x /model/live /model/next", "swap two, at one instant"}};
  runs(command, options, move);
  return command;
}

cli::Command ln_command() {
  const auto options = std::make_shared<Options>();
  cli::Command command;
  command.name = "ln";
  command.summary = "Make links";
  command.options.push_back(paths_option(options->paths, "what to link to, then the new name"));
  command.options.push_back({.names = "-s,--symbolic", .target = &options->symbolic, .help = "a symbolic link"});
  command.examples = {{"ffs ln /data/a /data/b", "a second name of the same file"},
                      {"ffs ln -s run7 /ckpt/latest", "a symbolic link"}};
  runs(command, options, link);
  return command;
}

}  // namespace ff::ffs
