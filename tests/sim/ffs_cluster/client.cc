#include "tests/sim/ffs_cluster/client.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cerrno>

#include "ffs/client/file_system.hpp"
#include "ffs/cluster/cluster_file.hpp"
#include "libcommon/runtime/sleep.hpp"

namespace ff::sim {

using namespace std::chrono_literals;
using runtime::Task;
using testing::RegisterOpKind;
using testing::SimEnv;

namespace {

constexpr std::uint32_t kSetup = 90;  // client numbers of those who prepare and look
constexpr std::uint32_t kOnlooker = 91;
constexpr runtime::Duration kTimeout = 12s;
// Where clients meet: about the borders of chunks.
constexpr std::uint64_t kHotCells[] = {0, 14, 15, 16, 17, 31, 32, 40};
constexpr std::uint64_t kCuts[] = {48, 41, 33, 32, 17, 16, 15, 0};

ffs::FileSystemOptions options(const ffs::ClusterFile& cluster, std::uint32_t client) {
  return {.managers = cluster.managers(),
          .cluster = ffs::cluster_bytes(cluster),
          .caller = {},
          .host = fmt::format("host{}", client),
          .what = "simulation",
          .timeout = kTimeout};
}

std::string data_path(std::uint64_t file) { return fmt::format("/data/{}", file); }
constexpr const char* kSmallPath = "/data/small";
std::string shared_path(std::uint64_t name) { return fmt::format("/shared/{}", name); }

// Nobody answered in time, or nobody could: the outcome is not known.
bool passes(const Error& error) {
  return error.code() == Errc::kTimeout || error.code() == Errc::kUnavailable || error.code() == Errc::kExhausted;
}

class Client {
 public:
  Client(SimEnv& env, ffs::FileSystem& fs, Workload& work, std::uint32_t number, OwnNames* names)
      : env_(env), fs_(fs), work_(work), number_(number), names_(names) {}

  Task<Result<>> operate_once() {
    const std::uint64_t what = env_.rng().below(100);
    if (what < 28) co_return co_await read_range();
    if (what < 54) co_return co_await write_range();
    if (what < 60) co_return co_await truncate();
    if (what < 64) co_return co_await close_one();
    if (what < 70) co_return co_await write_small();
    if (what < 75) co_return co_await read_small();
    if (what < 84) co_return co_await make_name();
    if (what < 88) co_return co_await remove_name();
    if (what < 92) co_return co_await rename_name();
    if (what < 95) co_return co_await look_at_name();
    co_return co_await shared_name();
  }

  Task<Result<>> make_folders(std::size_t clients) {
    std::vector<std::string> folders = {"/data", "/shared"};
    for (std::size_t i = 0; i < clients; ++i) folders.push_back(work_.names[i].folder());
    for (const std::string& folder : folders) {
      ffs::MakeDirectoryRequest request;
      *request.mutable_where() = ffs::at(folder);
      request.set_mode(0755);
      FF_CO_TRY(co_await fs_.meta().make_directory(std::move(request)));
    }
    co_return {};
  }

  Task<Result<>> make_files() {
    for (std::uint64_t file = 0; file < kSharedFiles; ++file) {
      FF_CO_TRY_ASSIGN(Handle* const handle, co_await handle_of(file, true));
      FF_CO_TRY(co_await write_cells(*handle, {file, 0, kFileCells}, true));
    }
    FF_CO_TRY_ASSIGN(const auto small, co_await fs_.open(kSmallPath, {.write = true, .create = true}));
    FF_CO_TRY(co_await small->close());
    FF_CO_TRY(co_await close_all());
    co_return co_await write_small();
  }

  // Everything there is, as it stands.
  Task<Result<>> look_at_all() {
    for (std::uint64_t file = 0; file < kSharedFiles; ++file) {
      FF_CO_TRY_ASSIGN(Handle* const handle, co_await handle_of(file, false));
      FF_CO_TRY(co_await read_cells(*handle, {file, 0, kFileCells}));
    }
    FF_CO_TRY(co_await read_small());
    for (std::uint64_t name = 0; name < kSharedNames; ++name) FF_CO_TRY(co_await stat_shared(name));
    for (const OwnNames& names : work_.names) FF_CO_TRY(co_await look_at_names(names, true));
    co_return co_await close_all();
  }

  Task<Result<>> close_all() {
    while (!handles_.empty()) {
      const std::uint64_t file = handles_.begin()->first;
      FF_CO_TRY(co_await close_handle(file));
    }
    co_return {};
  }

 private:
  struct Handle {
    std::unique_ptr<ffs::File> file;
    std::uint64_t number = 0;
  };

