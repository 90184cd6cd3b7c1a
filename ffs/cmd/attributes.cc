// chmod, chown, touch, truncate, flag: the attributes of files and folders, changed.
#include <fmt/core.h>

#include <cerrno>
#include <charconv>
#include <memory>

#include "ffs/cmd/commands.hpp"
#include "ffs/cmd/each_path.hpp"
#include "ffs/cmd/session.hpp"
#include "ffs/cmd/text.hpp"
#include "ffs/cmd/walk.hpp"

namespace ff::ffs {

using report::Format;
using report::Table;
using runtime::Task;

namespace {

struct Options {
  ClusterOptions cluster;
  cli::OutputOptions output;
  std::vector<std::string> paths;
  std::string text;  // a mode, an owner, what follows the '-' of a flag
  cli::ByteSize size{};
  bool recursive = false;
  bool no_create = false;
};

Task<Result<>> set_one(FileSystem& fs, SetAttributesRequest request, Where where) {
  *request.mutable_where() = std::move(where);
  FF_CO_TRY(co_await fs.meta().set_attributes(std::move(request)));
  co_return {};
}

// `path` and everything below it, links excepted. What the walk finds is changed by its number: by its path, whoever
// owns a folder on the way could put a link there meanwhile, and have a file of somebody else changed.
Task<Result<>> set_below(FileSystem& fs, SetAttributesRequest request, std::string path) {
  struct Item {
    std::string path;
    std::uint64_t inode;
  };
  // All of it before the first is changed: that may take away the right to look.
  std::vector<Item> all;
  Result<> trouble;
  FF_CO_TRY(co_await walk(
      fs, std::move(path),
      [&](const Found& found) {
        if (found.attributes.type() != SYMLINK) all.push_back({found.path, found.attributes.inode()});
        return true;
      },
      [&](const std::string& at, const Error& error) {
        if (trouble) trouble = fail(Error(error).context(at));
      }));
  FF_CO_TRY(std::move(trouble));
  for (const Item& item : all) {
    Where where;
    where.set_base(item.inode);
    const Result<> done = co_await set_one(fs, request, std::move(where));
    if (!done) co_return fail(Error(done.error()).context(item.path));
  }
  co_return {};
}

Task<Result<int>> set_attributes(FileSystem& fs, const Options& options, SetAttributesRequest request) {
  co_return co_await each_path(options.paths, [&](std::string path) -> Task<Result<>> {
    FF_CO_TRY_ASSIGN(path, clean_path(path));
    if (options.recursive) co_return co_await set_below(fs, request, std::move(path));
    co_return co_await set_one(fs, request, at(path, true));
  });
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

Task<Result<>> touch_one(FileSystem& fs, const Options& options, std::string path) {
  FF_CO_TRY_ASSIGN(path, clean_path(path));
  // The service's own time: who may write a file may ask for that, and only its owner for any other.
  SetAttributesRequest request;
  *request.mutable_where() = at(path, true);
  request.set_accessed_now(true);
  request.set_modified_now(true);
  const auto done = co_await fs.meta().set_attributes(std::move(request));
  if (done) co_return {};
  if (done.error().sys_errno() != ENOENT) co_return fail(done.error());
  if (options.no_create) co_return {};
  FF_CO_TRY_ASSIGN(auto file, co_await fs.open(path, {.write = true, .create = true}));
  co_return co_await file->close();
}

Task<Result<int>> touch(FileSystem& fs, const Options& options) {
  co_return co_await each_path(options.paths, [&] [[clang::coro_wrapper]] (std::string path) {
    return touch_one(fs, options, std::move(path));
  });
}

Task<Result<int>> truncate(FileSystem& fs, const Options& options) {
  co_return co_await each_path(options.paths, [&](std::string path) -> Task<Result<>> {
    FF_CO_TRY_ASSIGN(auto file, co_await fs.open(path, {.write = true, .create = !options.no_create}));
    const Result<> cut = co_await file->truncate(options.size.bytes);
    const Result<> closed = co_await file->close();
    co_return cut ? closed : cut;
  });
}

// The words before the paths, and "-immutable", which the command line's parser takes for an option -i with a value.
Result<SetAttributesRequest> parse_flags(const Options& options, std::vector<std::string>& paths) {
  SetAttributesRequest request;
  std::vector<std::string> flags;
  if (!options.text.empty()) flags.push_back("-i" + options.text);
  for (const std::string& word : options.paths) (word.starts_with('+') ? flags : paths).push_back(word);
  for (const std::string& flag : flags) {
    if (flag.substr(1) != "immutable")
      return fail(Errc::kInvalidArgument, flag + ": no such flag (there is immutable: +immutable or -immutable)");
    if (request.set_immutable() && request.immutable() != (flag[0] == '+'))
      return fail(Errc::kInvalidArgument, "+immutable and -immutable at once (give one)");
    request.set_set_immutable(true);
    request.set_immutable(flag[0] == '+');
  }
  if (paths.empty()) return fail(Errc::kInvalidArgument, "flag: no path (give what to change or show)");
  return request;
}

Task<Result<int>> flag(FileSystem& fs, const Options& options, Format format) {
  std::vector<std::string> paths;
  FF_CO_TRY_ASSIGN(const SetAttributesRequest request, parse_flags(options, paths));
  Table table("ff.ffs-flag/1", {{.key = "path", .title = "PATH"},
                                {.key = "immutable", .title = "IMMUTABLE"},
                                {.key = "path_base64", .title = "PATH-BASE64", .wide_only = true}});
  const Result<int> code = co_await each_path(paths, [&](std::string path) -> Task<Result<>> {
    if (request.set_immutable()) {
      FF_CO_TRY_ASSIGN(path, clean_path(path));
      co_return co_await set_one(fs, request, at(path, true));
    }
    FF_CO_TRY_ASSIGN(const Attributes attributes, co_await fs.stat(path));
    table.add_row({path, attributes.immutable(), base64_cell(path)});
    co_return {};
  });
  if (code && !request.set_immutable()) FF_CO_TRY(print(table.render(format)));
  co_return code;
}

}  // namespace

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
  command.options.push_back(paths_option(options->paths, "files and folders"));
  command.options.push_back(
      {.names = "-r,--recursive", .target = &options->recursive, .help = "and all that is below"});
  command.examples = {{"ffs chmod 600 /secret", "for the owner alone"}, {"ffs chmod -r 755 /pub", "a tree"}};
  runs(command, options, change_mode);
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
  command.options.push_back(paths_option(options->paths, "files and folders"));
  command.options.push_back(
      {.names = "-r,--recursive", .target = &options->recursive, .help = "and all that is below"});
  command.examples = {{"ffs chown 1000:100 /data/ann", "owner and group"},
                      {"ffs chown -r :100 /shared", "the group of a tree"}};
  runs(command, options, change_owner);
  return command;
}

cli::Command touch_command() {
  const auto options = std::make_shared<Options>();
  cli::Command command;
  command.name = "touch";
  command.summary = "Make empty files, or set times to now";
  command.options.push_back(paths_option(options->paths, "files"));
  command.options.push_back(
      {.names = "-c,--no-create", .target = &options->no_create, .help = "leave out what does not exist"});
  command.examples = {{"ffs touch /flags/ready", "make an empty file"},
                      {"ffs touch -c /data/a", "set its times, if it is there"}};
  runs(command, options, touch);
  return command;
}

cli::Command truncate_command() {
  const auto options = std::make_shared<Options>();
  cli::Command command;
  command.name = "truncate";
  command.summary = "Set the length of files";
  command.options.push_back(paths_option(options->paths, "files; they are made if they do not exist"));
  command.options.push_back({.names = "-s,--size",
                             .target = &options->size,
                             .help = "the new length; what is added reads as zeros",
                             .required = true});
  command.options.push_back(
      {.names = "-c,--no-create", .target = &options->no_create, .help = "an error where the file does not exist"});
  command.examples = {{"ffs truncate -s 0 /logs/today", "empty a file"},
                      {"ffs truncate -s 10GiB /disk.img", "a sparse file"}};
  runs(command, options, truncate);
  return command;
}

cli::Command flag_command() {
  const auto options = std::make_shared<Options>();
  cli::Command command;
  command.name = "flag";
  command.summary = "Set, take away and show flags";
  command.description =
      "+immutable before the paths: nobody, root included, can write the file, change its attributes, rename, link or "
      "remove it; in a folder, no name can be made, changed or removed (what its files hold still can). -immutable: it "
      "can again. Without either, shows the flags. Only root changes them. Programs that have the file open for "
      "writing "
      "go on.";
  command.options = {
      paths_option(options->paths, "+immutable or -immutable, then files and folders; without the first, shows them"),
      {.names = "-i", .target = &options->text, .help = "the rest of -immutable", .hidden = true}};
  command.examples = {{"ffs flag +immutable /model/final.bin", "protect a file"},
                      {"ffs flag -immutable /model/final.bin", "and let it change again"},
                      {"ffs flag /model/final.bin", "show its flags"}};
  reports(command, options, flag);
  return command;
}

}  // namespace ff::ffs
