#include "ffbench/measure/environment.hpp"

#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <set>

#include "libcommon/machine/facts.hpp"
#include "libcommon/machine/machine.hpp"

namespace ff::bench {
namespace {

using machine::entries_of;
using machine::field_of;
using machine::number_of;
using machine::text_of;

// Collects the fields of one group; absent facts leave no field.
class Group {
 public:
  explicit Group(std::string name) : group_{std::move(name), {}} {}

  void text(std::string name, std::string value) {
    while (value.ends_with(' ') || value.ends_with('\n')) value.pop_back();
    if (!value.empty()) group_.fields.emplace_back(std::move(name), std::move(value));
  }
  void number(std::string name, std::int64_t value) { group_.fields.emplace_back(std::move(name), value); }
  void number(std::string name, std::optional<std::int64_t> value) {
    if (value) number(std::move(name), *value);
  }
  void flag(std::string name, bool value) { group_.fields.emplace_back(std::move(name), value); }
  // "0" and "1"; other texts leave no field.
  void flag(std::string name, const std::string& text) {
    if (text == "0" || text == "1") flag(std::move(name), text == "1");
  }
  void add_to(std::vector<FieldGroup>& groups) && {
    if (!group_.fields.empty()) groups.push_back(std::move(group_));
  }

 private:
  FieldGroup group_;
};

std::optional<std::int64_t> number_in(const std::string& path) { return number_of<std::int64_t>(text_of(path)); }

// The hypervisor or the kind of container, "none" when there are signs of neither.
std::string virtualisation(const std::string& root) {
  for (const char* marker : {"/run/.containerenv", "/.dockerenv"})
    if (::access((root + marker).c_str(), F_OK) == 0) return "container";
  if (const std::string kind = text_of(root + "/run/systemd/container"); !kind.empty()) return kind;
  if (const std::string kind = text_of(root + "/sys/hypervisor/type"); !kind.empty()) return kind;
  const std::string flags = " " + field_of(text_of(root + "/proc/cpuinfo"), "flags") + " ";
  if (flags.find(" hypervisor ") == std::string::npos) return "none";
  const std::string vendor = text_of(root + "/sys/class/dmi/id/sys_vendor");
  return vendor.empty() ? "virtual machine" : "virtual machine (" + vendor + ")";
}

std::string os_name(const std::string& root) {
  std::string_view rest;
  const std::string text = text_of(root + "/etc/os-release");
  constexpr std::string_view kKey = "PRETTY_NAME=";
  for (rest = text; !rest.empty();) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    if (line.starts_with(kKey)) {
      std::string name(line.substr(kKey.size()));
      std::erase(name, '"');
      return name;
    }
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
  }
  return {};
}

void add_host(const std::string& root, const machine::Machine& m, std::vector<FieldGroup>& groups) {
  Group host("host");
  host.text("name", m.host);
  host.text("os", os_name(root));
  host.text("kernel", m.kernel);
  host.text("virtualisation", virtualisation(root));
  host.text("clock_source", clock_source(root));
  std::move(host).add_to(groups);
}

// "spectre_v2, mds": weaknesses that the kernel works around, at a cost.
std::string mitigations(const std::string& root) {
  const std::string folder = root + "/sys/devices/system/cpu/vulnerabilities";
  std::string names;
  for (const std::string& name : entries_of(folder))
    if (text_of(folder + "/" + name).starts_with("Mitigation")) names += (names.empty() ? "" : ", ") + name;
  return names;
}

void add_cpu(const std::string& root, const machine::Machine& m, std::vector<FieldGroup>& groups) {
  const std::string folder = root + "/sys/devices/system/cpu";
  Group cpu("cpu");
  cpu.text("model", m.cpu_model);
  cpu.number("sockets", m.sockets);
  cpu.number("cores_online", m.cores_online);
  if (m.cores_allowed > 0) cpu.number("cores_allowed", m.cores_allowed);
  cpu.flag("smt", text_of(folder + "/smt/active"));
  cpu.text("governor", frequency_governor(root));
  if (const std::string off = text_of(folder + "/intel_pstate/no_turbo"); off == "0" || off == "1")
    cpu.flag("turbo", off == "0");
  else
    cpu.flag("turbo", text_of(folder + "/cpufreq/boost"));
  if (const auto khz = number_in(folder + "/cpu0/cpufreq/cpuinfo_max_freq"))
    cpu.number("frequency_max_hz", *khz * 1000);
  cpu.text("microcode", field_of(text_of(root + "/proc/cpuinfo"), "microcode"));
  cpu.text("mitigations", mitigations(root));
  cpu.text("isolated", text_of(folder + "/isolated"));
  std::move(cpu).add_to(groups);
  for (const machine::Cache& cache : m.caches) {
    Group group(fmt::format("cache L{}{}", cache.level, cache.type == "Data" ? "d" : ""));
    group.number("bytes", static_cast<std::int64_t>(cache.bytes));
    group.number("instances", cache.instances);
    group.number("cpus_sharing_one", cache.cpus_sharing_one);
    std::move(group).add_to(groups);
  }
  for (const machine::NumaNode& node : m.nodes) {
    Group group(fmt::format("numa {}", node.id));
    group.text("cpus", node.cpus);
    group.number("bytes", static_cast<std::int64_t>(node.memory_bytes));
    std::move(group).add_to(groups);
  }
}

void add_memory(const std::string& root, const machine::Machine& m, std::vector<FieldGroup>& groups) {
  const std::string info = text_of(root + "/proc/meminfo");
  const auto kib = [&](const char* key) -> std::optional<std::int64_t> {
    const auto value = number_of<std::int64_t>(field_of(info, key));
    return value ? std::optional(*value << 10) : std::nullopt;
  };
  Group memory("memory");
  memory.number("bytes", static_cast<std::int64_t>(m.memory_bytes));
  memory.number("available_bytes", kib("MemAvailable"));
  memory.number("swap_bytes", kib("SwapTotal"));
  memory.number("huge_pages", number_of<std::int64_t>(field_of(info, "HugePages_Total")));
  memory.number("huge_page_bytes", kib("Hugepagesize"));
  memory.text("transparent_huge_pages", m.thp);
  memory.text("transparent_huge_pages_shared", m.thp_shmem);
  std::move(memory).add_to(groups);
}

void add_network(const std::string& root, const machine::Machine& m, std::vector<FieldGroup>& groups) {
  Group network("network");
  network.text("tcp_congestion_control", m.tcp_congestion_control);
  network.text("default_qdisc", text_of(root + "/proc/sys/net/core/default_qdisc"));
  network.number("rmem_bytes_max", number_in(root + "/proc/sys/net/core/rmem_max"));
  network.number("wmem_bytes_max", number_in(root + "/proc/sys/net/core/wmem_max"));
  std::move(network).add_to(groups);
  for (const machine::Nic& nic : m.nics) {
    Group group("nic " + nic.name);
    group.text("state", nic.state);
    if (nic.bits_per_second) group.number("bits_per_second", static_cast<std::int64_t>(*nic.bits_per_second));
    group.number("mtu_bytes", static_cast<std::int64_t>(nic.mtu_bytes));
    group.text("driver", nic.driver);
    if (nic.numa_node) group.number("numa_node", *nic.numa_node);
    std::move(group).add_to(groups);
  }
}

void add_disks(const std::string& root, std::vector<FieldGroup>& groups) {
  const std::string folder = root + "/sys/block";
  for (const std::string& name : entries_of(folder)) {
    const std::string at = folder + "/" + name;
    const auto sectors = number_in(at + "/size");
    // Loop and RAM devices that hold nothing.
    if (!sectors || *sectors == 0) continue;
    Group disk("disk " + name);
    disk.text("model", text_of(at + "/device/model"));
    disk.number("bytes", *sectors * 512);
    disk.flag("rotational", text_of(at + "/queue/rotational"));
    const std::string schedulers = text_of(at + "/queue/scheduler");
    const std::string chosen = machine::chosen_of(schedulers);
    disk.text("scheduler", chosen.empty() ? schedulers : chosen);
    disk.number("queue_depth", number_in(at + "/queue/nr_requests"));
    disk.text("write_cache", text_of(at + "/queue/write_cache"));
    std::move(disk).add_to(groups);
  }
}

// "\040" and the like in a path of mountinfo.
std::string unescaped(std::string_view text) {
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    int code = 0;
    if (text[i] == '\\' && i + 4 <= text.size() &&
        std::from_chars(text.data() + i + 1, text.data() + i + 4, code, 8).ptr == text.data() + i + 4 && code < 256) {
      plain += static_cast<char>(code);
      i += 3;
    } else {
      plain += text[i];
    }
  }
  return plain;
}

