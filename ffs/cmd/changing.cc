// mkdir, rm, mv, ln, chmod, chown, touch, truncate: the namespace, changed.
#include <fmt/core.h>

#include <cerrno>
#include <charconv>
#include <memory>

#include "ffs/cmd/commands.hpp"
#include "ffs/cmd/session.hpp"
#include "ffs/cmd/text.hpp"
#include "ffs/cmd/walk.hpp"

namespace ff::ffs {

using runtime::Task;

namespace {

struct Options {
  ClusterOptions cluster;
  std::vector<std::string> paths;
  std::string text;  // a mode, an owner
  cli::ByteSize size{};
  bool parents = false;
  bool recursive = false;
  bool force = false;
  bool trash = false;
  bool symbolic = false;
  bool no_replace = false;
  bool exchange = false;
  bool no_create = false;
};

using Body = Task<Result<int>> (*)(FileSystem&, const Options&);

void add_paths(cli::Command& command, Options& options, const char* help) {
  command.options.push_back(
      {.names = "path", .target = &options.paths, .help = help, .value_name = "PATH", .required = true});
}

void finish(cli::Command& command, const std::shared_ptr<Options>& options, Body body) {
  options->cluster.add_to(command);
  command.exit_codes.push_back({130, "stopped by Ctrl-C (143: by SIGTERM)"});
  command.run = [options, body, what = "ffs " + command.name]() -> Result<int> {
    return with_file_system(options->cluster, what,
                            [&] [[clang::coro_wrapper]] (FileSystem & fs) { return body(fs, *options); });
  };
}

Result<Where> where(const std::string& path, bool follow) {
  FF_TRY_ASSIGN(std::string clean, clean_path(path));
  return at(std::move(clean), follow);
}

Task<Result<int>> make_directories(FileSystem& fs, const Options& options) {
  for (const std::string& path : options.paths) {
    MakeDirectoryRequest request;
    FF_CO_TRY_ASSIGN(*request.mutable_where(), where(path, true));
    FF_CO_TRY_ASSIGN(const std::uint32_t mode, parse_mode(options.text));
    request.set_mode(mode);
    request.set_parents(options.parents);
    FF_CO_TRY(co_await fs.meta().make_directory(std::move(request)));
  }
  co_return 0;
}

Task<Result<int>> remove(FileSystem& fs, const Options& options) {
  for (const std::string& path : options.paths) {
    FF_CO_TRY_ASSIGN(const Where place, where(path, false));
    if (place.path() == "/") co_return fail(Errc::kInvalidArgument, "/: the root stays (name what is in it)", EBUSY);
    const auto attributes = co_await fs.stat(path, false);
    if (!attributes) {
      if (options.force && attributes.error().sys_errno() == ENOENT) continue;
      co_return fail(attributes.error());
    }
    RemoveRequest request;
    *request.mutable_where() = place;
    request.set_directory(attributes->type() == DIRECTORY);
    request.set_recursive(options.recursive && attributes->type() == DIRECTORY);
    request.set_to_trash(options.trash);
    FF_CO_TRY(co_await fs.meta().remove(std::move(request)));
  }
  co_return 0;
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

// Applies `request` to each path, and with -r to everything below (links excepted).
Task<Result<int>> set_attributes(FileSystem& fs, const Options& options, SetAttributesRequest request) {
  for (const std::string& path : options.paths) {
    std::vector<std::string> all;
    Result<> trouble;
    if (options.recursive) {
      FF_CO_TRY(co_await walk(
          fs, path,
          [&](const Found& found) {
            if (found.attributes.type() != SYMLINK) all.push_back(found.path);
            return true;
          },
          [&](const std::string& where_, const Error& error) { trouble = fail(Error(error).context(where_)); }));
      FF_CO_TRY(std::move(trouble));
    } else {
      FF_CO_TRY_ASSIGN(std::string clean, clean_path(path));
      all.push_back(std::move(clean));
    }
    for (const std::string& each : all) {
      SetAttributesRequest one = request;
      *one.mutable_where() = at(each, true);
      FF_CO_TRY(co_await fs.meta().set_attributes(std::move(one)));
    }
  }
  co_return 0;
}

Task<Result<int>> change_mode(FileSystem& fs, const Options& options) {
  SetAttributesRequest request;
  FF_CO_TRY_ASSIGN(const std::uint32_t mode, parse_mode(options.text));
  request.set_set_mode(true);
  request.set_mode(mode);
  co_return co_await set_attributes(fs, options, std::move(request));
}

Result<std::uint32_t> parse_id(std::string_view text) {
  std::uint32_t id = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) {
    return fail(Errc::kInvalidArgument,
                fmt::format("'{}': not a number of a user or group (write UID, UID:GID or :GID)", text));
  }
  return id;
}

Task<Result<int>> change_owner(FileSystem& fs, const Options& options) {
  SetAttributesRequest request;
  const std::string_view text = options.text;
  const std::size_t colon = text.find(':');
  if (colon != 0) {
    FF_CO_TRY_ASSIGN(const std::uint32_t uid, parse_id(text.substr(0, colon)));
    request.set_set_uid(true);
    request.set_uid(uid);
  }
  if (colon != text.npos) {
    FF_CO_TRY_ASSIGN(const std::uint32_t gid, parse_id(text.substr(colon + 1)));
    request.set_set_gid(true);
    request.set_gid(gid);
  }
  co_return co_await set_attributes(fs, options, std::move(request));
}

Task<Result<int>> touch(FileSystem& fs, const Options& options) {
  for (const std::string& path : options.paths) {
    const auto attributes = co_await fs.stat(path);
    if (!attributes) {
      if (attributes.error().sys_errno() != ENOENT) co_return fail(attributes.error());
      if (options.no_create) continue;
      FF_CO_TRY_ASSIGN(auto file, co_await fs.open(path, {.write = true, .create = true}));
      FF_CO_TRY(co_await file->close());
      continue;
    }
    SetAttributesRequest request;
    FF_CO_TRY_ASSIGN(*request.mutable_where(), where(path, true));
    const auto since = std::chrono::duration_cast<std::chrono::nanoseconds>(fs.env().wall_now().time_since_epoch());
    const auto seconds = std::chrono::floor<std::chrono::seconds>(since);
    for (Timestamp* const time : {request.mutable_accessed(), request.mutable_modified()}) {
      time->set_seconds(seconds.count());
      time->set_nanoseconds(static_cast<std::uint32_t>((since - seconds).count()));
    }
    request.set_set_accessed(true);
    request.set_set_modified(true);
    FF_CO_TRY(co_await fs.meta().set_attributes(std::move(request)));
  }
  co_return 0;
}

Task<Result<int>> truncate(FileSystem& fs, const Options& options) {
  for (const std::string& path : options.paths) {
    FF_CO_TRY_ASSIGN(auto file, co_await fs.open(path, {.write = true, .create = !options.no_create}));
    const Result<> cut = co_await file->truncate(options.size.bytes);
    const Result<> closed = co_await file->close();
    FF_CO_TRY(cut);
    FF_CO_TRY(closed);
  }
  co_return 0;
}

}  // namespace

cli::Command mkdir_command() {
  const auto options = std::make_shared<Options>();
  options->text = "755";
  cli::Command command;
  command.name = "mkdir";
  command.summary = "Make folders";
  add_paths(command, *options, "folders to make");
  command.options.push_back(
      {.names = "-p,--parents", .target = &options->parents, .help = "those above too; no error where one exists"});
  command.options.push_back(
      {.names = "-m,--mode", .target = &options->text, .help = "permissions, octal", .value_name = "MODE"});
  command.examples = {{"ffs mkdir /data", "a folder"}, {"ffs mkdir -p /a/b/c", "with those above it"}};
  finish(command, options, make_directories);
  return command;
}

cli::Command rm_command() {
  const auto options = std::make_shared<Options>();
  cli::Command command;
  command.name = "rm";
  command.summary = "Remove files and folders";
  command.description =
      "A folder must be empty, or -r given: the tree then vanishes at once, and its space is freed in the background.";
  add_paths(command, *options, "what to remove");
  command.options.push_back(
      {.names = "-r,--recursive", .target = &options->recursive, .help = "folders with all that is in them"});
  command.options.push_back(
      {.names = "-f,--force", .target = &options->force, .help = "no error where there is nothing"});
  command.options.push_back({.names = "--trash",
                             .target = &options->trash,
                             .help = "move into the trash, from which it can be fetched back for a while"});
  command.examples = {{"ffs rm /data/old.bin", "a file"}, {"ffs rm -r /ckpt/run3", "a tree"}};
  finish(command, options, remove);
  return command;
}

cli::Command mv_command() {
  const auto options = std::make_shared<Options>();
  cli::Command command;
  command.name = "mv";
  command.summary = "Rename or move";
  command.description = "Atomic: others see the old name or the new one. What stands at the new name is replaced.";
  add_paths(command, *options, "what to move, then where to");
  command.options.push_back(
      {.names = "-n,--no-replace", .target = &options->no_replace, .help = "an error where the new name exists"});
  command.options.push_back({.names = "-x,--exchange", .target = &options->exchange, .help = "swap the two"});
  command.examples = {{"ffs mv /data/a /data/b", "a new name"},
                      {"ffs mv -x /model/live /model/next", "swap two, at one instant"}};
  finish(command, options, move);
  return command;
}

cli::Command ln_command() {
  const auto options = std::make_shared<Options>();
  cli::Command command;
  command.name = "ln";
  command.summary = "Make links";
  add_paths(command, *options, "what to link to, then the new name");
  command.options.push_back({.names = "-s,--symbolic", .target = &options->symbolic, .help = "a symbolic link"});
  command.examples = {{"ffs ln /data/a /data/b", "a second name of the same file"},
                      {"ffs ln -s run7 /ckpt/latest", "a symbolic link"}};
  finish(command, options, link);
  return command;
}

cli::Command chmod_command() {
  const auto options = std::make_shared<Options>();
  cli::Command command;
  command.name = "chmod";
  command.summary = "Change permissions";
  command.options.push_back({.names = "mode",
                             .target = &options->text,
                             .help = "permissions, octal",
                             .value_name = "MODE",
                             .required = true});
  add_paths(command, *options, "files and folders");
  command.options.push_back(
      {.names = "-r,--recursive", .target = &options->recursive, .help = "and all that is below"});
  command.examples = {{"ffs chmod 600 /secret", "for the owner alone"}, {"ffs chmod -r 755 /pub", "a tree"}};
  finish(command, options, change_mode);
  return command;
}

cli::Command chown_command() {
  const auto options = std::make_shared<Options>();
  cli::Command command;
  command.name = "chown";
  command.summary = "Change owner and group";
  command.options.push_back({.names = "owner",
                             .target = &options->text,
                             .help = "UID, UID:GID or :GID",
                             .value_name = "OWNER",
                             .required = true});
  add_paths(command, *options, "files and folders");
  command.options.push_back(
      {.names = "-r,--recursive", .target = &options->recursive, .help = "and all that is below"});
  command.examples = {{"ffs chown 1000:100 /data/ann", "owner and group"},
                      {"ffs chown -r :100 /shared", "the group of a tree"}};
  finish(command, options, change_owner);
  return command;
}

cli::Command touch_command() {
  const auto options = std::make_shared<Options>();
  cli::Command command;
  command.name = "touch";
  command.summary = "Make empty files, or set times to now";
  add_paths(command, *options, "files");
  command.options.push_back(
      {.names = "-c,--no-create", .target = &options->no_create, .help = "leave out what does not exist"});
  command.examples = {{"ffs touch /flags/ready", "make an empty file"},
                      {"ffs touch -c /data/a", "set its times, if it is there"}};
  finish(command, options, touch);
  return command;
}

cli::Command truncate_command() {
  const auto options = std::make_shared<Options>();
  cli::Command command;
  command.name = "truncate";
  command.summary = "Set the length of files";
  add_paths(command, *options, "files; they are made if they do not exist");
  command.options.push_back({.names = "-s,--size",
                             .target = &options->size,
                             .help = "the new length; what is added reads as zeros",
                             .required = true});
  command.options.push_back(
      {.names = "-c,--no-create", .target = &options->no_create, .help = "an error where the file does not exist"});
  command.examples = {{"ffs truncate -s 0 /logs/today", "empty a file"},
                      {"ffs truncate -s 10GiB /disk.img", "a sparse file"}};
  finish(command, options, truncate);
  return command;
}

}  // namespace ff::ffs
