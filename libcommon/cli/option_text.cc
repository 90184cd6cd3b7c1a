#include "libcommon/cli/option_text.hpp"

#include <fmt/core.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>

#include "libcommon/base/assert.hpp"
#include "libcommon/base/byte_size.hpp"
#include "libcommon/base/duration.hpp"
#include "libcommon/cli/suggestion.hpp"

namespace ff::cli {
namespace {

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  for (std::size_t start = 0;;) {
    const std::size_t end = text.find(separator, start);
    parts.emplace_back(text.substr(start, end == std::string_view::npos ? end : end - start));
    if (end == std::string_view::npos) return parts;
    start = end + 1;
  }
}

template <class T>
Result<T> parse_number(const std::string& text, std::string_view kind) {
  T value{};
  const char* begin = text.data();
  const char* end = begin + text.size();
  // "+5" is a number to people, though not to from_chars.
  if (text.size() > 1 && *begin == '+' && text[1] != '-') ++begin;
  const auto [stop, code] = std::from_chars(begin, end, value);
  if (code == std::errc::result_out_of_range)
    return fail(Errc::kInvalidArgument, fmt::format("'{}' is too large", text));
  if (code != std::errc() || stop != end)
    return fail(Errc::kInvalidArgument, fmt::format("'{}' is not {}", text, kind));
  return value;
}

Result<double> parse_real(const std::string& text) {
  FF_TRY_ASSIGN(const double value, parse_number<double>(text, "a number"));
  if (!std::isfinite(value)) return fail(Errc::kInvalidArgument, fmt::format("'{}' is not a finite number", text));
  return value;
}

Result<bool> parse_bool(const std::string& text) {
  if (text == "true" || text == "1" || text == "yes" || text == "on") return true;
  if (text == "false" || text == "0" || text == "no" || text == "off") return false;
  return fail(Errc::kInvalidArgument, fmt::format("'{}' is neither true nor false", text));
}

Result<> check_choice(const Option& option, const std::string& text) {
  const auto& choices = option.choices;
  if (choices.empty() || std::find(choices.begin(), choices.end(), text) != choices.end()) return {};
  return fail(Errc::kInvalidArgument,
              fmt::format("'{}' is not one of {}{}", text, fmt::join(choices, ", "), did_you_mean(text, choices)));
}

Result<> check_range(const Option& option, const std::string& text, double value) {
  if (option.min && value < *option.min)
    return fail(Errc::kInvalidArgument,
                fmt::format("'{}' is below the least allowed, {}", text, bound_text(option, *option.min)));
  if (option.max && value > *option.max)
    return fail(Errc::kInvalidArgument,
                fmt::format("'{}' is above the most allowed, {}", text, bound_text(option, *option.max)));
  return {};
}

// Stores one scalar value. One overload a kind.
Result<> store(const Option&, bool& target, const std::string& text) {
  FF_TRY_ASSIGN(target, parse_bool(text));
  return {};
}
Result<> store(const Option& option, std::int64_t& target, const std::string& text) {
  FF_TRY_ASSIGN(const std::int64_t value, parse_number<std::int64_t>(text, "a whole number"));
  FF_TRY(check_range(option, text, static_cast<double>(value)));
  target = value;
  return {};
}
Result<> store(const Option& option, double& target, const std::string& text) {
  FF_TRY_ASSIGN(const double value, parse_real(text));
  FF_TRY(check_range(option, text, value));
  target = value;
  return {};
}
Result<> store(const Option&, std::string& target, const std::string& text) {
  target = text;
  return {};
}
Result<> store(const Option& option, ByteSize& target, const std::string& text) {
  FF_TRY_ASSIGN(const std::uint64_t bytes, parse_byte_size(text));
  FF_TRY(check_range(option, text, static_cast<double>(bytes)));
  target.bytes = bytes;
  return {};
}
Result<> store(const Option& option, Duration& target, const std::string& text) {
  FF_TRY_ASSIGN(const Duration value, parse_duration(text));
  FF_TRY(check_range(option, text, std::chrono::duration<double>(value).count()));
  target = value;
  return {};
}

}  // namespace

std::vector<std::string> names_of(const Option& option) { return split(option.names, ','); }

bool is_positional(const Option& option) { return !option.names.starts_with('-'); }

bool is_flag(const Option& option) { return std::holds_alternative<bool*>(option.target); }

bool is_list(const Option& option) { return std::holds_alternative<std::vector<std::string>*>(option.target); }

std::string describe(const Option& option) {
  if (is_positional(option)) return value_name_of(option);
  // The long name, which comes last by custom.
  return fmt::format("option '{}'", names_of(option).back());
}

std::string value_name_of(const Option& option) {
  if (!option.value_name.empty()) return option.value_name;
  if (is_positional(option) || !option.choices.empty()) {
    std::string name = names_of(option).back();
    name.erase(0, name.find_first_not_of('-'));
    for (char& c : name) c = c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    return name;
  }
  if (option.complete == "file") return "FILE";
  if (option.complete == "dir") return "DIR";
  if (option.complete == "host") return "HOST";
  static constexpr std::string_view kNames[] = {"", "N", "X", "TEXT", "SIZE", "TIME", "TEXT"};
  return std::string(kNames[option.target.index()]);
}

std::string_view kind_of(const Option& option) {
  static constexpr std::string_view kKinds[] = {"flag", "integer", "real", "text", "size", "duration", "list"};
  static_assert(std::variant_size_v<Target> == std::size(kKinds));
  return kKinds[option.target.index()];
}

std::string default_text(const Option& option) {
  struct Visitor {
    std::string operator()(const bool* b) const { return *b ? "true" : ""; }
    std::string operator()(const std::int64_t* i) const { return fmt::format("{}", *i); }
    std::string operator()(const double* d) const { return fmt::format("{}", *d); }
    std::string operator()(const std::string* s) const { return *s; }
    std::string operator()(const ByteSize* s) const { return exact_byte_size(s->bytes); }
    std::string operator()(const Duration* d) const { return exact_duration(*d); }
    std::string operator()(const std::vector<std::string>* v) const { return fmt::format("{}", fmt::join(*v, ",")); }
  };
  return std::visit(Visitor{}, option.target);
}

std::string bound_text(const Option& option, double bound) {
  if (std::holds_alternative<ByteSize*>(option.target) && bound >= 0 && bound < 0x1p64)
    return exact_byte_size(static_cast<std::uint64_t>(bound));
  if (std::holds_alternative<Duration*>(option.target) && std::fabs(bound) < 9.2e9)
    return exact_duration(Duration(std::llround(bound * 1e9)));
  return fmt::format("{}", bound);
}

Result<> assign(const Option& option, const std::vector<std::string>& texts) {
  for (const std::string& text : texts) FF_TRY(check_choice(option, text));
  if (is_list(option)) {
    *std::get<std::vector<std::string>*>(option.target) = texts;
    return {};
  }
  FF_ASSERT(!texts.empty(), option.names);
  return std::visit(
      [&](auto* target) -> Result<> {
        if constexpr (std::is_same_v<decltype(target), std::vector<std::string>*>)
          return {};
        else
          return store(option, *target, texts.back());
      },
      option.target);
}

Result<> assign_from_environment(const Option& option, const std::string& text) {
  return assign(option, is_list(option) ? split(text, ',') : std::vector<std::string>{text});
}

}  // namespace ff::cli
