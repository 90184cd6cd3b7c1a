// `ffbench plot FILE...`: pictures of documents by gnuplot.
#include <fmt/core.h>

#include <memory>

#include "ffbench/cmd/commands.hpp"
#include "ffbench/result/document_json.hpp"
#include "ffbench/result/output_file.hpp"
#include "ffbench/view/gnuplot.hpp"

namespace ff::bench {
namespace {

struct Options {
  std::vector<std::string> files;
  std::string out;
  std::string format;
  bool script = false;
  bool force = false;
};

// Of --format, else of the suffix of --out, else SVG.
Result<PictureFormat> format_of(const Options& options) {
  std::string name = options.format;
  if (name.empty() && options.out.ends_with(".png")) name = "png";
  if (name.empty() && (options.out.empty() || options.out == "-" || options.out.ends_with(".svg"))) name = "svg";
  if (name.empty())
    return fail(Errc::kInvalidArgument,
                fmt::format("--out {}: ends neither in .svg nor in .png (name it so, or give --format)", options.out));
  return name == "png" ? PictureFormat::kPng : PictureFormat::kSvg;
}

Result<int> run(const Options& options) {
  FF_TRY_ASSIGN(const PictureFormat format, format_of(options));
  const std::string out = options.out.empty() ? "-" : options.out;
  FF_TRY_CTX(check_output(out, options.force), "--out");
  FF_TRY_ASSIGN(const std::vector<Document> documents, read_documents(options.files));
  const auto figures = figures_of(documents, options.files);
  if (figures.empty()) return fail(Errc::kNotFound, options.files[0] + ": holds no measured values (nothing to plot)");
  std::string bytes = gnuplot_script(figures, format);
  if (!options.script) {
    FF_TRY_ASSIGN(bytes, run_gnuplot(bytes));
  }
  FF_TRY_CTX(write_output(out, bytes, options.force), "--out");
  return cli::kExitOk;
}

}  // namespace

cli::Command plot_command(const Arguments&) {
  auto options = std::make_shared<Options>();
  cli::Command command;
  command.name = "plot";
  command.summary = "Draw documents as SVG or PNG with gnuplot";
  command.description =
      "The data choose the picture: a metric over the parameter that was swept (bytes on a binary scale) with "
      "confidence intervals, bars where nothing was swept, latency over percentiles, and a heat map where rows name "
      "pairs of hosts. Several files become series of the same picture. Needs gnuplot; --script does not.";
  command.options = {
      {.names = "file",
       .target = &options->files,
       .help = "Documents, - for standard input",
       .value_name = "FILE",
       .required = true,
       .complete = "file"},
      {.names = "--out",
       .target = &options->out,
       .help = "Write here instead of standard output",
       .value_name = "FILE",
       .complete = "file"},
      {.names = "--format",
       .target = &options->format,
       .help = "Kind of picture; default: by the suffix of --out, else svg",
       .value_name = "KIND",
       .choices = {"svg", "png"}},
      {.names = "--script", .target = &options->script, .help = "Print the gnuplot script instead of running it"},
      {.names = "--force", .target = &options->force, .help = "Replace an existing file"}};
  command.examples = {{"ffbench plot run.json --out run.svg", "one picture with all its metrics"},
                      {"ffbench plot before.json after.json --out both.png", "two runs as two series"},
                      {"ffbench plot run.json --script > run.gp", "to change the picture by hand"}};
  command.exit_codes = {{1, "A document could not be read, or gnuplot is missing or failed"}};
  command.run = [options] { return run(*options); };
  return command;
}

}  // namespace ff::bench
