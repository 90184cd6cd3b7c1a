// Network links: Ethernet of real devices under /sys/class/net, InfiniBand ports under /sys/class/infiniband.
#include <fmt/core.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <map>

#include "ffbench/node/checks.hpp"
#include "libcommon/machine/facts.hpp"

namespace ff::bench {
namespace {

using machine::number_of;
using machine::text_of;

constexpr unsigned kInterfaceUp = 1;  // IFF_UP: somebody wants to use it

struct Link {
  std::string name;
  std::string folder;
  std::string kind;  // vendor and device: links of one kind should be alike
  std::optional<double> bits_per_second;
};

// Interfaces with a device behind them; bridges, tunnels and the loopback have none.
std::vector<Link> ethernet_links(const std::string& root) {
  std::vector<Link> links;
  const std::string net = root + "/sys/class/net";
  for (const std::string& name : machine::entries_of(net)) {
    const std::string folder = net + "/" + name;
    struct stat info{};
    if (::stat((folder + "/device").c_str(), &info) != 0) continue;
    Link link{.name = name,
              .folder = folder,
              .kind = text_of(folder + "/device/vendor") + ":" + text_of(folder + "/device/device"),
              .bits_per_second = {}};
    const auto megabits = number_of<double>(text_of(folder + "/speed"));  // -1: the driver does not say
    if (megabits && *megabits > 0) link.bits_per_second = *megabits * 1e6;
    links.push_back(std::move(link));
  }
  return links;
}

std::string speed_text(double bits_per_second) { return fmt::format("{:g} Gb/s", bits_per_second / 1e9); }

// A port that had no link since the kernel came up may be a spare one without a cable: that warns, unless every link
// must have a speed. A profile that has its speed misses it, and fails it.
Finding down_finding(const NodeContext& context, const std::string& id, const std::string& name,
                     const std::string& state, bool never_up, const std::string& fix) {
  const bool may_be_spare = never_up && !context.link_bits_per_second;
  return statement(
      id, "state of " + name, may_be_spare ? CheckVerdict::kWarn : CheckVerdict::kFail,
      fmt::format("{} is {}{}", name, state.empty() ? "without a state" : state, never_up ? " and never was up" : ""),
      (may_be_spare ? "switch it off if it is a spare port, or " : "") + fix + name);
}

Finding state_finding(const NodeContext& context, const Link& link) {
  const std::string state = text_of(link.folder + "/operstate");
  const std::string flags_text = text_of(link.folder + "/flags");
  const unsigned flags = static_cast<unsigned>(std::strtoul(flags_text.c_str(), nullptr, 16));
  const std::string id = "link." + link.name + ".state";
  const std::string measures = "state of " + link.name;
  if (state == "up" || state == "unknown") return statement(id, measures, CheckVerdict::kPass, state);
  if ((flags & kInterfaceUp) == 0)
    return statement(id, measures, CheckVerdict::kSkip, "switched off: " + link.name + " is not in use");
  const bool never_up = text_of(link.folder + "/carrier_up_count") == "0";
  return down_finding(context, id, link.name, state, never_up, "check cable, transceiver and switch port of ");
}

// The speed of the fastest link of the same kind is what this one should have, unless told.
Finding speed_finding(const NodeContext& context, const Link& link, double best_of_kind) {
  Finding f = statement("link." + link.name + ".speed", "speed of " + link.name, CheckVerdict::kPass,
                        speed_text(*link.bits_per_second));
  f.value = *link.bits_per_second / 8;
  f.unit = "B/s";
  f.better = Better::kHigher;
  const double expected = context.link_bits_per_second.value_or(best_of_kind);
  f.threshold = expected / 8;
  if (*link.bits_per_second < expected) {
    f.verdict = CheckVerdict::kFail;
    f.reason =
        fmt::format("{} runs at {} instead of {}", link.name, speed_text(*link.bits_per_second), speed_text(expected));
    f.fix = "reseat or replace the cable or transceiver; check the switch port's setting";
  }
  return f;
}

std::optional<Finding> duplex_finding(const Link& link) {
  if (text_of(link.folder + "/duplex") != "half") return std::nullopt;
  return statement("link." + link.name + ".duplex", "duplex of " + link.name, CheckVerdict::kFail,
                   link.name + " runs half duplex",
                   "let both ends negotiate (ethtool -s " + link.name + " autoneg on)");
}

Finding errors_finding(const std::string& id, const std::string& name, std::uint64_t errors, const std::string& which) {
  Finding f =
      statement(id, "errors of " + name + " since it came up", CheckVerdict::kPass, fmt::format("{} errors", errors));
  f.value = static_cast<double>(errors);
  f.threshold = 0;
  if (errors > 0) {
    f.verdict = CheckVerdict::kWarn;
    f.reason = fmt::format("{} counts {}", name, which);
    f.fix = "watch whether the counts grow; then replace cable or transceiver";
  }
  return f;
}

std::pair<std::uint64_t, std::string> sum_counters(const std::string& folder, const std::vector<std::string>& names) {
  std::uint64_t sum = 0;
  std::string which;
  for (const std::string& name : names) {
    const auto count = number_of<std::uint64_t>(text_of(folder + "/" + name)).value_or(0);
    if (count == 0) continue;
    sum += count;
    which += (which.empty() ? "" : ", ") + fmt::format("{} {}", count, name);
  }
  return {sum, which};
}

void add_ethernet(Findings& findings, const NodeContext& context) {
  const auto links = ethernet_links(context.root);
  std::map<std::string, double> best;
  for (const Link& link : links) best[link.kind] = std::max(best[link.kind], link.bits_per_second.value_or(0));
  for (const Link& link : links) {
    findings.push_back(state_finding(context, link));
    if (findings.back().verdict != CheckVerdict::kPass) continue;
    if (link.bits_per_second) findings.push_back(speed_finding(context, link, best[link.kind]));
    if (auto duplex = duplex_finding(link)) findings.push_back(std::move(*duplex));
    const auto [errors, which] = sum_counters(link.folder + "/statistics", {"rx_errors", "tx_errors"});
    findings.push_back(errors_finding("link." + link.name + ".errors", link.name, errors, which));
  }
}

// "200 Gb/sec (4X HDR)"
std::optional<double> infiniband_rate(const std::string& text) {
  const auto gigabits = number_of<double>(text);
  return gigabits && text.find("Gb/sec") != std::string::npos ? std::optional(*gigabits * 1e9) : std::nullopt;
}

// Ports of all devices, up or not.
std::vector<Link> infiniband_links(const std::string& root) {
  std::vector<Link> links;
  const std::string devices = root + "/sys/class/infiniband";
  for (const std::string& device : machine::entries_of(devices)) {
    const std::string about = devices + "/" + device + "/device/";
    for (const std::string& port : machine::entries_of(devices + "/" + device + "/ports")) {
      const std::string folder = devices + "/" + device + "/ports/" + port;
      links.push_back(
          {.name = device + "-" + port,
           .folder = folder,
           .kind = text_of(about + "vendor") + ":" + text_of(about + "device") + ":" + text_of(folder + "/link_layer"),
           .bits_per_second = infiniband_rate(text_of(folder + "/rate"))});
    }
  }
  return links;
}

bool is_active(const Link& port) { return text_of(port.folder + "/state").find("ACTIVE") != std::string::npos; }

Finding port_state_finding(const NodeContext& context, const Link& port) {
  const std::string id = "link." + port.name + ".state";
  const std::string state = text_of(port.folder + "/state");  // "4: ACTIVE"
  if (is_active(port)) return statement(id, "state of " + port.name, CheckVerdict::kPass, state);
  const std::string physical = text_of(port.folder + "/phys_state");  // "2: Polling": there is nobody at the other end
  const bool no_peer = physical.find("Polling") != std::string::npos || physical.find("Disabled") != std::string::npos;
  const auto downed = number_of<std::uint64_t>(text_of(port.folder + "/counters/link_downed"));
  return down_finding(context, id, port.name, state, no_peer && downed.value_or(0) == 0,
                      "check cable, switch port and subnet manager of ");
}

void add_infiniband(Findings& findings, const NodeContext& context) {
  const auto ports = infiniband_links(context.root);
  // A port that is down states the rate it would begin with, so it counts for nothing here.
  std::map<std::string, double> best;
  for (const Link& port : ports)
    if (is_active(port)) best[port.kind] = std::max(best[port.kind], port.bits_per_second.value_or(0));
  for (const Link& port : ports) {
    findings.push_back(port_state_finding(context, port));
    if (!is_active(port)) continue;
    if (port.bits_per_second) findings.push_back(speed_finding(context, port, best[port.kind]));
    const auto [errors, which] =
        sum_counters(port.folder + "/counters",
                     {"link_downed", "link_error_recovery", "symbol_error", "local_link_integrity_errors"});
    findings.push_back(errors_finding("link." + port.name + ".errors", port.name, errors, which));
  }
}

}  // namespace

Findings check_link(const NodeContext& context) {
  Findings findings;
  add_ethernet(findings, context);
  add_infiniband(findings, context);
  if (findings.empty())
    findings.push_back(
        statement("link", "network links", CheckVerdict::kSkip, "there is no network device under /sys/class/net"));
  return findings;
}

}  // namespace ff::bench
