#include "libcommon/config/schema.hpp"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>

#include "libcommon/base/assert.hpp"
#include "libcommon/base/byte_size.hpp"
#include "libcommon/base/duration.hpp"
#include "libcommon/cli/suggestion.hpp"

namespace ff::config {
namespace {

std::string bound_text(const Key& key, double bound) {
  if (key.type == Type::kSize && bound >= 0 && bound < 0x1p64)
    return exact_byte_size(static_cast<std::uint64_t>(bound));
  if (key.type == Type::kDuration && std::fabs(bound) < 9.2e9)
    return exact_duration(std::chrono::nanoseconds(std::llround(bound * 1e9)));
  return fmt::format("{}", bound);
}

Result<> check_range(const Key& key, std::string_view text, double value) {
  if ((key.min && value < *key.min) || (key.max && value > *key.max))
    return fail(Errc::kInvalidArgument, fmt::format("'{}' is out of range ({})", text, range_text(key)));
  return {};
}

Result<> check_choice(const Key& key, const std::string& text) {
  if (key.choices.empty() || std::find(key.choices.begin(), key.choices.end(), text) != key.choices.end()) return {};
  return fail(Errc::kInvalidArgument, fmt::format("'{}' is not one of {}{}", text, fmt::join(key.choices, ", "),
                                                  cli::did_you_mean(text, key.choices)));
}

template <class T>
Result<T> parse_number(std::string_view text, std::string_view kind) {
  T value{};
  const auto [stop, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code == std::errc::result_out_of_range)
    return fail(Errc::kInvalidArgument, fmt::format("'{}' is too large", text));
  if (code != std::errc() || stop != text.data() + text.size())
    return fail(Errc::kInvalidArgument, fmt::format("'{}' is not {}", text, kind));
  return value;
}

Result<TextMap> to_map(const std::vector<std::string>& items) {
  TextMap map;
  for (const std::string& item : items) {
    const std::size_t equals = item.find('=');
    if (equals == std::string::npos || equals == 0)
      return fail(Errc::kInvalidArgument, fmt::format("'{}' is not NAME=TEXT", item));
    if (!map.emplace(item.substr(0, equals), item.substr(equals + 1)).second)
      return fail(Errc::kInvalidArgument, fmt::format("'{}' is given twice", item.substr(0, equals)));
  }
  return map;
}

bool well_formed(std::string_view name) {
  bool word = false;
  for (const char c : name) {
    if (c == '.' && !word) return false;
    word = c != '.';
    if (word &&
        !(std::islower(static_cast<unsigned char>(c)) || std::isdigit(static_cast<unsigned char>(c)) || c == '_'))
      return false;
  }
  return word;
}

}  // namespace

std::string_view type_name(Type type) noexcept {
  static constexpr std::array<std::string_view, 9> kNames = {"text",     "integer", "real", "boolean", "size",
                                                             "duration", "choice",  "list", "map"};
  return kNames[static_cast<std::size_t>(type)];
}

std::string environment_name(const Key& key) {
  if (key.of_file_alone) return "";
  std::string name = "FF_";
  for (const char c : key.name) name += c == '.' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return name;
}

Result<Value> check_list(const Key& key, std::vector<std::string> items) {
  for (const std::string& item : items) FF_TRY(check_choice(key, item));
  return items;
}

Result<Value> parse_value(const Key& key, std::string_view text) {
  switch (key.type) {
    case Type::kText:
    case Type::kChoice: {
      std::string value(text);
      FF_TRY(check_choice(key, value));
      return value;
    }
    case Type::kInteger: {
      FF_TRY_ASSIGN(const auto value, parse_number<std::int64_t>(text, "a whole number"));
      FF_TRY(check_range(key, text, static_cast<double>(value)));
      return value;
    }
    case Type::kReal: {
      FF_TRY_ASSIGN(const auto value, parse_number<double>(text, "a number"));
      if (!std::isfinite(value)) return fail(Errc::kInvalidArgument, fmt::format("'{}' is not finite", text));
      FF_TRY(check_range(key, text, value));
      return value;
    }
    case Type::kBool:
      if (text == "true") return true;
      if (text == "false") return false;
      return fail(Errc::kInvalidArgument, fmt::format("'{}' is not a boolean (write true or false)", text));
    case Type::kSize: {
      FF_TRY_ASSIGN(const auto value, parse_byte_size(text));
      FF_TRY(check_range(key, text, static_cast<double>(value)));
      return value;
    }
    case Type::kDuration: {
      FF_TRY_ASSIGN(const auto value, parse_duration(text));
      FF_TRY(check_range(key, text, std::chrono::duration<double>(value).count()));
      return value;
    }
    case Type::kTextList:
    case Type::kTextMap: {
      std::vector<std::string> items;
      for (std::size_t start = 0; start < text.size();) {
        const std::size_t end = std::min(text.find(',', start), text.size());
        items.emplace_back(text.substr(start, end - start));
        start = end + 1;
      }
      if (key.type == Type::kTextMap) return to_map(items);
      return check_list(key, std::move(items));
    }
  }
  return fail(Errc::kInternal, "key without a type");
}

std::string value_text(const Value& value) {
  struct Visitor {
    std::string operator()(const std::string& text) const { return text; }
    std::string operator()(std::int64_t i) const { return fmt::format("{}", i); }
    std::string operator()(double d) const { return fmt::format("{}", d); }
    std::string operator()(bool b) const { return b ? "true" : "false"; }
    std::string operator()(std::uint64_t bytes) const { return exact_byte_size(bytes); }
    std::string operator()(std::chrono::nanoseconds d) const { return exact_duration(d); }
    std::string operator()(const std::vector<std::string>& v) const { return fmt::format("{}", fmt::join(v, ",")); }
    std::string operator()(const TextMap& map) const {
      std::string out;
      for (const auto& [name, text] : map) out += (out.empty() ? "" : ",") + name + "=" + text;
      return out;
    }
  };
  return std::visit(Visitor{}, value);
}

std::string range_text(const Key& key) {
  if (key.min && key.max) return bound_text(key, *key.min) + " to " + bound_text(key, *key.max);
  if (key.min) return "at least " + bound_text(key, *key.min);
  if (key.max) return "at most " + bound_text(key, *key.max);
  return {};
}

Schema::Schema(std::vector<Key> keys) : keys_(std::move(keys)) {
  for (std::size_t i = 0; i < keys_.size(); ++i) {
    const Key& key = keys_[i];
    FF_ASSERT(well_formed(key.name), key.name);
    FF_ASSERT(find(key.name) == i, key.name);
    FF_ASSERT(!is_group(key.name), key.name);
    const auto otherwise = parse_value(key, key.otherwise);
    FF_ASSERT(otherwise.has_value(), key.name, key.otherwise, otherwise.error().message());
  }
}

std::optional<std::size_t> Schema::find(std::string_view name) const noexcept {
  for (std::size_t i = 0; i < keys_.size(); ++i)
    if (keys_[i].name == name) return i;
  return std::nullopt;
}

bool Schema::is_group(std::string_view name) const noexcept {
  return name.empty() || std::any_of(keys_.begin(), keys_.end(), [&](const Key& key) {
           return key.name.size() > name.size() && key.name.starts_with(name) && key.name[name.size()] == '.';
         });
}

std::vector<std::string> Schema::children(std::string_view group) const {
  std::vector<std::string> words;
  const std::string prefix = group.empty() ? "" : std::string(group) + ".";
  for (const Key& key : keys_) {
    if (!key.name.starts_with(prefix)) continue;
    const std::string rest = key.name.substr(prefix.size());
    const std::string word = rest.substr(0, rest.find('.'));
    if (std::find(words.begin(), words.end(), word) == words.end()) words.push_back(word);
  }
  return words;
}

}  // namespace ff::config