std::vector<std::string_view> words_of(std::string_view line) {
  std::vector<std::string_view> words;
  while (!line.empty()) {
    const auto space = line.find(' ');
    if (space != 0) words.push_back(line.substr(0, space));
    line = space == std::string_view::npos ? std::string_view{} : line.substr(space + 1);
  }
  return words;
}

bool holds(std::string_view mount, std::string_view path) {
  return mount == "/" || path == mount || (path.starts_with(mount) && path.substr(mount.size()).starts_with('/'));
}

// A line of mountinfo: id parent major:minor root MOUNT OPTIONS [tag...] - TYPE SOURCE SUPER-OPTIONS.
void add_folder(const std::string& root, const std::string& folder, std::vector<FieldGroup>& groups) {
  const std::string text = text_of(root + "/proc/self/mountinfo");
  std::string best_mount, type, source, options;
  for (std::string_view rest = text; !rest.empty();) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    const auto words = words_of(line);
    const auto dash = std::ranges::find(words, "-");
    if (words.size() < 6 || words.end() - dash < 3) continue;
    const std::string mount = unescaped(words[4]);
    // Later lines are mounted over earlier ones.
    if (!holds(mount, folder) || mount.size() < best_mount.size()) continue;
    best_mount = mount;
    type = dash[1];
    source = unescaped(dash[2]);
    options = words[5];
  }
  Group group("folder");
  if (!best_mount.empty()) {
    group.text("mount", best_mount);
    group.text("file_system", type);
    group.text("device", source);
    group.text("options", options);
  }
  std::move(group).add_to(groups);
}

}  // namespace

