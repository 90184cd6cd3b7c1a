#include "ffbench/measure/load.hpp"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>
#include <map>
#include <sstream>

#include "libcommon/machine/facts.hpp"

namespace ff::bench {
namespace {

constexpr std::int64_t kNsPerSecond = 1'000'000'000;

struct Process {
  std::int64_t parent = 0;
  std::int64_t ticks = 0;  // its own, and of children that it waited for
};

// "pid (name) state ppid ...": fields 14 to 17 are utime, stime, cutime, cstime.
std::optional<Process> parse_process(const std::string& stat) {
  const auto name_end = stat.rfind(')');
  if (name_end == std::string::npos) return std::nullopt;
  std::istringstream fields(stat.substr(name_end + 1));
  std::string state;
  Process out;
  fields >> state >> out.parent;
  std::int64_t value = 0;
  for (int field = 5; field <= 17 && fields >> value; ++field)
    if (field >= 14) out.ticks += value;
  return fields ? std::optional(out) : std::nullopt;
}

std::int64_t living_descendants_ns() {
  std::map<std::int64_t, Process> all;
  std::error_code ended;
  for (std::filesystem::directory_iterator at("/proc", ended), end; !ended && at != end; at.increment(ended)) {
    const std::string name = at->path().filename().string();
    if (name.empty() || name.find_first_not_of("0123456789") != std::string::npos || name.size() > 10) continue;
    if (const auto process = parse_process(machine::text_of("/proc/" + name + "/stat")))
      all[std::stoll(name)] = *process;
  }
  std::int64_t ticks = 0;
  for (const auto& [pid, process] : all) {
    std::int64_t above = process.parent;
    // Bounded: what was read while processes came and went may hold a circle.
    for (std::size_t steps = 0; above > 1 && above != ::getpid() && steps < all.size(); ++steps)
      above = all.contains(above) ? all.at(above).parent : 0;
    if (above == ::getpid()) ticks += process.ticks;
  }
  return ticks * (kNsPerSecond / ::sysconf(_SC_CLK_TCK));
}

std::int64_t own_ns() {
  std::int64_t sum = living_descendants_ns();
  for (const auto whose : {RUSAGE_SELF, RUSAGE_CHILDREN}) {
    rusage used{};
    ::getrusage(whose, &used);
    for (const timeval& time : {used.ru_utime, used.ru_stime}) sum += time.tv_sec * kNsPerSecond + time.tv_usec * 1000;
  }
  return sum;
}

std::optional<CpuTimes> read_cpu_times() {
  return parse_cpu_times(machine::text_of("/proc/stat"), ::sysconf(_SC_CLK_TCK));
}

}  // namespace

std::int64_t own_cpu_ns() { return own_ns(); }

std::optional<CpuTimes> parse_cpu_times(std::string_view proc_stat, std::int64_t ticks_per_second) {
  // user nice system idle iowait irq softirq steal; guest time, which follows, is counted in user already.
  std::array<std::int64_t, 8> ticks{};
  if (!proc_stat.starts_with("cpu ") || ticks_per_second <= 0) return std::nullopt;
  std::string_view rest = proc_stat.substr(4, proc_stat.find('\n') - 4);
  for (auto& count : ticks) {
    rest.remove_prefix(std::min(rest.find_first_not_of(' '), rest.size()));
    const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), count);
    if (error != std::errc() || count < 0 || count > INT64_MAX / 16 / (kNsPerSecond / ticks_per_second))
      return std::nullopt;
    rest.remove_prefix(static_cast<std::size_t>(end - rest.data()));
  }
  const std::int64_t tick_ns = kNsPerSecond / ticks_per_second;
  CpuTimes times{(ticks[0] + ticks[1] + ticks[2]) * tick_ns, ticks[7] * tick_ns, 0};
  for (const std::int64_t count : ticks) times.total_ns += count * tick_ns;
  return times;
}

std::optional<LoadShares> load_between(const CpuTimes& begin, const CpuTimes& end, std::int64_t own_ns) {
  if (end.total_ns - begin.total_ns < kNsPerSecond / 2) return std::nullopt;
  const double total = static_cast<double>(end.total_ns - begin.total_ns);
  const auto share = [&](std::int64_t ns) { return std::clamp(static_cast<double>(ns) / total, 0.0, 1.0); };
  return LoadShares{share(end.work_ns - begin.work_ns - own_ns), share(end.steal_ns - begin.steal_ns)};
}

LoadMeter::LoadMeter() : begin_(read_cpu_times()), own_begin_ns_(own_ns()) {}

std::optional<LoadShares> LoadMeter::so_far() const {
  const auto end = read_cpu_times();
  if (!begin_ || !end) return std::nullopt;
  return load_between(*begin_, *end, own_ns() - own_begin_ns_);
}

}  // namespace ff::bench
