#include "ffctl/sim/trace.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <map>
#include <numbers>
#include <optional>

#include "libcommon/base/rng.hpp"

namespace ff::ctl::sim {
namespace {

using sched::Ms;

constexpr double kSecondsMax = 1e10;  // three centuries

std::vector<std::string_view> fields_of(std::string_view line) {
  std::vector<std::string_view> fields;
  while (true) {
    const auto comma = line.find(',');
    fields.push_back(line.substr(0, comma));
    if (comma == line.npos) return fields;
    line.remove_prefix(comma + 1);
  }
}

std::string_view next_line(std::string_view& text) {
  const auto end = text.find('\n');
  std::string_view line = text.substr(0, end);
  text.remove_prefix(end == text.npos ? text.size() : end + 1);
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

std::optional<double> number(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) return std::nullopt;
  return value;
}

struct Columns {
  std::size_t submit = 0, duration = 0, gpus = 0;
  std::optional<std::size_t> group;
};

Result<Columns> find_columns(std::string_view line, const std::string& name) {
  const auto names = fields_of(line);
  const auto find = [&](std::string_view wanted) -> std::optional<std::size_t> {
    const auto at = std::ranges::find(names, wanted);
    if (at == names.end()) return std::nullopt;
    return static_cast<std::size_t>(at - names.begin());
  };
  const auto missing = [&](std::string_view wanted) {
    return fail(
        Errc::kInvalidArgument,
        fmt::format("{}:1: no column '{}' (the first line names the columns: submit_s,duration_s,gpus)", name, wanted));
  };
  const auto submit = find("submit_s"), duration = find("duration_s"), gpus = find("gpus");
  if (!submit) return missing("submit_s");
  if (!duration) return missing("duration_s");
  if (!gpus) return missing("gpus");
  return Columns{.submit = *submit, .duration = *duration, .gpus = *gpus, .group = find("vc")};
}

// Piecewise between quantiles, linear in the logarithm.
double quantile_of(double u) {
  struct Point {
    double share, seconds;
  };
  constexpr std::array kPoints = {Point{0, 20},       Point{0.25, 240},     Point{0.5, 1'144},
                                  Point{0.9, 11'264}, Point{0.99, 254'611}, Point{1, 1'500'000}};
  for (std::size_t i = 1; i < kPoints.size(); ++i) {
    const Point &a = kPoints[i - 1], &b = kPoints[i];
    if (u > b.share) continue;
    return a.seconds * std::pow(b.seconds / a.seconds, (u - a.share) / (b.share - a.share));
  }
  return kPoints.back().seconds;
}

struct Size {
  std::uint32_t gpus;
  double share;   // of jobs
  double longer;  // running time against that of a job with one GPU
};
constexpr std::array kSizes = {Size{1, 0.932, 1},   Size{2, 0.017, 2},   Size{4, 0.012, 3},  Size{8, 0.020, 16},
                               Size{12, 0.002, 4},  Size{16, 0.010, 3},  Size{24, 0.001, 3}, Size{32, 0.004, 2},
                               Size{64, 0.0015, 2}, Size{128, 0.0005, 2}};

}  // namespace

Result<std::vector<TraceJob>> parse_trace(std::string_view csv, const std::string& name) {
  FF_TRY_ASSIGN(const Columns columns, find_columns(next_line(csv), name));
  std::vector<TraceJob> jobs;
  std::map<std::string, std::uint32_t, std::less<>> groups;
  for (std::size_t line_number = 2; !csv.empty(); ++line_number) {
    const std::string_view line = next_line(csv);
    if (line.empty()) continue;
    const auto fields = fields_of(line);
    const auto wrong = [&](std::string_view column, std::string_view why) {
      return fail(Errc::kInvalidArgument, fmt::format("{}:{}: {}: {}", name, line_number, column, why));
    };
    const auto value = [&](std::size_t at) { return at < fields.size() ? number(fields[at]) : std::nullopt; };
    const auto submit = value(columns.submit), duration = value(columns.duration), gpus = value(columns.gpus);
    if (!submit || *submit < 0 || *submit > kSecondsMax) return wrong("submit_s", "not a number of seconds from 0 on");
    if (!duration || *duration < 0 || *duration > kSecondsMax)
      return wrong("duration_s", "not a number of seconds from 0 on");
    if (!gpus || *gpus < 1 || *gpus > kTraceGpusMax || *gpus != std::floor(*gpus))
      return wrong("gpus", fmt::format("not a whole number from 1 to {}", kTraceGpusMax));
    TraceJob job{.submit = std::llround(*submit * 1000),
                 .duration = std::max<Ms>(std::llround(*duration * 1000), 1),
                 .gpus = static_cast<std::uint32_t>(*gpus)};
    if (columns.group && *columns.group < fields.size()) {
      job.group = groups.try_emplace(std::string(fields[*columns.group]), groups.size()).first->second;
    }
    jobs.push_back(job);
  }
  if (jobs.empty()) return fail(Errc::kInvalidArgument, fmt::format("{}: holds no jobs", name));
  std::ranges::sort(jobs, {}, &TraceJob::submit);
  return jobs;
}

std::vector<TraceJob> generate_trace(const GeneratorOptions& options) {
  Rng rng(options.seed);
  std::vector<TraceJob> jobs(options.jobs);
  double gpu_ms = 0, shares = 0;
  for (const Size& size : kSizes) shares += size.gpus <= options.gpus_max ? size.share : 0;
  for (TraceJob& job : jobs) {
    double left = rng.uniform() * shares;
    const Size* chosen = &kSizes[0];
    for (const Size& size : kSizes) {
      if (size.gpus > options.gpus_max) continue;
      chosen = &size;
      if ((left -= size.share) < 0) break;
    }
    job.gpus = chosen->gpus;
    job.duration = static_cast<Ms>(1000 * std::min(quantile_of(rng.uniform()) * chosen->longer, 4e6));
    job.group = static_cast<std::uint32_t>(rng.below(11));
    gpu_ms += static_cast<double>(job.duration) * job.gpus;
  }
  // As long a trace as gives the load, with twice as many arrivals at noon as at midnight.
  const double length = gpu_ms / options.gpu_load;
  constexpr double kDay = 86'400'000;
  for (TraceJob& job : jobs) {
    double at = 0;
    do {
      at = rng.uniform() * length;
    } while (rng.uniform() * 3 > 2 - std::cos(2 * std::numbers::pi * at / kDay));
    job.submit = static_cast<Ms>(at);
  }
  std::ranges::sort(jobs, {}, &TraceJob::submit);
  return jobs;
}

}  // namespace ff::ctl::sim
