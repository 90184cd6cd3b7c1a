// One word for bash, whatever its bytes: printable ASCII only, so that a script of such words has no line that Slurm or
// bash could take for something else (#SBATCH, a carriage return). Pure.
#pragma once

#include <string>
#include <string_view>

namespace ff::ctl {

// REQUIRES: no zero byte.
std::string bash_word(std::string_view text);

}  // namespace ff::ctl
