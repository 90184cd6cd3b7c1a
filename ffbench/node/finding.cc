#include "ffbench/node/finding.hpp"

#include <array>
#include <cmath>

namespace ff::bench {
namespace {

constexpr std::array<std::string_view, 4> kVerdicts{"pass", "skip", "warn", "fail"};
constexpr std::array<std::string_view, 3> kBetter{"higher", "lower", "neither"};

std::string text_of(const report::JsonValue& object, std::string_view name) {
  const report::JsonValue* member = object.find(name);
  return member == nullptr || member->text() == nullptr ? std::string() : *member->text();
}

std::optional<double> number_of(const report::JsonValue& object, std::string_view name) {
  const report::JsonValue* member = object.find(name);
  return member == nullptr ? std::nullopt : member->number();
}

template <std::size_t N>
int index_of(const std::array<std::string_view, N>& names, std::string_view name) {
  for (std::size_t i = 0; i < N; ++i)
    if (names[i] == name) return static_cast<int>(i);
  return -1;
}

void write_number(report::JsonWriter& writer, std::string_view name, const std::optional<double>& number) {
  writer.key(name);
  if (number && std::isfinite(*number)) {
    writer.value(*number);
  } else {
    writer.null();
  }
}

}  // namespace

std::string_view verdict_name(CheckVerdict verdict) noexcept { return kVerdicts[static_cast<std::size_t>(verdict)]; }

Finding statement(std::string id, std::string measures, CheckVerdict verdict, std::string reason, std::string fix) {
  Finding finding;
  finding.id = std::move(id);
  finding.measures = std::move(measures);
  finding.verdict = verdict;
  finding.reason = std::move(reason);
  finding.fix = std::move(fix);
  return finding;
}

std::string_view check_of(std::string_view finding_id) noexcept { return finding_id.substr(0, finding_id.find('.')); }

void write_finding(report::JsonWriter& writer, const Finding& finding) {
  writer.begin_object();
  writer.field("id", std::string_view(finding.id));
  writer.field("measures", std::string_view(finding.measures));
  writer.field("verdict", verdict_name(finding.verdict));
  write_number(writer, "value", finding.value);
  writer.field("unit", std::string_view(finding.unit));
  write_number(writer, "threshold", finding.threshold);
  writer.field("better", kBetter[static_cast<std::size_t>(finding.better)]);
  writer.field("reason", std::string_view(finding.reason));
  writer.field("fix", std::string_view(finding.fix));
  writer.field("elapsed_ns", finding.elapsed_ns);
  writer.end_object();
}

bool names_part_of(const std::set<std::string, std::less<>>& ids, std::string_view finding_id) {
  for (;;) {
    if (ids.contains(finding_id)) return true;
    const auto dot = finding_id.rfind('.');
    if (dot == std::string_view::npos) return false;
    finding_id = finding_id.substr(0, dot);
  }
}

Result<Finding> parse_finding(const report::JsonValue& object) {
  Finding finding;
  finding.id = text_of(object, "id");
  finding.measures = text_of(object, "measures");
  const int verdict = index_of(kVerdicts, text_of(object, "verdict"));
  const int better = index_of(kBetter, text_of(object, "better"));
  if (finding.id.empty() || verdict < 0 || better < 0)
    return fail(Errc::kCorrupt, "check '" + finding.id + "': has no id, verdict or direction that is known");
  finding.verdict = static_cast<CheckVerdict>(verdict);
  finding.better = static_cast<Better>(better);
  finding.value = number_of(object, "value");
  finding.unit = text_of(object, "unit");
  finding.threshold = number_of(object, "threshold");
  finding.reason = text_of(object, "reason");
  finding.fix = text_of(object, "fix");
  finding.elapsed_ns = static_cast<std::int64_t>(number_of(object, "elapsed_ns").value_or(0));
  return finding;
}

}  // namespace ff::bench
