// How commands show jobs and what is told of them; the words are those of job/words.hpp.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ffctl/job/words.hpp"
#include "ffctl/proto/master.pb.h"
#include "libcommon/report/json.hpp"
#include "libcommon/report/table.hpp"

namespace ff::ctl {

// "2026-11-23T04:11:22Z"; absent for 0.
report::Cell time_cell(std::uint64_t unix_ms);
report::Cell count_cell(std::uint64_t value);
// Nanoseconds, for Unit::kNanoseconds.
report::Cell duration_cell(std::uint64_t ms);

// Of all attempts: ranks of the job.
std::uint32_t rank_count(const JobSpec& spec);

// Columns and cells of `ffctl ls`; `now_ms` for how long things last.
std::vector<report::Column> job_columns();
std::vector<report::Cell> job_cells(const Job& job, std::uint64_t now_ms);

// All of a job: as text for people, as fields of an open JSON object.
std::string job_details(const Job& job, std::uint64_t now_ms);
void job_json(report::JsonWriter& json, const Job& job);

// When it may start; empty: unknown.
std::string estimate_text(const StartEstimate& estimate);
// Why a job is where it is: lines.
std::string explanation_text(const ExplainReply& reply);

// Rows of `ffctl queue`; how long the job has waited there.
report::Table queue_table();
std::vector<report::Cell> queue_cells(const QueuedJob& job, std::uint64_t now_ms);
std::uint64_t queued_ms(const QueuedJob& job, std::uint64_t now_ms);

// Rows of `ffctl events`.
report::Table event_table();
std::vector<report::Cell> event_cells(const Event& event);

}  // namespace ff::ctl
