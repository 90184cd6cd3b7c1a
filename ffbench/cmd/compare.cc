// `ffbench compare BASE NEW`: which metrics are better, worse or the same.
#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <memory>

#include "ffbench/cmd/commands.hpp"
#include "ffbench/result/document_json.hpp"
#include "ffbench/view/document_change.hpp"
#include "libcommon/cli/output.hpp"

namespace ff::bench {
namespace {

struct Options {
  std::string base, current;
  std::string threshold = "1%", tolerance = "5%";
  std::string fail_on = "worse";
  bool quiet = false;
  cli::OutputOptions output;
};

// "1%", "0.5%", "0.01".
Result<double> parse_share(std::string_view option, std::string_view text) {
  const std::string_view digits = text.ends_with('%') ? text.substr(0, text.size() - 1) : text;
  double value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (text.ends_with('%')) value /= 100;
  if (error != std::errc() || end != digits.data() + digits.size() || !(value >= 0 && value < 1))
    return fail(Errc::kInvalidArgument,
                fmt::format("{}: '{}' is no share below 100% (write 1% or 0.01)", option, text));
  return value;
}

bool fails(const DocumentChange& change, const std::string& fail_on) {
  if (fail_on == "never") return false;
  if (change.count(Verdict::kWorse) > 0) return true;
  // What the base measured and the new run did not is no pass: the program that was to be measured may have crashed.
  if (!change.only_base.empty() || std::ranges::any_of(change.changes, [](const MetricChange& each) {
        return std::isfinite(each.comparison.base) && !std::isfinite(each.comparison.current);
      }))
    return true;
  return fail_on == "different" &&
         (change.count(Verdict::kBetter) > 0 || change.count(Verdict::kChanged) > 0 || !change.only_current.empty());
}

Result<int> run(const Options& options) {
  FF_TRY_ASSIGN(const auto format, options.output.format());
  FF_TRY_ASSIGN(const double threshold, parse_share("--threshold", options.threshold));
  FF_TRY_ASSIGN(const double tolerance, parse_share("--tolerance", options.tolerance));
  if (options.base == "-" && options.current == "-")
    return fail(Errc::kInvalidArgument, "BASE and NEW are both standard input (give one of them as a file)");
  FF_TRY_ASSIGN(const Document base, read_document(options.base));
  FF_TRY_ASSIGN(const Document current, read_document(options.current));
  const DocumentChange change = compare_documents(base, current, threshold, tolerance);
  if (!options.quiet)
    for (const std::string& warning : change.warnings) fmt::print(stderr, "ffbench: warning: {}\n", warning);
  std::fputs(render_change(change, format).c_str(), stdout);
  return fails(change, options.fail_on) ? cli::kExitFailed : cli::kExitOk;
}

}  // namespace

cli::Command compare_command(const Arguments&) {
  auto options = std::make_shared<Options>();
  cli::Command command;
  command.name = "compare";
  command.summary = "Say which metrics became better or worse between two documents";
  command.description =
      "Rows are matched by name, metrics by name within their rows. The ratio is new / base of the medians, its "
      "interval a bootstrap of both. 'better' and 'worse' mean that the interval excludes 1; 'same' that all of it "
      "lies "
      "within the threshold, or that it includes 1 and lies within the tolerance (an equivalence test); 'unknown' that "
      "nothing can be said, with the reason: too noisy where the interval includes 1 and is wider than that (take more "
      "--repeat), or too few samples. Rows that only one document has are 'removed' or 'added'. Documents of different "
      "machines or methods are compared with a warning.";
  command.options = {{.names = "base",
                      .target = &options->base,
                      .help = "Document of before, - for standard input",
                      .value_name = "BASE",
                      .required = true,
                      .complete = "file"},
                     {.names = "new",
                      .target = &options->current,
                      .help = "Document of after, - for standard input",
                      .value_name = "NEW",
                      .required = true,
                      .complete = "file"},
                     {.names = "--threshold",
                      .target = &options->threshold,
                      .help = "The least change that matters, as a share",
                      .value_name = "SHARE"},
                     {.names = "--tolerance",
                      .target = &options->tolerance,
                      .help = "A metric is the same when a change of more than this share is excluded",
                      .value_name = "SHARE"},
                     {.names = "--fail-on",
                      .target = &options->fail_on,
                      .help = "Exit with 1 when something is worse, when anything differs, or never",
                      .value_name = "WHAT",
                      .choices = {"worse", "different", "never"}},
                     {.names = "--quiet", .target = &options->quiet, .help = "No warnings on standard error"}};
  options->output.add_to(command);
  command.examples = {{"ffbench compare before.json after.json", "two runs"},
                      {"ffbench mem --json | ffbench compare base.json -", "against a kept run"},
                      {"ffbench compare a.json b.json --threshold 5% --fail-on worse", "as a gate in CI"}};
  command.exit_codes = {
      {1, "Something is worse (see --fail-on; 'unknown' is not worse), or a document could not be read"}};
  command.run = [options] { return run(*options); };
  return command;
}

}  // namespace ff::bench
