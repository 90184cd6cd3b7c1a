// Writing a result: whole or not at all, and never over what stands there unless that was asked for.
// Threads: any; the file system decides between two writers of one name.
#pragma once

#include <string>
#include <string_view>

#include "libcommon/base/result.hpp"

namespace ff::bench {

// For a check before the work: kAlreadyExists when something stands under `path` and `force` is false; kNotFound or
// kPermission when its folder is not there or cannot be written.
Result<> check_output_path(const std::string& path, bool force);

// The file appears under its name when it is whole. kAlreadyExists as above, also when another process made it since.
Result<> write_output_file(const std::string& path, std::string_view bytes, bool force);

// The same, except that "-" is standard output: that is checked for nothing, and written whole. kIo.
Result<> check_output(const std::string& path, bool force);
Result<> write_output(const std::string& path, std::string_view bytes, bool force);

}  // namespace ff::bench
