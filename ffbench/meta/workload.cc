#include "ffbench/meta/workload.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <vector>

#include "ffbench/measure/clock.hpp"

namespace ff::bench {
namespace {

Result<Reading> reading_of(const std::vector<TaskPart>& parts, std::int64_t operations) {
  metrics::Histogram latency = TaskPart().latency;
  std::uint64_t begin = parts[0].begin, end = parts[0].end;
  const Error* why = nullptr;
  for (const TaskPart& part : parts) {
    // The first failure of its own; the others only stopped because of it.
    if (!part.outcome && (why == nullptr || why->code() == Errc::kCancelled)) why = &part.outcome.error();
    begin = std::min(begin, part.begin);
    end = std::max(end, part.end);
    FF_TRY(latency.merge(part.latency));
  }
  if (why != nullptr) return std::unexpected(*why);
  const auto done = static_cast<double>(operations);
  const double seconds = static_cast<double>(std::max<std::int64_t>(ticks_to_ns(end - begin), 1)) / 1e9;
  return Reading{.values = {done / seconds, done}, .latencies = {std::move(latency)}};
}

}  // namespace

MetaWorkload::MetaWorkload(std::unique_ptr<NameSystem> names, std::string folder, MetaPlan plan)
    : names_(std::move(names)), folder_(std::move(folder)), plan_(std::move(plan)) {}

MetaWorkload::~MetaWorkload() { names_->remove_tree(folder_); }

Result<std::unique_ptr<MetaWorkload>> MetaWorkload::make(std::unique_ptr<NameSystem> names, const std::string& target,
                                                         const MetaOptions& options) {
  FF_TRY(MetaPlan::make(options, target));  // before anything is made
  FF_TRY_ASSIGN(const std::string folder, names->make_own_folder(target));
  FF_TRY_ASSIGN(MetaPlan plan, MetaPlan::make(options, folder));
  return std::unique_ptr<MetaWorkload>(new MetaWorkload(std::move(names), folder, std::move(plan)));
}

Result<Reading> MetaWorkload::run(MetaPhase phase, std::stop_token stop) {
  const auto place = static_cast<std::size_t>(phase);
  if (place == 0 && (broken_ || next_ != 0)) {  // what an unfinished round left
    names_->remove_tree(folder_);
    FF_TRY(names_->make_folder(folder_));
  } else if (place != next_ || broken_) {
    return fail(Errc::kInvalidArgument, fmt::format("{}: the phase before it did not finish", name_of(phase)));
  }
  broken_ = true;
  FF_TRY_ASSIGN(const auto parts, names_->run(plan_, phase, std::move(stop)));
  FF_TRY_ASSIGN(Reading reading, reading_of(parts, plan_.operations(phase)));
  broken_ = false;
  next_ = (place + 1) % kMetaPhases.size();
  return reading;
}

}  // namespace ff::bench
