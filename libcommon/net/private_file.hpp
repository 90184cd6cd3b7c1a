// Files with secrets: read only when nobody else can have read them, written so that nobody else ever can.
//
// Errors   name the file and say how to mend it; no byte of the content is in them.
// Threads  any.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "libcommon/base/result.hpp"

namespace ff::net {

// At most `bytes_max` of a regular file; `noun` is what it is called in errors: "key file". kPermission when group or
// others may read or write it, or when it belongs to another user than us or root; kNotFound; kInvalidArgument: no
// regular file. The caller wipes what it was given.
Result<std::string> read_private_file(const std::string& path, std::string_view noun, std::size_t bytes_max);

// A new file with mode 0600, whole or not at all, durable on return; never over an existing one (kAlreadyExists).
// Killed in between, it may leave PATH.tmp.PID, as private as the file itself.
Result<> create_private_file(const std::string& path, std::string_view noun, std::string_view text);

}  // namespace ff::net
