// The pages of a program's HTTP server, as pure functions from data to text. All that comes from elsewhere (names,
// peers, error messages) is escaped, for JSON by report::JsonWriter and for HTML here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "libcommon/base/result.hpp"
#include "libcommon/metrics/http_message.hpp"

namespace ff::metrics {

// One request that is being served, or that waits for an answer.
struct RequestRow {
  std::string service;
  std::string method;
  std::string peer;
  std::int64_t age_ns = 0;
  std::optional<std::int64_t> deadline_ns;  // until its deadline; negative when it has passed, none without one
  std::string trace_id;                     // as it is logged, mostly hexadecimal
  std::string state;                        // "queued", "running", "sending", ...
};

// What one source has.
struct RequestList {
  std::vector<RequestRow> rows;  // the oldest kRequestRowsMax, or more, in any order
  std::size_t total = 0;         // also those that have no row here
};

// The oldest rows of each source that are shown; the number of all is shown as well.
inline constexpr std::size_t kRequestRowsMax = 1000;

// 200 if all are good, else 503. {"schema":"ff.health/1","status":"ok"|"failing",
//   "failed":[{"name":...,"code":...,"message":...}],"passed":[names]}
HttpReply health_page(const std::vector<std::pair<std::string, Result<>>>& checks);

// Oldest first, by source; "error" stands in place of "total" and "requests" for a source that could not be read.
// {"schema":"ff.requests/1","sources":[{"name":...,"total":N,"requests":[{"service":...,
//   "method":...,"peer":...,"age_ns":N,"deadline_ns":N|null,"trace_id":...,"state":...}]}]}, or as HTML.
HttpReply requests_page(std::vector<std::pair<std::string, Result<RequestList>>> sources, bool html);

HttpReply index_page();
HttpReply not_found_page();

// True for a browser: the Accept header names text/html.
bool wants_html(std::string_view accept);

// Safe as text and within quotes of an attribute; control characters and bytes that are not UTF-8 become U+FFFD.
std::string html_escape(std::string_view text);

}  // namespace ff::metrics
