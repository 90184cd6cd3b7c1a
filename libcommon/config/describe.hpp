// The schema and the values for people: --print-config and the man page.
#pragma once

#include <string>

#include "libcommon/config/config.hpp"
#include "libcommon/report/table.hpp"

namespace ff::config {

// Rows of key, value, origin (and, wide, help); schema "ff.config/1". Values are the texts that a file accepts.
report::Table describe_values(const Config& config);

// The OPTIONS text of a man page in section 5, in scdoc(5): one paragraph a key.
std::string describe_schema(const Schema& schema);

}  // namespace ff::config
