// A Document as JSON text and back: schema ff.bench/1, described by bench.schema.json beside this file.
//
// Written  Beside its samples, each metric carries "median", "ci_low" and "ci_high" of them (null where there are
// none),
//          and each latency its count, min, max, mean and percentiles, so that a script needs no statistics of its own.
//          A histogram is in "encoded": base64 of metrics::Histogram::encode().
// Read     What was computed is not read: samples and histograms are what counts. Unknown members are ignored, so that
//          a later version can add some; another schema is refused.
// Bounds   64 MiB of text, 32 levels; a histogram never takes more than 1 MiB, all of them 512 MiB; a million samples.
// Errors   of parse_document: kCorrupt, which names the place: "rows[2].metrics[0].unit: is missing"; kExhausted
//          beyond a bound.
// Threads  Pure functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ffbench/result/document.hpp"
#include "libcommon/base/result.hpp"

namespace ff::bench {

inline constexpr std::string_view kDocumentSchema = "ff.bench/1";

// Indented, with a line break at the end. A parameter or a fact that is a whole double reads back as an integer.
std::string to_json(const Document& document);
Result<Document> parse_document(std::string_view text);
// From a file; "-" is standard input. Errors begin with the path.
Result<Document> read_document(const std::string& path);
// In this order; the first that cannot be read is the error.
Result<std::vector<Document>> read_documents(const std::vector<std::string>& paths);

}  // namespace ff::bench
