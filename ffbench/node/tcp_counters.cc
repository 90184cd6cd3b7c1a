#include "ffbench/node/tcp_counters.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "libcommon/machine/facts.hpp"

namespace ff::bench {
namespace {

// Fewer say nothing about a share of one in a thousand.
constexpr std::uint64_t kSegmentsMin = 1000;
constexpr double kShareWarn = 0.001;
constexpr double kShareFail = 0.005;

std::string_view next_line(std::string_view& text) {
  const std::size_t end = text.find('\n');
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
  return line;
}

std::string_view next_word(std::string_view& line) {
  line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
  const std::string_view word = line.substr(0, line.find(' '));
  line.remove_prefix(word.size());
  return word;
}

}  // namespace

std::optional<TcpCounters> parse_tcp_counters(std::string_view snmp) {
  // Two lines: "Tcp: RtoAlgorithm ... OutSegs RetransSegs ..." and "Tcp: 1 ... 30280 250 ...".
  while (!snmp.empty()) {
    std::string_view names = next_line(snmp);
    if (!names.starts_with("Tcp:")) continue;
    std::string_view values = next_line(snmp);
    std::optional<std::uint64_t> sent, resent;
    while (!names.empty() && !values.empty()) {
      const std::string_view name = next_word(names), value = next_word(values);
      if (name == "OutSegs") sent = machine::number_of<std::uint64_t>(value);
      if (name == "RetransSegs") resent = machine::number_of<std::uint64_t>(value);
    }
    if (!sent || !resent) return std::nullopt;
    return TcpCounters{*sent, *resent};
  }
  return std::nullopt;
}

std::optional<TcpCounters> tcp_counters() { return parse_tcp_counters(machine::text_of("/proc/net/snmp")); }

Finding resent_finding(std::string id, std::string measures, const std::optional<TcpCounters>& before,
                       const std::optional<TcpCounters>& after) {
  if (!before || !after || after->sent < before->sent || after->resent < before->resent)
    return statement(std::move(id), std::move(measures), CheckVerdict::kSkip,
                     "/proc/net/snmp does not count TCP's segments");
  const std::uint64_t sent = after->sent - before->sent, resent = after->resent - before->resent;
  // What is sent again is not in OutSegs.
  const double share = sent + resent == 0 ? 0 : static_cast<double>(resent) / static_cast<double>(sent + resent);
  Finding f = statement(std::move(id), std::move(measures), CheckVerdict::kPass,
                        fmt::format("{} of {} segments ({:.2f} %)", resent, sent + resent, share * 100));
  f.value = share;
  f.threshold = kShareWarn;
  if (sent + resent < kSegmentsMin || share < kShareWarn) return f;
  f.verdict = share < kShareFail ? CheckVerdict::kWarn : CheckVerdict::kFail;
  f.reason = "segments are lost on the way: " + f.reason + " were sent again";
  f.fix =
      "look for rules that drop packets (nft list ruleset, iptables -S, tc qdisc) and for a shortage of memory (nstat)";
  return f;
}

}  // namespace ff::bench
