// put, get, cat, cp: bytes in, out and across.
#include <fmt/core.h>
#include <sys/stat.h>

#include <cerrno>
#include <filesystem>
#include <memory>

#include "ffs/cmd/commands.hpp"
#include "ffs/cmd/local_tree.hpp"
#include "ffs/cmd/new_file.hpp"
#include "ffs/cmd/remote_tree.hpp"
#include "ffs/cmd/session.hpp"
#include "ffs/cmd/stream.hpp"
#include "ffs/cmd/text.hpp"
#include "ffs/cmd/walk.hpp"
#include "libcommon/cli/progress.hpp"

namespace ff::ffs {

using runtime::Task;

namespace {

namespace local = std::filesystem;

struct Options {
  ClusterOptions cluster;
  cli::ProgressOption progress;
  std::vector<std::string> paths;  // the last one: where to
  bool recursive = false;
};

bool is_errno(const Error& error, int number) { return error.sys_errno() == number; }

std::string without_end_slashes(std::string path) {
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  return path;
}

// What a source is called below the target: nothing where it has no name of its own, whose content then goes right in.
std::string own_name(const std::string& from) {
  const std::string name = local::path(without_end_slashes(from)).filename().string();
  return name == "." || name == ".." ? "" : name;
}

std::string below(const std::string& folder, const std::string& path) {
  return folder.empty() || path.empty() ? folder + path : folder + "/" + path;
}

// Of a path that a walk from `from` has found: "b/c" of "/a/b/c" from "/a".
std::string rest_of(const std::string& path, const std::string& from) {
  if (path == from) return "";
  return path.substr(from == "/" ? 1 : from.size() + 1);
}

Result<unsigned> local_mode(const std::string& path) {
  struct stat facts{};
  if (::stat(path.c_str(), &facts) != 0) return fail(errno_error(path));
  return facts.st_mode & 0777u;
}

class Transfer {
 public:
  Transfer(FileSystem& fs, const Options& options, const char* what)
      : fs_(fs),
        options_(options),
        progress_({.label = what, .bytes = true, .enabled = options.progress.enabled()}),
        remote_(fs) {}

  Task<Result<int>> put() {
    FF_CO_TRY_ASSIGN(const bool inside, co_await target_is_folder());
    for (const std::string& from : sources()) {
      if (from == "-" && inside) {
        co_return fail(Errc::kInvalidArgument,
                       fmt::format("{}: a folder, and standard input has no name (give a path)", target()), EISDIR);
      }
      const std::string name = own_name(from);
      FF_CO_TRY_ASSIGN(const std::string to, clean_path(inside ? join_path(target(), name) : target()));
      std::error_code error;
      if (from != "-" && local::is_directory(from, error)) {
        if (!options_.recursive) co_return fail(Errc::kInvalidArgument, from + ": a folder (take it with -r)", EISDIR);
        if (!inside || !name.empty()) {
          FF_CO_TRY_ASSIGN(const unsigned mode, local_mode(from));
          FF_CO_TRY(co_await remote_.make_folder(to, mode));
        }
        FF_CO_TRY(co_await put_content(from, to));
      } else {
        FF_CO_TRY(co_await put_file(from, to));
      }
    }
    FF_CO_TRY(co_await remote_.finish());
    progress_.finish();
    co_return 0;
  }

  Task<Result<int>> get() {
    if (target() == "-") co_return co_await get_to_output();
    std::error_code error;
    const bool inside = local::is_directory(target(), error);
    if (!inside && options_.paths.size() > 2)
      co_return fail(Errc::kInvalidArgument, target() + ": no folder (several files need one)", ENOTDIR);
    // Only what the command line names is reached through links of this machine; see LocalTree.
    const local::path given = without_end_slashes(target());
    const local::path above = inside ? given : given.has_parent_path() ? given.parent_path() : ".";
    if (options_.recursive) local::create_directories(above, error);
    FF_CO_TRY_ASSIGN(LocalTree tree, LocalTree::open(above.string()));
    for (const std::string& from : sources()) {
      FF_CO_TRY_ASSIGN(const std::string clean, clean_path(from));
      const std::string to = !inside ? given.filename().string() : clean == "/" ? "" : base_name(clean);
      FF_CO_TRY_ASSIGN(const Attributes attributes, co_await fs_.stat(clean));
      if (attributes.type() == DIRECTORY) {
        if (!options_.recursive) co_return fail(Errc::kInvalidArgument, from + ": a folder (take it with -r)", EISDIR);
        FF_CO_TRY(co_await get_folder(clean, tree, to, attributes.mode()));
      } else {
        FF_CO_TRY(co_await get_file(clean, tree, to, attributes.mode()));
      }
    }
    FF_CO_TRY(tree.finish());
    progress_.finish();
    co_return 0;
  }

