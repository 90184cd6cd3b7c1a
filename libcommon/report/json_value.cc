// nlohmann/json reads (its event interface: no tree of its own, no exceptions out of it); this file builds the tree and
// stops the reader at the first bound that is passed.
#include "libcommon/report/json_value.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "libcommon/report/utf8.hpp"

namespace ff::report {

class JsonTreeBuilder {
 public:
  JsonTreeBuilder(JsonLimits limits, std::string_view text) : limits_(limits), text_(text) {}

  // The event interface of nlohmann::json; false stops the reader.
  bool null() { return add(JsonValue()); }
  bool boolean(bool value) { return add(JsonValue(value)); }
  bool number_integer(std::int64_t value) { return add(JsonValue(value)); }
  bool number_unsigned(std::uint64_t value) {
    return value <= INT64_MAX ? add(JsonValue(static_cast<std::int64_t>(value)))
                              : add(JsonValue(static_cast<double>(value)));
  }
  bool number_float(double value, const std::string&) { return add(JsonValue(value)); }
  bool string(std::string& value) { return add(JsonValue(std::move(value))); }
  bool binary(nlohmann::json::binary_t&) { return false; }
  bool start_object(std::size_t) { return open(JsonValue(JsonValue::Object())); }
  bool start_array(std::size_t) { return open(JsonValue(JsonValue::Array())); }
  bool end_object() { return close(); }
  bool end_array() { return close(); }
  bool key(std::string& name) {
    if (!open_.back().names.insert(name).second)
      return refuse(Errc::kCorrupt, fmt::format("two members are named '{}'", printable(name)));
    open_.back().name = std::move(name);
    return true;
  }
  bool parse_error(std::size_t position, const std::string&, const nlohmann::json::exception& problem) {
    return refuse(Errc::kCorrupt, reason_of(problem.what()), position);
  }

  Result<JsonValue> take(bool parsed) {
    if (error_) return fail(std::move(*error_));
    if (!parsed) return fail(Errc::kCorrupt, "JSON: cannot be read");
    return std::move(root_);
  }

 private:
  // A list or an object that is not at its end yet.
  struct Open {
    JsonValue value;
    std::string name = {};  // of the member that comes next
    std::set<std::string> names = {};
  };

  bool count() {
    if (++values_ <= limits_.values_max) return true;
    return refuse(Errc::kExhausted, fmt::format("more than {} values", limits_.values_max));
  }

  bool add(JsonValue value) {
    if (!count()) return false;
    put(std::move(value));
    return true;
  }

  void put(JsonValue value) {
    if (open_.empty()) {
      root_ = std::move(value);
    } else if (auto* array = std::get_if<JsonValue::Array>(&open_.back().value.value_)) {
      array->push_back(std::move(value));
    } else {
      std::get<JsonValue::Object>(open_.back().value.value_)
          .emplace_back(std::move(open_.back().name), std::move(value));
    }
  }

  bool open(JsonValue value) {
    if (open_.size() >= limits_.depth_max)
      return refuse(Errc::kExhausted, fmt::format("nested more than {} deep", limits_.depth_max));
    if (!count()) return false;
    open_.push_back({std::move(value)});
    return true;
  }

  bool close() {
    JsonValue value = std::move(open_.back().value);
    open_.pop_back();
    put(std::move(value));
    return true;
  }

  bool refuse(Errc code, const std::string& reason) {
    error_ = Error(code, "JSON: " + reason);
    return false;
  }
  bool refuse(Errc code, const std::string& reason, std::size_t position) {
    const std::string_view before = text_.substr(0, std::min(position == 0 ? 0 : position - 1, text_.size()));
    const auto line = 1 + std::ranges::count(before, '\n');
    const auto line_start = before.rfind('\n');
    const std::size_t column = before.size() - (line_start == std::string_view::npos ? 0 : line_start + 1) + 1;
    error_ = Error(code, fmt::format("JSON: line {}, column {}: {}", line, column, reason));
    return false;
  }

  // "[json.exception.parse_error.101] parse error at line 1, column 5: syntax error ... - reason; expected X"
  static std::string reason_of(std::string_view what) {
    for (const std::string_view before : {std::string_view("] "), std::string_view("parse error at line")}) {
      const auto at = what.find(before);
      if (at == std::string_view::npos) continue;
      if (before == "] ")
        what.remove_prefix(at + before.size());
      else if (const auto colon = what.find(": ", at); colon != std::string_view::npos)
        what.remove_prefix(colon + 2);
    }
    constexpr std::size_t kReasonBytesMax = 300;  // it quotes the text it stopped at, which may be long
    return printable(what.substr(0, kReasonBytesMax));
  }

  JsonLimits limits_;
  std::string_view text_;
  JsonValue root_;
  std::vector<Open> open_;
  std::size_t values_ = 0;
  std::optional<Error> error_;
};

Result<JsonValue> JsonValue::parse(std::string_view text, JsonLimits limits) {
  if (text.size() > limits.bytes_max)
    return fail(Errc::kExhausted, fmt::format("JSON: {} bytes, more than {}", text.size(), limits.bytes_max));
  if (text.starts_with("\xef\xbb\xbf"))
    return fail(Errc::kCorrupt, "JSON: begins with a byte order mark (save it as UTF-8 without one)");
  JsonTreeBuilder builder(limits, text);
  try {
    const bool parsed = nlohmann::json::sax_parse(text.begin(), text.end(), &builder);
    return builder.take(parsed);
  } catch (const nlohmann::json::exception& problem) {
    return fail(Errc::kCorrupt, fmt::format("JSON: {}", printable(problem.what())));
  }
}

std::string_view JsonValue::kind_name() const noexcept {
  static constexpr std::string_view kNames[] = {"null",   "true or false", "a number", "a number",
                                                "a text", "a list",        "an object"};
  return kNames[value_.index()];
}

std::optional<bool> JsonValue::boolean() const noexcept {
  const bool* value = std::get_if<bool>(&value_);
  return value != nullptr ? std::optional(*value) : std::nullopt;
}

std::optional<std::int64_t> JsonValue::integer() const noexcept {
  const auto* value = std::get_if<std::int64_t>(&value_);
  return value != nullptr ? std::optional(*value) : std::nullopt;
}

std::optional<double> JsonValue::number() const noexcept {
  if (const auto* value = std::get_if<double>(&value_)) return *value;
  const auto value = integer();
  return value ? std::optional(static_cast<double>(*value)) : std::nullopt;
}

const JsonValue* JsonValue::find(std::string_view name) const noexcept {
  const Object* members = object();
  if (members == nullptr) return nullptr;
  const auto at = std::ranges::find(*members, name, &Member::first);
  return at == members->end() ? nullptr : &at->second;
}

}  // namespace ff::report
