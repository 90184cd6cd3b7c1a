// What an Option says about itself as text: its names, its kind, its default and its bounds. One reading of the
// struct for the parser, help, completion and --dump-cli. Threads: pure functions.
#pragma once

#include <string>
#include <vector>

#include "libcommon/cli/app.hpp"

namespace ff::cli {

// {"-n", "--ranks"}, or {"file"} for a positional.
std::vector<std::string> names_of(const Option& option);
bool is_positional(const Option& option);
bool is_flag(const Option& option);
bool is_list(const Option& option);
// As errors name it: "option '--ranks'" or "FILE".
std::string describe(const Option& option);
// "FILE", "SIZE"; the option's own value_name when it has one.
std::string value_name_of(const Option& option);
// "flag", "integer", "real", "text", "size", "duration", "list".
std::string_view kind_of(const Option& option);
// The target's present value in the form that the command line accepts; empty when there is nothing to show.
std::string default_text(const Option& option);
// A bound in the option's unit: "64KiB", "30s", "8".
std::string bound_text(const Option& option, double bound);

// Parses and checks `texts` (the values as given) and stores them in the target. Errors name the value alone; the
// caller says where it came from. On error the target is as before.
Result<> assign(const Option& option, const std::vector<std::string>& texts);
// The same from an environment variable: a list is separated by commas, a flag takes true, false, yes, no, 1, 0.
Result<> assign_from_environment(const Option& option, const std::string& text);

}  // namespace ff::cli
