// quota: how much a folder and all below it holds, and how much it may.
#include <charconv>
#include <memory>
#include <optional>

#include "ffs/cmd/commands.hpp"
#include "ffs/cmd/each_path.hpp"
#include "ffs/cmd/session.hpp"
#include "ffs/cmd/text.hpp"
#include "libcommon/base/byte_size.hpp"

namespace ff::ffs {

using report::Cell;
using report::Format;
using report::Table;
using report::Unit;
using runtime::Task;

namespace {

struct Options {
  ClusterOptions cluster;
  cli::OutputOptions output;
  std::vector<std::string> paths;
  std::string bytes, files;  // empty: as it is
};

struct Limits {
  std::optional<std::uint64_t> bytes, files;
  bool any() const { return bytes || files; }
};

Result<Limits> parse_limits(const Options& options) {
  Limits limits;
  if (!options.bytes.empty()) {
    FF_TRY_ASSIGN(limits.bytes, parse_byte_size(options.bytes));
  }
  if (!options.files.empty()) {
    std::uint64_t files = 0;
    const char* const end = options.files.data() + options.files.size();
    const auto [stopped, error] = std::from_chars(options.files.data(), end, files);
    if (error != std::errc() || stopped != end)
      return fail(Errc::kInvalidArgument, "--files: '" + options.files + "': not a count (0: no limit)");
    limits.files = files;
  }
  return limits;
}

Task<Result<QuotaReply>> ask(FileSystem& fs, std::string path, std::optional<QuotaRequest> change = {}) {
  QuotaRequest request = change.value_or(QuotaRequest());
  FF_CO_TRY_ASSIGN(std::string clean, clean_path(path));
  *request.mutable_where() = at(std::move(clean), true);
  auto reply = co_await fs.meta().quota(std::move(request));
  if (!reply) co_return fail(Error(reply.error()).context(path));
  co_return reply;
}

Task<Result<>> set_quota(FileSystem& fs, Limits limits, std::string path) {
  // The request sets both; what is not asked for stays.
  FF_CO_TRY_ASSIGN(const QuotaReply before, co_await ask(fs, path));
  QuotaRequest request;
  request.set_set(true);
  request.set_bytes(limits.bytes.value_or(before.bytes_limit()));
  request.set_files(limits.files.value_or(before.files_limit()));
  FF_CO_TRY(co_await ask(fs, path, std::move(request)));
  co_return {};
}

Task<Result<int>> run_quota(FileSystem& fs, const Options& options, Format format) {
  FF_CO_TRY_ASSIGN(const Limits limits, parse_limits(options));
  if (limits.any()) {
    co_return co_await each_path(options.paths, [&] [[clang::coro_wrapper]] (std::string path) {
      return set_quota(fs, limits, std::move(path));
    });
  }
  Table table("ff.ffs-quota/1", {{.key = "path", .title = "PATH"},
                                 {.key = "bytes_used", .title = "BYTES", .unit = Unit::kBytes},
                                 {.key = "bytes_limit", .title = "BYTES-LIMIT", .unit = Unit::kBytes},
                                 {.key = "files_used", .title = "FILES"},
                                 {.key = "files_limit", .title = "FILES-LIMIT"},
                                 {.key = "path_base64", .title = "PATH-BASE64", .wide_only = true}});
  const Result<int> code = co_await each_path(options.paths, [&](std::string path) -> Task<Result<>> {
    FF_CO_TRY_ASSIGN(const QuotaReply reply, co_await ask(fs, path));
    // A folder that is counted counts itself.
    const bool counted = reply.files_used() != 0 || reply.bytes_limit() != 0 || reply.files_limit() != 0;
    table.add_row({path, counted ? count(reply.bytes_used()) : Cell(),
                   reply.bytes_limit() != 0 ? count(reply.bytes_limit()) : Cell(),
                   counted ? count(reply.files_used()) : Cell(),
                   reply.files_limit() != 0 ? count(reply.files_limit()) : Cell(), base64_cell(path)});
    co_return {};
  });
  if (code) FF_CO_TRY(print(table.render(format)));
  co_return code;
}

}  // namespace

cli::Command quota_command() {
  const auto options = std::make_shared<Options>();
  cli::Command command;
  command.name = "quota";
  command.summary = "Show and set how much a folder may hold";
  command.description =
      "Without options, shows what the folders' quotas allow and what is used of them, in all that is below; a folder "
      "below one with a quota shows that one, and a dash means no limit, or nothing that is counted. With --bytes or "
      "--files, sets a quota: root alone may, and the first time only on an empty folder. Files, folders and links "
      "count, the folder itself too; lengths count, not replicas. A writer stops where the quota ends; several at a "
      "time may go over by what they write between two questions. A limit below what is used removes nothing.";
  command.options = {paths_option(options->paths, "folders"),
                     {.names = "--bytes",
                      .target = &options->bytes,
                      .help = "most bytes, as 10GiB; 0: no limit",
                      .value_name = "SIZE"},
                     {.names = "--files",
                      .target = &options->files,
                      .help = "most files, folders and links; 0: no limit",
                      .value_name = "N"}};
  command.examples = {{"ffs quota --bytes 10TiB --files 1000000 /team/ann", "set both limits"},
                      {"ffs quota --files 0 /team/ann", "take one away"},
                      {"ffs quota /team/ann /team/bob", "show what is used"}};
  reports(command, options, run_quota);
  return command;
}

}  // namespace ff::ffs
