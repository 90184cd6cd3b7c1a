#include "ffbench/ffs/clients.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <mutex>
#include <thread>

#include "ffbench/ffs/ffs_disk.hpp"
#include "libcommon/report/utf8.hpp"

namespace ff::bench {
namespace {

using runtime::Task;

constexpr auto kRemoveLimit = std::chrono::seconds(5);

// A folder goes with all that is in it.
Task<Result<>> remove_one(ffs::FileSystem& fs, std::string path, bool folder) {
  ffs::RemoveRequest request;
  *request.mutable_where() = ffs::at(path_inside(path), false);
  request.set_directory(folder);
  request.set_recursive(folder);
  const auto removed = co_await fs.meta().remove(std::move(request));
  if (removed || removed.error().code() == Errc::kNotFound) co_return {};
  co_return fail(removed.error());
}

Result<> remove_soon(FfsClients& clients, const std::string& path, bool folder) {
  return clients.call(0, {}, [&] [[clang::coro_wrapper]] (ffs::FileSystem & fs) {
    return runtime::with_timeout(kRemoveLimit, "removing what was made", remove_one(fs, path, folder));
  });
}

void say_left(const std::string& path, const Error& why) {
  fmt::print(stderr, "ffbench: {}: was not removed: {}\n", report::printable(path), report::printable(why.message()));
}

}  // namespace

Result<FfsClients> FfsClients::connect(const ffs::ClusterFile& cluster, std::size_t count, runtime::Duration timeout) {
  FfsClients clients;
  for (std::size_t i = 0; i < count; ++i) {
    FF_TRY_ASSIGN(clients.clients_.emplace_back(), ffs::BlockingFileSystem::connect(cluster, "ffbench", timeout));
  }
  return clients;
}

Result<> FfsClients::side_by_side(std::size_t count, std::stop_token stop, const Part& part) {
  std::stop_source end_all;
  const std::stop_callback pass_on(stop, [&end_all] { end_all.request_stop(); });
  std::mutex guard;
  Result<> outcome;  // guarded
  {
    std::vector<std::jthread> threads;
    for (std::size_t i = 0; i < count; ++i)
      threads.emplace_back([&, i] {
        const Result<> done = part(i, end_all.get_token());
        if (done) return;
        end_all.request_stop();
        const std::lock_guard lock(guard);
        if (outcome) outcome = done;
      });
  }
  return outcome;
}

Result<std::string> make_ffs_folder(FfsClients& clients, const std::string& parent, const std::string& prefix) {
  FF_TRY_ASSIGN(std::string above, ffs::clean_path(path_inside(parent)));
  above = above == "/" ? ffs_path("") : ffs_path(above);
  auto made = clients.call(0, {}, [&](ffs::FileSystem& fs) -> Task<Result<std::string>> {
    FfsDisk disk(fs);
    std::string path = fmt::format("{}/{}.{:016x}", above, prefix, fs.env().rng().next());
    FF_CO_TRY(co_await disk.make_folder(path));
    co_return path;
  });
  if (!made) return fail(std::move(made).error().context("cannot make a folder"));
  return made;
}

void remove_ffs_tree(FfsClients& clients, const std::string& path) noexcept {
  if (const Result<> removed = remove_soon(clients, path, true); !removed) say_left(path, removed.error());
}

Result<std::string> FfsRemains::make_folder(const std::string& parent, const std::string& prefix) {
  FF_TRY_ASSIGN(std::string path, make_ffs_folder(clients_, parent, prefix));
  folders_.push_back(path);
  return path;
}

Result<> FfsRemains::make_file(const std::string& path) {
  FF_TRY(clients_.call(0, {}, [&](ffs::FileSystem& fs) -> Task<Result<>> {
    FfsDisk disk(fs);
    FF_CO_TRY_ASSIGN(const auto file,
                     co_await disk.open(ffs_path(path), {.write = true, .create = true, .exclusive = true}));
    co_return co_await file->close();
  }));
  const auto holds = [&path](const std::string& folder) { return ffs_path(path).starts_with(folder + '/'); };
  if (std::ranges::none_of(folders_, holds)) files_.push_back(path);
  return {};
}

void FfsRemains::keep() noexcept {
  files_.clear();
  folders_.clear();
}

void FfsRemains::remove() noexcept {
  bool answered = true;  // after one that nobody answered, the others are only named
  const auto each = [&](std::vector<std::string>& paths, bool folders) {
    for (const std::string& path : paths) {
      const Result<> removed =
          answered ? remove_soon(clients_, path, folders) : fail(Errc::kUnavailable, "nobody answers");
      if (removed) continue;
      say_left(path, removed.error());
      if (removed.error().code() == Errc::kTimeout) answered = false;
    }
    paths.clear();
  };
  each(files_, false);
  each(folders_, true);
}

}  // namespace ff::bench
