#include "hfreduce/trace.hpp"

#include <fmt/format.h>

#include <iterator>

namespace ff::hfreduce {
namespace {

const char* lane_name(Lane lane) {
  switch (lane) {
    case Lane::kCall: return "call";
    case Lane::kIntra: return "intra-host reduce";
    case Lane::kNetUp: return "network up";
    case Lane::kNetDown: return "network down";
    case Lane::kCopy: return "result copy";
    case Lane::kCompute: return "compute";
  }
  return "other";
}

}  // namespace

void Trace::record(const Event& event) {
  const std::lock_guard lock(mutex_);
  if (events_.size() >= kEventsMax) {
    ++dropped_;
    return;
  }
  events_.push_back(event);
}

std::size_t Trace::size() const {
  const std::lock_guard lock(mutex_);
  return events_.size();
}

std::string Trace::events_json(int rank) const {
  const std::lock_guard lock(mutex_);
  std::string out = fmt::format(
      R"({{"ph":"M","name":"process_name","pid":{},"args":{{"name":"rank {}","dropped":{}}}}})", rank, rank, dropped_);
  for (int lane = 0; lane <= static_cast<int>(Lane::kCompute); ++lane)
    fmt::format_to(std::back_inserter(out),
                   R"(,{{"ph":"M","name":"thread_name","pid":{},"tid":{},"args":{{"name":"{}"}}}})", rank, lane,
                   lane_name(static_cast<Lane>(lane)));
  for (const Event& e : events_)
    fmt::format_to(
        std::back_inserter(out),
        R"(,{{"ph":"X","name":"{}","pid":{},"tid":{},"ts":{:.3f},"dur":{:.3f},"args":{{"bytes":{},"index":{}}}}})",
        e.name, rank, static_cast<int>(e.lane), static_cast<double>(e.begin_ns) / 1e3,
        static_cast<double>(e.end_ns - e.begin_ns) / 1e3, e.bytes, e.index);
  return out;
}

std::string Trace::file_json(const std::vector<std::string>& items) {
  std::string out = "{\"displayTimeUnit\":\"ns\",\"traceEvents\":[";
  for (std::size_t i = 0; i < items.size(); ++i) out.append(i ? ",\n" : "").append(items[i]);
  return out + "]}\n";
}

}  // namespace ff::hfreduce