  // An error that may be is noted; another one convicts.
  Result<> bear(const Error& error, const std::string& what) {
    if (!passes(error)) return fail(Error(error).context(fmt::format("client {}: {}", number_, what)));
    ++work_.refused[std::string(errc_name(error.code()))];
    env_.note(fmt::format("{}: {}", what, error.message()));
    return {};
  }
  static int posix_of(const Error& error) { return error.sys_errno(); }

  // ---- shared files ------------------------------------------------------------------------------------------------

  Task<Result<Handle*>> handle_of(std::uint64_t file, bool create) {
    const auto found = handles_.find(file);
    if (found != handles_.end()) co_return &found->second;
    FF_CO_TRY_ASSIGN(auto opened, co_await fs_.open(data_path(file), {.write = true, .create = create}));
    Handle& handle = handles_[file];
    handle = {std::move(opened), work_.history.new_handle()};
    co_return &handle;
  }

  FileHistory::Range random_range() {
    const std::uint64_t first = kHotCells[env_.rng().below(std::size(kHotCells))];
    const std::uint64_t count = env_.rng().below(10) == 0 ? kFileCells - first : 1 + env_.rng().below(3);
    return {env_.rng().below(kSharedFiles), first, std::min(count, kFileCells - first)};
  }

  Task<Result<>> read_range() {
    const FileHistory::Range range = random_range();
    auto handle = co_await handle_of(range.file, false);
    if (!handle) co_return bear(handle.error(), "open");
    co_return co_await read_cells(**handle, range);
  }

  Task<Result<>> read_cells(Handle& handle, FileHistory::Range range) {
    std::vector<std::byte> bytes(range.bytes());
    const auto read = work_.history.begin_read(number_, handle.number, range);
    const auto got = co_await handle.file->read(range.offset(), bytes);
    if (!got) co_return bear(got.error(), "read");
    env_.note(fmt::format("read {}: {} bytes", shown(handle, range), *got));
    co_return work_.history.end_read(read, std::span(bytes).first(*got));
  }

  Task<Result<>> write_range() {
    const FileHistory::Range range = random_range();
    const bool sync = env_.rng().below(3) != 0;
    auto handle = co_await handle_of(range.file, false);
    if (!handle) co_return bear(handle.error(), "open");
    co_return co_await write_cells(**handle, range, sync);
  }

  Task<Result<>> write_cells(Handle& handle, FileHistory::Range range, bool sync) {
    const auto write = work_.history.begin_write(number_, handle.number, range);
    const auto bytes = stamped(write.stamp, range.file, range.offset(), range.bytes());
    const Result<> written = co_await handle.file->write(range.offset(), bytes);
    if (!written && ffs_stale(written.error())) co_return {};  // truncated again while it was repeated
    if (!written) co_return bear(written.error(), "write");
    work_.history.end_write(write);
    env_.note(fmt::format("wrote {} to {}", text(write.stamp), shown(handle, range)));
    if (!sync) co_return {};
    const auto settles = work_.history.unsettled(handle.number);
    const Result<> synced = co_await handle.file->sync();
    if (!synced) co_return bear(synced.error(), "sync");
    work_.history.settle(settles);
    env_.note(fmt::format("synced handle {}: {} bytes", handle.number, handle.file->size()));
    co_return {};
  }

  static std::string shown(const Handle& handle, const FileHistory::Range& range) {
    return fmt::format("file {} cells {}+{} by handle {}", range.file, range.first, range.count, handle.number);
  }
  static bool ffs_stale(const Error& error) { return error.message().find("stale epoch") != std::string::npos; }

  Task<Result<>> truncate() {
    const std::uint64_t file = env_.rng().below(kSharedFiles);
    const std::uint64_t cells = kCuts[env_.rng().below(std::size(kCuts))];
    auto handle = co_await handle_of(file, false);
    if (!handle) co_return bear(handle.error(), "open");
    const auto cut = work_.history.begin_truncate(number_, file, cells);
    const Result<> done = co_await (*handle)->file->truncate(cells * kCellBytes);
    if (!done) co_return bear(done.error(), "truncate");
    work_.history.end_truncate(cut);
    env_.note(fmt::format("truncated file {} to {} cells by handle {}", file, cells, (*handle)->number));
    co_return {};
  }

  Task<Result<>> close_one() {
    if (handles_.empty()) co_return {};
    auto chosen = handles_.begin();
    std::advance(chosen, env_.rng().below(handles_.size()));
    co_return co_await close_handle(chosen->first);
  }