  Task<Result<int>> cat() {
    const auto out = LocalSink::standard_output(fs_.env());
    for (const std::string& path : options_.paths) {
      FF_CO_TRY_ASSIGN(auto file, co_await fs_.open(path, {}));
      FileSource source(*file);
      const auto moved = co_await pump(source, *out, [](std::uint64_t) {});
      FF_CO_TRY(co_await file->close());
      if (!moved) co_return fail(Error(moved.error()).context(path));
    }
    co_return 0;
  }

  Task<Result<int>> copy() {
    FF_CO_TRY_ASSIGN(const bool inside, co_await target_is_folder());
    for (const std::string& from : sources()) {
      FF_CO_TRY_ASSIGN(const std::string clean, clean_path(from));
      FF_CO_TRY_ASSIGN(const std::string to, clean_path(inside ? join_path(target(), base_name(clean)) : target()));
      FF_CO_TRY_ASSIGN(const Attributes attributes, co_await fs_.stat(clean));
      if (attributes.type() == DIRECTORY) {
        if (!options_.recursive) co_return fail(Errc::kInvalidArgument, from + ": a folder (take it with -r)", EISDIR);
        if (to == clean || to.starts_with(clean == "/" ? "/" : clean + "/")) {
          co_return fail(into_itself(to, clean));
        }
        FF_CO_TRY(co_await copy_folder(clean, to, attributes.mode()));
      } else {
        FF_CO_TRY(co_await copy_file(clean, to, attributes.mode()));
      }
    }
    FF_CO_TRY(co_await remote_.finish());
    progress_.finish();
    co_return 0;
  }

 private:
  std::span<const std::string> sources() const { return std::span(options_.paths).first(options_.paths.size() - 1); }
  const std::string& target() const { return options_.paths.back(); }

  Task<Result<bool>> target_is_folder() {
    const auto attributes = co_await fs_.stat(target());
    const bool folder = attributes && attributes->type() == DIRECTORY;
    if (!attributes && !is_errno(attributes.error(), ENOENT)) co_return fail(attributes.error());
    if (!folder && (options_.paths.size() > 2 || target().ends_with('/'))) {
      co_return fail(Errc::kNotFound, target() + ": no such folder (`ffs mkdir` makes one)",
                     attributes ? ENOTDIR : ENOENT);
    }
    co_return folder;
  }

  void moved(std::uint64_t bytes) { progress_.update(bytes_ += bytes); }

  Task<Result<>> fill(ByteSource& source, const std::string& to, std::uint32_t mode) {
    FF_CO_TRY_ASSIGN(const auto file, co_await NewFile::create(fs_, to, mode));
    FileSink sink(file->file());
    Result<> done;
    if (const auto pumped = co_await pump(source, sink, [this](std::uint64_t bytes) { moved(bytes); }); !pumped) {
      done = fail(pumped.error());
    } else {
      done = co_await file->commit();
    }
    if (!done) {
      co_await file->drop();
      co_return fail(Error(done.error()).context(to));
    }
    co_return {};
  }

  Task<Result<>> put_file(std::string from, std::string to) {
    FF_CO_TRY_ASSIGN(const auto source, LocalSource::open(fs_.env(), from));
    unsigned mode = 0644;
    if (from != "-") {
      FF_CO_TRY_ASSIGN(mode, local_mode(from));
    }
    FF_CO_TRY(co_await fill(*source, to, mode));
    co_return {};
  }

