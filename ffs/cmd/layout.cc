// layout: how files are cut into chunks and spread over chains, and what new files of a folder take.
#include <fmt/core.h>

#include <cerrno>
#include <memory>

#include "ffs/cmd/commands.hpp"
#include "ffs/cmd/each_path.hpp"
#include "ffs/cmd/session.hpp"
#include "ffs/cmd/text.hpp"
#include "ffs/format/layout.hpp"
#include "ffs/mgmt/routing_client.hpp"

namespace ff::ffs {

using report::Cell;
using report::Format;
using report::Table;
using runtime::Task;

namespace {

struct Options {
  ClusterOptions cluster;
  cli::OutputOptions output;
  std::vector<std::string> paths;
  cli::ByteSize chunk{};    // 0: as it is
  std::int64_t stripe = 0;  // 0: as it is
  bool changes() const { return chunk.bytes != 0 || stripe != 0; }
};

// What a file takes where no folder says otherwise.
struct Default {
  Layout layout;
  std::size_t chains = 0;  // of its table
};

Task<Result<Default>> default_layout(FileSystem& fs, const Options& options) {
  FF_CO_TRY_ASSIGN(const ClusterFile cluster, options.cluster.load());
  FF_CO_TRY_ASSIGN(const auto view, co_await fs.manager().fetch());
  Default made;
  made.layout.table = kDefaultTable;
  made.layout.table_version = view->latest_version(kDefaultTable);
  made.layout.chunk_bytes = cluster.chunk_bytes;
  made.chains = view->table(kDefaultTable, made.layout.table_version).size();
  if (made.chains == 0) co_return fail(Errc::kUnavailable, "layout: no chains are laid down yet (`ffs format` does)");
  made.layout.stripe = static_cast<std::uint32_t>(
      cluster.stripe == 0 ? made.chains : std::min<std::size_t>(cluster.stripe, made.chains));
  co_return made;
}

Layout layout_of(const Attributes& attributes, const Layout& otherwise) {
  if (!attributes.has_layout()) return otherwise;
  const LayoutInfo& info = attributes.layout();
  return {.table = TableId{info.table()},
          .table_version = info.table_version(),
          .chunk_bytes = info.chunk_bytes(),
          .stripe = info.stripe()};
}

Task<Result<>> set_layout(FileSystem& fs, const Options& options, Default otherwise, std::string path) {
  FF_CO_TRY_ASSIGN(path, clean_path(path));
  FF_CO_TRY_ASSIGN(const Attributes attributes, co_await fs.stat(path));
  if (attributes.type() != DIRECTORY)
    co_return fail(Errc::kInvalidArgument, path + ": a file keeps the layout that it was made with (copy it)", ENOTDIR);
  Layout layout = layout_of(attributes, otherwise.layout);
  // New files go to the chains of today.
  layout.table = otherwise.layout.table;
  layout.table_version = otherwise.layout.table_version;
  if (options.chunk.bytes != 0) layout.chunk_bytes = static_cast<std::uint32_t>(options.chunk.bytes);
  if (options.stripe != 0) layout.stripe = static_cast<std::uint32_t>(options.stripe);
  if (layout.stripe > otherwise.chains) {
    co_return fail(Errc::kInvalidArgument, fmt::format("--stripe: {}: more than the {} chains that there are",
                                                       layout.stripe, otherwise.chains));
  }
  FF_CO_TRY(check(layout));
  SetAttributesRequest request;
  request.mutable_where()->set_base(attributes.inode());
  request.set_set_layout(true);
  LayoutInfo& info = *request.mutable_layout();
  info.set_table(number(layout.table));
  info.set_table_version(layout.table_version);
  info.set_chunk_bytes(layout.chunk_bytes);
  info.set_stripe(layout.stripe);
  const auto done = co_await fs.meta().set_attributes(std::move(request));
  if (!done) co_return fail(Error(done.error()).context(path));
  co_return {};
}

std::vector<Cell> layout_cells(const std::string& path, const Attributes& attributes, const Layout& otherwise) {
  const bool folder = attributes.type() == DIRECTORY;
  if (attributes.type() == SYMLINK) return {path, "link", {}, {}, {}, {}, {}, base64_cell(path)};
  const Layout layout = layout_of(attributes, otherwise);
  const char* const from = !attributes.has_layout() ? "default" : folder ? "folder" : "file";
  return {path,
          type_text(attributes.type()),
          count(layout.chunk_bytes),
          count(layout.stripe),
          count(number(layout.table)),
          count(layout.table_version),
          std::string(from),
          base64_cell(path)};
}

Task<Result<int>> run_layout(FileSystem& fs, const Options& options, Format format) {
  FF_CO_TRY_ASSIGN(const Default otherwise, co_await default_layout(fs, options));
  if (options.changes()) {
    co_return co_await each_path(options.paths, [&] [[clang::coro_wrapper]] (std::string path) {
      return set_layout(fs, options, otherwise, std::move(path));
    });
  }
  Table table("ff.ffs-layout/1", {{.key = "path", .title = "PATH"},
                                  {.key = "type", .title = "TYPE"},
                                  {.key = "chunk_bytes", .title = "CHUNK", .unit = report::Unit::kBytes},
                                  {.key = "stripe", .title = "STRIPE"},
                                  {.key = "table", .title = "TABLE"},
                                  {.key = "table_version", .title = "VERSION"},
                                  {.key = "from", .title = "FROM"},
                                  {.key = "path_base64", .title = "PATH-BASE64", .wide_only = true}});
  const Result<int> code = co_await each_path(options.paths, [&](std::string path) -> Task<Result<>> {
    FF_CO_TRY_ASSIGN(const Attributes attributes, co_await fs.stat(path));
    table.add_row(layout_cells(path, attributes, otherwise.layout));
    co_return {};
  });
  if (code) FF_CO_TRY(print(table.render(format)));
  co_return code;
}

}  // namespace

cli::Command layout_command() {
  const auto options = std::make_shared<Options>();
  cli::Command command;
  command.name = "layout";
  command.summary = "Show and set how files are cut and spread";
  command.description =
      "Without options, shows the layout of files, and what new files of a folder take. With --chunk or --stripe, sets "
      "the latter: for files, and for folders that inherit it, made in it from then on; what is there keeps its own. "
      "Its owner and root may.";
  command.options = {paths_option(options->paths, "files and folders; to set, folders alone"),
                     {.names = "--chunk",
                      .target = &options->chunk,
                      .help = "size of chunks, a power of two",
                      .min = kChunkBytesMin,
                      .max = kChunkBytesMax},
                     {.names = "--stripe",
                      .target = &options->stripe,
                      .help = "chains that a file is spread over; 0: as it is",
                      .value_name = "N",
                      .min = 0,
                      .max = 1 << 20}};
  command.examples = {{"ffs layout /data /data/train.bin", "what new files take, and what a file has"},
                      {"ffs layout --chunk 4MiB --stripe 16 /data", "for large files that are read at once"},
                      {"ffs layout --stripe 1 /logs", "one chain for each file"}};
  reports(command, options, run_layout);
  return command;
}

}  // namespace ff::ffs
