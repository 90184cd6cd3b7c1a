// How commands show jobs, and read the words that stand for phases and priorities.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ffctl/proto/job.pb.h"
#include "libcommon/report/json.hpp"
#include "libcommon/report/table.hpp"

namespace ff::ctl {

// "running", "above-normal": a name of an enum as people write it.
std::string lower_name(std::string_view enum_name);
std::string phase_text(JobPhase phase);
// Of a job that is done, its result; else its phase.
std::string state_text(const Job& job);
std::string priority_text(Priority priority);
// kInvalidArgument, with the nearest one.
Result<JobPhase> parse_phase(const std::string& text);
Result<Priority> parse_priority(const std::string& text);
const std::vector<std::string>& phase_words();
const std::vector<std::string>& priority_words();

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

}  // namespace ff::ctl
