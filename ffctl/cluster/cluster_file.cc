#include "ffctl/cluster/cluster_file.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <set>
#include <sstream>

#include "libcommon/base/file.hpp"
#include "libcommon/config/config.hpp"
#include "libcommon/config/loader.hpp"
#include "libcommon/net/address.hpp"

namespace ff::ctl {

namespace {

using config::Type;

// Words that reach a command line of another host. What they may consist of needs no quoting in any shell.
bool plain(std::string_view text) {
  return !text.empty() && text.front() != '-' && std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("._+-/").find(c) != std::string_view::npos;
  });
}

bool plain_name(std::string_view text) { return plain(text) && text.find('/') == text.npos && text.front() != '.'; }

std::unexpected<Error> wrong(const std::string& what) { return fail(Errc::kInvalidArgument, what); }

template <class Number>
bool read_number(std::string_view text, Number& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && end == text.data() + text.size();
}

std::vector<std::string> split(std::string_view text, char by) {
  std::vector<std::string> out;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find(by, at), text.size());
    out.emplace_back(text.substr(at, end - at));
    at = end + 1;
  }
  return out;
}

Result<> set_ssh(ClusterHost& host, std::string_view text) {
  if (const std::size_t at = text.find('@'); at != text.npos) {
    host.ssh_user = text.substr(0, at);
    text.remove_prefix(at + 1);
    if (!plain_name(host.ssh_user)) return wrong(fmt::format("ssh={}@…: is no name of a user", host.ssh_user));
  }
  if (const std::size_t colon = text.rfind(':'); colon != text.npos) {
    if (!read_number(text.substr(colon + 1), host.ssh_port) || host.ssh_port == 0)
      return wrong(fmt::format("ssh=…:{}: is no port", text.substr(colon + 1)));
    text = text.substr(0, colon);
  }
  host.ssh_host = text;
  if (!plain_name(host.ssh_host)) return wrong(fmt::format("ssh={}: is no name of a host", text));
  return {};
}

Result<> set_fact(ClusterHost& host, const std::string& word) {
  const std::size_t equals = word.find('=');
  const std::string key = word.substr(0, equals), value = equals == word.npos ? "" : word.substr(equals + 1);
  if (key == "fake_gpus" && equals == word.npos) {
    host.fake_gpus = true;
    return {};
  }
  if (key == "ssh") return set_ssh(host, value);
  if (key == "gpus") {
    if (read_number(value, host.gpus) && host.gpus >= 0 && host.gpus <= 1024) return {};
    return wrong(fmt::format("gpus={}: is not a number from 0 to 1024", value));
  }
  if (key == "folder") {
    host.folder = value;
    return {};
  }
  std::string* const text = key == "zone" ? &host.zone : key == "leaf" ? &host.leaf : nullptr;
  if (text != nullptr) {
    *text = value;
    return plain_name(value) ? Result<>() : Result<>(wrong(fmt::format("{}: is no name", word)));
  }
  if (key != "labels")
    return wrong(fmt::format("{}: unknown (known: ssh=, gpus=, fake_gpus, zone=, leaf=, labels=, folder=)", word));
  host.labels = split(value, ',');
  for (const std::string& label : host.labels)
    if (!plain_name(label)) return wrong(fmt::format("labels={}: '{}' is no label", value, label));
  return {};
}

Result<ClusterHost> read_host(const std::string& line, const std::string& folder) {
  std::istringstream stream(line);
  ClusterHost host;
  std::string roles, word;
  if (!(stream >> host.name >> host.address >> roles))
    return wrong(fmt::format("'{}': too few words (write NAME ADDRESS ROLES [gpus=N] …)", line));
  if (!plain_name(host.name))
    return wrong(fmt::format("'{}': is no name (use letters, digits, '.', '_' and '-')", host.name));
  const auto within = [&](Error error) { return std::move(error).context(host.name); };
  if (const auto address = net::parse_address(host.address + ":1"); !address || address->is_unix())
    return fail(within(Error(Errc::kInvalidArgument, fmt::format("'{}': is no address", host.address))));
  for (const std::string& role : split(roles, ',')) {
    if (role == "master")
      host.master = true;
    else if (role == "node")
      host.node = true;
    else
      return fail(within(Error(Errc::kInvalidArgument, fmt::format("'{}': is no role (master, node)", role))));
  }
  host.ssh_host = host.address;
  host.folder = folder;
  while (stream >> word)
    if (auto set = set_fact(host, word); !set) return fail(within(std::move(set).error()));
  if (!plain(host.folder) || host.folder.front() != '/' || host.folder.size() > 64)
    return fail(
        within(Error(Errc::kInvalidArgument,
                     fmt::format("folder '{}': is not an absolute path of at most 64 plain characters", host.folder))));
  return host;
}

Result<> read_hosts(ClusterPlan& plan, const std::vector<std::string>& lines, const std::string& folder) {
  if (lines.empty() || lines.size() > kHostsMax)
    return wrong(fmt::format("{} hosts (1 to {})", lines.size(), kHostsMax));
  std::set<std::string> names;
  std::size_t masters = 0;
  for (const std::string& line : lines) {
    FF_TRY_ASSIGN(ClusterHost host, read_host(line, folder));
    if (!names.insert(host.name).second) return wrong(host.name + ": is there twice");
    masters += host.master ? 1 : 0;
    plan.hosts.push_back(std::move(host));
  }
  if (masters == 0) return wrong("none is a master");
  if (masters > 1 && plan.store == "rocksdb")
    return wrong(fmt::format("{} masters share no rocksdb (one, or master.store: etcd:HOST:PORT,…)", masters));
  return {};
}

}  // namespace

