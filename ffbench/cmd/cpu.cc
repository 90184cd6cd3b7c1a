// `ffbench cpu`: arithmetic with known answers on every processor.
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <memory>

#include "ffbench/cmd/commands.hpp"
#include "ffbench/compute/core_clock.hpp"
#include "ffbench/compute/core_stress.hpp"
#include "ffbench/compute/gemm.hpp"
#include "ffbench/measure/session.hpp"
#include "ffbench/stats/outlier.hpp"
#include "ffbench/stats/summary.hpp"

namespace ff::bench {
namespace {

struct Options {
  MeasureOptions measure;
  std::string engine = "auto";
  std::int64_t order = 512;
  std::int64_t seed = 1;
  std::string inject;
};

struct Injection {
  std::optional<GemmInjection> gemm = {};
  std::optional<CoreInjection> core = {};
};

// a|b|c|s:ROW:COLUMN:BIT[:INDEX] (s: in the sums only) or integer|sha256|crc32c[:INDEX]
Result<Injection> parse_injected(const std::string& text) {
  const auto refuse = [&] {
    return fail(Errc::kInvalidArgument,
                fmt::format("--inject-fault: '{}' is no fault (write c:ROW:COLUMN:BIT or integer, sha256, crc32c; then "
                            ":N for processor number N)",
                            text));
  };
  std::vector<std::string> words;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t colon = std::min(text.find(':', at), text.size());
    words.push_back(text.substr(at, colon - at));
    at = colon + 1;
  }
  std::vector<std::int64_t> numbers;
  for (std::size_t i = 1; i < words.size(); ++i) {
    const std::string& word = words[i];
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), numbers.emplace_back());
    if (error != std::errc() || end != word.data() + word.size() || numbers.back() < 0) return refuse();
  }
  Injection injection;
  for (int w = 0; w < kCoreWorkCount; ++w) {
    if (words[0] != core_work_name(static_cast<CoreWork>(w))) continue;
    if (numbers.size() > 1) return refuse();
    injection.core =
        CoreInjection{static_cast<CoreWork>(w), numbers.empty() ? 0 : static_cast<std::size_t>(numbers[0])};
    return injection;
  }
  const std::size_t operand = std::string_view("abcs").find(words[0]);
  if (words[0].size() != 1 || operand == std::string_view::npos || numbers.size() < 3 || numbers.size() > 4 ||
      numbers[2] > 31)
    return refuse();
  injection.gemm = GemmInjection{.where = static_cast<GemmOperand>(operand),
                                 .row = numbers[0],
                                 .column = numbers[1],
                                 .bit = static_cast<int>(numbers[2]),
                                 .cpu_index = numbers.size() > 3 ? static_cast<std::size_t>(numbers[3]) : 0};
  return injection;
}

// What all rounds found, by processor.
class Collected {
 public:
  explicit Collected(std::int64_t order) : order_(order) {}

  void add(const GemmReport& report) {
    cpus_ = report.cpus;
    engine_ = report.engine;
    total_.push_back(report.flops);
    flops_.resize(cpus_.size());
    hz_.resize(cpus_.size());
    for (std::size_t i = 0; i < cpus_.size(); ++i) {
      flops_[i].push_back(report.flops_per_cpu[i]);
      // What the kernel states is another matter where it states it: a governor's wish, not the clock under load.
      hz_[i].push_back(report.hz_per_cpu[i]);
    }
    products_ += report.products;
    checked_ += report.elements_checked;
    wrong_.push_back(static_cast<double>(report.wrong));
    sums_wrong_.push_back(static_cast<double>(report.checksums_wrong));
    add_faults(report);
  }

  // Of a round that was stopped: its rates say nothing, its wrong answers do.
  void add_faults(const GemmReport& report) {
    gemm_wrong_ += report.wrong + report.checksums_wrong;
    for (const GemmFault& fault : report.first) {
      if (faults_.size() < kGemmFaultsKept) faults_.push_back(fault);
    }
  }
  void add_faults(const CoreStressReport& report) { core_wrong_ += report.wrong_rounds; }

  void add(const CoreStressReport& report) {
    add_faults(report);
    for (std::size_t w = 0; w < report.rate.size(); ++w) {
      rates_[w].resize(report.cpus.size());
      bad_[w].resize(report.cpus.size());
      for (std::size_t i = 0; i < report.cpus.size(); ++i) {
        rates_[w][i].push_back(report.rate[w][i]);
        bad_[w][i].push_back(static_cast<double>(report.wrong[w][i]));
      }
    }
  }