  Task<Result<>> close_handle(std::uint64_t file) {
    auto node = handles_.extract(file);
    const auto settles = work_.history.unsettled(node.mapped().number);
    const Result<> closed = co_await node.mapped().file->close();
    if (!closed) co_return bear(closed.error(), "close");
    work_.history.settle(settles);
    env_.note(fmt::format("closed file {}, handle {}", file, node.mapped().number));
    co_return {};
  }

  // ---- the small file ----------------------------------------------------------------------------------------------

  std::size_t begin_small(RegisterOpKind kind, testing::RegisterValue value) {
    return work_.history.registers().begin({.kind = kind,
                                            .client = number_,
                                            .key = "small file",
                                            .expected = {},
                                            .value = std::move(value),
                                            .returned = {}},
                                           env_.world().now());
  }

  // Whole, so that the last close wins.
  Task<Result<>> write_small() {
    const Stamp stamp{number_, work_.history.next_sequence()};
    const auto bytes = stamped(stamp, kSmallFile, 0, kSmallBytes);
    const auto opened = co_await fs_.open(kSmallPath, {.write = true});
    if (!opened) co_return bear(opened.error(), "open");
    const auto id = begin_small(RegisterOpKind::kWrite, text(stamp));
    FF_CO_TRY(co_await (*opened)->write(0, bytes));
    const Result<> closed = co_await (*opened)->close();
    if (closed) {
      work_.history.registers().end_write(id, env_.world().now());
      co_return {};
    }
    if (posix_of(closed.error()) == ESTALE) {  // another one was faster
      work_.history.registers().drop(id);
      co_return {};
    }
    co_return bear(closed.error(), "close of the small file");
  }

  Task<Result<>> read_small() {
    const auto id = begin_small(RegisterOpKind::kRead, std::nullopt);
    const auto opened = co_await fs_.open(kSmallPath, {});
    if (!opened) co_return bear(opened.error(), "open");
    std::vector<std::byte> bytes(kSmallBytes);
    const auto got = co_await (*opened)->read(0, bytes);
    if (!got) co_return bear(got.error(), "read of the small file");
    FF_CO_TRY_ASSIGN(auto value, stamp_of(std::span(bytes).first(*got), kSmallFile, 0));
    work_.history.registers().end_read(id, std::move(value), env_.world().now());
    co_return {};
  }

  // ---- names -------------------------------------------------------------------------------------------------------

  std::uint32_t new_mode() { return ++work_.next_mode % 4095 + 1; }

  Task<Result<>> make_name() {
    const std::string name = names_->fresh();
    const bool directory = env_.rng().below(4) == 0;
    (*names_)[name] = {.presence = Presence::kUncertain, .directory = directory, .mode = new_mode(), .content = {}};
    const std::uint32_t mode = (*names_)[name].mode;
    if (directory) {
      ffs::MakeDirectoryRequest request;
      *request.mutable_where() = ffs::at(names_->path(name));
      request.set_mode(mode);
      const auto made = co_await fs_.meta().make_directory(std::move(request));
      if (!made) co_return bear(made.error(), "mkdir " + names_->path(name));
      (*names_)[name].presence = Presence::kPresent;
      co_return {};
    }
    const auto opened =
        co_await fs_.open(names_->path(name), {.write = true, .create = true, .exclusive = true, .mode = mode});
    if (!opened) co_return bear(opened.error(), "create " + names_->path(name));
    (*names_)[name].presence = Presence::kPresent;
    const std::string content = names_->path(name) + std::string(env_.rng().below(2) == 0 ? 20 : 20000, '.');
    const Result<> written = co_await (*opened)->write(0, std::as_bytes(std::span(content)));
    if (!written) co_return bear(written.error(), "write of " + names_->path(name));
    const Result<> closed = co_await (*opened)->close();
    if (!closed) co_return bear(closed.error(), "close of " + names_->path(name));
    (*names_)[name].content = content;
    co_return {};
  }

  // Nothing: there is no file.
  std::string random_file() {
    const std::vector<std::string> files = names_->files();
    return files.empty() ? "" : files[env_.rng().below(files.size())];
  }

  Task<Result<>> remove_name() {
    const std::string name = random_file();
    if (name.empty()) co_return {};
    (*names_)[name].presence = Presence::kUncertain;
    ffs::RemoveRequest request;
    *request.mutable_where() = ffs::at(names_->path(name), false);
    const auto removed = co_await fs_.meta().remove(std::move(request));
    if (!removed) co_return bear(removed.error(), "unlink " + names_->path(name));
    (*names_)[name].presence = Presence::kAbsent;
    co_return {};
  }

