#include "hfreduce/cmd/perf_report.hpp"

#include <fmt/core.h>

#include "libcommon/cli/app.hpp"

namespace ff::hfreduce::cmd {
namespace {

// nccl-tests' widths: seven characters, with as many decimals as fit.
std::string time_text(double seconds) {
  const double us = seconds * 1e6;
  return us >= 10000 ? fmt::format("{:.0f}", us) : us >= 100 ? fmt::format("{:.1f}", us) : fmt::format("{:.2f}", us);
}

std::string half_row(const PerfCase& c, const std::optional<PerfTimes>& times) {
  if (!times) return fmt::format("  {:>7}  {:>6}  {:>6}  {:>6}", "N/A", "N/A", "N/A", "N/A");
  const std::string wrong = times->wrong ? fmt::format("{:g}", static_cast<double>(*times->wrong)) : "N/A";
  return fmt::format("  {:>7}  {:>6.2f}  {:>6.2f}  {:>6}", time_text(times->median_s), algbw_GBps(c, times->median_s),
                     busbw_GBps(c, times->median_s), wrong);
}

std::string op_text(const PerfHeader& header, const PerfCase& c) {
  return c.reduces ? std::string(op_name(header.plan.op)) : "none";
}

int root_of(const PerfHeader& header, const PerfCase& c) { return c.has_root ? header.plan.root : -1; }

report::Cell wrong_cell(const std::optional<std::uint64_t>& wrong) {
  if (!wrong) return std::monostate{};
  return static_cast<std::int64_t>(*wrong);
}

void append_times(std::vector<report::Cell>& cells, const PerfCase& c, const std::optional<PerfTimes>& times) {
  if (!times) {
    cells.insert(cells.end(), 7, std::monostate{});
    return;
  }
  for (const double seconds : {times->median_s, times->min_s, times->max_s, times->p99_s})
    cells.emplace_back(seconds * 1e6);
  cells.emplace_back(algbw_GBps(c, times->median_s));
  cells.emplace_back(busbw_GBps(c, times->median_s));
  cells.push_back(wrong_cell(times->wrong));
}

}  // namespace

double algbw_GBps(const PerfCase& c, double seconds) { return static_cast<double>(c.size) / seconds / 1e9; }
double busbw_GBps(const PerfCase& c, double seconds) { return algbw_GBps(c, seconds) * c.factor; }

std::string perf_text_header(const PerfHeader& h) {
  std::string out = fmt::format("# hfreduce {} {}\n", cli::build_version(), perf_collective_name(h.plan.kind));
  out += fmt::format("# nRanks {} minBytes {} maxBytes {} step: {}({}) warmup iters: {} iters: {} validation: {}\n",
                     h.ranks.size(), h.bytes_min, h.bytes_max, h.step_bytes > 0 ? h.step_bytes : h.step_factor,
                     h.step_bytes > 0 ? "bytes" : "factor", h.plan.warmup_iters,
                     h.plan.batches * h.plan.iters_per_batch, h.plan.check_iters);
  out += fmt::format("# buffers: {} transport: {} algorithm: {}\n", h.buffers, h.transport, h.algorithm);
  out += fmt::format(
      "# time: median of {} batches of {} calls (5x as many to 256 KiB, 25x to 16 KiB), slowest rank of each\n",
      h.plan.batches, h.plan.iters_per_batch);
  out += fmt::format("# machine: {}, {} cores allowed, kernel {}, tcp {}\n#\n# Using ranks\n", h.machine.cpu_model,
                     h.machine.cores_allowed, h.machine.kernel, h.machine.tcp_congestion_control);
  for (const RankInfo& rank : h.ranks)
    out += fmt::format("#  Rank {:2d} Group  0 Pid {:6d} on {:>10} local rank {:2d} of {}\n", rank.rank, rank.pid,
                       rank.host, rank.local_rank, rank.local_size);
  out += "#\n";
  out += fmt::format("# {:>55}{:^32}{:^32}\n", "", "out-of-place", "in-place");
  constexpr const char* kColumns = "  {:>7}  {:>6}  {:>6}  {:>6}";
  auto half = [&](const char* a, const char* b, const char* c, const char* d) {
    return fmt::format(fmt::runtime(kColumns), a, b, c, d);
  };
  out += fmt::format("# {:>10}  {:>12}  {:>8}  {:>6}  {:>6}", "size", "count", "type", "redop", "root") +
         half("time", "algbw", "busbw", "#wrong") + half("time", "algbw", "busbw", "#wrong") + "\n";
  out += fmt::format("# {:>10}  {:>12}  {:>8}  {:>6}  {:>6}", "(B)", "(elements)", "", "", "") +
         half("(us)", "(GB/s)", "(GB/s)", "") + half("(us)", "(GB/s)", "(GB/s)", "") + "\n";
  return out;
}

std::string perf_text_row(const PerfHeader& h, const PerfRow& row) {
  return fmt::format("{:>12}  {:>12}  {:>8}  {:>6}  {:>6}", row.c.size, row.c.count, dtype_name(h.plan.dtype),
                     op_text(h, row.c), root_of(h, row.c)) +
         half_row(row.c, row.out_of_place) + half_row(row.c, row.in_place) + "\n";
}

std::string perf_text_footer(const std::vector<PerfRow>& rows) {
  const std::uint64_t wrong = total_wrong(rows);
  return fmt::format("# Out of bounds values : {} {}\n# Avg bus bandwidth    : {:g}\n#\n", wrong,
                     wrong == 0 ? "OK" : "FAILED", mean_busbw_GBps(rows));
}

report::Table perf_table(const PerfHeader& h, const std::vector<PerfRow>& rows) {
  std::vector<report::Column> columns = {
      {.key = "size_bytes", .title = "SIZE", .unit = report::Unit::kBytes},
      {.key = "count", .title = "COUNT"},
      {.key = "type", .title = "TYPE"},
      {.key = "redop", .title = "REDOP"},
      {.key = "root", .title = "ROOT"},
      {.key = "calls_per_batch", .title = "CALLS", .wide_only = true},
  };
  for (const std::string prefix : {"", "in_place_"}) {
    const std::string title = prefix.empty() ? "" : "IN-PLACE ";
    columns.push_back({.key = prefix + "time_us", .title = title + "TIME(us)"});
    columns.push_back({.key = prefix + "min_us", .title = title + "MIN(us)", .wide_only = true});
    columns.push_back({.key = prefix + "max_us", .title = title + "MAX(us)", .wide_only = true});
    columns.push_back({.key = prefix + "p99_us", .title = title + "P99(us)", .wide_only = true});
    columns.push_back({.key = prefix + "algbw_GBps", .title = title + "ALGBW(GB/s)"});
    columns.push_back({.key = prefix + "busbw_GBps", .title = title + "BUSBW(GB/s)"});
    columns.push_back({.key = prefix + "wrong", .title = title + "WRONG"});
  }
  report::Table table("ff.perf/1", std::move(columns));
  table.set_header("version", cli::build_version());
  table.set_header("host", h.machine.host);
  table.set_header("cpu", h.machine.cpu_model);
  table.set_header("cores_allowed", static_cast<std::int64_t>(h.machine.cores_allowed));
  table.set_header("kernel", h.machine.kernel);
  table.set_header("tcp_cc", h.machine.tcp_congestion_control);
  table.set_header("collective", std::string(perf_collective_name(h.plan.kind)));
  table.set_header("ranks", static_cast<std::int64_t>(h.ranks.size()));
  table.set_header("hosts", static_cast<std::int64_t>(h.ranks.empty() ? 0 : h.ranks.back().host_index + 1));
  table.set_header("buffers", h.buffers);
  table.set_header("transport", h.transport);
  table.set_header("algorithm", h.algorithm);
  table.set_header("batches", static_cast<std::int64_t>(h.plan.batches));
  table.set_header("warmup_iters", static_cast<std::int64_t>(h.plan.warmup_iters));
  table.set_header("out_of_bounds", static_cast<std::int64_t>(total_wrong(rows)));
  table.set_header("avg_busbw_GBps", mean_busbw_GBps(rows));
  for (const PerfRow& row : rows) {
    std::vector<report::Cell> cells = {
        static_cast<std::int64_t>(row.c.size),        static_cast<std::int64_t>(row.c.count),
        std::string(dtype_name(h.plan.dtype)),        op_text(h, row.c),
        static_cast<std::int64_t>(root_of(h, row.c)), static_cast<std::int64_t>(calls_per_batch(h.plan, row.c.size))};
    append_times(cells, row.c, row.out_of_place);
    append_times(cells, row.c, row.in_place);
    table.add_row(std::move(cells));
  }
  return table;
}

std::uint64_t total_wrong(const std::vector<PerfRow>& rows) {
  std::uint64_t wrong = 0;
  for (const PerfRow& row : rows)
    wrong += row.out_of_place.wrong.value_or(0) + (row.in_place ? row.in_place->wrong.value_or(0) : 0);
  return wrong;
}

double mean_busbw_GBps(const std::vector<PerfRow>& rows) {
  double sum = 0;
  int count = 0;
  for (const PerfRow& row : rows) {
    sum += busbw_GBps(row.c, row.out_of_place.median_s);
    ++count;
    if (!row.in_place) continue;
    sum += busbw_GBps(row.c, row.in_place->median_s);
    ++count;
  }
  return count == 0 ? 0 : sum / count;
}

}  // namespace ff::hfreduce::cmd
