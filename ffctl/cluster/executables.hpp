// Where the other programs of the toolkit are.
#pragma once

#include <string>

#include "libcommon/base/result.hpp"

namespace ff::ctl {

// Beside this program, where a build folder has it (../NAME/NAME), or in PATH. kNotFound.
Result<std::string> find_executable(const std::string& name);

}  // namespace ff::ctl
