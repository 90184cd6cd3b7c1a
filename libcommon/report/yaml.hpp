// YAML scalars: the one place that decides whether a string needs quotes.
// Source: YAML 1.2 with the words of YAML 1.1 (yes, off, ...) treated as special too, since readers of both exist.
#pragma once

#include <string>
#include <string_view>

namespace ff::report {

// The text as a one-line scalar that every YAML reader takes for a string: plain where that is safe, else quoted.
std::string yaml_string(std::string_view text);

}  // namespace ff::report
