#include "ffbench/faults/failure_table.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <initializer_list>
#include <utility>

#include "ffbench/faults/line_reader.hpp"
#include "libcommon/base/unique_fd.hpp"

namespace ff::bench {
namespace {

std::string trimmed(std::string_view text) {
  const auto first = text.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return std::string(text.substr(first, text.find_last_not_of(" \t") - first + 1));
}

// Nothing when a quote is not closed.
Result<std::vector<std::string>> split_cells(std::string_view line, char separator) {
  std::vector<std::string> cells(1);
  bool quoted = false;
  for (std::size_t i = 0; i < line.size(); ++i) {
    const char c = line[i];
    if (quoted && c == '"' && i + 1 < line.size() && line[i + 1] == '"') {
      cells.back() += '"';
      ++i;
    } else if (c == '"' && (quoted || trimmed(cells.back()).empty())) {
      quoted = !quoted;
    } else if (c == separator && !quoted) {
      cells.emplace_back();
    } else {
      cells.back() += c;
    }
  }
  if (quoted) return fail(Errc::kInvalidArgument, "a quote is not closed");
  std::ranges::transform(cells, cells.begin(), [](const std::string& cell) { return trimmed(cell); });
  return cells;
}

std::string lower(std::string text) {
  std::ranges::transform(text, text.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return text;
}

int find_name(const std::vector<std::string>& cells, std::initializer_list<std::string_view> names) {
  for (const std::string_view name : names)
    for (std::size_t i = 0; i < cells.size(); ++i)
      if (lower(cells[i]) == name) return static_cast<int>(i);
  return -1;
}

std::string cell_at(const std::vector<std::string>& cells, int index) {
  return index < 0 || static_cast<std::size_t>(index) >= cells.size() ? std::string()
                                                                      : cells[static_cast<std::size_t>(index)];
}

}  // namespace

Error FailureReader::problem(const std::string& what) const {
  return {Errc::kInvalidArgument, fmt::format("{}:{}: {}", name_, line_, what)};
}

Result<> FailureReader::read_names(const std::vector<std::string>& cells) {
  time_ = find_name(cells, {"timestamp", "time", "date", "day", "month"});
  count_ = find_name(cells, {"count", "events", "n"});
  class_ = find_name(cells, {"class", "kind", "type"});
  node_ = find_name(cells, {"node", "host"});
  if (time_ < 0)
    return fail(
        problem("no column says when (name the columns in the first line: date or timestamp, and count, class, "
                "node where there are any)"));
  return {};
}

Result<> FailureReader::read_row(const std::vector<std::string>& cells) {
  const std::string when = cell_at(cells, time_);
  const auto time = parse_time(when);
  if (!time)
    return fail(problem(when.empty() ? "no time (give `ffbench xid` the time of boot by --boot for logs without dates)"
                                     : fmt::format("'{}' is no date (write 2023-04-19, 2023-04 or "
                                                   "2023-04-19T12:00:00Z)",
                                                   when)));
  Failure failure{.time_ns = time->ns, .precision = time->precision};
  if (count_ >= 0) {
    const std::string text = cell_at(cells, count_);
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), failure.count);
    if (error != std::errc() || end != text.data() + text.size() || failure.count > kCountMax)
      return fail(problem(fmt::format("'{}' is no count (a whole number up to {})", text, kCountMax)));
  }
  failure.fault_class = cell_at(cells, class_);
  failure.node = cell_at(cells, node_);
  if (failures_.size() >= kRowsMax)
    return fail(Errc::kExhausted, fmt::format("{}: more than {} rows (sum them by day first)", name_, kRowsMax));
  failures_.push_back(std::move(failure));
  return {};
}

Result<> FailureReader::add_line(std::string_view line) {
  ++line_;
  if (line_ == 1 && line.starts_with("\xef\xbb\xbf")) line.remove_prefix(3);  // spreadsheets write a byte order mark
  if (line.find_first_not_of(" \t") == std::string_view::npos || line.starts_with('#')) return {};
  const bool names = time_ < 0;
  if (names) {
    const auto at = line.find_first_of(",;\t");
    separator_ = at == std::string_view::npos ? ',' : line[at];
  }
  const auto cells = split_cells(line, separator_);
  if (!cells) return fail(problem(cells.error().message()));
  return names ? read_names(*cells) : read_row(*cells);
}

Result<> FailureReader::finish() const {
  if (time_ >= 0) return {};
  return fail(Errc::kInvalidArgument, name_ + ": is empty (the first line names the columns: date,count)");
}

Result<> read_failures(const std::string& path, std::vector<Failure>& failures) {
  UniqueFd file;
  if (path != "-") {
    file.reset(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file) return fail(errno_error(path));
  }
  const std::string name = path == "-" ? "standard input" : path;
  FailureReader reader(name, failures);
  FF_TRY(read_lines(path == "-" ? STDIN_FILENO : file.get(), name,
                    [&](std::string_view line) { return reader.add_line(line); }, {}));
  return reader.finish();
}

}  // namespace ff::bench
