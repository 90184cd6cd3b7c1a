#include "ffbench/measure/processors.hpp"
#include "ffbench/measure/session.hpp"

namespace ff::bench {

void MeasureOptions::add_to(cli::Command& command) {
  constexpr double kSecondsMax = 86'400;
  command.options.push_back({.names = "--repeat",
                             .target = &repeat,
                             .help = "Rounds; the median of them counts, 5 or more give useful intervals",
                             .value_name = "N",
                             .min = 1,
                             .max = 1000});
  if (!counts_) {
    command.options.push_back({.names = "--duration",
                               .target = &duration,
                               .help = "Time for each round of each case",
                               .min = 0.001,
                               .max = kSecondsMax});
    command.options.push_back({.names = "--warmup",
                               .target = &warmup,
                               .help = "Time that each case runs uncounted before its first round",
                               .min = 0,
                               .max = kSecondsMax});
  }
  command.options.push_back({.names = "--cpus",
                             .target = &cpus_,
                             .help = binds_ ? "Run on these processors only, like 0-3,8"
                                            : "Run the first agent on these processors only, like 0-3,8",
                             .value_name = "LIST"});
  command.options.push_back({.names = "--out",
                             .target = &out_,
                             .help = "Write the JSON document to this new file as well",
                             .value_name = "FILE",
                             .complete = "file"});
  command.options.push_back(
      {.names = "--quiet", .target = &quiet_, .help = "No progress and no warnings on standard error"});
  output_.add_to(command);
  progress_.add_to(command);
}

Result<std::vector<int>> MeasureOptions::listed_processors() const {
  if (cpus_.empty()) return std::vector<int>();
  auto processors = parse_processors(cpus_);
  if (!processors) return fail(std::move(processors).error().context("--cpus"));
  return processors;
}

Result<std::vector<int>> MeasureOptions::processors() const {
  FF_TRY_ASSIGN(const std::vector<int> processors, listed_processors());
  FF_TRY_CTX(check_processors(processors), "--cpus");
  return processors;
}

}  // namespace ff::bench
