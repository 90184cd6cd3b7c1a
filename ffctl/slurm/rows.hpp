// Rows of squeue, sinfo and sacct whose fields may hold anything: other users choose names and comments, with line
// breaks and separators in them.
//
// Each question makes up a separator that nobody can know (16 random hexadecimal digits) and has the command print it
// after every field. What stands between two of them is one field, whatever is in it; a row is `fields` of them, and
// the line break that ends a row begins the next row's first field, which holds a number or a plain name only. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "libcommon/base/result.hpp"

namespace ff::ctl {

using Row = std::vector<std::string>;

std::string row_separator(std::uint64_t random);
// "JobID:SEP,State:SEP,…": what -O of squeue and sinfo takes.
std::string row_format(const std::vector<std::string>& fields, const std::string& separator);
// kCorrupt: the output is not of so many fields a row. Slurm's "(null)", "N/A", "NONE" and "none" of fields that have
// no value stay as they are: a name may be that too.
Result<std::vector<Row>> read_rows(std::string_view text, const std::string& separator, std::size_t fields);

}  // namespace ff::ctl
