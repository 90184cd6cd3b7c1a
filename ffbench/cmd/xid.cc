// `ffbench xid`: the faults in kernel logs, by class, GPU, host and day.
#include <fmt/core.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdio>
#include <memory>

#include "ffbench/cmd/commands.hpp"
#include "ffbench/faults/civil_time.hpp"
#include "ffbench/faults/fault_counts.hpp"
#include "ffbench/faults/log_files.hpp"
#include "libcommon/cli/output.hpp"
#include "libcommon/report/utf8.hpp"

namespace ff::bench {
namespace {

using report::Cell;
using report::Column;
using report::Format;
using report::Table;
using report::Unit;

struct Options {
  std::vector<std::string> files;
  std::string by = "class", only = "all", boot;
  cli::Duration dedup{0};
  bool events = false;
  cli::OutputOptions output{"table", {"table", "wide", "json", "jsonl", "yaml", "name", "csv"}};
};

volatile std::sig_atomic_t stop_signal = 0;

// Ctrl-C ends the reading of an endless log; what was counted is printed.
class StopReading {
 public:
  StopReading() {
    struct sigaction action = {};
    action.sa_handler = [](int signal) {
      if (stop_signal != 0) ::_exit(128 + signal);
      stop_signal = signal;
    };
    ::sigaction(SIGINT, &action, &interrupt_);
    ::sigaction(SIGTERM, &action, &terminate_);
  }
  StopReading(const StopReading&) = delete;
  StopReading& operator=(const StopReading&) = delete;
  ~StopReading() {
    ::sigaction(SIGINT, &interrupt_, nullptr);
    ::sigaction(SIGTERM, &terminate_, nullptr);
  }

 private:
  struct sigaction interrupt_ = {}, terminate_ = {};
};

bool wanted(const FaultEvent& event, const std::string& only) {
  return only == "all" || (only == "gpu" ? is_gpu_class(event.fault) : fault_class_name(event.fault) == only);
}

Cell text_or_none(std::string text) { return text.empty() ? Cell() : Cell(std::move(text)); }
Cell count_cell(std::uint64_t count) { return static_cast<std::int64_t>(count); }

// Class rows first, each followed by its codes: the layout of the paper's Table VI.
Table class_table(const FaultCounts& counts) {
  Table table("ff.xid/1", {{.key = "class", .title = "CLASS"},
                           {.key = "code", .title = "CODE"},
                           {.key = "count", .title = "COUNT"},
                           {.key = "share_percent", .title = "SHARE", .unit = Unit::kPercent},
                           {.key = "meaning", .title = "MEANING"},
                           {.key = "action", .title = "WHAT TO DO"}});
  for (int i = 0; i < kFaultClassCount; ++i) {
    const auto fault = static_cast<FaultClass>(i);
    const std::uint64_t of_class = counts.by_class()[static_cast<std::size_t>(i)];
    if (of_class == 0) continue;
    const std::string name(fault_class_name(fault));
    table.add_row(
        {name, Cell(), count_cell(of_class), counts.share_percent(of_class), Cell(), std::string(fault_action(fault))});
    for (const auto& [key, count] : counts.by_code()) {
      if (key.fault != fault) continue;
      const std::string meaning(is_gpu_class(fault) ? xid_meaning(key.number) : std::string_view{});
      table.add_row({name, key.code, count_cell(count), counts.share_percent(count), text_or_none(meaning), Cell()});
    }
  }
  return table;
}

// Classes as columns; those without any fault are shown by -o wide (and in JSON).
Table matrix(std::vector<Column> keys, const FaultCounts& counts) {
  for (int i = 0; i < kFaultClassCount; ++i) {
    const std::string name(fault_class_name(static_cast<FaultClass>(i)));
    keys.push_back({.key = name, .title = name, .wide_only = counts.by_class()[static_cast<std::size_t>(i)] == 0});
  }
  keys.push_back({.key = "count", .title = "COUNT"});
  keys.push_back({.key = "share_percent", .title = "SHARE", .unit = Unit::kPercent});
  return {"ff.xid/1", std::move(keys)};
}

void add_matrix_row(Table& table, std::vector<Cell> row, const ClassCounts& counts, const FaultCounts& all) {
  for (const std::uint64_t count : counts) row.push_back(count_cell(count));
  row.push_back(count_cell(sum(counts)));
  row.emplace_back(all.share_percent(sum(counts)));
  table.add_row(std::move(row));
}

Table table_of(const FaultCounts& counts, const std::string& by) {
  if (by == "class") return class_table(counts);
  if (by == "gpu") {
    Table table = matrix({{.key = "device", .title = "DEVICE"}, {.key = "host", .title = "HOST"}}, counts);
    for (const auto& [key, classes] : counts.by_device())
      add_matrix_row(table, {text_or_none(key.second), key.first}, classes, counts);
    return table;
  }
  Table table = matrix({{.key = by, .title = by == "day" ? "DAY" : "HOST"}}, counts);
  for (const auto& [key, classes] : by == "day" ? counts.by_day() : counts.by_host())
    add_matrix_row(table, {key}, classes, counts);
  return table;
}

Table events_table() {
  return {"ff.xid_events/1",
          {{.key = "timestamp", .title = "TIME"},
           {.key = "class", .title = "CLASS"},
           {.key = "node", .title = "NODE"},
           {.key = "device", .title = "DEVICE"},
           {.key = "code", .title = "CODE"},
           {.key = "count", .title = "COUNT"},
           {.key = "message", .title = "MESSAGE"}}};
}

std::vector<Cell> event_row(const FaultEvent& event) {
  return {event.time_ns ? Cell(instant_text(*event.time_ns)) : Cell(),
          std::string(fault_class_name(event.fault)),
          text_or_none(event.host),
          text_or_none(event.device),
          event.code,
          count_cell(event.repeats),
          event.message};
}

Result<> print(const std::string& text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size()) return fail(errno_error("standard output"));
  return {};
}

class XidRun {
 public:
  XidRun(const Options& options, Format format) : options_(options), format_(format), counts_(options.dedup) {}