  bool any_wrong() const { return gemm_wrong_ > 0 || core_wrong_ > 0; }

  void write(Document& document) const {
    if (!total_.empty()) {
      document.rows.push_back(gemm_row());
      for (std::size_t i = 0; i < cpus_.size(); ++i) document.rows.push_back(cpu_row(i));
      name_slow_cores(document);
    }
    if (any_wrong()) {
      document.warnings.push_back(fmt::format(
          "wrong answers: {} in matrix products and their sums, {} in other work, stopped rounds included (drain this "
          "node and replace the processor)",
          gemm_wrong_, core_wrong_));
    }
    for (std::size_t i = 0; i < faults_.size(); ++i) {
      Row row;
      row.name = fmt::format("fault {}", i + 1);
      row.parameters = {{"cpu", static_cast<std::int64_t>(faults_[i].cpu)},
                        {"row", faults_[i].row},
                        {"column", faults_[i].column},
                        {"expected", static_cast<double>(faults_[i].expected)},
                        {"found", static_cast<double>(faults_[i].found)}};
      row.error = describe_fault(faults_[i]);
      document.rows.push_back(std::move(row));
    }
  }

 private:
  Row gemm_row() const {
    Row row;
    row.name = "gemm";
    row.parameters = {{"order", order_},
                      {"engine", engine_},
                      {"threads", static_cast<std::int64_t>(cpus_.size())},
                      {"products", static_cast<std::int64_t>(products_)},
                      {"elements_checked", static_cast<std::int64_t>(checked_)}};
    row.metrics = {
        {"rate", "FLOP/s", Better::kHigher, "2 order^3 x products / time in products, summed over processors", total_},
        {"wrong", "", Better::kLower, "elements that are not bit for bit the known answer", wrong_},
        {"sums_wrong", "", Better::kLower, "sums of rows and columns that are not the known answer", sums_wrong_}};
    if (std::ranges::any_of(sums_wrong_, [](double wrong) { return wrong > 0; }))
      row.error = "matrix products: wrong sums of rows or columns (drain this node and replace the processor)";
    return row;
  }

  Row cpu_row(std::size_t i) const {
    Row row;
    row.name = fmt::format("cpu={}", cpus_[i]);
    row.parameters = {{"cpu", static_cast<std::int64_t>(cpus_[i])}};
    if (const auto stated = stated_hz(cpus_[i])) row.parameters.emplace_back("stated_hz", *stated);
    row.metrics = {{"rate", "FLOP/s", Better::kHigher, "2 order^3 x products / time in products", flops_[i]},
                   {"clock", "1/s", Better::kHigher, "dependent operations / time, between products", hz_[i]}};
    for (std::size_t w = 0; w < rates_.size(); ++w) {
      if (rates_[w].size() <= i) continue;
      const auto work = core_work_name(static_cast<CoreWork>(w));
      row.metrics.push_back({std::string(work), "1/s", Better::kHigher, "rounds / time", rates_[w][i]});
      if (std::uint64_t(mean(bad_[w][i]) * static_cast<double>(bad_[w][i].size()) + 0.5) > 0)
        row.error =
            fmt::format("processor {}: wrong {} answers (drain this node and replace the processor)", cpus_[i], work);
    }
    return row;
  }

  void name_slow_cores(Document& document) const {
    std::vector<double> medians;
    for (const auto& samples : flops_) medians.push_back(median(samples));
    const double middle = median(medians);
    OutlierOptions options;
    options.better = Better::kHigher;
    const auto scores = score_outliers(medians, options);
    for (std::size_t i = 0; i < medians.size(); ++i) {
      if (!scores[i].outlier) continue;
      document.warnings.push_back(
          fmt::format("processor {} is slow: {:.1f} GFLOP/s, {:.0f} % below the median of {} processors, robust score "
                      "{:.1f} (is it "
                      "throttled, or shared with other work?)",
                      cpus_[i], medians[i] / 1e9, 100 * (1 - medians[i] / middle), cpus_.size(), scores[i].score));
    }
  }

