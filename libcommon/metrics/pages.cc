#include "libcommon/metrics/pages.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <iterator>
#include <tuple>

#include "libcommon/base/duration.hpp"
#include "libcommon/report/json.hpp"
#include "libcommon/report/utf8.hpp"

namespace ff::metrics {
namespace {

using Sources = std::vector<std::pair<std::string, Result<RequestList>>>;

constexpr std::string_view kHtml = "text/html; charset=utf-8";
constexpr std::string_view kJson = "application/json";
constexpr std::string_view kHead =
    "<!doctype html><html><head><meta charset=\"utf-8\"><title>Fire-Flyer</title><style>"
    "body{font-family:sans-serif;margin:2em}table{border-collapse:collapse}"
    "th,td{text-align:left;padding:.2em 1em .2em 0;border-bottom:1px solid #ccc}td.n{text-align:right}"
    "</style></head><body>\n";

HttpReply html_reply(std::string body) {
  return {.status = 200, .type = std::string(kHtml), .body = std::string(kHead) + body + "</body></html>\n"};
}

// "-" without one, "-3ms" when it has passed.
std::string duration_text(std::optional<std::int64_t> ns) {
  if (!ns) return "-";
  const std::string text = format_duration(std::chrono::nanoseconds(*ns == INT64_MIN ? INT64_MAX : std::abs(*ns)));
  return *ns < 0 ? "-" + text : text;
}

std::string requests_json(const Sources& sources) {
  report::JsonWriter json;
  json.begin_object().field("schema", "ff.requests/1").key("sources").begin_array();
  for (const auto& [name, list] : sources) {
    json.begin_object().field("name", std::string_view(name));
    if (!list) {
      json.field("error", std::string_view(list.error().message())).end_object();
      continue;
    }
    json.field("total", std::uint64_t{list->total}).key("requests").begin_array();
    for (const RequestRow& row : list->rows) {
      json.begin_object().field("service", std::string_view(row.service));
      json.field("method", std::string_view(row.method)).field("peer", std::string_view(row.peer));
      json.field("age_ns", row.age_ns).key("deadline_ns");
      if (row.deadline_ns)
        json.value(*row.deadline_ns);
      else
        json.null();
      json.field("trace_id", std::string_view(row.trace_id)).field("state", std::string_view(row.state)).end_object();
    }
    json.end_array().end_object();
  }
  json.end_array().end_object();
  return json.take() + "\n";
}

std::string requests_html(const Sources& sources) {
  std::string out = "<h1>Requests in flight</h1>\n";
  if (sources.empty()) out += "<p>This program serves no requests.</p>\n";
  for (const auto& [name, list] : sources) {
    if (!list) {
      fmt::format_to(std::back_inserter(out), "<h2>{}</h2>\n<p>{}</p>\n", html_escape(name),
                     html_escape(list.error().message()));
      continue;
    }
    fmt::format_to(std::back_inserter(out), "<h2>{}: {}</h2>\n", html_escape(name), list->total);
    if (list->rows.size() < list->total)
      fmt::format_to(std::back_inserter(out), "<p>The {} oldest are shown.</p>\n", list->rows.size());
    if (list->rows.empty()) continue;
    out += "<table><tr><th>age<th>deadline in<th>state<th>service<th>method<th>peer<th>trace</tr>\n";
    for (const RequestRow& row : list->rows)
      fmt::format_to(
          std::back_inserter(out), "<tr><td class=\"n\">{}<td class=\"n\">{}<td>{}<td>{}<td>{}<td>{}<td>{}</tr>\n",
          duration_text(row.age_ns), duration_text(row.deadline_ns), html_escape(row.state), html_escape(row.service),
          html_escape(row.method), html_escape(row.peer), html_escape(row.trace_id));
    out += "</table>\n";
  }
  return out;
}

}  // namespace

HttpReply health_page(const std::vector<std::pair<std::string, Result<>>>& checks) {
  const bool ok = std::all_of(checks.begin(), checks.end(), [](const auto& check) { return check.second.has_value(); });
  report::JsonWriter json;
  json.begin_object().field("schema", "ff.health/1").field("status", ok ? "ok" : "failing").key("failed").begin_array();
  for (const auto& [name, result] : checks) {
    if (result) continue;
    json.begin_object().field("name", std::string_view(name)).field("code", errc_name(result.error().code()));
    json.field("message", std::string_view(result.error().message())).end_object();
  }
  json.end_array().key("passed").begin_array();
  for (const auto& [name, result] : checks)
    if (result) json.value(std::string_view(name));
  json.end_array().end_object();
  return {.status = ok ? 200 : 503, .type = std::string(kJson), .body = json.take() + "\n"};
}

HttpReply requests_page(Sources sources, bool html) {
  for (auto& [name, list] : sources) {
    if (!list) continue;
    auto& rows = list->rows;
    list->total = std::max(list->total, rows.size());
    std::sort(rows.begin(), rows.end(), [](const RequestRow& a, const RequestRow& b) {
      return std::tie(b.age_ns, a.trace_id) < std::tie(a.age_ns, b.trace_id);
    });
    if (rows.size() > kRequestRowsMax) rows.resize(kRequestRowsMax);
  }
  if (html) return html_reply(requests_html(sources));
  return {.status = 200, .type = std::string(kJson), .body = requests_json(sources)};
}

HttpReply index_page() {
  return html_reply(
      "<h1>Fire-Flyer</h1>\n<table>\n"
      "<tr><td><a href=\"/metrics\">/metrics</a><td>counters, gauges and histograms for Prometheus</tr>\n"
      "<tr><td><a href=\"/healthz\">/healthz</a><td>200 if every check passes, else 503 and those that fail</tr>\n"
      "<tr><td><a href=\"/debug/requests\">/debug/requests</a><td>requests in flight, oldest first</tr>\n"
      "</table>\n");
}

HttpReply not_found_page() {
  return {.status = 404,
          .type = "text/plain; charset=utf-8",
          .body = "page: no such page (there are /, /metrics, /healthz and /debug/requests)\n"};
}

bool wants_html(std::string_view accept) { return accept.find("text/html") != std::string_view::npos; }

std::string html_escape(std::string_view text) {
  constexpr std::string_view kReplacement = "\xef\xbf\xbd";
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const report::CodePoint point = report::decode_utf8(text, at);
    const std::string_view bytes = text.substr(at, point.bytes);
    at += point.bytes;
    switch (point.value) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      case '\'': out += "&#39;"; break;
      default: out += !point.valid || point.value < 0x20 || point.value == 0x7f ? kReplacement : bytes;
    }
  }
  return out;
}

}  // namespace ff::metrics
