#include <fmt/core.h>
#include <stdlib.h>

#include <atomic>
#include <filesystem>
#include <system_error>
#include <thread>

#include "ffbench/measure/clock.hpp"
#include "ffbench/meta/name_system.hpp"
#include "ffbench/meta/operations.hpp"

namespace ff::bench {
namespace {

Result<> carry_out(const MetaStep& step, std::string& scratch) {
  switch (step.phase) {
    case MetaPhase::kMkdir: return make_folder(step.path);
    case MetaPhase::kCreate: return create_file(step.path, step.bytes, step.sync);
    case MetaPhase::kStat: return stat_file(step.path, step.bytes);
    case MetaPhase::kRead: return read_whole(step.path, step.bytes, scratch);
    case MetaPhase::kReaddir: return list_folder(step.path, step.least);
    case MetaPhase::kRename: return rename_file(step.path, step.to);
    case MetaPhase::kUnlink: return remove_file(step.path);
    case MetaPhase::kRmdir: return remove_folder(step.path);
  }
  return {};
}

Result<> run_task(const MetaPlan& plan, MetaPhase phase, std::int64_t task, std::stop_token stop, TaskPart& part) {
  const MetaWalk walk(plan, phase, task);
  std::string scratch;
  for (std::uint64_t i = 0; i < walk.count(); ++i) {
    if (stop.stop_requested()) return fail(Errc::kCancelled, fmt::format("{}: stopped", name_of(phase)));
    FF_TRY(carry_out(walk.step(i), scratch));
    part.note_step();
  }
  return {};
}

class LocalNames final : public NameSystem {
 public:
  Result<std::string> make_own_folder(const std::string& parent) override {
    std::string folder = parent + "/ffbench-meta.XXXXXX";
    if (::mkdtemp(folder.data()) == nullptr)
      return fail(errno_error(fmt::format("{}: cannot make a folder there", parent)));
    return folder;
  }
  Result<> make_folder(const std::string& path) override { return bench::make_folder(path); }
  void remove_tree(const std::string& path) noexcept override {
    std::error_code ignored;  // nobody could do anything about it
    std::filesystem::remove_all(path, ignored);
  }

  Result<std::vector<TaskPart>> run(const MetaPlan& plan, MetaPhase phase, std::stop_token stop) override {
    const auto tasks = static_cast<std::size_t>(plan.tasks());
    std::vector<TaskPart> parts(tasks);
    std::stop_source failed;
    const std::stop_callback pass_on(stop, [&failed] { failed.request_stop(); });
    // All begin together, or go home when not all could be started.
    enum class Order : std::uint8_t { kWait, kWork, kGoHome };
    std::atomic<Order> order = Order::kWait;
    std::vector<std::jthread> threads;
    threads.reserve(tasks);
    const auto work = [&](std::size_t i) {
      order.wait(Order::kWait);
      if (order == Order::kGoHome) return;
      parts[i].begin = ticks_now();
      parts[i].outcome = run_task(plan, phase, static_cast<std::int64_t>(i), failed.get_token(), parts[i]);
      parts[i].end = ticks_now();
      if (!parts[i].outcome) failed.request_stop();
    };
    try {
      for (std::size_t i = 0; i < tasks; ++i) threads.emplace_back(work, i);
    } catch (const std::system_error&) {
      order = Order::kGoHome;
      order.notify_all();
      return fail(
          Errc::kExhausted,
          fmt::format("task {} of {}: its thread was not started (take fewer tasks, or raise the limit of processes)",
                      threads.size() + 1, tasks));
    }
    order = Order::kWork;
    order.notify_all();
    threads.clear();  // joins
    return parts;
  }
};

}  // namespace

std::unique_ptr<NameSystem> local_names() { return std::make_unique<LocalNames>(); }

}  // namespace ff::bench
