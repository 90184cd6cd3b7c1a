// What `hfreduce perf --json` (schema ff.perf/1) says, as rows of a document.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "ffbench/result/document.hpp"
#include "libcommon/base/result.hpp"

namespace ff::bench {

struct CollectiveReading {
  std::vector<Row> rows;  // one a size and, where it was measured, one more in place; one sample each metric
  std::uint64_t wrong = 0;
};

// kCorrupt: no such report, or one that lacks what a row needs.
Result<CollectiveReading> read_collective_report(std::string_view json);

// Adds the samples of `more` to the rows of the same names; rows that are new are appended.
void merge_rows(std::vector<Row>& rows, std::vector<Row> more);

}  // namespace ff::bench
