#include "libcommon/machine/machine.hpp"

#include <sched.h>
#include <sys/utsname.h>

#include <algorithm>
#include <map>
#include <set>
#include <string_view>

#include "libcommon/machine/facts.hpp"

namespace ff::machine {
namespace {

// "512K", "32768K", "36M".
std::uint64_t cache_bytes(std::string_view text) {
  const std::uint64_t value = number_of<std::uint64_t>(text).value_or(0);
  return text.ends_with('K') ? value << 10 : text.ends_with('M') ? value << 20 : value;
}

void read_cpus(const std::string& root, Machine& machine) {
  const std::string folder = root + "/sys/devices/system/cpu";
  std::set<std::string> packages;
  struct Found {
    Cache cache;
    std::set<std::string> groups;
  };
  std::map<std::pair<int, std::string>, Found> caches;
  for (const std::string& name : entries_of(folder)) {
    if (!index_after(name, "cpu")) continue;
    const std::string cpu = folder + "/" + name;
    const std::string package = text_of(cpu + "/topology/physical_package_id");
    if (package.empty()) continue;  // offline
    ++machine.cores_online;
    packages.insert(package);
    for (const std::string& index : entries_of(cpu + "/cache")) {
      if (!index.starts_with("index")) continue;
      const std::string at = cpu + "/cache/" + index;
      const int level = number_of<int>(text_of(at + "/level")).value_or(0);
      const std::string type = text_of(at + "/type");
      if (level == 0 || type == "Instruction") continue;
      Found& found = caches[{level, type}];
      const std::string shared = text_of(at + "/shared_cpu_list");
      found.cache = {level, type, cache_bytes(text_of(at + "/size")), 0, count_in_list(shared)};
      found.groups.insert(shared);
    }
  }
  machine.sockets = static_cast<int>(packages.size());
  for (auto& [key, found] : caches) {
    found.cache.instances = static_cast<int>(found.groups.size());
    machine.caches.push_back(found.cache);
  }
}

void read_nodes(const std::string& root, Machine& machine) {
  const std::string folder = root + "/sys/devices/system/node";
  for (const std::string& name : entries_of(folder)) {
    const auto id = index_after(name, "node");
    if (!id) continue;
    const std::string memory = text_of(folder + "/" + name + "/meminfo");
    const auto at = memory.find("MemTotal:");
    std::uint64_t kib = 0;
    if (at != std::string::npos) {
      const auto digits = memory.find_first_of("0123456789", at);
      if (digits != std::string::npos)
        kib = number_of<std::uint64_t>(std::string_view(memory).substr(digits)).value_or(0);
    }
    machine.nodes.push_back({*id, text_of(folder + "/" + name + "/cpulist"), kib << 10});
  }
  std::ranges::sort(machine.nodes, {}, &NumaNode::id);
}

void read_nics(const std::string& root, Machine& machine) {
  const std::string folder = root + "/sys/class/net";
  for (const std::string& name : entries_of(folder)) {
    if (name == "lo" || name == "bonding_masters") continue;
    const std::string at = folder + "/" + name;
    Nic nic;
    nic.name = name;
    nic.state = text_of(at + "/operstate");
    // Mbit/s; -1 or unreadable where there is no link or the device is virtual.
    if (const auto speed = number_of<std::int64_t>(text_of(at + "/speed")); speed && *speed > 0)
      nic.bits_per_second = static_cast<std::uint64_t>(*speed) * 1'000'000;
    if (const auto node = number_of<int>(text_of(at + "/device/numa_node")); node && *node >= 0) nic.numa_node = node;
    nic.driver = link_name(at + "/device/driver");
    nic.mtu_bytes = number_of<std::uint64_t>(text_of(at + "/mtu")).value_or(0);
    machine.nics.push_back(std::move(nic));
  }
}

}  // namespace

int allowed_cores() {
  cpu_set_t set;
  return ::sched_getaffinity(0, sizeof set, &set) == 0 ? std::max(1, CPU_COUNT(&set)) : 1;
}

int count_in_list(const std::string& list) {
  int count = 0;
  std::string_view rest = list;
  while (!rest.empty()) {
    const auto comma = rest.find(',');
    const std::string_view part = rest.substr(0, comma);
    rest = comma == std::string_view::npos ? std::string_view{} : rest.substr(comma + 1);
    const auto first = number_of<int>(part);
    if (!first) return 0;
    const auto dash = part.find('-');
    const auto last = dash == std::string_view::npos ? first : number_of<int>(part.substr(dash + 1));
    if (!last || *last < *first) return 0;
    count += *last - *first + 1;
  }
  return count;
}

Machine read_machine(const std::string& root) {
  Machine machine;
  utsname names{};
  if (::uname(&names) == 0) {
    machine.host = names.nodename;
    machine.kernel = names.release;
  }
  if (!root.empty()) {
    machine.host = text_of(root + "/proc/sys/kernel/hostname");
    machine.kernel = text_of(root + "/proc/sys/kernel/osrelease");
  } else {
    machine.cores_allowed = allowed_cores();
  }
  machine.cpu_model = field_of(text_of(root + "/proc/cpuinfo"), "model name");
  machine.memory_bytes = number_of<std::uint64_t>(field_of(text_of(root + "/proc/meminfo"), "MemTotal")).value_or(0)
                         << 10;
  read_cpus(root, machine);
  read_nodes(root, machine);
  read_nics(root, machine);
  machine.yama_ptrace_scope = number_of<int>(text_of(root + "/proc/sys/kernel/yama/ptrace_scope"));
  machine.thp = chosen_of(text_of(root + "/sys/kernel/mm/transparent_hugepage/enabled"));
  machine.thp_shmem = chosen_of(text_of(root + "/sys/kernel/mm/transparent_hugepage/shmem_enabled"));
  machine.tcp_congestion_control = text_of(root + "/proc/sys/net/ipv4/tcp_congestion_control");
  return machine;
}

}  // namespace ff::machine
