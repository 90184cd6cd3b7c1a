// Descriptors for talking to programs that are started: both ends close on exec, a child is given its end by dup2().
// Errors: of the system, kExhausted where there are no descriptors left. Threads: any.
#pragma once

#include <string_view>

#include "libcommon/base/result.hpp"
#include "libcommon/base/unique_fd.hpp"

namespace ff {

struct Pipe {
  UniqueFd read, write;
};

Result<Pipe> make_pipe();

// A file without a name that holds `text`, to be read from its begin: as standard input of a child, which reads it at
// its own pace, so that nobody has to feed it.
Result<UniqueFd> text_file(std::string_view text);

}  // namespace ff