  Task<Result<>> rename_to(const std::string& name, std::string to) {
    ffs::RenameRequest request;
    *request.mutable_from() = ffs::at(names_->path(name), false);
    *request.mutable_to() = ffs::at(std::move(to), false);
    const auto moved = co_await fs_.meta().rename(std::move(request));
    if (!moved) co_return fail(moved.error());
    co_return {};
  }

  Task<Result<>> rename_name() {
    const std::string name = random_file();
    if (name.empty()) co_return {};
    const std::string to = names_->fresh();
    const OwnName before = (*names_)[name];
    (*names_)[name].presence = Presence::kUncertain;
    (*names_)[to] = before;
    (*names_)[to].presence = Presence::kUncertain;
    const Result<> moved = co_await rename_to(name, names_->path(to));
    if (!moved) co_return bear(moved.error(), fmt::format("rename {} to {}", names_->path(name), to));
    (*names_)[name].presence = Presence::kAbsent;
    (*names_)[to].presence = Presence::kPresent;
    co_return {};
  }

  Task<Result<>> look_at_name() {
    if (env_.rng().below(3) == 0) co_return co_await look_at_names(*names_, false);
    const std::string name = random_file();
    if (name.empty()) co_return {};
    co_return co_await look_at_file(*names_, name);
  }

  Task<Result<>> look_at_file(const OwnNames& names, std::string name) {
    const OwnName known = *names.find(name);
    const auto opened = co_await fs_.open(names.path(name), {});
    if (!opened) co_return bear(opened.error(), "open of " + names.path(name));
    const ffs::Attributes& attributes = (*opened)->attributes();
    if (attributes.mode() != known.mode)
      co_return fail(Errc::kCorrupt, fmt::format("{}: is another file (mode {:o}, made with {:o})", names.path(name),
                                                 attributes.mode(), known.mode));
    if (!known.content) co_return {};
    std::string content(known.content->size() + 1, '\0');
    const auto got = co_await (*opened)->read(0, std::as_writable_bytes(std::span(content)));
    if (!got) co_return bear(got.error(), "read of " + names.path(name));
    content.resize(*got);
    if (content == *known.content) co_return {};
    const auto differs = std::ranges::mismatch(content, *known.content).in1 - content.begin();
    co_return fail(Errc::kCorrupt, fmt::format("{}: {} bytes, closed with {}; the first {} are right", names.path(name),
                                               content.size(), known.content->size(), differs));
  }

  Task<Result<>> look_at_names(const OwnNames& names, bool contents) {
    std::vector<std::string> listed;
    const Result<> done = co_await fs_.list(names.folder(), false, [&](const ffs::Entry& entry) {
      listed.push_back(entry.name());
      return true;
    });
    if (!done) co_return bear(done.error(), "list");
    FF_CO_TRY(names.check(listed));
    if (!contents) co_return {};
    for (const std::string& name : names.files()) FF_CO_TRY(co_await look_at_file(names, name));
    co_return {};
  }

  // ---- names that all use ------------------------------------------------------------------------------------------

  std::size_t begin_shared(RegisterOpKind kind, std::uint64_t name, testing::RegisterValue value) {
    return work_.history.registers().begin({.kind = kind,
                                            .client = number_,
                                            .key = shared_path(name),
                                            .expected = {},
                                            .value = std::move(value),
                                            .returned = {}},
                                           env_.world().now());
  }

  Task<Result<>> shared_name() {
    const std::uint64_t name = env_.rng().below(kSharedNames);
    const std::uint64_t what = env_.rng().below(8);
    if (what < 3) co_return co_await create_shared(name);
    if (what < 5) co_return co_await remove_shared(name);
    if (what < 6) co_return co_await rename_to_shared(name);
    co_return co_await stat_shared(name);
  }

  Task<Result<>> create_shared(std::uint64_t name) {
    const std::uint32_t mode = new_mode();
    const auto id = begin_shared(RegisterOpKind::kCompareAndSet, name, std::to_string(mode));
    const auto made =
        co_await fs_.open(shared_path(name), {.write = true, .create = true, .exclusive = true, .mode = mode});
    if (!made && posix_of(made.error()) != EEXIST) co_return bear(made.error(), "create " + shared_path(name));
    work_.history.registers().end_compare_and_set(id, made.has_value(), env_.world().now());
    if (!made) co_return {};
    const Result<> closed = co_await (*made)->close();
    if (!closed && posix_of(closed.error()) == 0) co_return bear(closed.error(), "close of " + shared_path(name));
    co_return {};
  }

