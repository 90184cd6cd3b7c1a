#include "ffctl/job/selector.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <iterator>
#include <optional>
#include <vector>

#include "ffctl/job/words.hpp"

namespace ff::ctl {
namespace {

constexpr std::uint64_t kRangeMax = 100'000;

std::optional<std::uint64_t> number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [stop, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc() || stop != text.data() + text.size() || value == 0) return std::nullopt;
  return value;
}

bool plain_name(std::string_view text) {
  return !text.empty() && text.size() <= 255 && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-' ||
           c == '_';
  });
}

}  // namespace

Result<Selector> parse_state(std::string_view text) {
  Selector selector;
  selector.kind = Selector::Kind::kState;
  std::vector<std::string> words = phase_words();
  const std::size_t phases = words.size();
  std::ranges::copy(words_of<JobResult>(), std::back_inserter(words));
  FF_TRY_ASSIGN(const int place, parse_word(words, text, "state"));
  const bool result = static_cast<std::size_t>(place) > phases;
  selector.phase = result ? DONE : static_cast<JobPhase>(place);
  if (result) selector.result = static_cast<JobResult>(place - static_cast<int>(phases));
  return selector;
}

Result<Selector> parse_selector(std::string_view text) {
  const auto wrong = [&](std::string_view what) {
    return fail(Errc::kInvalidArgument,
                fmt::format("job '{}': {} (write a number, a name, last, 3..7, user:, label: or state:)", text, what));
  };
  if (text.starts_with("state:")) {
    auto state = parse_state(text.substr(6));
    return state ? std::move(state) : wrong(state.error().message());
  }
  Selector selector;
  if (text == "last") {
    selector.kind = Selector::Kind::kLast;
    return selector;
  }
  for (const auto& [prefix, kind] : {std::pair<std::string_view, Selector::Kind>{"user:", Selector::Kind::kUser},
                                     {"label:", Selector::Kind::kLabel},
                                     {"tag:", Selector::Kind::kLabel}}) {
    if (!text.starts_with(prefix)) continue;
    selector.kind = kind;
    selector.text = text.substr(prefix.size());
    if (selector.text.empty()) return wrong("says nothing after the colon");
    return selector;
  }
  if (const std::size_t dots = text.find(".."); dots != std::string_view::npos) {
    const auto first = number(text.substr(0, dots)), last = number(text.substr(dots + 2));
    if (first && last) {
      if (*last < *first || *last - *first >= kRangeMax) return wrong("is no range");
      selector.first = *first;
      selector.last = *last;
      return selector;
    }
  }
  std::string_view word = text;
  if (const std::size_t at = text.find('@'); at != std::string_view::npos) {
    const auto attempt = number(text.substr(at + 1));
    if (!attempt || *attempt > 1'000'000) return wrong("names no attempt after '@'");
    selector.attempt = static_cast<std::uint32_t>(*attempt);
    word = text.substr(0, at);
  }
  if (const auto id = number(word)) {
    selector.first = selector.last = *id;
    return selector;
  }
  if (!plain_name(word) || std::ranges::all_of(word, [](char c) { return c >= '0' && c <= '9'; }))
    return wrong("is no number or name");
  selector.kind = Selector::Kind::kName;
  selector.text = word;
  return selector;
}

}  // namespace ff::ctl
