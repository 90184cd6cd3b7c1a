// TrainReport: what rank 0 prints while training and at its end, in the formats that -o offers.
//
// table, wide        a row every `every` steps, then a summary in words and the sample
// json, jsonl, yaml  JSON lines: ff.train.step/1 a row, then one ff.train.summary/1
// csv, name          the rows alone
// Lines go out as they are made, so that a pipe or a file can be followed.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "libcommon/report/table.hpp"
#include "tools/fftrain/trainer.hpp"

namespace ff::fftrain {

class TrainReport {
 public:
  using Sink = std::function<void(std::string_view)>;
  TrainReport(report::Format format, std::int64_t every, int ranks, Sink sink);

  // Called for each step; prints a row for the first, each multiple of `every`, and the step `last`.
  void on_step(const StepRecord& record, std::int64_t last);
  // `sample` may be empty.
  void finish(const TrainSummary& summary, std::string_view sample);

 private:
  void print_row(const StepRecord& record);
  std::string summary_json(const TrainSummary& summary, std::string_view sample) const;
  std::string summary_text(const TrainSummary& summary, std::string_view sample) const;

  report::Format format_;
  std::int64_t every_;
  int ranks_;
  Sink sink_;
  bool titled_ = false;
  std::int64_t bytes_since_ = 0;  // since the last row, for its rate
  std::int64_t ns_since_ = 0;
};

// Bytes fit for a terminal: line breaks and tabs as they are, other control characters and what is not ASCII as \xNN.
std::string printable_text(std::string_view bytes);

}  // namespace ff::fftrain
