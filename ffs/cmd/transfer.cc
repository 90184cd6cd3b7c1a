// put, get, cat, cp: bytes in, out and across.
#include <fmt/core.h>
#include <sys/stat.h>

#include <cerrno>
#include <filesystem>
#include <memory>

#include "ffs/cmd/commands.hpp"
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

// One file under its name only when it is whole: written beside it, then renamed over it.
class NewFile {
 public:
  static Task<Result<std::unique_ptr<NewFile>>> create(FileSystem& fs, std::string path, std::uint32_t mode) {
    const std::string beside =
        join_path(parent_path(path), fmt::format(".{}.{:016x}", base_name(path).substr(0, 200), fs.env().rng().next()));
    FF_CO_TRY_ASSIGN(auto file,
                     co_await fs.open(beside, {.write = true, .create = true, .exclusive = true, .mode = mode}));
    co_return std::unique_ptr<NewFile>(new NewFile(fs, std::move(path), beside, std::move(file)));
  }
  File& file() noexcept { return *file_; }
  Task<Result<>> commit() {
    FF_CO_TRY(co_await file_->close());
    RenameRequest request;
    *request.mutable_from() = at(beside_, false);
    *request.mutable_to() = at(path_, false);
    FF_CO_TRY(co_await fs_.meta().rename(std::move(request)));
    co_return {};
  }
  // After an error; what is left is removed as well as it can be.
  Task<void> drop() {
    (void)co_await file_->close();
    RemoveRequest request;
    *request.mutable_where() = at(beside_, false);
    (void)co_await fs_.meta().remove(std::move(request));
  }

 private:
  NewFile(FileSystem& fs, std::string path, std::string beside, std::unique_ptr<File> file)
      : fs_(fs), path_(std::move(path)), beside_(std::move(beside)), file_(std::move(file)) {}
  FileSystem& fs_;
  std::string path_, beside_;
  std::unique_ptr<File> file_;
};

class Transfer {
 public:
  Transfer(FileSystem& fs, const Options& options, const char* what)
      : fs_(fs), options_(options), progress_({.label = what, .bytes = true, .enabled = options.progress.enabled()}) {}

  Task<Result<int>> put() {
    FF_CO_TRY_ASSIGN(const bool inside, co_await target_is_folder());
    for (const std::string& from : sources()) {
      if (from == "-" && inside) {
        co_return fail(Errc::kInvalidArgument,
                       fmt::format("{}: a folder, and standard input has no name (give a path)", target()), EISDIR);
      }
      const std::string name = local::path(from).lexically_normal().filename().string();
      FF_CO_TRY_ASSIGN(const std::string to, clean_path(inside ? join_path(target(), name) : target()));
      std::error_code error;
      if (from != "-" && local::is_directory(from, error)) {
        if (!options_.recursive) co_return fail(Errc::kInvalidArgument, from + ": a folder (take it with -r)", EISDIR);
        FF_CO_TRY(co_await put_folder(from, to));
      } else {
        FF_CO_TRY(co_await put_file(from, to));
      }
    }
    progress_.finish();
    co_return 0;
  }