  // What is in a folder of this machine.
  Task<Result<>> put_content(std::string from, std::string to) {
    std::error_code error;
    auto entry = local::recursive_directory_iterator(from, error);
    for (; !error && entry != local::recursive_directory_iterator(); entry.increment(error)) {
      const std::string path = entry->path().string();
      const std::string into = join_path(to, entry->path().lexically_relative(from).string());
      if (entry->is_symlink(error)) {
        FF_CO_TRY(co_await remote_.make_link(into, local::read_symlink(entry->path(), error).string()));
      } else if (entry->is_directory(error)) {
        FF_CO_TRY_ASSIGN(const unsigned mode, local_mode(path));
        FF_CO_TRY(co_await remote_.make_folder(into, mode));
      } else if (entry->is_regular_file(error)) {
        FF_CO_TRY(co_await put_file(path, into));
      } else {
        co_return fail(Errc::kUnsupported, path + ": neither file, folder nor link (leave it out)");
      }
    }
    if (error) co_return fail(errno_error(from, error.value()));
    co_return {};
  }

  // The whole of a file of the file system into `sink`.
  Task<Result<>> drain(std::string from, std::unique_ptr<LocalSink> sink) {
    FF_CO_TRY_ASSIGN(auto file, co_await fs_.open(from, {}));
    FileSource source(*file);
    const auto pumped = co_await pump(source, *sink, [this](std::uint64_t bytes) { moved(bytes); });
    const Result<> done = pumped ? co_await sink->commit() : Result<>(fail(pumped.error()));
    FF_CO_TRY(co_await file->close());
    if (!done) co_return fail(Error(done.error()).context(from));
    co_return {};
  }

  Task<Result<int>> get_to_output() {
    for (const std::string& from : sources()) {
      FF_CO_TRY_ASSIGN(const std::string clean, clean_path(from));
      FF_CO_TRY(co_await drain(clean, LocalSink::standard_output(fs_.env())));
    }
    progress_.finish();
    co_return 0;
  }

  Task<Result<>> get_file(std::string from, LocalTree& tree, std::string to, std::uint32_t mode) {
    FF_CO_TRY_ASSIGN(AtomicFile file, tree.make_file(to, mode));
    co_return co_await drain(std::move(from), LocalSink::into(fs_.env(), std::move(file)));
  }

  Task<Result<>> get_folder(std::string from, LocalTree& tree, std::string to, std::uint32_t top_mode) {
    FF_CO_TRY(tree.make_folder(to, top_mode));
    co_return co_await each_below(from, [&](const Found& found) -> Task<Result<>> {
      const std::string into = below(to, rest_of(found.path, from));
      const Attributes& attributes = found.attributes;
      if (attributes.type() == DIRECTORY) co_return tree.make_folder(into, attributes.mode());
      if (attributes.type() == SYMLINK) co_return tree.make_link(into, attributes.target());
      co_return co_await get_file(found.path, tree, into, attributes.mode());
    });
  }

  Task<Result<>> copy_file(std::string from, std::string to, std::uint32_t mode) {
    FF_CO_TRY_ASSIGN(auto file, co_await fs_.open(from, {}));
    FileSource source(*file);
    // Without the set-id bits: the copy belongs to who copies.
    const Result<> done = co_await fill(source, to, mode & 0777u);
    FF_CO_TRY(co_await file->close());
    co_return done;
  }

  Task<Result<>> copy_folder(std::string from, std::string to, std::uint32_t top_mode) {
    std::uint64_t top = 0;
    if (to != "/") {
      FF_CO_TRY_ASSIGN(top, co_await remote_.make_folder(to, top_mode));
    }
    co_return co_await each_below(from, [&](const Found& found) -> Task<Result<>> {
      const std::string into = join_path(to, rest_of(found.path, from));
      const Attributes& attributes = found.attributes;
      // Reached through a link, which the paths do not show.
      if (attributes.inode() == top) co_return fail(into_itself(to, from));
      if (attributes.type() == SYMLINK) co_return co_await remote_.make_link(into, attributes.target());
      if (attributes.type() != DIRECTORY) co_return co_await copy_file(found.path, into, attributes.mode());
      FF_CO_TRY(co_await remote_.make_folder(into, attributes.mode()));
      co_return {};
    });
  }

  static Error into_itself(const std::string& to, const std::string& from) {
    return {Errc::kInvalidArgument, fmt::format("{}: lies in {}, which would be copied for ever", to, from), EINVAL};
  }