const config::Schema& cluster_schema() {
  static const config::Schema schema({
      {.name = "ffcluster",
       .type = Type::kInteger,
       .otherwise = "1",
       .help = "version of this format",
       .min = 1,
       .max = 1},
      {.name = "name", .otherwise = "cluster", .help = "of the cluster"},
      {.name = "folder", .otherwise = "/var/lib/fire-flyer", .help = "of each host, for state, logs and the key"},
      {.name = "binaries",
       .otherwise = "/usr/local/bin",
       .help = "folder of each host that holds ffctl, ffctld and ffnoded"},
      {.name = "key", .otherwise = "cluster.key", .help = "the cluster key here; made when it is not there"},
      {.name = "ffs", .otherwise = "", .help = "description of a file system on each host, for jobs; empty: none"},
      {.name = "master.port",
       .type = Type::kInteger,
       .otherwise = "9500",
       .help = "port of masters",
       .min = 1,
       .max = 65535},
      {.name = "master.store", .otherwise = "rocksdb", .help = "rocksdb, or etcd:HOST:PORT,… for several masters"},
      {.name = "master.policy",
       .type = Type::kChoice,
       .otherwise = "slice",
       .help = "how jobs are ordered",
       .choices = {"slice", "easy", "fifo"}},
      {.name = "master.min_run",
       .type = Type::kDuration,
       .otherwise = "15m",
       .help = "time before jobs may be preempted",
       .min = 0,
       .max = 86400 * 30},
      {.name = "node.port",
       .type = Type::kInteger,
       .otherwise = "9510",
       .help = "port of agents",
       .min = 1,
       .max = 65535},
      {.name = "ssh.options", .type = Type::kTextList, .otherwise = "", .help = "further ones of ssh -o"},
      {.name = "ssh.connect_timeout",
       .type = Type::kDuration,
       .otherwise = "10s",
       .help = "to reach a host",
       .min = 1,
       .max = 600},
      {.name = "ssh.timeout",
       .type = Type::kDuration,
       .otherwise = "60s",
       .help = "of all that a host does",
       .min = 1,
       .max = 3600},
      {.name = "ssh.at_once",
       .type = Type::kInteger,
       .otherwise = "32",
       .help = "hosts at a time",
       .min = 1,
       .max = 512},
      {.name = "hosts",
       .type = Type::kTextList,
       .otherwise = "",
       .help =
           "NAME ADDRESS ROLES [ssh=USER@HOST:PORT] [gpus=N] [fake_gpus] [zone=Z] [leaf=L] [labels=A,B] [folder=DIR]; "
           "roles are master and node, joined by a comma",
       .of_file_alone = true},
  });
  return schema;
}

Result<ClusterPlan> parse_cluster(std::string_view text, const std::string& name, const std::string& folder) {
  config::Config config(cluster_schema());
  FF_TRY(config::load_text(config, text, name));
  const auto at = [&](std::string_view key) { return fmt::format("{}: {}", config.origin_of(key).place, key); };
  ClusterPlan plan;
  plan.name = config.get<std::string>("name");
  if (!plain_name(plan.name)) return wrong(fmt::format("{}: '{}' is no name", at("name"), plan.name));
  plan.binaries = config.get<std::string>("binaries");
  if (!plain(plan.binaries) || plan.binaries.front() != '/')
    return wrong(fmt::format("{}: '{}' is not an absolute path of plain characters", at("binaries"), plan.binaries));
  plan.ffs = config.get<std::string>("ffs");
  plan.store = config.get<std::string>("master.store");
  if (plan.store != "rocksdb" && (!plan.store.starts_with("etcd:") || plan.store.size() == 5))
    return wrong(fmt::format("{}: '{}' is neither rocksdb nor etcd:HOST:PORT,…", at("master.store"), plan.store));
  plan.policy = config.get<std::string>("master.policy");
  plan.min_run = config.get<std::chrono::nanoseconds>("master.min_run");
  plan.master_port = static_cast<std::uint16_t>(config.get<std::int64_t>("master.port"));
  plan.node_port = static_cast<std::uint16_t>(config.get<std::int64_t>("node.port"));
  plan.ssh_options = config.get<std::vector<std::string>>("ssh.options");
  plan.connect_timeout = config.get<std::chrono::nanoseconds>("ssh.connect_timeout");
  plan.timeout = config.get<std::chrono::nanoseconds>("ssh.timeout");
  plan.at_once = static_cast<std::size_t>(config.get<std::int64_t>("ssh.at_once"));
  plan.key_file = (std::filesystem::path(folder) / config.get<std::string>("key")).lexically_normal().string();
  if (auto read = read_hosts(plan, config.get<std::vector<std::string>>("hosts"), config.get<std::string>("folder"));
      !read)
    return fail(std::move(read).error().context(at("hosts")));
  return plan;
}

Result<ClusterPlan> load_cluster(const std::string& path) {
  FF_TRY_ASSIGN(const std::string text, read_file(path, config::kConfigBytesMax));
  std::error_code error;
  const auto full = std::filesystem::absolute(path, error);
  FF_TRY_ASSIGN(ClusterPlan plan, parse_cluster(text, path, full.parent_path().string()));
  plan.path = full.string();
  return plan;
}

std::string master_addresses(const ClusterPlan& plan) {
  std::string out;
  for (const ClusterHost& host : plan.hosts)
    if (host.master) out += fmt::format("{}{}:{}", out.empty() ? "" : ",", host.address, plan.master_port);
  return out;
}

}  // namespace ff::ctl
