// A Document as text for people, and as one flat table for scripts.
//
// Text     One line a row: its name, the median of every metric with half its confidence interval, and percentiles of
//          its latencies. Rows of one document may have different metrics; a column is a metric's name.
// Flat     One line for each metric of each row, latencies as metrics "<name>_p50" and so on; the first column is the
//          row's name. Schema ff.bench.metrics/1.
// Threads  None of it is shared.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "ffbench/result/document.hpp"

namespace ff::bench {

// Prints rows as they are finished: the columns come from all rows (samples not needed), so that lines that are printed
// at different times align.
class RowPrinter {
 public:
  // `wide` adds columns: more percentiles, samples.
  RowPrinter(std::span<const Row> rows, double confidence, bool wide);

  // With line breaks.
  std::string titles() const;
  std::string line(const Row& row) const;

 private:
  struct Column {
    std::string name;
    std::size_t width = 0;
  };
  std::string join(const std::vector<std::string>& texts) const;

  double confidence_;
  bool wide_;
  std::size_t name_width_;
  std::vector<Column> metrics_, latencies_;
};

// Whole, with the row errors and warnings left out: these go to standard error.
std::string to_text(const Document& document, bool wide);
// `format`: csv, jsonl, yaml or name (every row once). REQUIRES: not json (see to_json), not text.
std::string to_records(const Document& document, report::Format format);
// Whichever of the three the format asks for.
std::string render_document(const Document& document, report::Format format);

}  // namespace ff::bench
