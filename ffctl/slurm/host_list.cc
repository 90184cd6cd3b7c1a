#include "ffctl/slurm/host_list.hpp"

#include <fmt/core.h>

#include <charconv>
#include <cstdint>

namespace ff::ctl {
namespace {

Error wrong(std::string_view text) {
  return {Errc::kCorrupt, fmt::format("nodes '{}': is no list of Slurm's", text.substr(0, 200))};
}

// "001-004" or "7".
Result<std::vector<std::string>> range(std::string_view text) {
  const std::size_t dash = std::min(text.find('-'), text.size());
  const std::string_view low = text.substr(0, dash);
  const std::string_view high = dash == text.size() ? low : text.substr(dash + 1);
  std::uint64_t first = 0, last = 0;
  for (auto [word, value] : {std::pair(low, &first), std::pair(high, &last)}) {
    const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), *value);
    if (word.empty() || error != std::errc() || end != word.data() + word.size()) return fail(wrong(text));
  }
  if (last < first) return fail(wrong(text));
  if (last - first >= kHostsMax || low.size() > 32) return fail(Errc::kExhausted, "nodes: too many in one range");
  std::vector<std::string> out;
  for (std::uint64_t i = first; i <= last; ++i) out.push_back(fmt::format("{:0{}}", i, low.size()));
  return out;
}

// What stands in one pair of brackets.
Result<std::vector<std::string>> ranges(std::string_view text) {
  std::vector<std::string> out;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t comma = std::min(text.find(',', at), text.size());
    FF_TRY_ASSIGN(const std::vector<std::string> some, range(text.substr(at, comma - at)));
    if (out.size() + some.size() > kHostsMax) return fail(Errc::kExhausted, "nodes: too many in one list");
    out.insert(out.end(), some.begin(), some.end());
    at = comma + 1;
  }
  return out;
}

// "rack[1-2]n[0-3]": every combination.
Result<std::vector<std::string>> one_name(std::string_view text) {
  std::vector<std::string> names = {""};
  while (!text.empty()) {
    const std::size_t open = std::min(text.find('['), text.size());
    if (text.substr(0, open).contains(']')) return fail(wrong(text));
    for (std::string& name : names) name += text.substr(0, open);
    if (open == text.size()) break;
    const std::size_t close = text.find(']', open);
    if (close == std::string_view::npos) return fail(wrong(text));
    FF_TRY_ASSIGN(const std::vector<std::string> endings, ranges(text.substr(open + 1, close - open - 1)));
    if (names.size() * endings.size() > kHostsMax) return fail(Errc::kExhausted, "nodes: too many in one name");
    std::vector<std::string> longer;
    for (const std::string& name : names)
      for (const std::string& ending : endings) longer.push_back(name + ending);
    names = std::move(longer);
    text = text.substr(close + 1);
  }
  return names;
}

}  // namespace

Result<std::vector<std::string>> expand_hosts(std::string_view text) {
  std::vector<std::string> out;
  if (text.empty()) return out;
  bool inside = false;
  std::size_t begin = 0;
  for (std::size_t i = 0; i <= text.size(); ++i) {
    if (i < text.size() && text[i] == '[') inside = true;
    if (i < text.size() && text[i] == ']') inside = false;
    if (i < text.size() && (inside || text[i] != ',')) continue;
    if (i == begin) return fail(wrong(text));
    FF_TRY_ASSIGN(const std::vector<std::string> some, one_name(text.substr(begin, i - begin)));
    if (out.size() + some.size() > kHostsMax) return fail(Errc::kExhausted, "nodes: too many in one list");
    out.insert(out.end(), some.begin(), some.end());
    begin = i + 1;
  }
  return out;
}

}  // namespace ff::ctl
