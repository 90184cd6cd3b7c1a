#include "ffbench/result/document_json.hpp"

#include <fmt/core.h>

#include <cmath>
#include <set>

#include "ffbench/result/base64.hpp"
#include "ffbench/stats/interval.hpp"
#include "ffbench/stats/summary.hpp"
#include "libcommon/base/file.hpp"
#include "libcommon/report/json.hpp"
#include "libcommon/report/json_cursor.hpp"
#include "libcommon/report/utf8.hpp"

namespace ff::bench {
namespace {

using report::JsonCursor;
using report::JsonWriter;

constexpr std::size_t kDocumentBytesMax = 64u << 20;
constexpr std::size_t kHistogramBytesMax = 512u << 20;  // of a document: those of 128 x 128 pairs
constexpr std::size_t kDocumentSamplesMax = 1'000'000;
constexpr std::size_t kSamplesMax = 10'000;  // of one metric: its interval costs 2000 times as many draws

struct Percentile {
  const char* name;
  double quantile;
};
constexpr Percentile kPercentiles[] = {{"p50", 0.5},  {"p90", 0.9},     {"p95", 0.95},
                                       {"p99", 0.99}, {"p99_9", 0.999}, {"p99_99", 0.9999}};

std::string_view name_of(Better better) {
  switch (better) {
    case Better::kHigher: return "higher";
    case Better::kLower: return "lower";
    case Better::kNeither: break;
  }
  return "neither";
}

void write_cell(JsonWriter& json, const report::Cell& cell) {
  if (std::holds_alternative<std::monostate>(cell)) json.null();
  if (const auto* flag = std::get_if<bool>(&cell)) json.value(*flag);
  if (const auto* whole = std::get_if<std::int64_t>(&cell)) json.value(*whole);
  if (const auto* real = std::get_if<double>(&cell)) json.value(*real);
  if (const auto* text = std::get_if<std::string>(&cell)) json.value(std::string_view(*text));
}

void write_fields(JsonWriter& json, const Fields& fields) {
  json.begin_object();
  for (const auto& [name, cell] : fields) write_cell(json.key(name), cell);
  json.end_object();
}

void write_texts(JsonWriter& json, std::string_view name, const std::vector<std::string>& texts) {
  json.key(name).begin_array();
  for (const std::string& text : texts) json.value(std::string_view(text));
  json.end_array();
}

void write_metric(JsonWriter& json, const Metric& metric, double confidence) {
  const Interval interval = median_interval(metric.samples, confidence);
  json.begin_object()
      .field("name", std::string_view(metric.name))
      .field("unit", std::string_view(metric.unit))
      .field("better", name_of(metric.better))
      .field("formula", std::string_view(metric.formula))
      .field("median", median(metric.samples))
      .field("ci_low", interval.low)
      .field("ci_high", interval.high);
  json.key("samples").begin_array();
  for (const double sample : metric.samples) json.value(sample);
  json.end_array().end_object();
}

void write_latency(JsonWriter& json, const Latency& latency) {
  const metrics::Histogram& histogram = latency.histogram;
  json.begin_object()
      .field("name", std::string_view(latency.name))
      .field("unit", "ns")
      .field("count", histogram.count())
      .field("min", histogram.min())
      .field("max", histogram.max())
      .field("mean", histogram.mean());
  for (const auto& [name, quantile] : kPercentiles) json.field(name, histogram.percentile(quantile));
  json.field("encoded", std::string_view(encode_base64(histogram.encode()))).end_object();
}

void write_row(JsonWriter& json, const Row& row, double confidence) {
  json.begin_object().field("name", std::string_view(row.name));
  write_fields(json.key("parameters"), row.parameters);
  json.key("metrics").begin_array();
  for (const Metric& metric : row.metrics) write_metric(json, metric, confidence);
  json.end_array().key("latencies").begin_array();
  for (const Latency& latency : row.latencies) write_latency(json, latency);
  json.end_array().field("error", std::string_view(row.error)).end_object();
}

void write_method(JsonWriter& json, const Method& method) {
  json.begin_object()
      .field("repeats", method.repeats)
      .field("warmup_ns", method.warmup_ns)
      .field("duration_ns", method.duration_ns)
      .field("confidence", method.confidence)
      .field("cpus", std::string_view(method.cpus))
      .field("order", std::string_view(method.order))
      .end_object();
}

Result<Better> read_better(const JsonCursor& at) {
  FF_TRY_ASSIGN(const std::string name, at.text());
  for (const Better better : {Better::kHigher, Better::kLower, Better::kNeither})
    if (name == name_of(better)) return better;
  return at.error("is neither 'higher', 'lower' nor 'neither'");
}

Result<Fields> read_fields(const JsonCursor& at) {
  Fields fields;
  FF_TRY_ASSIGN(const auto members, at.members());
  for (const auto& [name, member] : members) {
    const report::JsonValue& value = member.value();
    report::Cell cell;
    if (const auto flag = value.boolean()) {
      cell = *flag;
    } else if (const auto whole = value.integer()) {
      cell = *whole;
    } else if (const auto real = value.number()) {
      cell = *real + 0.0;  // -0 would read back as the integer 0
    } else if (const auto* text = value.text()) {
      cell = *text;
    } else if (!value.is_null()) {
      return member.error(fmt::format("is {} (expected a single value)", value.kind_name()));
    }
    fields.emplace_back(name, std::move(cell));
  }
  return fields;
}

Result<std::vector<std::string>> read_texts(const JsonCursor& at) {
  std::vector<std::string> texts;
  FF_TRY_ASSIGN(const auto items, at.items());
  for (const JsonCursor& item : items) {
    FF_TRY_ASSIGN(texts.emplace_back(), item.text());
  }
  return texts;
}

// A whole number that is not below 0.
Result<std::int64_t> read_count(const JsonCursor& at, std::string_view name) {
  FF_TRY_ASSIGN(const JsonCursor member, at.member(name));
  FF_TRY_ASSIGN(const std::int64_t value, member.integer());
  if (value < 0) return member.error(fmt::format("{} is below 0", value));
  return value;
}

// What a document may still ask for: small text can stand for much memory and much work.
struct Budget {
  std::size_t histogram_bytes = kHistogramBytesMax;
  std::size_t samples = kDocumentSamplesMax;
};

Result<Metric> read_metric(const JsonCursor& at, Budget& budget) {
  Metric metric;
  FF_TRY_ASSIGN(metric.name, at.text("name"));
  FF_TRY_ASSIGN(metric.unit, at.text("unit"));
  FF_TRY_ASSIGN(const JsonCursor better, at.member("better"));
  FF_TRY_ASSIGN(metric.better, read_better(better));
  FF_TRY_ASSIGN(metric.formula, at.text("formula"));
  FF_TRY_ASSIGN(const JsonCursor samples, at.member("samples"));
  FF_TRY_ASSIGN(const auto items, samples.items());
  if (items.size() > kSamplesMax)
    return samples.error(fmt::format("has {} samples, more than {}", items.size(), kSamplesMax));
  if (items.size() > budget.samples)
    return fail(Errc::kExhausted, fmt::format("more than {} samples in all", kDocumentSamplesMax));
  budget.samples -= items.size();
  for (const JsonCursor& item : items) {
    FF_TRY_ASSIGN(const double sample, item.number());
    metric.samples.push_back(sample + 0.0);  // -0 would read back as 0
  }
  return metric;
}

Result<Latency> read_latency(const JsonCursor& at, Budget& budget) {
  Latency latency;
  FF_TRY_ASSIGN(latency.name, at.text("name"));
  FF_TRY_ASSIGN(const JsonCursor encoded, at.member("encoded"));
  FF_TRY_ASSIGN(const std::string text, encoded.text());
  const auto bytes = decode_base64(text);
  if (!bytes) return encoded.error(bytes.error().message());
  auto histogram = metrics::Histogram::decode(*bytes);
  if (!histogram) return encoded.error(histogram.error().message());
  const std::size_t counted = histogram->counts().size_bytes();
  if (counted > budget.histogram_bytes)
    return fail(Errc::kExhausted, fmt::format("more than {} bytes of histograms in all", kHistogramBytesMax));
  budget.histogram_bytes -= counted;
  latency.histogram = std::move(*histogram);
  return latency;
}

// Reads the list `name` of `at`, whose elements have names that differ.
template <class T, class Read>
Result<std::vector<T>> read_named(const JsonCursor& at, std::string_view name, Read read) {
  std::vector<T> all;
  std::set<std::string> names;
  FF_TRY_ASSIGN(const JsonCursor list, at.member(name));
  FF_TRY_ASSIGN(const auto items, list.items());
  for (const JsonCursor& item : items) {
    FF_TRY_ASSIGN(T one, read(item));
    if (!names.insert(one.name).second)
      return item.error(fmt::format("another one before is named '{}'", report::printable(one.name)));
    all.push_back(std::move(one));
  }
  return all;
}

Result<Row> read_row(const JsonCursor& at, Budget& budget) {
  Row row;
  FF_TRY_ASSIGN(row.name, at.text("name"));
  FF_TRY_ASSIGN(const JsonCursor parameters, at.member("parameters"));
  FF_TRY_ASSIGN(row.parameters, read_fields(parameters));
  FF_TRY_ASSIGN(row.metrics,
                read_named<Metric>(at, "metrics", [&](const JsonCursor& m) { return read_metric(m, budget); }));
  FF_TRY_ASSIGN(row.latencies,
                read_named<Latency>(at, "latencies", [&](const JsonCursor& l) { return read_latency(l, budget); }));
  FF_TRY_ASSIGN(row.error, at.text("error"));
  return row;
}

Result<Method> read_method(const JsonCursor& at) {
  Method method;
  FF_TRY_ASSIGN(method.repeats, read_count(at, "repeats"));
  FF_TRY_ASSIGN(method.warmup_ns, read_count(at, "warmup_ns"));
  FF_TRY_ASSIGN(method.duration_ns, read_count(at, "duration_ns"));
  FF_TRY_ASSIGN(const JsonCursor confidence, at.member("confidence"));
  FF_TRY_ASSIGN(method.confidence, confidence.number());
  if (!(method.confidence >= 0.5 && method.confidence <= 0.9999))
    return confidence.error(fmt::format("{} is outside 0.5 to 0.9999", method.confidence));
  FF_TRY_ASSIGN(method.cpus, at.text("cpus"));
  FF_TRY_ASSIGN(method.order, at.text("order"));
  return method;
}

Result<FieldGroup> read_group(const JsonCursor& at) {
  FieldGroup group;
  FF_TRY_ASSIGN(group.name, at.text("name"));
  FF_TRY_ASSIGN(const JsonCursor fields, at.member("fields"));
  FF_TRY_ASSIGN(group.fields, read_fields(fields));
  return group;
}

Result<> check_schema(const JsonCursor& at) {
  FF_TRY_ASSIGN(const JsonCursor schema, at.member("schema"));
  FF_TRY_ASSIGN(const std::string name, schema.text());
  if (name == kDocumentSchema) return {};
  return schema.error(fmt::format("is '{}', not '{}' (give what a measuring command of ffbench printed with --json)",
                                  report::printable(name), kDocumentSchema));
}

}  // namespace

std::string to_json(const Document& document) {
  JsonWriter json(2);
  json.begin_object().field("schema", kDocumentSchema).field("command", std::string_view(document.command));
  write_texts(json, "arguments", document.arguments);
  json.field("version", std::string_view(document.version))
      .field("started", std::string_view(document.started))
      .field("elapsed_ns", document.elapsed_ns)
      .field("complete", document.complete);
  write_method(json.key("method"), document.method);
  json.key("machine").begin_array();
  for (const FieldGroup& group : document.machine) {
    json.begin_object().field("name", std::string_view(group.name));
    write_fields(json.key("fields"), group.fields);
    json.end_object();
  }
  json.end_array();
  write_texts(json, "warnings", document.warnings);
  json.key("rows").begin_array();
  for (const Row& row : document.rows) write_row(json, row, document.method.confidence);
  json.end_array().end_object();
  return json.take() + '\n';
}

Result<Document> parse_document(std::string_view text) {
  FF_TRY_ASSIGN(const auto tree, report::JsonValue::parse(text, {.bytes_max = kDocumentBytesMax}));
  const JsonCursor at(tree);
  FF_TRY(check_schema(at));
  Document document;
  FF_TRY_ASSIGN(document.command, at.text("command"));
  FF_TRY_ASSIGN(const JsonCursor arguments, at.member("arguments"));
  FF_TRY_ASSIGN(document.arguments, read_texts(arguments));
  FF_TRY_ASSIGN(document.version, at.text("version"));
  FF_TRY_ASSIGN(document.started, at.text("started"));
  FF_TRY_ASSIGN(document.elapsed_ns, read_count(at, "elapsed_ns"));
  FF_TRY_ASSIGN(document.complete, at.boolean("complete"));
  FF_TRY_ASSIGN(const JsonCursor method, at.member("method"));
  FF_TRY_ASSIGN(document.method, read_method(method));
  FF_TRY_ASSIGN(document.machine, read_named<FieldGroup>(at, "machine", read_group));
  FF_TRY_ASSIGN(const JsonCursor warnings, at.member("warnings"));
  FF_TRY_ASSIGN(document.warnings, read_texts(warnings));
  Budget budget;
  FF_TRY_ASSIGN(document.rows,
                read_named<Row>(at, "rows", [&](const JsonCursor& row) { return read_row(row, budget); }));
  return document;
}

Result<Document> read_document(const std::string& path) {
  FF_TRY_ASSIGN(const std::string text, read_file(path, kDocumentBytesMax));
  auto document = parse_document(text);
  if (!document) return fail(std::move(document).error().context(path == "-" ? "standard input" : path));
  return document;
}

Result<std::vector<Document>> read_documents(const std::vector<std::string>& paths) {
  std::vector<Document> documents;
  for (const std::string& path : paths) {
    FF_TRY_ASSIGN(documents.emplace_back(), read_document(path));
  }
  return documents;
}

}  // namespace ff::bench
