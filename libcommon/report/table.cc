#include "libcommon/report/table.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <optional>

#include "libcommon/base/assert.hpp"
#include "libcommon/base/byte_size.hpp"
#include "libcommon/base/duration.hpp"
#include "libcommon/report/json.hpp"
#include "libcommon/report/utf8.hpp"
#include "libcommon/report/yaml.hpp"

namespace ff::report {
namespace {

template <class... F>
struct Overloaded : F... {
  using F::operator()...;
};
template <class... F>
Overloaded(F...) -> Overloaded<F...>;

bool is_number(const Cell& cell) {
  return std::holds_alternative<std::int64_t>(cell) || std::holds_alternative<double>(cell);
}

std::string text_of_double(double d, const Column& column) {
  if (std::isnan(d)) return "-";
  // 2^63 and more cannot be rounded to an integer of bytes or nanoseconds; show such a value plainly.
  const bool countable = std::fabs(d) < 9.2e18;
  switch (column.unit) {
    case Unit::kBytes:
      if (countable)
        return (d < 0 ? "-" : "") + format_byte_size(static_cast<std::uint64_t>(std::llround(std::fabs(d))));
      break;
    case Unit::kNanoseconds:
      if (countable) return format_duration(std::chrono::nanoseconds(std::llround(d)));
      break;
    case Unit::kBytesPerSecond: return (d < 0 ? "-" : "") + format_byte_rate(std::fabs(d));
    case Unit::kPercent: return fmt::format("{:.{}f}%", d, column.decimals);
    case Unit::kNone: break;
  }
  return fmt::format("{:.{}f}", d, column.decimals);
}

std::string text_of_integer(std::int64_t i, const Column& column) {
  // Negated as unsigned, which is right for the smallest integer too.
  const std::uint64_t magnitude = i < 0 ? 0 - static_cast<std::uint64_t>(i) : static_cast<std::uint64_t>(i);
  switch (column.unit) {
    case Unit::kBytes: return (i < 0 ? "-" : "") + format_byte_size(magnitude);
    case Unit::kNanoseconds: return format_duration(std::chrono::nanoseconds(i));
    case Unit::kBytesPerSecond: return (i < 0 ? "-" : "") + format_byte_rate(static_cast<double>(magnitude));
    case Unit::kPercent: return fmt::format("{}%", i);
    case Unit::kNone: break;
  }
  return fmt::format("{}", i);
}

std::string text_of(const Cell& cell, const Column& column) {
  return std::visit(
      Overloaded{[](std::monostate) { return std::string("-"); }, [](bool b) { return std::string(b ? "yes" : "no"); },
                 [&](std::int64_t i) { return text_of_integer(i, column); },
                 [&](double d) { return text_of_double(d, column); },
                 [](const std::string& s) { return printable(s); }},
      cell);
}

// The plain form for CSV: base units, shortest round trip; an absent value is an empty field.
std::string csv_of(const Cell& cell) {
  const auto number = [](auto n) {
    char digits[32];
    return std::string(digits, std::to_chars(digits, digits + sizeof digits, n).ptr);
  };
  std::string text = std::visit(
      Overloaded{[](std::monostate) { return std::string(); }, [](bool b) { return std::string(b ? "true" : "false"); },
                 [&](std::int64_t i) { return number(i); },
                 [&](double d) { return std::isfinite(d) ? number(d) : std::string(); },
                 [](const std::string& s) { return s; }},
      cell);
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"') quoted += '"';
    quoted += c;
  }
  return quoted + '"';
}

void write_json(JsonWriter& json, const Cell& cell) {
  std::visit(Overloaded{[&](std::monostate) { json.null(); }, [&](const auto& v) { json.value(v); }}, cell);
}

std::string csv_line(const std::vector<std::string>& fields) {
  std::string line;
  for (std::size_t i = 0; i < fields.size(); ++i) line.append(i == 0 ? "" : ",").append(fields[i]);
  // RFC 4180 ends lines so.
  return line + "\r\n";
}

struct Field {
  std::string text;
  std::size_t width = 0;  // pads to this
  bool right = false;
};

std::string text_line(const std::vector<Field>& fields) {
  std::string line;
  for (std::size_t i = 0; i < fields.size(); ++i) {
    const Field& field = fields[i];
    const std::size_t width = display_width(field.text);
    const std::size_t padding = field.width > width ? field.width - width : 0;
    if (i > 0) line += "  ";
    if (field.right) line.append(padding, ' ');
    line += field.text;
    if (!field.right) line.append(padding, ' ');
  }
  line.erase(line.find_last_not_of(' ') + 1);
  return line + '\n';
}

// Wide enough for what most values of the unit print as, so that rows printed one by one align.
std::size_t streaming_width(const Column& column) {
  return std::max<std::size_t>(display_width(column.title), column.unit == Unit::kNone ? 8 : 10);
}

bool is_text(Format format) { return format == Format::kTable || format == Format::kWide; }

const std::vector<std::pair<std::string, Format>>& formats() {
  static const std::vector<std::pair<std::string, Format>> table = {
      {"table", Format::kTable}, {"wide", Format::kWide}, {"json", Format::kJson}, {"jsonl", Format::kJsonl},
      {"yaml", Format::kYaml},   {"name", Format::kName}, {"csv", Format::kCsv}};
  return table;
}

}  // namespace

const std::vector<std::string>& format_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> list;
    for (const auto& [name, format] : formats()) list.push_back(name);
    return list;
  }();
  return names;
}