  Task<Result<>> remove_shared(std::uint64_t name) {
    const auto write = begin_shared(RegisterOpKind::kWrite, name, std::nullopt);
    const auto read = begin_shared(RegisterOpKind::kRead, name, std::nullopt);
    ffs::RemoveRequest request;
    *request.mutable_where() = ffs::at(shared_path(name), false);
    const auto removed = co_await fs_.meta().remove(std::move(request));
    if (removed) {
      work_.history.registers().end_write(write, env_.world().now());
      work_.history.registers().drop(read);
    } else if (posix_of(removed.error()) == ENOENT) {
      work_.history.registers().end_read(read, std::nullopt, env_.world().now());
      work_.history.registers().drop(write);
    } else {
      co_return bear(removed.error(), "unlink " + shared_path(name));
    }
    co_return {};
  }

  Task<Result<>> rename_to_shared(std::uint64_t name) {
    const std::string from = random_file();
    if (from.empty()) co_return {};
    OwnName& own = (*names_)[from];
    own.presence = Presence::kUncertain;
    const auto id = begin_shared(RegisterOpKind::kWrite, name, std::to_string(own.mode));
    const Result<> moved = co_await rename_to(from, shared_path(name));
    if (!moved) co_return bear(moved.error(), fmt::format("rename {} to {}", names_->path(from), shared_path(name)));
    (*names_)[from].presence = Presence::kAbsent;
    work_.history.registers().end_write(id, env_.world().now());
    co_return {};
  }

  Task<Result<>> stat_shared(std::uint64_t name) {
    const auto id = begin_shared(RegisterOpKind::kRead, name, std::nullopt);
    const auto found = co_await fs_.stat(shared_path(name));
    if (!found && posix_of(found.error()) != ENOENT) co_return bear(found.error(), "stat " + shared_path(name));
    work_.history.registers().end_read(id, found ? testing::RegisterValue(std::to_string(found->mode())) : std::nullopt,
                                       env_.world().now());
    co_return {};
  }

  SimEnv& env_;
  ffs::FileSystem& fs_;
  Workload& work_;
  const std::uint32_t number_;
  OwnNames* const names_;
  std::map<std::uint64_t, Handle> handles_;
};

Task<Result<std::unique_ptr<ffs::FileSystem>>> connect(SimEnv& env, const ffs::ClusterFile& cluster,
                                                       std::uint32_t client) {
  for (;;) {
    auto fs = co_await ffs::FileSystem::connect(env, options(cluster, client));
    if (fs || !passes(fs.error())) co_return std::move(fs);
    FF_CO_TRY(co_await runtime::sleep(100ms));
  }
}

}  // namespace

Workload::Workload(testing::SimWorld& world, std::size_t clients, std::size_t operations)
    : history(world, kFileCells), left(clients, operations) {
  for (std::size_t i = 0; i < clients; ++i) names.emplace_back(fmt::format("/own{}", i));
}

bool Workload::done() const {
  return std::ranges::all_of(left, [](std::size_t n) { return n == 0; });
}

Task<Result<>> prepare_files(SimEnv& env, const ffs::ClusterFile& cluster, Workload& work) {
  FF_CO_TRY_ASSIGN(const auto fs, co_await connect(env, cluster, kSetup));
  Result<> done;
  {
    Client client(env, *fs, work, kSetup, nullptr);
    done = co_await client.make_folders(work.names.size());
    if (done) done = co_await client.make_files();
  }
  co_await fs->stop();
  co_return done;
}

Task<Result<>> run_client(SimEnv& env, const ffs::ClusterFile& cluster, Workload& work, std::size_t index) {
  FF_CO_TRY_ASSIGN(const auto fs, co_await connect(env, cluster, static_cast<std::uint32_t>(index)));
  Result<> done;
  {
    Client client(env, *fs, work, static_cast<std::uint32_t>(index), &work.names[index]);
    while (done && work.left[index] > 0) {
      --work.left[index];
      const auto most = static_cast<std::uint64_t>(work.spread.count());
      done = co_await runtime::sleep(runtime::Duration(static_cast<std::int64_t>(env.rng().below(most))));
      if (done) done = co_await client.operate_once();
    }
    if (done) done = co_await client.close_all();
  }
  if (!done) env.world().convict(done.error().message());
  co_await fs->stop();
  co_return done;
}

Task<Result<>> look_at_all(SimEnv& env, const ffs::ClusterFile& cluster, Workload& work) {
  FF_CO_TRY_ASSIGN(const auto fs, co_await connect(env, cluster, kOnlooker));
  Result<> done;
  {
    Client client(env, *fs, work, kOnlooker, nullptr);
    done = co_await client.look_at_all();
  }
  co_await fs->stop();
  co_return done;
}

}  // namespace ff::sim
