#include "ffbench/node/node_report.hpp"

#include <algorithm>

#include "libcommon/base/file.hpp"

namespace ff::bench {
namespace {

constexpr std::string_view kSchema = "ff.node/1";
constexpr std::size_t kFileBytesMax = 256u << 20;  // ten thousand nodes' reports

using report::Cell;

std::string text_of(const report::JsonValue& object, std::string_view name) {
  const report::JsonValue* member = object.find(name);
  return member == nullptr || member->text() == nullptr ? std::string() : *member->text();
}

std::string json_of(const NodeReport& node) {
  report::JsonWriter writer(2);
  writer.begin_object();
  writer.field("schema", kSchema);
  writer.field("host", std::string_view(node.host));
  writer.field("level", std::string_view(node.level));
  writer.field("version", std::string_view(node.version));
  writer.field("started", std::string_view(node.started));
  writer.field("elapsed_ns", node.elapsed_ns);
  writer.field("verdict", fitness_name(node.fitness()));
  writer.key("reasons").begin_array();
  for (const std::string& reason : node.reasons()) writer.value(std::string_view(reason));
  writer.end_array();
  writer.key("checks").begin_array();
  for (const Finding& finding : node.checks) write_finding(writer, finding);
  writer.end_array();
  writer.end_object();
  return writer.take() + "\n";
}

Cell number(const std::optional<double>& value) { return value ? Cell(*value) : Cell(); }
Cell text(const std::string& words) { return words.empty() ? Cell() : Cell(words); }

report::Table table_of(const NodeReport& node) {
  report::Table table(std::string(kSchema), {{.key = "id", .title = "CHECK"},
                                             {.key = "verdict", .title = "VERDICT"},
                                             {.key = "value", .title = "VALUE"},
                                             {.key = "unit", .title = "UNIT"},
                                             {.key = "threshold", .title = "THRESHOLD"},
                                             {.key = "reason", .title = "REASON"},
                                             {.key = "fix", .title = "WHAT TO DO"},
                                             {.key = "measures", .title = "MEASURES", .wide_only = true}});
  for (const Finding& f : node.checks)
    table.add_row({f.id, std::string(verdict_name(f.verdict)), number(f.value), text(f.unit), number(f.threshold),
                   text(f.reason), text(f.fix), f.measures});
  return table;
}

Result<std::vector<NodeReport>> parse_lines(const std::string& all) {
  std::vector<NodeReport> reports;
  for (std::size_t at = 0; at < all.size();) {
    const std::size_t end = std::min(all.find('\n', at), all.size());
    const std::string_view line = std::string_view(all).substr(at, end - at);
    at = end + 1;
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    FF_TRY_ASSIGN(const auto object, report::JsonValue::parse(line));
    FF_TRY_ASSIGN(NodeReport node, parse_node_report(object));
    reports.push_back(std::move(node));
  }
  return reports;
}

Result<std::vector<NodeReport>> parse_all(const std::string& all) {
  const auto whole = report::JsonValue::parse(all);
  if (!whole) {
    auto lines = parse_lines(all);
    // The first object's own error says more than that of its first line.
    return lines && !lines->empty() ? std::move(lines) : fail(whole.error());
  }
  std::vector<NodeReport> reports;
  if (whole->array() == nullptr) {
    FF_TRY_ASSIGN(NodeReport node, parse_node_report(*whole));
    reports.push_back(std::move(node));
    return reports;
  }
  for (const report::JsonValue& item : *whole->array()) {
    FF_TRY_ASSIGN(NodeReport node, parse_node_report(item));
    reports.push_back(std::move(node));
  }
  return reports;
}

}  // namespace

std::string_view fitness_name(Fitness fitness) noexcept {
  return fitness == Fitness::kFit ? "fit" : fitness == Fitness::kWarn ? "warn" : "drain";
}

int fitness_exit_code(Fitness fitness) noexcept {
  return fitness == Fitness::kFit ? 0 : fitness == Fitness::kWarn ? kExitWarn : kExitDrain;
}

Fitness NodeReport::fitness() const noexcept {
  const auto any = [&](CheckVerdict verdict) {
    return std::ranges::find(checks, verdict, &Finding::verdict) != checks.end();
  };
  return any(CheckVerdict::kFail) ? Fitness::kDrain : any(CheckVerdict::kWarn) ? Fitness::kWarn : Fitness::kFit;
}

std::vector<std::string> NodeReport::reasons() const {
  std::vector<std::string> reasons;
  for (const CheckVerdict verdict : {CheckVerdict::kFail, CheckVerdict::kWarn})
    for (const Finding& finding : checks)
      if (finding.verdict == verdict) reasons.push_back(finding.id + ": " + finding.reason);
  return reasons;
}

std::string render_node_report(const NodeReport& node, report::Format format) {
  if (format == report::Format::kJson) return json_of(node);
  if (format == report::Format::kName) {
    std::string names;
    for (const Finding& finding : node.checks)
      if (finding.verdict == CheckVerdict::kFail) names += finding.id + "\n";
    return names;
  }
  std::string rendered = table_of(node).render(format);
  if (format == report::Format::kTable || format == report::Format::kWide)
    rendered += node.host + ": " + std::string(fitness_name(node.fitness())) + "\n";
  return rendered;
}

Result<NodeReport> parse_node_report(const report::JsonValue& object) {
  if (text_of(object, "schema") != kSchema)
    return fail(Errc::kCorrupt, "no result of `ffbench node --json` (its schema is not ff.node/1)");
  NodeReport node;
  node.host = text_of(object, "host");
  node.level = text_of(object, "level");
  node.version = text_of(object, "version");
  node.started = text_of(object, "started");
  const report::JsonValue* elapsed = object.find("elapsed_ns");
  if (elapsed != nullptr) node.elapsed_ns = elapsed->integer().value_or(0);
  const report::JsonValue* checks = object.find("checks");
  if (checks == nullptr || checks->array() == nullptr) return fail(Errc::kCorrupt, "ff.node/1: has no list 'checks'");
  for (const report::JsonValue& item : *checks->array()) {
    FF_TRY_ASSIGN(Finding finding, parse_finding(item));
    node.checks.push_back(std::move(finding));
  }
  return node;
}

Result<std::vector<NodeReport>> read_node_reports(const std::string& path) {
  FF_TRY_ASSIGN(const std::string all, read_file(path, kFileBytesMax));
  auto reports = parse_all(all);
  if (!reports) return fail(std::move(reports).error().context(path == "-" ? "standard input" : path));
  return reports;
}

}  // namespace ff::bench
