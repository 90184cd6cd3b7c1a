#include "libcommon/config/describe.hpp"

#include <fmt/core.h>
#include <fmt/ranges.h>

namespace ff::config {
namespace {

// scdoc gives these characters a meaning.
std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (std::string_view("\\_*`#.+-[]|<>~").contains(c)) out += '\\';
    out += c;
  }
  return out;
}

std::string notes(const Key& key) {
  std::vector<std::string> parts = {std::string(type_name(key.type))};
  if (!key.unit.empty()) parts.back() += " of " + key.unit;
  if (!key.choices.empty()) parts.push_back(fmt::format("one of {}", fmt::join(key.choices, ", ")));
  if (const auto range = range_text(key); !range.empty()) parts.push_back(range);
  parts.push_back(key.otherwise.empty() ? "default empty" : "default " + key.otherwise);
  return fmt::format("{}", fmt::join(parts, "; "));
}

}  // namespace

report::Table describe_values(const Config& config) {
  report::Table table("ff.config/1", {{.key = "key", .title = "KEY"},
                                      {.key = "value", .title = "VALUE"},
                                      {.key = "origin", .title = "ORIGIN"},
                                      {.key = "help", .title = "HELP", .wide_only = true}});
  for (const Key& key : config.schema().keys())
    table.add_row({key.name, value_text(config.value_of(key.name)), config.origin_of(key.name).place, key.help});
  return table;
}

std::string describe_schema(const Schema& schema) {
  std::string out;
  for (const Key& key : schema.keys()) {
    const std::string variable = environment_name(key);
    out += fmt::format("*{}* ({})\n\t{}.{}\n\n", escaped(key.name), escaped(notes(key)), escaped(key.help),
                       variable.empty() ? "" : " Environment: *" + escaped(variable) + "*.");
  }
  return out;
}

}  // namespace ff::config
