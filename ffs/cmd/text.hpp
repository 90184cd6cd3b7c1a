// How commands show attributes.
#pragma once

#include <string>
#include <string_view>

#include "ffs/meta/meta.pb.h"
#include "libcommon/report/table.hpp"

namespace ff::ffs {

// "file", "folder", "link".
std::string type_text(FileType type);
// "-rw-r--r--".
std::string mode_text(FileType type, std::uint32_t mode);
// "2026-11-23T04:11:22Z"; nanoseconds are left out.
std::string time_text(const Timestamp& time);
// The last name of a clean path; "/" of the root.
std::string base_name(const std::string& path);
std::string parent_path(const std::string& path);
// "/a" and "b" to "/a/b".
std::string join_path(const std::string& folder, const std::string& name);

// Columns name, type, mode, links, uid, gid, size, modified and (wide) the rest; and the row of one file. Names are
// bytes, and reports are UTF-8: the last column has those of a name that would not survive, as "<first_key>_base64".
std::vector<report::Column> attribute_columns(std::string first_key, std::string first_title);
std::vector<report::Cell> attribute_cells(const std::string& name, const Attributes& attributes);
// Of an entry whose attributes may not be read.
std::vector<report::Cell> attribute_cells(const std::string& name, FileType type);
// RFC 4648, padded; an absent cell when `bytes` is UTF-8.
report::Cell base64_cell(std::string_view bytes);
report::Cell count(std::uint64_t value);

// The number of a "node", "target" or "chain". kInvalidArgument, with how to find one.
Result<std::uint64_t> parse_number(const std::string& text, const char* what);

// kInvalidArgument unless 1 to 4 octal digits.
Result<std::uint32_t> parse_mode(const std::string& text);

}  // namespace ff::ffs
