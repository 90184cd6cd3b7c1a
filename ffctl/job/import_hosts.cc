// Lists of hosts as Slurm writes them.
#include <fmt/core.h>

#include <algorithm>
#include <charconv>

#include "ffctl/job/check.hpp"
#include "ffctl/job/import.hpp"

namespace ff::ctl {
namespace {

constexpr std::size_t kHostsMax = 4096;

std::unexpected<Error> wrong(std::string_view text) {
  return fail(Errc::kInvalidArgument, fmt::format("'{}' is no list of at most {} hosts", text, kHostsMax));
}

// Of "001-003,7" or of "5".
Result<std::vector<std::string>> numbers(std::string_view text) {
  std::vector<std::string> out;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find(',', at), text.size());
    const std::string_view part = text.substr(at, end - at);
    at = end + 1;
    const std::size_t dash = std::min(part.find('-'), part.size());
    const std::string_view low = part.substr(0, dash);
    const std::string_view high = dash == part.size() ? low : part.substr(dash + 1);
    std::uint32_t first = 0, last = 0;
    for (const auto& [word, value] : {std::pair{low, &first}, {high, &last}}) {
      const auto [stop, code] = std::from_chars(word.data(), word.data() + word.size(), *value);
      if (word.empty() || word.size() > 9 || code != std::errc() || stop != word.data() + word.size())
        return wrong(text);
    }
    if (last < first || last - first >= kHostsMax || out.size() + (last - first) >= kHostsMax) return wrong(text);
    for (std::uint32_t n = first; n <= last; ++n) out.push_back(fmt::format("{:0{}}", n, low.size()));
  }
  return out;
}

}  // namespace

Result<std::vector<std::string>> expand_hosts(std::string_view text) {
  std::vector<std::string> hosts;
  for (std::size_t at = 0; at <= text.size();) {
    // A comma inside brackets belongs to them.
    std::size_t end = at;
    for (bool inside = false; end < text.size() && (inside || text[end] != ','); ++end)
      inside = text[end] == '[' || (inside && text[end] != ']');
    const std::string_view word = text.substr(at, end - at);
    at = end + 1;
    const std::size_t open = word.find('['), close = word.find(']');
    if (open == std::string_view::npos) {
      hosts.emplace_back(word);
    } else {
      if (close == std::string_view::npos || close < open) return wrong(text);
      FF_TRY_ASSIGN(const std::vector<std::string> list, numbers(word.substr(open + 1, close - open - 1)));
      for (const std::string& number : list)
        hosts.push_back(std::string(word.substr(0, open)) + number + std::string(word.substr(close + 1)));
    }
    if (hosts.size() > kHostsMax || !std::ranges::all_of(hosts, plain_name)) return wrong(text);
  }
  return hosts;
}

}  // namespace ff::ctl
