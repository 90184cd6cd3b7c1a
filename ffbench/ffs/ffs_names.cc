#include "ffbench/ffs/ffs_names.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "ffbench/ffs/ffs_disk.hpp"
#include "ffbench/measure/clock.hpp"

namespace ff::bench {
namespace {

using runtime::Task;

constexpr std::uint64_t kPiece = 1 << 20;

Task<Result<>> write_zeros(runtime::File& file, std::uint64_t bytes, bool sync) {
  static const std::vector<std::byte> zeros(kPiece);
  for (std::uint64_t at = 0; at < bytes; at += kPiece)
    FF_CO_TRY(co_await file.write(at, std::span(zeros).first(std::min(kPiece, bytes - at))));
  if (sync) FF_CO_TRY(co_await file.sync());
  co_return {};
}

Task<Result<>> create(runtime::Disk& disk, const MetaStep& step) {
  FF_CO_TRY_ASSIGN(const auto file, co_await disk.open(step.path, {.write = true, .create = true, .exclusive = true}));
  const Result<> written = co_await write_zeros(*file, step.bytes, step.sync);
  const Result<> closed = co_await file->close();
  co_return written ? closed : written;
}

Error other_length(const MetaStep& step, std::uint64_t found) {
  return {Errc::kCorrupt, fmt::format("{}: has {} bytes, {} were written", step.path, found, step.bytes)};
}

Task<Result<>> look(runtime::Disk& disk, const MetaStep& step) {
  FF_CO_TRY_ASSIGN(const runtime::FileInfo found, co_await disk.info(step.path));
  if (found.bytes != step.bytes) co_return fail(other_length(step, found.bytes));
  co_return {};
}

// To its end, which a read that gives nothing shows.
Task<Result<>> read_whole(runtime::Disk& disk, const MetaStep& step, std::vector<std::byte>& scratch) {
  FF_CO_TRY_ASSIGN(const auto file, co_await disk.open(step.path, {}));
  scratch.resize(std::min(kPiece, step.bytes + 1));
  std::uint64_t all = 0;
  for (std::size_t got = 1; got > 0; all += got) {
    FF_CO_TRY_ASSIGN(got, co_await file->read(all, scratch));
  }
  FF_CO_TRY(co_await file->close());
  if (all != step.bytes) co_return fail(other_length(step, all));
  co_return {};
}

Task<Result<>> list(runtime::Disk& disk, const MetaStep& step) {
  FF_CO_TRY_ASSIGN(const auto names, co_await disk.list(step.path));
  if (static_cast<std::int64_t>(names.size()) >= step.least) co_return {};
  co_return fail(Errc::kCorrupt,
                 fmt::format("{}: lists {} entries, {} were made there", step.path, names.size(), step.least));
}

Task<Result<>> remove(ffs::FileSystem& fs, const MetaStep& step, bool folder) {
  ffs::RemoveRequest request;
  *request.mutable_where() = ffs::at(path_inside(step.path), false);
  request.set_directory(folder);
  const auto removed = co_await fs.meta().remove(std::move(request));
  if (!removed) co_return fail(Error(removed.error()).context(step.path));
  co_return {};
}

// The step outlives the task.
Task<Result<>> carry_out(ffs::FileSystem& fs, FfsDisk& disk, const MetaStep& step, std::vector<std::byte>& scratch) {
  switch (step.phase) {
    case MetaPhase::kMkdir: co_return co_await disk.make_folder(step.path);
    case MetaPhase::kCreate: co_return co_await create(disk, step);
    case MetaPhase::kStat: co_return co_await look(disk, step);
    case MetaPhase::kRead: co_return co_await read_whole(disk, step, scratch);
    case MetaPhase::kReaddir: co_return co_await list(disk, step);
    case MetaPhase::kRename: co_return co_await disk.rename(step.path, step.to);
    case MetaPhase::kUnlink: co_return co_await remove(fs, step, false);
    case MetaPhase::kRmdir: co_return co_await remove(fs, step, true);
  }
  co_return {};
}

Task<Result<>> run_steps(ffs::FileSystem& fs, const MetaPlan& plan, MetaPhase phase, std::int64_t task,
                         std::stop_token stop, TaskPart& part) {
  const MetaWalk walk(plan, phase, task);
  FfsDisk disk(fs);
  std::vector<std::byte> scratch;
  for (std::uint64_t i = 0; i < walk.count(); ++i) {
    if (stop.stop_requested()) co_return fail(Errc::kCancelled, fmt::format("{}: stopped", name_of(phase)));
    const MetaStep step = walk.step(i);
    FF_CO_TRY_CTX(co_await carry_out(fs, disk, step, scratch), name_of(phase));
    part.note_step();
  }
  co_return {};
}

Task<Result<>> run_task(ffs::FileSystem& fs, const MetaPlan& plan, MetaPhase phase, std::int64_t task,
                        std::stop_source failed, TaskPart& part) {
  part.begin = ticks_now();
  part.outcome = co_await run_steps(fs, plan, phase, task, failed.get_token(), part);
  part.end = ticks_now();
  if (!part.outcome) failed.request_stop();
  co_return {};
}

class FfsNames final : public NameSystem {
 public:
  explicit FfsNames(FfsClients clients) : clients_(std::move(clients)) {}

  Result<std::string> make_own_folder(const std::string& parent) override {
    return make_ffs_folder(clients_, parent, "ffbench-meta");
  }
  Result<> make_folder(const std::string& path) override {
    return clients_.call(0, {}, [&](ffs::FileSystem& fs) -> Task<Result<>> {
      FfsDisk disk(fs);
      co_return co_await disk.make_folder(path);
    });
  }
  void remove_tree(const std::string& path) noexcept override { remove_ffs_tree(clients_, path); }

  Result<std::vector<TaskPart>> run(const MetaPlan& plan, MetaPhase phase, std::stop_token stop) override {
    std::vector<TaskPart> parts(static_cast<std::size_t>(plan.tasks()));
    std::stop_source failed;
    const std::stop_callback pass_on(stop, [&failed] { failed.request_stop(); });
    const auto body = [&](std::size_t client, ffs::FileSystem& fs, std::stop_token) -> Task<Result<>> {
      co_return co_await runtime::with_scope([&](runtime::Scope& scope) -> Task<Result<>> {
        for (std::size_t task = client; task < parts.size(); task += clients_.size())
          scope.spawn(run_task(fs, plan, phase, static_cast<std::int64_t>(task), failed, parts[task]));
        co_return {};
      });
    };
    FF_TRY(clients_.call_each(std::min(clients_.size(), parts.size()), failed.get_token(), body));
    return parts;
  }

 private:
  FfsClients clients_;
};

}  // namespace

std::unique_ptr<NameSystem> ffs_names(FfsClients clients) { return std::make_unique<FfsNames>(std::move(clients)); }

}  // namespace ff::bench
