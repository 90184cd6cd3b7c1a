// The strict YAML loader. yaml-cpp stops here: none of its types or exceptions gets out.
//
// Errors are "file:line: key.path: what": unknown key (with the nearest one), key given twice, bare octal (0644), wrong
// type, out of range, tags, more than one document. Words that YAML readers disagree about (yes, no, on, off, null)
// need quotes where text is meant. A key without a value is an error; a group without one is an empty group.
#pragma once

#include <string>
#include <string_view>

#include "libcommon/config/config.hpp"

namespace ff::config {

inline constexpr std::size_t kConfigBytesMax = 1 << 20;

// `file` is the name that errors and origins show. kInvalidArgument. On error the config may hold part of the file and
// must not be used.
Result<> load_text(Config& config, std::string_view text, const std::string& file);

// The same from a file of at most kConfigBytesMax ("-" is standard input); also the errors of read_file().
Result<> load_file(Config& config, const std::string& path);

}  // namespace ff::config
