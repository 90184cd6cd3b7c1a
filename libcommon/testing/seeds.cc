#include "libcommon/testing/seeds.hpp"

#include <fmt/core.h>

#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace ff::testing {

namespace {

std::optional<std::uint64_t> parse_number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// A setting that cannot be read stops the program: a soak run with a typing error must not pass.
[[noreturn]] void refuse(const char* name, std::string_view value, const char* how) {
  std::fprintf(stderr, "%s: '%.*s' is not understood (give %s)\n", name, static_cast<int>(value.size()), value.data(),
               how);
  std::exit(2);
}

struct Range {
  std::uint64_t first, count;
};

Range chosen_range(Range range, bool fixed) {
  if (const char* seed = std::getenv("FF_SIM_SEED")) {
    const auto value = parse_number(seed);
    if (!value) refuse("FF_SIM_SEED", seed, "one seed, a number");
    return {*value, 1};
  }
  const char* seeds = fixed ? nullptr : std::getenv("FF_SIM_SEEDS");
  if (seeds == nullptr) return range;
  const std::string_view text = seeds;
  const std::size_t colon = text.find(':');
  const auto first = colon == std::string_view::npos ? std::optional(range.first) : parse_number(text.substr(0, colon));
  const auto count = parse_number(colon == std::string_view::npos ? text : text.substr(colon + 1));
  if (!first || !count || *count == 0) refuse("FF_SIM_SEEDS", text, "a count, or first:count");
  return {*first, *count};
}

bool log_wanted() {
  const char* value = std::getenv("FF_SIM_LOG");
  return value != nullptr && std::string_view(value) != "0" && std::string_view(value) != "";
}

}  // namespace

SeedTrace run_seed(std::uint64_t seed, const Scenario& scenario, const WorldOptions& options) {
  SimWorld world(seed, options);
  Result<> verdict = scenario(world);
  if (verdict && world.convicted()) verdict = world.run_for(runtime::Duration(0));
  return {std::move(verdict), world.log().hash(), world.log().events(), world.log().text()};
}

SeedRun run_seeds(const std::string& name, std::uint64_t first, std::uint64_t count, const Scenario& scenario,
                  const SeedOptions& options) {
  const Range range = chosen_range({first, count}, options.fixed);
  WorldOptions quiet = options.world;
  quiet.log_lines = 1;  // the text is made again by the replay
  quiet.log_live = log_wanted() && range.count == 1;
  SeedRun run;
  for (std::uint64_t i = 0; i < range.count; ++i) {
    const std::uint64_t seed = range.first + i;
    SeedTrace trace = run_seed(seed, scenario, quiet);
    ++run.seeds;
    run.events += trace.events;
    if (trace.verdict) continue;
    WorldOptions replayed = options.world;
    replayed.log_lines = options.report_lines;
    replayed.log_live = false;
    const SeedTrace again = run_seed(seed, scenario, replayed);
    run.failed_seed = seed;
    run.verdict = trace.verdict.error();
    run.replayed = !again.verdict && again.hash == trace.hash && again.events == trace.events &&
                   again.verdict.error().message() == trace.verdict.error().message();
    run.report = fmt::format(
        "seed {} is convicted: {}\n{}replay with:\n  FF_SIM_SEED={} FF_SIM_LOG=1 {} --gtest_filter={}\nthe last "
        "events:\n{}",
        seed, run.verdict->message(),
        run.replayed ? "" : "NOT DETERMINISTIC: a second run of this seed went another way\n", seed,
        program_invocation_name, name, again.log);
    return run;
  }
  return run;
}

}  // namespace ff::testing
