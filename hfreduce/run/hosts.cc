#include "hfreduce/run/hosts.hpp"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>

#include "hfreduce/run/start_spec.hpp"

namespace ff::hfreduce::run {
namespace {

Result<HostRequest> parse_host(std::string_view word) {
  HostRequest host;
  std::string_view count;
  bool has_count = false;
  if (word.starts_with('[')) {
    const auto close = word.find(']');
    if (close == std::string_view::npos)
      return fail(Errc::kInvalidArgument, fmt::format("host '{}': no closing bracket", word));
    host.name = word.substr(1, close - 1);
    const std::string_view rest = word.substr(close + 1);
    has_count = rest.starts_with(':');
    if (!rest.empty() && !has_count)
      return fail(Errc::kInvalidArgument, fmt::format("host '{}': text after the bracket (write [ADDRESS]:N)", word));
    count = has_count ? rest.substr(1) : rest;
  } else {
    const auto colon = word.find(':');
    has_count = colon != std::string_view::npos;
    host.name = word.substr(0, colon);
    if (has_count) count = word.substr(colon + 1);
  }
  if (host.name.empty()) return fail(Errc::kInvalidArgument, "hosts: an empty name (write h1:2,h2:2)");
  // A name that begins with a dash would be an option to ssh.
  if (host.name.front() == '-' || host.name.find_first_of(" \t\n'\"\\;$`|&<>") != std::string::npos)
    return fail(Errc::kInvalidArgument, fmt::format("host '{}': not a host name", host.name));
  if (has_count) {
    const auto [end, error] = std::from_chars(count.data(), count.data() + count.size(), host.slots);
    if (error != std::errc() || end != count.data() + count.size() || host.slots < 1 || host.slots > kRanksMax)
      return fail(
          Errc::kInvalidArgument,
          fmt::format("host '{}': '{}' is no number of ranks (write HOST:N; IPv6 in brackets)", host.name, count));
  }
  return host;
}

}  // namespace

Result<std::vector<HostRequest>> parse_hosts(std::string_view text) {
  std::vector<HostRequest> hosts;
  while (true) {
    const auto comma = text.find(',');
    FF_TRY_ASSIGN(HostRequest host, parse_host(text.substr(0, comma)));
    if (std::ranges::any_of(hosts, [&](const HostRequest& other) { return other.name == host.name; }))
      return fail(Errc::kInvalidArgument, fmt::format("host '{}': given twice (add its counts)", host.name));
    hosts.push_back(std::move(host));
    if (comma == std::string_view::npos) return hosts;
    text.remove_prefix(comma + 1);
  }
}

std::vector<Block> spread_evenly(const std::vector<std::string>& hosts, int ranks) {
  const int parts = static_cast<int>(hosts.size());
  std::vector<Block> blocks;
  int first = 0;
  for (int i = 0; i < parts; ++i) {
    const int count = ranks / parts + (i < ranks % parts ? 1 : 0);
    blocks.push_back({hosts[static_cast<std::size_t>(i)], first, count});
    first += count;
  }
  return blocks;
}

Result<std::vector<Block>> place_ranks(const std::vector<HostRequest>& hosts, int ranks) {
  const bool any_count = std::ranges::any_of(hosts, [](const HostRequest& host) { return host.slots > 0; });
  if (ranks > 0 && !any_count) {
    std::vector<std::string> names;
    for (const HostRequest& host : hosts)
      if (static_cast<int>(names.size()) < ranks) names.push_back(host.name);
    return spread_evenly(names, ranks);
  }
  std::vector<Block> blocks;
  int first = 0;
  for (const HostRequest& host : hosts) {
    int count = std::max(host.slots, 1);
    if (ranks > 0) count = std::min(count, ranks - first);
    if (count > 0) blocks.push_back({host.name, first, count});
    first += count;
  }
  if (first < ranks)
    return fail(Errc::kInvalidArgument,
                fmt::format("{} ranks: the hosts have room for {} (raise the counts in --hosts)", ranks, first));
  if (first > kRanksMax) return fail(Errc::kInvalidArgument, fmt::format("{} ranks: at most {}", first, kRanksMax));
  return blocks;
}

bool names_this_machine(std::string_view host) {
  if (host == "localhost" || host == "127.0.0.1" || host == "::1") return true;
  char own[256] = {};
  return ::gethostname(own, sizeof own - 1) == 0 && host == own;
}

}  // namespace ff::hfreduce::run
