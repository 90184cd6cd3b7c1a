// Tables of failures as CSV: what `ffbench xid --events -o csv` prints, and what people keep in spreadsheets.
//
// Columns   By the names in the first line, in any order and case; others are ignored.
//             date | timestamp | time | day | month    when (civil_time.hpp); required
//             count | events | n                       how many, 1 when absent; 0 is a row without failures
//             class | kind | type                      "network"; empty when absent
//             node | host                              empty when absent
// Form      RFC 4180 with "," or ";" or a tab (whichever the first line has first); no line breaks inside cells; empty
//           lines and lines that begin with # are skipped.
// Errors    kInvalidArgument names file, line and column; kExhausted beyond kRowsMax rows.
// Threads   One at a time.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ffbench/faults/civil_time.hpp"
#include "libcommon/base/result.hpp"

namespace ff::bench {

struct Failure {
  std::int64_t time_ns = 0;
  TimePrecision precision = TimePrecision::kInstant;
  std::uint64_t count = 1;
  std::string fault_class = {};
  std::string node = {};
};

class FailureReader {
 public:
  static constexpr std::size_t kRowsMax = 20'000'000;
  static constexpr std::uint64_t kCountMax = 1'000'000'000;

  // `name` is for messages. Rows are appended to `failures`, which must outlive the reader.
  FailureReader(std::string name, std::vector<Failure>& failures) : name_(std::move(name)), failures_(failures) {}

  Result<> add_line(std::string_view line);
  // kInvalidArgument: there was not even a line of names.
  Result<> finish() const;

 private:
  Result<> read_names(const std::vector<std::string>& cells);
  Result<> read_row(const std::vector<std::string>& cells);
  Error problem(const std::string& what) const;

  std::string name_;
  std::vector<Failure>& failures_;
  std::uint64_t line_ = 0;
  char separator_ = ',';
  int time_ = -1, count_ = -1, class_ = -1, node_ = -1;
};

// "-" is standard input.
Result<> read_failures(const std::string& path, std::vector<Failure>& failures);

}  // namespace ff::bench
