// The file that `tune` writes and `run --tuned` reads: "HFR_KEY: value" lines and # comments (YAML, one level deep).
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "libcommon/base/result.hpp"

namespace ff::hfreduce::cmd {

// Keys that Config::from_environment understands and that tuning may set.
const std::vector<std::string>& tuned_keys();

using TunedValues = std::map<std::string, std::string>;

// kCorrupt names the line: an unknown key, a key twice, a line of another form.
Result<TunedValues> parse_tuned(std::string_view text);
// `comment` may have several lines.
std::string format_tuned(const TunedValues& values, std::string_view comment);

// $XDG_CONFIG_HOME/fire-flyer/hfreduce-tune.yaml, or under ~/.config.
Result<std::string> default_tuned_path();

}  // namespace ff::hfreduce::cmd
