#include "libcommon/report/yaml.hpp"

#include <algorithm>
#include <array>
#include <cctype>

#include "libcommon/report/json.hpp"

namespace ff::report {
namespace {

bool is_special_word(std::string_view text) {
  static constexpr std::array<std::string_view, 11> kWords = {"null", "true", "false", "yes", "no", "on",
                                                              "off",  "y",    "n",     "inf", "nan"};
  std::string lower;
  for (const char c : text) lower += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return std::find(kWords.begin(), kWords.end(), lower) != kWords.end();
}

// Starts with a letter, "_" or "/" and goes on without anything that YAML gives a meaning: no number, no date,
// no indicator can look like this.
bool is_plain(std::string_view text) {
  const auto letter = [](char c) { return std::isalpha(static_cast<unsigned char>(c)) != 0; };
  const auto word = [&](char c) {
    return letter(c) || std::isdigit(static_cast<unsigned char>(c)) != 0 || std::string_view("_./-+").contains(c);
  };
  return !text.empty() && (letter(text[0]) || text[0] == '_' || text[0] == '/') &&
         std::all_of(text.begin(), text.end(), word) && !is_special_word(text);
}

}  // namespace

std::string yaml_string(std::string_view text) {
  if (is_plain(text)) return std::string(text);
  // A JSON string is a double-quoted YAML scalar.
  JsonWriter json;
  json.value(text);
  return json.take();
}

}  // namespace ff::report
