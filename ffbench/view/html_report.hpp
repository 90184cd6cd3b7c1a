// Documents as one HTML file that needs nothing else: no script, no reference to anything outside, readable on a phone
// and in the dark. Results are untrusted input: whatever a file holds shows as text.
// Threads: pure functions.
#pragma once

#include <span>
#include <string>

#include "ffbench/result/document.hpp"

namespace ff::bench {

// `labels` name the documents (their files), one each. Order of the page: figures of all; then for each document what
// was run, its warnings, results, method and machine.
std::string html_report(std::span<const Document> documents, std::span<const std::string> labels,
                        const std::string& title);

}  // namespace ff::bench