  Task<Result<int>> get() {
    std::error_code error;
    const bool inside = local::is_directory(target(), error);
    if (!inside && options_.paths.size() > 2)
      co_return fail(Errc::kInvalidArgument, target() + ": no folder (several files need one)", ENOTDIR);
    for (const std::string& from : sources()) {
      FF_CO_TRY_ASSIGN(const std::string clean, clean_path(from));
      const std::string to =
          inside ? (local::path(target()) / (clean == "/" ? "" : base_name(clean))).string() : target();
      FF_CO_TRY_ASSIGN(const Attributes attributes, co_await fs_.stat(clean));
      if (attributes.type() == DIRECTORY) {
        if (!options_.recursive) co_return fail(Errc::kInvalidArgument, from + ": a folder (take it with -r)", EISDIR);
        FF_CO_TRY(co_await get_folder(clean, to));
      } else {
        FF_CO_TRY(co_await get_file(clean, to, attributes.mode()));
      }
    }
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
          co_return fail(Errc::kInvalidArgument,
                         fmt::format("{}: lies in {}, which would be copied for ever", to, clean), EINVAL);
        }
        FF_CO_TRY(co_await copy_folder(clean, to));
      } else {
        FF_CO_TRY(co_await copy_file(clean, to, attributes.mode()));
      }
    }
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

  Task<Result<>> make_folder(std::string path, std::uint32_t mode) {
    MakeDirectoryRequest request;
    *request.mutable_where() = at(path);
    request.set_mode(mode);
    const auto made = co_await fs_.meta().make_directory(std::move(request));
    if (!made && !is_errno(made.error(), EEXIST)) co_return fail(made.error());
    co_return {};
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
    struct stat facts{};
    const bool known = from != "-" && ::stat(from.c_str(), &facts) == 0;
    FF_CO_TRY(co_await fill(*source, to, known ? facts.st_mode & 0777u : 0644u));
    co_return {};
  }

  Task<Result<>> put_folder(std::string from, std::string to) {
    FF_CO_TRY(co_await make_folder(to, 0755));
    std::error_code error;
    auto entry = local::recursive_directory_iterator(from, error);
    for (; !error && entry != local::recursive_directory_iterator(); entry.increment(error)) {
      const std::string below = join_path(to, entry->path().lexically_relative(from).string());
      if (entry->is_symlink(error)) {
        MakeSymlinkRequest request;
        *request.mutable_where() = at(below, false);
        request.set_target(local::read_symlink(entry->path(), error).string());
        FF_CO_TRY(co_await fs_.meta().make_symlink(std::move(request)));
      } else if (entry->is_directory(error)) {
        FF_CO_TRY(co_await make_folder(below, 0755));
      } else if (entry->is_regular_file(error)) {
        FF_CO_TRY(co_await put_file(entry->path().string(), below));
      } else {
        co_return fail(Errc::kUnsupported, entry->path().string() + ": neither file, folder nor link (leave it out)");
      }
    }
    if (error) co_return fail(errno_error(from, error.value()));
    co_return {};
  }

  Task<Result<>> get_file(std::string from, std::string to, std::uint32_t mode) {
    FF_CO_TRY_ASSIGN(auto file, co_await fs_.open(from, {}));
    FileSource source(*file);
    Result<> done;
    if (auto sink = to == "-" ? Result<std::unique_ptr<LocalSink>>(LocalSink::standard_output(fs_.env()))
                              : LocalSink::create(fs_.env(), to, mode & 0777u)) {
      const auto pumped = co_await pump(source, **sink, [this](std::uint64_t bytes) { moved(bytes); });
      done = pumped ? co_await (*sink)->commit() : Result<>(fail(pumped.error()));
    } else {
      done = fail(std::move(sink).error());
    }
    FF_CO_TRY(co_await file->close());
    if (!done) co_return fail(Error(done.error()).context(from));
    co_return {};
  }

  Task<Result<>> get_folder(std::string from, std::string to) {
    std::vector<Found> all;
    Result<> trouble;
    FF_CO_TRY(co_await walk(
        fs_, from, [&](const Found& found) { return all.push_back(found), true; },
        [&](const std::string&, const Error& error) { trouble = fail(error); }));
    FF_CO_TRY(std::move(trouble));
    for (const Found& found : all) {
      const std::string below =
          (local::path(to) / found.path.substr(from == "/" ? 1 : std::min(from.size() + 1, found.path.size())))
              .string();
      std::error_code error;
      if (found.attributes.type() == DIRECTORY) {
        local::create_directories(below, error);
      } else if (found.attributes.type() == SYMLINK) {
        local::create_symlink(found.attributes.target(), below, error);
      } else {
        FF_CO_TRY(co_await get_file(found.path, below, found.attributes.mode()));
      }
      if (error) co_return fail(errno_error(below, error.value()));
    }
    co_return {};
  }

  Task<Result<>> copy_file(std::string from, std::string to, std::uint32_t mode) {
    FF_CO_TRY_ASSIGN(auto file, co_await fs_.open(from, {}));
    FileSource source(*file);
    const Result<> done = co_await fill(source, to, mode & 07777u);
    FF_CO_TRY(co_await file->close());
    co_return done;
  }

  Task<Result<>> copy_folder(std::string from, std::string to) {
    std::vector<Found> all;
    Result<> trouble;
    FF_CO_TRY(co_await walk(
        fs_, from, [&](const Found& found) { return all.push_back(found), true; },
        [&](const std::string&, const Error& error) { trouble = fail(error); }));
    FF_CO_TRY(std::move(trouble));
    for (const Found& found : all) {
      const std::string rest = found.path.substr(from == "/" ? 0 : from.size());
      const std::string below = rest.empty() || rest == "/" ? to : (to == "/" ? "" : to) + rest;
      if (found.attributes.type() == DIRECTORY) {
        FF_CO_TRY(co_await make_folder(below, found.attributes.mode()));
      } else if (found.attributes.type() == SYMLINK) {
        MakeSymlinkRequest request;
        *request.mutable_where() = at(below, false);
        request.set_target(found.attributes.target());
        FF_CO_TRY(co_await fs_.meta().make_symlink(std::move(request)));
      } else {
        FF_CO_TRY(co_await copy_file(found.path, below, found.attributes.mode()));
      }
    }
    co_return {};
  }

  FileSystem& fs_;
  const Options& options_;
  cli::Progress progress_;
  std::uint64_t bytes_ = 0;
};

const std::vector<cli::ExitCode> kCodes = {{130, "stopped by Ctrl-C (143: by SIGTERM); no file is half written"}};

cli::Command transfer_command(const std::shared_ptr<Options>& options, std::string name, std::string summary,
                              const char* paths_help, Task<Result<int>> (Transfer::*run)()) {
  cli::Command command;
  command.name = name;
  command.summary = std::move(summary);
  command.options.push_back(
      {.names = "path", .target = &options->paths, .help = paths_help, .value_name = "PATH", .required = true});
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
      "when this is "
      "killed. Into a folder that exists, it keeps its name.";
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
  command.description = "A local file appears under its name only when it is whole.";
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
  command.description = "The bytes pass through this machine. As with put, a file appears whole or not at all.";
  command.examples = {{"ffs cp /data/a /data/b", "a file"}, {"ffs cp -r /data /copy", "a folder"}};
  return command;
}

}  // namespace ff::ffs
