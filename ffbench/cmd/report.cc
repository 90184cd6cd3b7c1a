// `ffbench report FILE... --out report.html`: one page that needs nothing else.
#include <memory>

#include "ffbench/cmd/commands.hpp"
#include "ffbench/result/document_json.hpp"
#include "ffbench/result/output_file.hpp"
#include "ffbench/view/html_report.hpp"

namespace ff::bench {
namespace {

struct Options {
  std::vector<std::string> files;
  std::string out;
  std::string title = "ffbench report";
  bool force = false;
};

Result<int> run(const Options& options) {
  FF_TRY_CTX(check_output(options.out, options.force), "--out");
  FF_TRY_ASSIGN(const std::vector<Document> documents, read_documents(options.files));
  FF_TRY_CTX(write_output(options.out, html_report(documents, options.files, options.title), options.force), "--out");
  return cli::kExitOk;
}

}  // namespace

cli::Command report_command(const Arguments&) {
  auto options = std::make_shared<Options>();
  cli::Command command;
  command.name = "report";
  command.summary = "Make one self-contained HTML page of documents";
  command.description =
      "The page holds figures, tables, warnings, the method and the machine of every document. It has no script and "
      "refers to nothing outside, so that it can be mailed and archived; it follows the reader's light or dark "
      "setting.";
  command.options = {
      {.names = "file",
       .target = &options->files,
       .help = "Documents, - for standard input",
       .value_name = "FILE",
       .required = true,
       .complete = "file"},
      {.names = "--out",
       .target = &options->out,
       .help = "Page to write, - for standard output",
       .value_name = "FILE",
       .required = true,
       .complete = "file"},
      {.names = "--title", .target = &options->title, .help = "Heading of the page", .value_name = "TEXT"},
      {.names = "--force", .target = &options->force, .help = "Replace an existing file"}};
  command.examples = {{"ffbench report net.json mem.json --out node17.html", "two documents on one page"},
                      {"ffbench mem --json | ffbench report - --out mem.html", "straight from a measurement"}};
  command.exit_codes = {{1, "A document could not be read, or the page could not be written"}};
  command.run = [options] { return run(*options); };
  return command;
}

}  // namespace ff::bench