std::string frequency_governor(const std::string& root) {
  const std::string folder = root + "/sys/devices/system/cpu";
  std::set<std::string> governors;
  for (const std::string& name : entries_of(folder))
    if (machine::index_after(name, "cpu"))
      if (std::string governor = text_of(folder + "/" + name + "/cpufreq/scaling_governor"); !governor.empty())
        governors.insert(std::move(governor));
  std::string all;
  for (const std::string& governor : governors) all += (all.empty() ? "" : ", ") + governor;
  return all;
}

std::string clock_source(const std::string& root) {
  return text_of(root + "/sys/devices/system/clocksource/clocksource0/current_clocksource");
}

std::optional<double> frequency_hz(const std::string& root) {
  const std::string folder = root + "/sys/devices/system/cpu";
  std::optional<double> fastest;
  for (const std::string& name : entries_of(folder)) {
    if (!machine::index_after(name, "cpu")) continue;
    if (const auto khz = number_in(folder + "/" + name + "/cpufreq/scaling_cur_freq"))
      fastest = std::max(fastest.value_or(0), static_cast<double>(*khz) * 1000);
  }
  return fastest;
}

std::vector<FieldGroup> capture_environment(const std::string& root, const std::string& folder) {
  const machine::Machine m = machine::read_machine(root);
  std::vector<FieldGroup> groups;
  add_host(root, m, groups);
  add_cpu(root, m, groups);
  add_memory(root, m, groups);
  add_network(root, m, groups);
  add_disks(root, groups);
  add_folder(root, folder, groups);
  return groups;
}

}  // namespace ff::bench