  Result<int> run() {
    const StopReading signals;
    LogReading reading{.stopped = [] { return stop_signal != 0; }};
    FF_TRY_ASSIGN(reading.boot_ns, boot());
    if (options_.events) FF_TRY(print(events_table().render_titles(format_)));
    const FaultSink sink = [this](const FaultEvent& event) { return take(event); };
    if (options_.files.empty()) {
      FF_TRY_ASSIGN(const LinesRead read, read_kernel_log("", sink));
      count(read);
    }
    std::size_t unread = 0;
    for (const std::string& file : options_.files) {
      const auto read = read_log_file(file, reading, sink);
      // One bad file among many does not take with it what the others told.
      if (!read && options_.files.size() == 1) return std::unexpected(read.error());
      if (!read) {
        fmt::print(stderr, "ffbench: {}\n", report::printable(read.error().message()));
        ++unread;
        continue;
      }
      count(*read);
      if (read->interrupted) break;
    }
    if (unread == options_.files.size() && unread > 0) return cli::kExitFailed;
    if (!options_.events) FF_TRY(print_counts());
    if (stop_signal != 0) return 128 + stop_signal;
    return unread > 0 ? cli::kExitPartial : cli::kExitOk;
  }

 private:
  Result<std::optional<std::int64_t>> boot() const {
    if (options_.boot.empty()) return std::nullopt;
    const auto time = parse_time(options_.boot);
    if (!time || time->precision != TimePrecision::kInstant)
      return fail(Errc::kInvalidArgument,
                  fmt::format("--boot: '{}' is no time (write 2026-11-23T08:00:00Z)", options_.boot));
    return time->ns;
  }

  void count(const LinesRead& read) {
    lines_ += read.lines;
    cut_ += read.cut;
  }

  Result<> take(const FaultEvent& event) {
    if (!wanted(event, options_.only) || !counts_.add(event) || !options_.events) return {};
    Table one = events_table();
    FaultEvent shown = event;
    if (options_.dedup.count() > 0) shown.repeats = 1;
    one.add_row(event_row(shown));
    FF_TRY(print(one.render_row(0, format_)));
    if (std::fflush(stdout) != 0) return fail(errno_error("standard output"));
    return {};
  }

