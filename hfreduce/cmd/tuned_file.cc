#include "hfreduce/cmd/tuned_file.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cstdlib>

namespace ff::hfreduce::cmd {
namespace {

std::string_view trimmed(std::string_view text) {
  const auto begin = text.find_first_not_of(" \t\r");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\r") - begin + 1);
}

// A value without its comment and its quotes.
std::string_view plain_value(std::string_view text) {
  text = trimmed(text.substr(0, text.find(" #")));
  if (text.size() >= 2 && (text.front() == '"' || text.front() == '\'') && text.back() == text.front())
    text = text.substr(1, text.size() - 2);
  return text;
}

}  // namespace

const std::vector<std::string>& tuned_keys() {
  static const std::vector<std::string> keys = {"HFR_ALGO",      "HFR_CHANNELS",  "HFR_FLAT_MAX",
                                                "HFR_NET_CHUNK", "HFR_SHM_CHUNK", "HFR_SHM_PATH"};
  return keys;
}

Result<TunedValues> parse_tuned(std::string_view text) {
  TunedValues values;
  int number = 0;
  while (!text.empty()) {
    ++number;
    const auto newline = text.find('\n');
    const std::string_view line = trimmed(text.substr(0, newline));
    text = newline == std::string_view::npos ? std::string_view{} : text.substr(newline + 1);
    if (line.empty() || line.front() == '#' || line == "---" || line == "{}") continue;
    const auto colon = line.find(": ");
    if (colon == std::string_view::npos)
      return fail(Errc::kCorrupt, fmt::format("line {}: not of the form HFR_KEY: value", number));
    const std::string key(trimmed(line.substr(0, colon)));
    const std::string_view value = plain_value(line.substr(colon + 2));
    if (std::ranges::find(tuned_keys(), key) == tuned_keys().end())
      return fail(Errc::kCorrupt, fmt::format("line {}: unknown key '{}'", number, key));
    if (value.empty()) return fail(Errc::kCorrupt, fmt::format("line {}: '{}' has no value", number, key));
    if (!values.emplace(key, value).second)
      return fail(Errc::kCorrupt, fmt::format("line {}: '{}' is given twice", number, key));
  }
  return values;
}

std::string format_tuned(const TunedValues& values, std::string_view comment) {
  std::string out;
  while (!comment.empty()) {
    const auto newline = comment.find('\n');
    out += fmt::format("# {}\n", comment.substr(0, newline));
    comment = newline == std::string_view::npos ? std::string_view{} : comment.substr(newline + 1);
  }
  for (const auto& [key, value] : values) out += fmt::format("{}: {}\n", key, value);
  if (values.empty()) out += "{}\n";
  return out;
}

Result<std::string> default_tuned_path() {
  if (const char* config = std::getenv("XDG_CONFIG_HOME"); config != nullptr && config[0] == '/')
    return fmt::format("{}/fire-flyer/hfreduce-tune.yaml", config);
  if (const char* home = std::getenv("HOME"); home != nullptr && home[0] == '/')
    return fmt::format("{}/.config/fire-flyer/hfreduce-tune.yaml", home);
  return fail(Errc::kNotFound, "settings folder: neither XDG_CONFIG_HOME nor HOME is set (name a file with --save)");
}

}  // namespace ff::hfreduce::cmd
