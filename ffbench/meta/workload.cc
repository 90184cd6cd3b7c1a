#include "ffbench/meta/workload.hpp"

#include <fmt/core.h>
#include <stdlib.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <numeric>
#include <optional>
#include <system_error>
#include <thread>
#include <vector>

#include "ffbench/measure/clock.hpp"
#include "ffbench/meta/operations.hpp"
#include "libcommon/base/rng.hpp"

namespace ff::bench {
namespace {

// A walk through 0..n-1 in an order that depends on the seed: i -> (a i + b) mod n with a prime to n. It needs no
// memory, and the strides are long, which is what defeats caches of neighbours.
class Order {
 public:
  Order(std::uint64_t n, bool random, std::uint64_t seed) : n_(n) {
    if (!random || n < 3) return;
    Rng rng(seed);
    do factor_ = 1 + rng.below(n - 1);
    while (std::gcd(factor_, n) != 1);
    offset_ = rng.below(n);
  }
  std::int64_t at(std::uint64_t i) const {
    return static_cast<std::int64_t>((static_cast<unsigned __int128>(factor_) * i + offset_) % n_);
  }

 private:
  std::uint64_t n_, factor_ = 1, offset_ = 0;
};

bool goes_elsewhere(MetaPhase phase) { return phase == MetaPhase::kStat || phase == MetaPhase::kRead; }

metrics::HistogramLayout latency_layout() {
  return *metrics::HistogramLayout::make({.sub_bits = 9, .value_max = std::int64_t{3'600'000'000'000}});
}

}  // namespace

struct MetaWorkload::Part {
  metrics::Histogram latency{latency_layout()};
  std::uint64_t begin = 0, end = 0;  // ticks
  Result<> outcome;
};

std::string_view name_of(MetaPhase phase) noexcept {
  constexpr std::array<std::string_view, kMetaPhases.size()> names = {"mkdir",   "create", "stat",   "read",
                                                                      "readdir", "rename", "unlink", "rmdir"};
  return names[static_cast<std::size_t>(phase)];
}

Result<std::unique_ptr<MetaWorkload>> MetaWorkload::make(const std::string& target, const MetaOptions& options) {
  FF_TRY(NameTree::make(options.shape, target));  // before anything is made
  std::string folder = target + "/ffbench-meta.XXXXXX";
  if (::mkdtemp(folder.data()) == nullptr)
    return fail(errno_error(fmt::format("{}: cannot make a folder there", target)));
  FF_TRY_ASSIGN(NameTree tree, NameTree::make(options.shape, folder));
  return std::unique_ptr<MetaWorkload>(new MetaWorkload(folder, std::move(tree), options));
}

MetaWorkload::MetaWorkload(std::string folder, NameTree tree, const MetaOptions& options)
    : folder_(std::move(folder)), tree_(std::move(tree)), options_(options) {}

MetaWorkload::~MetaWorkload() { remove_all(); }

void MetaWorkload::remove_all() noexcept {
  std::error_code ignored;  // nobody could do anything about it; the folder's name says whose it is
  std::filesystem::remove_all(folder_, ignored);
}

std::int64_t MetaWorkload::operations_of_task(MetaPhase phase, std::int64_t task) const noexcept {
  switch (phase) {
    case MetaPhase::kMkdir:
    case MetaPhase::kRmdir: return tree_.shape().unique || task == 0 ? tree_.folders_per_tree() : 0;
    case MetaPhase::kReaddir: return tree_.folders_per_tree();
    default: return tree_.files_per_task();
  }
}

std::int64_t MetaWorkload::operations(MetaPhase phase) const noexcept {
  std::int64_t all = 0;
  for (std::int64_t task = 0; task < tree_.shape().tasks; ++task) all += operations_of_task(phase, task);
  return all;
}

Result<> MetaWorkload::one(MetaPhase phase, std::int64_t task, std::int64_t index, std::string& scratch) const {
  switch (phase) {
    case MetaPhase::kMkdir: return make_folder(tree_.folder(task, index));
    case MetaPhase::kCreate: return create_file(tree_.file(task, index, false), options_.file_bytes, options_.sync);
    case MetaPhase::kStat: return stat_file(tree_.file(task, index, false), options_.file_bytes);
    case MetaPhase::kRead: return read_whole(tree_.file(task, index, false), options_.file_bytes, scratch);
    case MetaPhase::kReaddir:
      return list_folder(tree_.folder(task, index),
                         tree_.shape().files * (tree_.shape().unique ? 1 : tree_.shape().tasks));
    case MetaPhase::kRename: return rename_file(tree_.file(task, index, false), tree_.file(task, index, true));
    case MetaPhase::kUnlink: return remove_file(tree_.file(task, index, true));
    case MetaPhase::kRmdir:  // children before parents
      return remove_folder(tree_.folder(task, tree_.folders_per_tree() - 1 - index));
  }
  return {};
}

Result<> MetaWorkload::run_task(MetaPhase phase, std::int64_t task, std::stop_token stop, Part& part) const {
  const auto count = static_cast<std::uint64_t>(operations_of_task(phase, task));
  const bool elsewhere = goes_elsewhere(phase);
  const std::int64_t owner = elsewhere ? (task + options_.shift) % tree_.shape().tasks : task;
  const Order order(count, elsewhere && options_.random, options_.seed + static_cast<std::uint64_t>(task));
  std::string scratch;
  std::uint64_t last = part.begin;
  for (std::uint64_t i = 0; i < count; ++i) {
    if (stop.stop_requested()) return fail(Errc::kCancelled, fmt::format("{}: stopped", name_of(phase)));
    FF_TRY(one(phase, owner, order.at(i), scratch));
    const std::uint64_t now = ticks_now();
    part.latency.record(ticks_to_ns(now - last));
    last = now;
  }
  return {};
}

Result<Reading> MetaWorkload::run(MetaPhase phase, std::stop_token stop) {
  const auto place = static_cast<std::size_t>(phase);
  if (place == 0 && (broken_ || next_ != 0)) {  // what an unfinished round left
    remove_all();
    FF_TRY(make_folder(folder_));
  } else if (place != next_ || broken_) {
    return fail(Errc::kInvalidArgument, fmt::format("{}: the phase before it did not finish", name_of(phase)));
  }
  broken_ = true;
  const auto tasks = static_cast<std::size_t>(tree_.shape().tasks);
  std::vector<Part> parts(tasks);
  std::stop_source failed;
  {
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
      parts[i].outcome = run_task(phase, static_cast<std::int64_t>(i), failed.get_token(), parts[i]);
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
  }
  metrics::Histogram latency(latency_layout());
  std::uint64_t begin = parts[0].begin, end = parts[0].end;
  const Error* why = nullptr;
  for (const Part& part : parts) {
    // The first failure of its own; the others only stopped because of it.
    if (!part.outcome && (why == nullptr || why->code() == Errc::kCancelled)) why = &part.outcome.error();
    begin = std::min(begin, part.begin);
    end = std::max(end, part.end);
    FF_TRY(latency.merge(part.latency));
  }
  if (why != nullptr) return std::unexpected(*why);
  broken_ = false;
  next_ = (place + 1) % kMetaPhases.size();
  const auto done = static_cast<double>(operations(phase));
  const double seconds = static_cast<double>(std::max<std::int64_t>(ticks_to_ns(end - begin), 1)) / 1e9;
  return Reading{.values = {done / seconds, done}, .latencies = {std::move(latency)}};
}

}  // namespace ff::bench