  Result<> print_counts() {
    Table table = table_of(counts_, options_.by);
    table.set_header("by", options_.by);
    table.set_header("total", count_cell(counts_.total()));
    table.set_header("duplicates", count_cell(counts_.duplicates()));
    table.set_header("links_up", count_cell(counts_.links_up()));
    table.set_header("lines", count_cell(lines_));
    table.set_header("lines_cut", count_cell(cut_));
    FF_TRY(print(table.render(format_)));
    if (format_ == Format::kTable || format_ == Format::kWide)
      FF_TRY(print(fmt::format("{} faults in {} lines\n", counts_.total(), lines_)));
    return {};
  }

  const Options& options_;
  Format format_;
  FaultCounts counts_;
  std::uint64_t lines_ = 0, cut_ = 0;
};

}  // namespace

cli::Command xid_command(const Arguments&) {
  const auto options = std::make_shared<Options>();
  cli::Command command;
  command.name = "xid";
  command.summary = "Count the faults of GPUs, memory and links in kernel logs";
  command.description =
      "Reads kernel logs as dmesg, journalctl (short, ISO, monotonic, JSON) and syslog write them, of one host or of "
      "several, and puts each fault into a class of the Fire-Flyer AI-HPC paper, Table V: software (Xid 13 31 43 45), "
      "nvlink (74), ecc (63 64 94 95), uncorrectable (44 48 61 62 69 79), gsp (119), other; and nvswitch (SXid), "
      "main_memory (EDAC, machine checks), machine_check, network (links that went down). Without FILE, the log of the "
      "running kernel is read. Lines that name no host belong to the host that FILE is named after, up to its first "
      "dot. Memory use is bounded, however long the log. Shares are of all faults counted.";
  auto o = options.get();
  command.options = {{.names = "file",
                      .target = &o->files,
                      .help = "kernel logs; '-' is standard input",
                      .value_name = "FILE",
                      .complete = "file"},
                     {.names = "--by",
                      .target = &o->by,
                      .help = "what a row stands for",
                      .value_name = "KEY",
                      .choices = {"class", "gpu", "host", "day"}},
                     {.names = "--only",
                      .target = &o->only,
                      .help = "count these faults alone; 'gpu' is every Xid",
                      .value_name = "CLASS",
                      .choices = {"all", "gpu", "software", "nvlink", "ecc", "uncorrectable", "gsp", "other",
                                  "nvswitch", "main_memory", "machine_check", "network"}},
                     {.names = "--dedup",
                      .target = &o->dedup,
                      .help = "leave out a fault that the same device reported less than this before; 0: count all"},
                     {.names = "--events",
                      .target = &o->events,
                      .help = "print one line a fault as it is read, for 'ffbench failures' (with -o csv) and others"},
                     {.names = "--boot",
                      .target = &o->boot,
                      .help = "when the machine of the logs started, for logs that count seconds since then",
                      .value_name = "TIME"}};
  options->output.add_to(command);
  command.examples = {{"ffbench xid /var/log/kern.log*", "classes and codes, with shares and what to do"},
                      {"ffbench xid --by gpu --only gpu -o json node*.dmesg", "which GPU fails, and how"},
                      {"journalctl -kf -o json | ffbench xid --events -o jsonl -", "follow a log"},
                      {"ffbench xid --events -o csv kern.log | ffbench failures -", "failure statistics of a log"}};
  command.exit_codes = {{3, "a file could not be read; the counts are of the others"},
                        {130, "stopped by Ctrl-C (143: by SIGTERM); what was counted was printed"}};
  command.run = [options]() -> Result<int> {
    FF_TRY_ASSIGN(const Format format, options->output.format());
    if (options->events && (format == Format::kYaml || format == Format::kName))
      return fail(Errc::kInvalidArgument,
                  "--events: prints table, wide, json (one object a line), jsonl or csv (choose one of them)");
    return XidRun(*options, format).run();
  };
  return command;
}

}  // namespace ff::bench
