// The options that describe a job, of `ffctl submit` and `ffctl run` and of lines "#FF --nodes 4" in scripts: another
// spelling of the keys of a job file. What an option takes, its default, choices and bounds are those of its key.
// Threads: pure, but for reading the environment (-e NAME).
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "libcommon/config/config.hpp"

namespace ff::ctl {

struct JobOption {
  std::string_view names;       // "-N,--nodes"
  std::string_view key;         // "resources.nodes"
  std::string_view value_name;  // empty: by its kind
  std::string_view help;        // empty: that of the key
  bool folder = false;          // completes to one

  std::string long_name() const { return std::string(names.substr(names.find("--"))); }
};
std::span<const JobOption> job_options() noexcept;
// Its key in job_schema().
const config::Key& key_of(const JobOption& option);

// The values of an option as they were given, several only for lists and maps. A list replaces the one that is there
// (the items of one word are separated by commas); the entries of a map (NAME=VALUE; -e NAME: as it is here; -l NAME)
// replace those of the same name. kInvalidArgument: "PLACE: what".
Result<> set_job_option(config::Config& values, const JobOption& option, const std::vector<std::string>& texts,
                        const std::string& place);

// The words of a line: quotes and '\' as in a shell, '#' before a word begins a comment, and nothing else of one.
// kInvalidArgument: what is wrong.
Result<std::vector<std::string>> split_words(std::string_view line);

// The options of "--nodes=4 -p low --hold -J 'a name'", in their order. kInvalidArgument: what is wrong.
struct OptionGiven {
  const JobOption* option;
  std::string text;  // "true" for a flag
};
Result<std::vector<OptionGiven>> parse_job_options(std::string_view line);

}  // namespace ff::ctl
