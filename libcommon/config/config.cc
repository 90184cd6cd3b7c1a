#include "libcommon/config/config.hpp"

#include <fmt/core.h>

#include <cstdlib>

#include "libcommon/cli/suggestion.hpp"

namespace ff::config {

Config::Config(const Schema& schema) : schema_(&schema) {
  for (const Key& key : schema.keys()) {
    auto value = parse_value(key, key.otherwise);
    FF_ASSERT(value.has_value(), key.name);
    values_.emplace_back(std::move(*value), Origin{});
  }
}

Result<> Config::load_environment() {
  const auto& keys = schema_->keys();
  for (std::size_t i = 0; i < keys.size(); ++i) {
    const std::string variable = environment_name(keys[i]);
    if (variable.empty()) continue;
    const char* text = std::getenv(variable.c_str());
    if (text == nullptr || *text == '\0') continue;
    auto value = parse_value(keys[i], text);
    if (!value) return fail(std::move(value).error().context(variable));
    set(i, std::move(*value), {Source::kEnvironment, variable});
  }
  return {};
}

Result<> Config::set_flag(std::string_view name, std::string_view text, std::string_view flag) {
  const auto key = schema_->find(name);
  if (!key) {
    for (std::size_t dot = name.find('.'); dot != std::string_view::npos; dot = name.find('.', dot + 1)) {
      const auto map = schema_->find(name.substr(0, dot));
      if (!map || schema_->keys()[*map].type != Type::kTextMap || dot + 1 == name.size()) continue;
      TextMap held = std::get<TextMap>(values_[*map].first);
      held.insert_or_assign(std::string(name.substr(dot + 1)), std::string(text));
      set(*map, std::move(held), {Source::kFlag, std::string(flag)});
      return {};
    }
    std::vector<std::string> names;
    for (const Key& known : schema_->keys()) names.push_back(known.name);
    return fail(Errc::kInvalidArgument,
                fmt::format("{}: unknown key '{}'{}", flag, name, cli::did_you_mean(name, names)));
  }
  auto value = parse_value(schema_->keys()[*key], text);
  if (!value) return fail(std::move(value).error().context(fmt::format("{}: {}", flag, name)));
  set(*key, std::move(*value), {Source::kFlag, std::string(flag)});
  return {};
}

void Config::set(std::size_t key, Value value, Origin origin) {
  FF_ASSERT(key < values_.size(), key);
  auto& [held, from] = values_[key];
  FF_ASSERT(held.index() == value.index(), schema_->keys()[key].name);
  if (origin.source < from.source) return;
  held = std::move(value);
  from = std::move(origin);
}

const Value& Config::value_of(std::string_view name) const { return values_[index_of(name)].first; }

const Origin& Config::origin_of(std::string_view name) const { return values_[index_of(name)].second; }

std::size_t Config::index_of(std::string_view name) const {
  const auto key = schema_->find(name);
  FF_ASSERT(key.has_value(), name);
  return *key;
}

}  // namespace ff::config
