// What changed between two documents: rows are matched by name, metrics by name within their rows. Behind
// `ffbench compare`.
//
// Latency histograms have no samples to judge by; a command that wants its percentiles compared states them as metrics.
// Threads: pure functions.
#pragma once

#include <string>
#include <vector>

#include "ffbench/result/document.hpp"
#include "ffbench/stats/comparison.hpp"

namespace ff::bench {

struct MetricChange {
  std::string row;
  std::string metric;
  std::string unit;
  Comparison comparison;
};

struct DocumentChange {
  double threshold = kDefaultThreshold;     // of CompareOptions
  double tolerance = kDefaultTolerance;     // likewise
  std::vector<MetricChange> changes = {};   // in the order of the base
  std::vector<std::string> only_base = {};  // names of rows, or "row: metric"
  std::vector<std::string> only_current = {};
  // What makes the comparison doubtful: another machine, command or method; a document that is incomplete.
  std::vector<std::string> warnings = {};

  std::size_t count(Verdict verdict) const;
  std::size_t count(Doubt doubt) const;
};

DocumentChange compare_documents(const Document& base, const Document& current, double threshold,
                                 double tolerance = kDefaultTolerance);

// One line a metric; rows that stand in one document only follow, with the verdict "removed" or "added". An unknown
// verdict has its reason beside it: after a colon in the text, in "reason" elsewhere (null for other verdicts). Schema
// ff.bench.compare/1. Text ends with a line of totals, and one that says what to do where noise hides the answer.
std::string render_change(const DocumentChange& change, report::Format format);

}  // namespace ff::bench