  std::int64_t order_;
  std::string engine_;
  std::vector<int> cpus_;
  std::vector<double> total_, wrong_, sums_wrong_;
  std::vector<std::vector<double>> flops_, hz_;
  std::array<std::vector<std::vector<double>>, kCoreWorkCount> rates_, bad_;
  std::uint64_t products_ = 0, checked_ = 0, gemm_wrong_ = 0, core_wrong_ = 0;
  std::vector<GemmFault> faults_;
};

Result<int> run_cpu(const Options& o, const Arguments& arguments) {
  GemmOptions gemm;
  FF_TRY_ASSIGN(gemm.cpus, o.measure.processors());
  FF_TRY_ASSIGN(gemm.engine, parse_gemm_engine(o.engine));
  gemm.order = o.order;
  gemm.seed = static_cast<std::uint64_t>(o.seed);
  CoreStressOptions cores{.cpus = gemm.cpus};
  if (!o.inject.empty()) {
    FF_TRY_ASSIGN(const Injection injection, parse_injected(o.inject));
    gemm.inject = injection.gemm;
    cores.inject = injection.core;
  }
  FF_TRY_ASSIGN(Session session, Session::open("cpu", o.measure, arguments));
  const std::stop_token stop = session.stop();
  Collected collected(o.order);
  for (std::int64_t round = o.measure.warmup.count() > 0 ? -1 : 0; round < o.measure.repeat; ++round) {
    // A fault is injected into the first round that counts.
    const bool counts = round >= 0;
    const auto duration = counts ? o.measure.duration : o.measure.warmup;
    GemmOptions this_gemm = gemm;
    CoreStressOptions this_cores = cores;
    if (round != 0) {
      this_gemm.inject.reset();
      this_cores.inject.reset();
    }
    const auto products = stress_gemm(this_gemm, duration, stop);
    const auto work =
        products ? stress_cores(this_cores, duration, stop) : Result<CoreStressReport>(CoreStressReport());
    if (stop.stop_requested()) {
      if (products) collected.add_faults(*products);
      if (work) collected.add_faults(*work);
      break;
    }
    if (!products) return fail(products.error());
    if (!work) return fail(work.error());
    // The warm-up is not measured, but a wrong answer in it is one.
    if (!counts && products->wrong + products->checksums_wrong == 0 && work->wrong_rounds == 0) continue;
    collected.add(*products);
    collected.add(*work);
  }
  collected.write(session.document());
  FF_TRY_ASSIGN(const int code, session.finish());
  return collected.any_wrong() && code < 128 ? cli::kExitFailed : code;
}

}  // namespace

cli::Command cpu_command(const Arguments& arguments) {
  auto options = std::make_shared<Options>();
  Options& o = *options;
  cli::Command command;
  command.name = "cpu";
  command.summary = "Check and measure arithmetic with known answers on every processor";
  command.description =
      "Matrix products whose result is known without multiplying, on every processor at once, each element compared "
      "bit "
      "by bit and the sums of rows and columns besides; then integer arithmetic, SHA-256 and CRC-32C against published "
      "answers. States the rate and the clock of each processor under this load and names those that are slower than "
      "the others. Exit code 1 means that something was computed wrongly.";
  command.options = {
      {.names = "--engine",
       .target = &o.engine,
       .help = "Who multiplies; auto: blas where this build has it",
       .choices = {"auto", "blas", "own"}},
      {.names = "--order",
       .target = &o.order,
       .help = "Rows of the matrices",
       .value_name = "N",
       .min = 16,
       .max = 4096},
      {.names = "--seed", .target = &o.seed, .help = "Seed of the operands", .value_name = "N", .min = 0},
      {.names = "--inject-fault",
       .target = &o.inject,
       .help = "Flip a bit, to see that it is found",
       .value_name = "WHERE",
       .hidden = true},
  };
  o.measure.add_to(command);
  command.examples = {{"ffbench cpu", "all processors, five rounds of a second for each kind of work"},
                      {"ffbench cpu --duration 60s --repeat 60", "an hour of load with all answers checked"},
                      {"ffbench cpu --engine own --cpus 0-7 --json", "without BLAS, on eight processors"}};
  command.exit_codes = {{3, "some processors were not measured"}};
  command.run = [options, arguments] { return run_cpu(*options, arguments); };
  return command;
}

}  // namespace ff::bench
