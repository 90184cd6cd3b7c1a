#include "ffbench/compute/collective_rows.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <string>

#include "libcommon/base/byte_size.hpp"
#include "libcommon/report/json_value.hpp"

namespace ff::bench {
namespace {

using report::JsonValue;

Result<std::string> text_of(const JsonValue& object, std::string_view name) {
  const JsonValue* const member = object.find(name);
  if (member == nullptr || member->text() == nullptr)
    return fail(Errc::kCorrupt, fmt::format("report of hfreduce perf: '{}' is missing or no text", name));
  return *member->text();
}

Result<double> number_of(const JsonValue& object, const std::string& name) {
  const JsonValue* const member = object.find(name);
  const auto number = member == nullptr ? std::nullopt : member->number();
  if (!number) return fail(Errc::kCorrupt, fmt::format("report of hfreduce perf: '{}' is missing or no number", name));
  return *number;
}

// Out of place (`prefix` empty) or in place. Rates of the report are 10^9 bytes a second, times microseconds.
Result<Row> row_of(const JsonValue& measured, const std::string& prefix, const FieldGroup& common) {
  FF_TRY_ASSIGN(const double bytes, number_of(measured, "size_bytes"));
  FF_TRY_ASSIGN(const double time_us, number_of(measured, prefix + "time_us"));
  FF_TRY_ASSIGN(const double algbw, number_of(measured, prefix + "algbw_GBps"));
  FF_TRY_ASSIGN(const double busbw, number_of(measured, prefix + "busbw_GBps"));
  const auto size = static_cast<std::uint64_t>(std::max(0.0, bytes));
  Row row;
  row.name = fmt::format("{} bytes={}{}", common.name, exact_byte_size(size), prefix.empty() ? "" : " in-place");
  row.parameters = common.fields;
  row.parameters.emplace_back("bytes", static_cast<std::int64_t>(size));
  row.parameters.emplace_back("in_place", !prefix.empty());
  row.metrics = {
      {"time", "ns", Better::kLower, "median over batches of the slowest rank's time for a call", {time_us * 1e3}},
      {"algorithm_bandwidth", "B/s", Better::kHigher, "bytes of the message / time", {algbw * 1e9}},
      {"bus_bandwidth",
       "B/s",
       Better::kHigher,
       "algorithm_bandwidth x what a ring moves for each byte (nccl-tests, PERFORMANCE.md)",
       {busbw * 1e9}},
  };
  const JsonValue* const wrong = measured.find(prefix + "wrong");
  if (wrong != nullptr && wrong->number())
    row.metrics.push_back(
        {"wrong", "", Better::kLower, "elements that differ from the expected result", {*wrong->number()}});
  return row;
}

}  // namespace

Result<CollectiveReading> read_collective_report(std::string_view json) {
  FF_TRY_ASSIGN(const JsonValue report, JsonValue::parse(json));
  FF_TRY_ASSIGN(const std::string schema, text_of(report, "schema"));
  if (schema != "ff.perf/1")
    return fail(Errc::kCorrupt, fmt::format("report of hfreduce perf: schema '{}' (ff.perf/1 is known)", schema));
  FieldGroup common;
  FF_TRY_ASSIGN(common.name, text_of(report, "collective"));
  FF_TRY_ASSIGN(const double ranks, number_of(report, "ranks"));
  common.fields = {{"collective", common.name}, {"ranks", static_cast<std::int64_t>(ranks)}};
  for (const char* const name : {"buffers", "transport", "algorithm"}) {
    FF_TRY_ASSIGN(std::string value, text_of(report, name));
    common.fields.emplace_back(name, std::move(value));
  }
  const JsonValue* const rows = report.find("rows");
  if (rows == nullptr || rows->array() == nullptr)
    return fail(Errc::kCorrupt, "report of hfreduce perf: 'rows' is missing or no list");
  CollectiveReading reading;
  for (const JsonValue& measured : *rows->array()) {
    for (const char* const prefix : {"", "in_place_"}) {
      const JsonValue* const time = measured.find(std::string(prefix) + "time_us");
      if (*prefix != '\0' && (time == nullptr || time->is_null())) continue;
      FF_TRY_ASSIGN(Row row, row_of(measured, prefix, common));
      for (const char* const name : {"type", "redop"}) {
        FF_TRY_ASSIGN(std::string value, text_of(measured, name));
        row.parameters.emplace_back(name, std::move(value));
      }
      if (row.metrics.back().name == "wrong")
        reading.wrong += static_cast<std::uint64_t>(std::max(0.0, row.metrics.back().samples.front()));
      reading.rows.push_back(std::move(row));
    }
  }
  return reading;
}

void merge_rows(std::vector<Row>& rows, std::vector<Row> more) {
  for (Row& row : more) {
    const auto known = std::find_if(rows.begin(), rows.end(), [&](const Row& r) { return r.name == row.name; });
    if (known == rows.end()) {
      rows.push_back(std::move(row));
      continue;
    }
    for (const Metric& metric : row.metrics) {
      for (Metric& target : known->metrics) {
        if (target.name == metric.name)
          target.samples.insert(target.samples.end(), metric.samples.begin(), metric.samples.end());
      }
    }
  }
}

}  // namespace ff::bench
