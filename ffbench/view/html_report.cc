#include "ffbench/view/html_report.hpp"

#include <fmt/format.h>

#include <cmath>
#include <iterator>

#include "ffbench/result/quantity.hpp"
#include "ffbench/stats/interval.hpp"
#include "ffbench/stats/summary.hpp"
#include "ffbench/view/figure.hpp"
#include "ffbench/view/svg.hpp"

namespace ff::bench {
namespace {

constexpr std::string_view kPageStyle = R"(
:root{--ground:#fff;--text:#1b1b1b;--faint:#595959;--line:#d8d8d8;--warn:#8a4b00;--warn-ground:#fff4e0;
color-scheme:light dark}
@media (prefers-color-scheme:dark){:root{
--ground:#16181b;--text:#e8e8e8;--faint:#a8a8a8;--line:#3a3d42;--warn:#ffc46b;
--warn-ground:#33270f}}
body{background:var(--ground);color:var(--text);
font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:0 auto;padding:1rem}
h1{font-size:1.5rem}h2{font-size:1.25rem;margin-top:2rem;border-bottom:1px solid var(--line)}h3{font-size:1rem}
.scroll{overflow-x:auto}
table{border-collapse:collapse;font-size:.875rem}
th,td{text-align:left;padding:.25rem .75rem .25rem 0;border-bottom:1px solid var(--line);vertical-align:top}
td.number,th.number{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}
.faint{color:var(--faint)}.error{color:var(--warn)}
ul.warnings{background:var(--warn-ground);color:var(--warn);padding:.75rem .75rem .75rem 2rem;border-radius:.5rem}
code{overflow-wrap:anywhere}
figure{margin:1.5rem 0}figcaption{font-weight:600;margin-bottom:.5rem}
)";

class Page {
 public:
  template <class... Args>
  void put(fmt::format_string<Args...> format, Args&&... args) {
    fmt::format_to(std::back_inserter(text_), format, std::forward<Args>(args)...);
  }
  void raw(std::string_view text) { text_ += text; }
  std::string take() && { return std::move(text_); }

 private:
  std::string text_;
};

std::string text_of(const report::Cell& cell, std::string_view name) {
  if (const auto* flag = std::get_if<bool>(&cell)) return *flag ? "yes" : "no";
  if (const auto* text = std::get_if<std::string>(&cell)) return *text;
  double value = std::nan("");
  if (const auto* whole = std::get_if<std::int64_t>(&cell)) value = static_cast<double>(*whole);
  if (const auto* real = std::get_if<double>(&cell)) value = *real;
  if (name == "bytes" || name.ends_with("_bytes") || name.find("_bytes_") != std::string_view::npos)
    return format_quantity(value, "B");
  if (name == "bits_per_second") return format_quantity(value, "bit/s");
  if (name.ends_with("_hz")) return format_quantity(value, "Hz");
  if (name.ends_with("_ns")) return format_quantity(value, "ns");
  if (name.ends_with("_share")) return std::isfinite(value) ? fmt::format("{:.2f}%", 100 * value) : "-";
  if (const auto* whole = std::get_if<std::int64_t>(&cell)) return std::to_string(*whole);
  return format_quantity(value, "");
}

void put_fields(Page& page, const Fields& fields) {
  for (const auto& [name, cell] : fields)
    page.put("<tr><th>{}</th><td>{}</td></tr>\n", escape_html(name), escape_html(text_of(cell, name)));
}

void put_summary(Page& page, const Document& document) {
  page.put("<p><code>ffbench");
  for (const std::string& argument : document.arguments) page.put(" {}", escape_html(argument));
  page.put("</code></p>\n<p class=\"faint\">Started {}, took {}, ffbench {}.{}</p>\n", escape_html(document.started),
           escape_html(format_quantity(static_cast<double>(document.elapsed_ns), "ns")), escape_html(document.version),
           document.complete ? "" : " <strong class=\"error\">Incomplete: it was stopped before its end.</strong>");
  if (document.warnings.empty()) return;
  page.put("<ul class=\"warnings\">\n");
  for (const std::string& warning : document.warnings) page.put("<li>{}</li>\n", escape_html(warning));
  page.put("</ul>\n");
}

void put_metrics(Page& page, const Document& document) {
  page.put(
      "<div class=\"scroll\"><table>\n<tr><th>row</th><th>metric</th><th class=\"number\">median</th>"
      "<th class=\"number\">{:g}% interval</th><th class=\"number\">samples</th></tr>\n",
      100 * document.method.confidence);
  for (const Row& row : document.rows) {
    for (const Metric& metric : row.metrics) {
      const Interval interval = median_interval(metric.samples, document.method.confidence);
      page.put(
          "<tr><td>{}</td><td title=\"{}\">{}</td><td class=\"number\">{}</td><td class=\"number\">{} .. {}</td>"
          "<td class=\"number\">{}</td></tr>\n",
          escape_html(row.name), escape_html(metric.formula), escape_html(metric.name),
          escape_html(format_quantity(median(metric.samples), metric.unit)),
          escape_html(format_quantity(interval.low, metric.unit)),
          escape_html(format_quantity(interval.high, metric.unit)), metric.samples.size());
    }
    if (!row.error.empty())
      page.put("<tr><td>{}</td><td class=\"error\" colspan=\"4\">{}</td></tr>\n", escape_html(row.name),
               escape_html(row.error));
  }
  page.put("</table></div>\n");
}

void put_latencies(Page& page, const Document& document) {
  bool any = false;
  for (const Row& row : document.rows) any = any || !row.latencies.empty();
  if (!any) return;
  page.put(
      "<h3>Latencies</h3>\n<div class=\"scroll\"><table>\n<tr><th>row</th><th>latency</th>"
      "<th class=\"number\">count</th>");
  constexpr std::pair<const char*, double> kColumns[] = {{"p50", 0.5},     {"p90", 0.9},       {"p99", 0.99},
                                                         {"p99.9", 0.999}, {"p99.99", 0.9999}, {"max", 1}};
  for (const auto& [name, quantile] : kColumns) page.put("<th class=\"number\">{}</th>", name);
  page.put("</tr>\n");
  for (const Row& row : document.rows)
    for (const Latency& latency : row.latencies) {
      page.put("<tr><td>{}</td><td>{}</td><td class=\"number\">{}</td>", escape_html(row.name),
               escape_html(latency.name), latency.histogram.count());
      for (const auto& [name, quantile] : kColumns)
        page.put("<td class=\"number\">{}</td>",
                 latency.histogram.count() == 0
                     ? "-"
                     : format_quantity(static_cast<double>(latency.histogram.percentile(quantile)), "ns"));
      page.put("</tr>\n");
    }
  page.put("</table></div>\n");
}

void put_method(Page& page, const Document& document) {
  const Method& method = document.method;
  page.put(
      "<h3>Method</h3>\n<table>\n<tr><th>rounds</th><td>{}</td></tr>\n<tr><th>time a round</th><td>{}</td></tr>\n"
      "<tr><th>warm-up</th><td>{}</td></tr>\n<tr><th>order</th><td>{}</td></tr>\n"
      "<tr><th>processors</th><td>{}</td></tr>\n"
      "<tr><th>interval</th><td>{:g}% of the median, by bootstrap</td></tr>\n</table>\n",
      method.repeats,
      method.duration_ns == 0 ? "counted in operations"
                              : format_quantity(static_cast<double>(method.duration_ns), "ns"),
      format_quantity(static_cast<double>(method.warmup_ns), "ns"), escape_html(method.order),
      method.cpus.empty() ? "not bound" : escape_html(method.cpus), 100 * method.confidence);
}

void put_machine(Page& page, const Document& document) {
  if (document.machine.empty()) return;
  page.put("<details open><summary><strong>Machine</strong></summary>\n");
  for (const FieldGroup& group : document.machine) {
    page.put("<h3>{}</h3>\n<div class=\"scroll\"><table>\n", escape_html(group.name));
    put_fields(page, group.fields);
    page.put("</table></div>\n");
  }
  page.put("</details>\n");
}

}  // namespace

std::string html_report(std::span<const Document> documents, std::span<const std::string> labels,
                        const std::string& title) {
  Page page;
  page.put(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      // Should a mistake of ours let markup through, it still loads and runs nothing.
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
      "<title>{}</title>\n<style>",
      escape_html(title));
  page.raw(kPageStyle);
  page.raw(kFigureStyle);
  page.put("</style>\n</head>\n<body>\n<h1>{}</h1>\n", escape_html(title));
  const auto figures = figures_of(documents, labels);
  if (!figures.empty()) page.put("<h2>Figures</h2>\n");
  for (const Figure& figure : figures) {
    page.put("<figure><figcaption>{}</figcaption>\n", escape_html(figure.title));
    page.raw(svg_of(figure));
    page.put("</figure>\n");
  }
  for (std::size_t i = 0; i < documents.size(); ++i) {
    page.put("<h2>{}{}</h2>\n", escape_html(documents[i].command),
             documents.size() > 1 ? " <span class=\"faint\">(" + escape_html(labels[i]) + ")</span>" : "");
    put_summary(page, documents[i]);
    put_metrics(page, documents[i]);
    put_latencies(page, documents[i]);
    put_method(page, documents[i]);
    put_machine(page, documents[i]);
  }
  page.put("</body>\n</html>\n");
  return std::move(page).take();
}

}  // namespace ff::bench