  // What cannot be read ends the copy, unlike a listing: a copy with holes would pass for one without.
  template <class F>
  Task<Result<>> each_below(std::string from, F copy) {
    Result<> trouble;
    FF_CO_TRY(co_await walk_slowly(
        fs_, from,
        [&](const Found& found) -> Task<Result<bool>> {
          FF_CO_TRY(trouble);
          if (found.depth > 0) FF_CO_TRY(co_await copy(found));
          co_return true;
        },
        [&](const std::string& path, const Error& error) {
          if (trouble) trouble = fail(Error(error).context(path));
        }));
    co_return trouble;
  }

  FileSystem& fs_;
  const Options& options_;
  cli::Progress progress_;
  RemoteTree remote_;
  std::uint64_t bytes_ = 0;
};

const std::vector<cli::ExitCode> kCodes = {{130, "stopped by Ctrl-C (143: by SIGTERM); no file is half written"}};

cli::Command transfer_command(const std::shared_ptr<Options>& options, std::string name, std::string summary,
                              const char* paths_help, Task<Result<int>> (Transfer::*run)()) {
  cli::Command command;
  command.name = name;
  command.summary = std::move(summary);
  command.options.push_back(paths_option(options->paths, paths_help));
  if (name != "cat") {
    command.options.push_back(
        {.names = "-r,--recursive", .target = &options->recursive, .help = "folders with all that is in them"});
    options->progress.add_to(command);
  }
  options->cluster.add_to(command);
  command.exit_codes = kCodes;
  command.run = [options, run, name]() -> Result<int> {
    if (name != "cat" && options->paths.size() < 2) {
      return fail(Errc::kInvalidArgument, name + ": one path (give what to copy, and where to)");
    }
    return with_file_system(options->cluster, "ffs " + name, [&](FileSystem& fs) -> Task<Result<int>> {
      Transfer transfer(fs, *options, name.c_str());
      co_return co_await (transfer.*run)();
    });
  };
  return command;
}

}  // namespace

cli::Command put_command() {
  const auto options = std::make_shared<Options>();
  cli::Command command = transfer_command(options, "put", "Copy files of this machine into the file system",
                                          "files of this machine ('-': standard input), then where to", &Transfer::put);
  command.description =
      "A file is written beside its place and then renamed to it: others see the old file or the whole new one, also "
      "when this is killed. Into a folder that exists, it keeps its name; the content of . and .. goes right in. "
      "Permissions are kept. With -r, an interrupted copy can be repeated: what is there is used or replaced.";
  command.examples = {{"ffs put train.bin /data/", "a file into a folder"},
                      {"tar c src | ffs put - /backup/src.tar", "from a pipe"},
                      {"ffs put -r corpus /data", "a folder with all that is in it"}};
  return command;
}

cli::Command get_command() {
  const auto options = std::make_shared<Options>();
  cli::Command command = transfer_command(
      options, "get", "Copy files out of the file system",
      "files of the file system, then where to on this machine ('-': standard output)", &Transfer::get);
  command.description =
      "A local file appears under its name only when it is whole. Below the last PATH no symbolic link is followed: "
      "what is in the file system cannot lead a copy of it elsewhere. Permissions are kept, less the umask.";
  command.examples = {{"ffs get /data/train.bin .", "a file"},
                      {"ffs get /backup/src.tar - | tar t", "into a pipe"},
                      {"ffs get -r /ckpt/run7 .", "a folder"}};
  return command;
}

cli::Command cat_command() {
  const auto options = std::make_shared<Options>();
  cli::Command command =
      transfer_command(options, "cat", "Write files to standard output", "files of the file system", &Transfer::cat);
  command.examples = {{"ffs cat /logs/today | grep error", "look into a file"}, {"ffs cat /a /b > both", "join two"}};
  return command;
}

cli::Command cp_command() {
  const auto options = std::make_shared<Options>();
  cli::Command command = transfer_command(options, "cp", "Copy files within the file system",
                                          "files of the file system, then where to in it", &Transfer::copy);
  command.description =
      "The bytes pass through this machine. As with put, a file appears whole or not at all, and with -r a copy can be "
      "repeated. The copies belong to who copies, with the permissions of the originals but without their set-id bits.";
  command.examples = {{"ffs cp /data/a /data/b", "a file"}, {"ffs cp -r /data /copy", "a folder"}};
  return command;
}

}  // namespace ff::ffs