Result<Format> parse_format(std::string_view text) {
  for (const auto& [name, format] : formats())
    if (name == text) return format;
  return fail(Errc::kInvalidArgument,
              fmt::format("'{}' is not an output format (use table, wide, json, jsonl, yaml, name or csv)", text));
}

Table::Table(std::string schema, std::vector<Column> columns)
    : schema_(std::move(schema)), columns_(std::move(columns)) {
  FF_ASSERT(!columns_.empty(), schema_);
}

void Table::set_header(std::string key, Cell value) {
  for (auto& [present, old] : header_) {
    if (present != key) continue;
    old = std::move(value);
    return;
  }
  header_.emplace_back(std::move(key), std::move(value));
}

void Table::add_row(std::vector<Cell> cells) {
  FF_ASSERT(cells.size() == columns_.size(), cells.size(), columns_.size(), schema_);
  rows_.push_back(std::move(cells));
}

std::string Table::render(Format format) const {
  switch (format) {
    case Format::kTable:
    case Format::kWide: return render_text(format == Format::kWide);
    case Format::kJson: return render_json();
    case Format::kYaml: return render_yaml();
    case Format::kJsonl:
    case Format::kName:
    case Format::kCsv: break;
  }
  std::string out = render_titles(format);
  for (std::size_t row = 0; row < rows_.size(); ++row) out += render_row(row, format);
  return out;
}

std::string Table::render_text(bool wide) const {
  std::vector<std::vector<Field>> lines(rows_.size() + 1);
  for (auto& line : lines) line.reserve(columns_.size());
  for (std::size_t c = 0; c < columns_.size(); ++c) {
    const Column& column = columns_[c];
    if (column.wide_only && !wide) continue;
    bool numbers = false, others = false;
    std::size_t width = display_width(column.title);
    std::vector<std::string> texts;
    texts.reserve(rows_.size());
    for (const auto& row : rows_) {
      texts.push_back(text_of(row[c], column));
      width = std::max(width, display_width(texts.back()));
      numbers = numbers || is_number(row[c]);
      others = others || std::holds_alternative<std::string>(row[c]) || std::holds_alternative<bool>(row[c]);
    }
    const bool right = !others && (numbers || column.unit != Unit::kNone);
    lines[0].push_back({column.title, width, right});
    for (std::size_t r = 0; r < rows_.size(); ++r) lines[r + 1].push_back({std::move(texts[r]), width, right});
  }
  std::string out;
  for (const auto& line : lines) out += text_line(line);
  return out;
}

std::string Table::render_json() const {
  JsonWriter json(2);
  json.begin_object().field("schema", std::string_view(schema_));
  for (const auto& [key, value] : header_) write_json(json.key(key), value);
  json.key("rows").begin_array();
  for (const auto& row : rows_) {
    json.begin_object();
    for (std::size_t c = 0; c < columns_.size(); ++c) write_json(json.key(columns_[c].key), row[c]);
    json.end_object();
  }
  json.end_array().end_object();
  return json.take() + '\n';
}

std::string Table::render_yaml() const {
  const auto scalar = [](const Cell& cell) {
    if (const auto* text = std::get_if<std::string>(&cell)) return yaml_string(*text);
    JsonWriter json;  // null, booleans and numbers are the same in both
    write_json(json, cell);
    return json.take();
  };
  std::string out = fmt::format("schema: {}\n", yaml_string(schema_));
  for (const auto& [key, value] : header_) out += fmt::format("{}: {}\n", yaml_string(key), scalar(value));
  out += rows_.empty() ? "rows: []\n" : "rows:\n";
  for (const auto& row : rows_)
    for (std::size_t c = 0; c < columns_.size(); ++c)
      out += fmt::format("{}{}: {}\n", c == 0 ? "- " : "  ", yaml_string(columns_[c].key), scalar(row[c]));
  return out;
}

std::string Table::render_row(std::size_t row, Format format) const {
  FF_ASSERT(row < rows_.size(), row, rows_.size());
  const auto& cells = rows_[row];
  if (format == Format::kName) return text_of(cells[0], columns_[0]) + '\n';
  if (format == Format::kCsv) {
    std::vector<std::string> fields;
    for (const Cell& cell : cells) fields.push_back(csv_of(cell));
    return csv_line(fields);
  }
  if (is_text(format)) {
    std::vector<Field> fields;
    for (std::size_t c = 0; c < columns_.size(); ++c) {
      if (columns_[c].wide_only && format != Format::kWide) continue;
      const bool right = is_number(cells[c]) || columns_[c].unit != Unit::kNone;
      fields.push_back({text_of(cells[c], columns_[c]), streaming_width(columns_[c]), right});
    }
    return text_line(fields);
  }
  JsonWriter json;
  json.begin_object().field("schema", std::string_view(schema_));
  for (std::size_t c = 0; c < columns_.size(); ++c) write_json(json.key(columns_[c].key), cells[c]);
  json.end_object();
  return json.take() + '\n';
}

std::string Table::render_titles(Format format) const {
  if (format == Format::kCsv) {
    std::vector<std::string> keys;
    for (const Column& column : columns_) keys.push_back(csv_of(column.key));
    return csv_line(keys);
  }
  if (!is_text(format)) return {};
  std::vector<Field> fields;
  for (std::size_t c = 0; c < columns_.size(); ++c) {
    if (columns_[c].wide_only && format != Format::kWide) continue;
    const bool right = columns_[c].unit != Unit::kNone || (!rows_.empty() && is_number(rows_[0][c]));
    fields.push_back({columns_[c].title, streaming_width(columns_[c]), right});
  }
  return text_line(fields);
}

}  // namespace ff::report
