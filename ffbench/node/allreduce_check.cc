// Allreduce between ranks of this node, by the hfreduce beside this executable: the bandwidth that a program gets, and
// whether every element is right.
#include <fmt/core.h>
#include <limits.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "ffbench/compute/child_output.hpp"
#include "ffbench/node/checks.hpp"
#include "libcommon/machine/machine.hpp"
#include "libcommon/report/json_value.hpp"

namespace ff::bench {
namespace {

constexpr int kRanksMax = 8;

// In an installation both tools are in one folder; in a build tree in folders side by side.
std::string find_hfreduce(const std::string& given) {
  if (!given.empty()) return given;
  std::array<char, PATH_MAX> path{};
  const ssize_t length = ::readlink("/proc/self/exe", path.data(), path.size() - 1);
  if (length <= 0) return {};
  const std::string self(path.data(), static_cast<std::size_t>(length));
  const std::string folder = self.substr(0, self.rfind('/'));
  for (const std::string& candidate : {folder + "/hfreduce", folder + "/../hfreduce/cmd/hfreduce"})
    if (::access(candidate.c_str(), X_OK) == 0) return candidate;
  return {};
}

struct Reading {
  double bus_bytes_per_second = 0;
  std::uint64_t wrong = 0;
};

Result<Reading> parse_perf(const std::string& json) {
  FF_TRY_ASSIGN(const auto tree, report::JsonValue::parse(json));
  const report::JsonValue* rows = tree.find("rows");
  if (rows == nullptr || rows->array() == nullptr || rows->array()->empty())
    return fail(Errc::kCorrupt, "hfreduce perf: printed no rows");
  Reading reading;
  for (const report::JsonValue& row : *rows->array()) {
    const report::JsonValue* rate = row.find("busbw_GBps");
    if (rate == nullptr || !rate->number()) return fail(Errc::kCorrupt, "hfreduce perf: a row has no bandwidth");
    reading.bus_bytes_per_second = std::max(reading.bus_bytes_per_second, *rate->number() * 1e9);
    for (const char* key : {"wrong", "in_place_wrong"})
      if (const report::JsonValue* wrong = row.find(key); wrong != nullptr)
        reading.wrong += static_cast<std::uint64_t>(std::max<std::int64_t>(0, wrong->integer().value_or(0)));
  }
  return reading;
}

}  // namespace

Findings check_allreduce(const NodeContext& context) {
  const std::string measures = "bus bandwidth of an allreduce between ranks of this node";
  const std::string hfreduce = find_hfreduce(context.hfreduce);
  if (hfreduce.empty())
    return {statement("allreduce", measures, CheckVerdict::kSkip,
                      "hfreduce is not beside ffbench (it is part of the same installation)")};
  const int ranks = std::clamp(machine::allowed_cores(), 2, kRanksMax);
  const std::string size = context.full() ? "256M" : "16M";
  const auto run = run_child({hfreduce, "perf", "--json", "--ranks", std::to_string(ranks), "-b", size, "-e", size,
                              "--iters", context.full() ? "100" : "20", "--check", "1"},
                             context.full() ? std::chrono::seconds(150) : std::chrono::seconds(20), {});
  const std::string fix = "run hfreduce perf by hand; look at shared memory (/dev/shm) and dmesg";
  if (!run) {
    const bool absent = run.error().code() == Errc::kNotFound;
    return {statement("allreduce", measures, absent ? CheckVerdict::kSkip : CheckVerdict::kFail, run.error().message(),
                      absent ? "" : fix)};
  }
  const auto reading = parse_perf(run->out);
  if (!reading) {
    std::string words = run->errors.substr(0, run->errors.find('\n'));
    if (words.empty()) words = reading.error().message();
    return {statement("allreduce", measures, CheckVerdict::kFail,
                      fmt::format("exit code {}: {}", run->exit_code, words), fix)};
  }
  Finding truth = statement("allreduce.wrong", "wrong elements of the allreduce", CheckVerdict::kPass,
                            fmt::format("{} ranks, {} bytes each: all right", ranks, size));
  truth.value = static_cast<double>(reading->wrong);
  truth.threshold = 0;
  if (reading->wrong > 0 || run->exit_code != 0) {
    truth.verdict = CheckVerdict::kFail;
    truth.reason = fmt::format("{} elements are wrong (exit code {})", reading->wrong, run->exit_code);
    truth.fix = "take the node out: its processors or memory compute wrongly";
  }
  Finding f = statement("allreduce.bus_bandwidth", measures, CheckVerdict::kPass,
                        fmt::format("{:.2f} GB/s, {} ranks", reading->bus_bytes_per_second / 1e9, ranks));
  f.value = reading->bus_bytes_per_second;
  f.unit = "B/s";
  f.better = Better::kHigher;
  return {std::move(truth), std::move(f)};
}

}  // namespace ff::bench
