// A document with something in every field, and names that try to break what shows them.
#pragma once

#include "ffbench/result/document.hpp"

namespace ff::bench {

inline Document sample_document() {
  Document document;
  document.command = "storage path";
  document.arguments = {"storage", "path", "/data", "--rw", "randread"};
  document.version = "0.1.0 (git abcdef0)";
  document.started = "2026-01-02T03:04:05Z";
  document.elapsed_ns = 12'345'678'901;
  document.method = {
      .repeats = 3, .warmup_ns = 200'000'000, .duration_ns = 1'000'000'000, .cpus = "0-3", .order = "interleaved"};
  document.machine = {
      {"host", {{"name", std::string("node17")}, {"kernel", std::string("6.1.0")}}},
      {"cpu", {{"model", std::string("Fast <One>")}, {"cores_online", std::int64_t{4}}, {"smt", false}}},
      {"load", {{"foreign_cpu_share", 0.125}, {"unknown", report::Cell()}}}};
  document.warnings = {"the frequency governor is 'powersave' (fix it)"};
  for (const std::int64_t bs : {4096, 8192, 16384}) {
    Row row{.name = "read bs=" + std::to_string(bs),
            .parameters = {{"bs", bs}, {"rw", std::string("randread")}},
            .metrics = {}};
    const double rate = static_cast<double>(bs) * 1e5;
    row.metrics.push_back(
        {"bandwidth", "B/s", Better::kHigher, "bytes / elapsed time", {rate, rate * 1.02, rate * 0.99}});
    row.metrics.push_back({"latency_p99", "ns", Better::kLower, "", {100e3, 101e3, 102e3}});
    Latency latency{"read", metrics::Histogram()};
    for (std::int64_t i = 1; i <= 1000; ++i) latency.histogram.record(i * 1000);
    row.latencies.push_back(latency);
    document.rows.push_back(row);
  }
  document.rows.push_back(
      {.name = "<script>alert('x')</script>", .parameters = {}, .metrics = {}, .error = "disk full: \"/data\""});
  return document;
}

}  // namespace ff::bench
