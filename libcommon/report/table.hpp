// Table: one row table per report, rendered as aligned text, JSON, JSON lines, CSV, YAML or names.
//
// A column has a key (JSON, CSV), a title (text) and a unit that says how text shows it; JSON always holds plain base
// units (bytes, nanoseconds, bytes per second). JSON is {"schema":"ff.<kind>/1", ...header fields, "rows":[…]}.
// Threads: none of it is shared. Model: btrfs-progs' rowspec.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "libcommon/base/result.hpp"

namespace ff::report {

// monostate is an absent value: "-" in text, null in JSON.
using Cell = std::variant<std::monostate, bool, std::int64_t, double, std::string>;

// How text shows a number. Percent counts to 100: 12.5 is "12.5%".
enum class Unit : std::uint8_t { kNone, kBytes, kNanoseconds, kBytesPerSecond, kPercent };

struct Column {
  std::string key;
  std::string title;
  Unit unit = Unit::kNone;
  int decimals = 2;        // of doubles, in text
  bool wide_only = false;  // shown by -o wide, and always in JSON
};

enum class Format : std::uint8_t { kTable, kWide, kJson, kJsonl, kYaml, kName, kCsv };

// "table", "wide", "json", "jsonl", "yaml", "name", "csv".
Result<Format> parse_format(std::string_view text);
const std::vector<std::string>& format_names();

class Table {
 public:
  // `schema` is "ff.ranks/1"; the first column is the one that `-o name` prints.
  Table(std::string schema, std::vector<Column> columns);

  // A field of the JSON object beside the rows (machine, command line, totals); absent from text.
  void set_header(std::string key, Cell value);
  // REQUIRES: as many cells as columns.
  void add_row(std::vector<Cell> cells);

  // The whole report; ends with a line break.
  //   table, wide   a line of titles, then aligned rows; control characters in cells show as escapes
  //   json          one object, indented; yaml: the same tree
  //   jsonl         one object a row, {"schema":.., cells..}; header fields are left out
  //   csv           RFC 4180 with a line of keys, all columns
  //   name          the first column alone
  std::string render(Format format) const;
  // One row as text or JSON line, for reports that grow while the program runs: print render_titles() first. Widths
  // depend on the columns alone, so that lines printed at different times align. kJson and kYaml give a JSON line.
  std::string render_row(std::size_t row, Format format) const;
  // What goes before the first render_row(): titles for text, keys for CSV, else nothing.
  std::string render_titles(Format format) const;

  std::size_t size() const noexcept { return rows_.size(); }

 private:
  std::string render_text(bool wide) const;
  std::string render_json() const;
  std::string render_yaml() const;

  std::string schema_;
  std::vector<Column> columns_;
  std::vector<std::pair<std::string, Cell>> header_;
  std::vector<std::vector<Cell>> rows_;
};

}  // namespace ff::report
