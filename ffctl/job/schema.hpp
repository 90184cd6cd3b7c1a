// The keys of a job file, version 1: one table for the reader, `#FF` lines, --set, the JSON Schema, and the man page.
// Threads: pure.
#pragma once

#include <string>

#include "libcommon/config/schema.hpp"

namespace ff::ctl {

const config::Schema& job_schema();

// configs/ffjob.schema.json: JSON Schema 2020-12 of a job file read as a YAML tree. Patterns of sizes and durations are
// looser than the reader; keys, types, choices and ranges of numbers are the same.
std::string job_json_schema();

}  // namespace ff::ctl
