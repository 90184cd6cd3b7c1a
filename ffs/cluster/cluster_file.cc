#include "ffs/cluster/cluster_file.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <set>

#include "ffs/format/layout.hpp"
#include "libcommon/base/file.hpp"
#include "libcommon/config/loader.hpp"

namespace ff::ffs {

namespace {

constexpr std::uint64_t kNodeMax = (std::uint64_t{1} << 32) - 1;  // target ids have room for it
constexpr std::size_t kFoldersMax = 256;

std::vector<std::string_view> split_words(std::string_view text, char separator) {
  std::vector<std::string_view> words;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(separator), text.size());
    if (end > 0) words.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return words;
}

std::string absolute(const std::string& folder, std::string_view path) {
  return (std::filesystem::path(folder) / path).lexically_normal().string();
}

Result<NodeId> parse_node_id(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value == 0 || value > kNodeMax) {
    return fail(Errc::kInvalidArgument, fmt::format("'{}': not a node number (1 to {})", text, kNodeMax));
  }
  return NodeId{value};
}

Result<> parse_roles(std::string_view text, ClusterNode& node) {
  for (const std::string_view role : split_words(text, ',')) {
    if (role == "mgmtd") {
      node.mgmtd = true;
    } else if (role == "metad") {
      node.metad = true;
    } else if (role == "stored") {
      node.stored = true;
    } else {
      return fail(Errc::kInvalidArgument, fmt::format("'{}': no role (mgmtd, metad and stored are)", role));
    }
  }
  return {};
}

constexpr std::string_view kMetrics = "metrics=";

Result<net::Address> parse_metrics(std::string_view text) {
  FF_TRY_ASSIGN(net::Address at, net::parse_address(text));
  if (at.is_unix() || at.port == 0 || !net::resolve_numeric(at, net::ResolveFor::kConnect)) {
    return fail(
        Errc::kInvalidArgument,
        fmt::format("metrics={}: not an IP address and a port (127.0.0.1:9701; no password guards the page)", text));
  }
  return at;
}

Result<std::array<std::byte, 16>> parse_id(std::string_view text) {
  std::array<std::byte, 16> id{};
  const auto bad = [&] {
    return fail(Errc::kInvalidArgument, fmt::format("'{}': not 32 hexadecimal digits (`ffs format` makes one)", text));
  };
  if (text.size() != 2 * id.size()) return bad();
  for (std::size_t i = 0; i < id.size(); ++i) {
    unsigned value = 0;
    const char* from = text.data() + 2 * i;
    if (const auto [end, error] = std::from_chars(from, from + 2, value, 16); error != std::errc() || end != from + 2)
      return bad();
    id[i] = static_cast<std::byte>(value);
  }
  if (std::ranges::all_of(id, [](std::byte b) { return b == std::byte{0}; })) return bad();
  return id;
}

Result<> check_nodes(const ClusterFile& file) {
  std::set<NodeId> ids;
  std::set<std::string> addresses;
  for (const ClusterNode& node : file.nodes) {
    if (!ids.insert(node.id).second) {
      return fail(Errc::kInvalidArgument,
                  fmt::format("nodes: number {} twice (each process has its own)", number(node.id)));
    }
    for (const net::Address& plane : node.address.planes) {
      if (!addresses.insert(plane.text()).second) {
        return fail(Errc::kInvalidArgument,
                    fmt::format("nodes: address {} twice (each process has its own)", plane.text()));
      }
    }
    if (node.metrics && !addresses.insert(node.metrics->text()).second) {
      return fail(Errc::kInvalidArgument,
                  fmt::format("nodes: address {} twice (a metrics page has its own)", node.metrics->text()));
    }
  }
  const auto count = [&](bool ClusterNode::* role) { return std::ranges::count_if(file.nodes, role); };
  if (count(&ClusterNode::mgmtd) == 0) return fail(Errc::kInvalidArgument, "nodes: none has the role mgmtd");
  if (count(&ClusterNode::metad) == 0) return fail(Errc::kInvalidArgument, "nodes: none has the role metad");
  if (count(&ClusterNode::stored) == 0) return fail(Errc::kInvalidArgument, "nodes: none has the role stored");
  const auto embedded = [&](const StorePlace& place, bool ClusterNode::* role, const char* what) -> Result<> {
    if (place.engine == StorePlace::Engine::kRocksdb && count(role) > 1) {
      return fail(
          Errc::kInvalidArgument,
          fmt::format(
              "{0}.store: rocksdb serves one process, but {1} nodes have the role {0} (give the role to one, or keep "
              "the state in etcd)",
              what, count(role)));
    }
    return {};
  };
  FF_TRY(embedded(file.mgmtd_store, &ClusterNode::mgmtd, "mgmtd"));
  FF_TRY(embedded(file.metad_store, &ClusterNode::metad, "metad"));
  if (file.mgmtd_store == file.metad_store && file.mgmtd_store.engine == StorePlace::Engine::kRocksdb) {
    return fail(Errc::kInvalidArgument, "metad.store: the same folder as mgmtd.store (each needs its own)");
  }
  return {};
}

Result<ClusterFile> from_config(const config::Config& config, const std::string& folder) {
  ClusterFile file;
  const auto field = [](auto result, const char* name) {
    if (!result) result = fail(std::move(result).error().context(name));
    return result;
  };
  FF_TRY_ASSIGN(file.id, field(parse_id(config.get<std::string>("cluster.id")), "cluster.id"));
  file.key_file = absolute(folder, config.get<std::string>("cluster.key"));
  file.replicas = static_cast<std::uint32_t>(config.get<std::int64_t>("cluster.replicas"));
  file.chains_per_target_folder = static_cast<std::uint32_t>(config.get<std::int64_t>("cluster.chains_per_folder"));
  file.spares_per_target_folder = static_cast<std::uint32_t>(config.get<std::int64_t>("cluster.spares_per_folder"));
  const std::uint64_t chunk = config.get<std::uint64_t>("cluster.chunk");
  if (!valid_chunk_bytes(chunk)) {
    return fail(Errc::kInvalidArgument,
                fmt::format("cluster.chunk: {} bytes: not a power of two from 64KiB to 64MiB", chunk));
  }
  file.chunk_bytes = static_cast<std::uint32_t>(chunk);
  file.stripe = static_cast<std::uint32_t>(config.get<std::int64_t>("cluster.stripe"));
  file.one_host = config.get<bool>("cluster.one_host");
  file.require_tokens = config.get<bool>("cluster.require_tokens");
  file.failure_timeout = config.get<std::chrono::nanoseconds>("cluster.failure_timeout");
  file.capacity_bytes = config.get<std::uint64_t>("stored.capacity");
  const std::uint64_t checksum = config.get<std::uint64_t>("stored.checksum_block");
  const std::uint64_t journal = config.get<std::uint64_t>("stored.journal");
  if ((checksum & (checksum - 1)) != 0) {
    return fail(Errc::kInvalidArgument, fmt::format("stored.checksum_block: {} bytes: not a power of two", checksum));
  }
  if ((journal & (journal - 1)) != 0) {
    return fail(Errc::kInvalidArgument, fmt::format("stored.journal: {} bytes: not a power of two", journal));
  }
  file.checksum_bytes = static_cast<std::uint32_t>(checksum);
  file.journal_bytes = journal;
  FF_TRY_ASSIGN(file.mgmtd_store,
                field(parse_store_place(config.get<std::string>("mgmtd.store"), folder), "mgmtd.store"));
  FF_TRY_ASSIGN(file.metad_store,
                field(parse_store_place(config.get<std::string>("metad.store"), folder), "metad.store"));
  for (const std::string& line : config.get<std::vector<std::string>>("nodes")) {
    FF_TRY_ASSIGN(ClusterNode node, field(parse_cluster_node(line, folder), "nodes"));
    file.nodes.push_back(std::move(node));
  }
  std::ranges::sort(file.nodes, {}, [](const ClusterNode& n) { return number(n.id); });
  FF_TRY(check_nodes(file));
  return file;
}

}  // namespace

const config::Schema& cluster_schema() {
  using config::Type;
  static const config::Schema schema({
      {.name = "cluster.id",
       .type = Type::kText,
       .otherwise = "",
       .help = "32 hexadecimal digits that tell this file system from others; made by ffs format"},
      {.name = "cluster.key",
       .type = Type::kText,
       .otherwise = "cluster.key",
       .help = "file with the secret that all members share, relative to this file"},
      {.name = "cluster.replicas",
       .type = Type::kInteger,
       .otherwise = "3",
       .help = "copies of each chunk",
       .unit = "targets",
       .min = 1,
       .max = 16},
      {.name = "cluster.chains_per_folder",
       .type = Type::kInteger,
       .otherwise = "1",
       .help = "chains that each folder takes part in",
       .unit = "chains",
       .min = 1,
       .max = 1024},
      {.name = "cluster.spares_per_folder",
       .type = Type::kInteger,
       .otherwise = "0",
       .help = "further targets of each folder, in no chain, that wait to take the place of others when those are "
               "drained or replaced; may be raised later",
       .unit = "targets",
       .min = 0,
       .max = 1024},
      {.name = "cluster.chunk",
       .type = Type::kSize,
       .otherwise = "1MiB",
       .help = "size of the chunks of new files, a power of two",
       .min = kChunkBytesMin,
       .max = kChunkBytesMax},
      {.name = "cluster.stripe",
       .type = Type::kInteger,
       .otherwise = "0",
       .help = "chains that a new file is spread over; 0 takes all",
       .unit = "chains",
       .min = 0,
       .max = 65536},
      {.name = "cluster.one_host",
       .type = Type::kBool,
       .otherwise = "false",
       .help = "chains may have several copies on one machine, as on a laptop; its loss then loses data"},
      {.name = "cluster.require_tokens",
       .type = Type::kBool,
       .otherwise = "false",
       .help =
           "files and administration are for who shows a user token; false believes the numbers that clients claim"},
      {.name = "cluster.failure_timeout",
       .type = Type::kDuration,
       .otherwise = "10s",
       .help = "silence after which a node counts as dead; nodes stop serving after half of it",
       .min = 1,
       .max = 600},
      {.name = "mgmtd.store",
       .type = Type::kText,
       .otherwise = "rocksdb:mgmtd",
       .help = "where managers keep their state: rocksdb:FOLDER or etcd:HOST:PORT,HOST:PORT"},
      {.name = "metad.store",
       .type = Type::kText,
       .otherwise = "rocksdb:metad",
       .help = "where the namespace lies: rocksdb:FOLDER or etcd:HOST:PORT,HOST:PORT"},
      {.name = "stored.capacity",
       .type = Type::kSize,
       .otherwise = "0",
       .help = "most that one target may take of its disk; 0 takes what is free, shared by the targets of a folder"},
      {.name = "stored.checksum_block",
       .type = Type::kSize,
       .otherwise = "4KiB",
       .help =
           "bytes under one checksum, a power of two: small reads read this much; memory per chunk grows as it shrinks",
       .min = 4096,
       .max = 65536},
      {.name = "stored.journal",
       .type = Type::kSize,
       .otherwise = "64MiB",
       .help = "size of a target's journal, a power of two",
       .min = 4 << 20,
       .max = 4e9},
      {.name = "nodes",
       .type = Type::kTextList,
       .otherwise = "",
       .help =
           "processes: NUMBER ADDRESS ROLES [metrics=ADDRESS] [FOLDER...]; roles are mgmtd, metad and stored joined "
           "by commas",
       .of_file_alone = true},  // jobs have another FF_NODES
  });
  return schema;
}

Result<StorePlace> parse_store_place(std::string_view text, const std::string& folder) {
  if (text.starts_with("rocksdb:") && text.size() > 8) {
    return StorePlace{
        .engine = StorePlace::Engine::kRocksdb, .folder = absolute(folder, text.substr(8)), .endpoints = {}};
  }
  if (text.starts_with("etcd:") && text.size() > 5) {
    StorePlace place{.engine = StorePlace::Engine::kEtcd, .folder = {}, .endpoints = {}};
    for (const std::string_view endpoint : split_words(text.substr(5), ',')) {
      FF_TRY(net::parse_address(endpoint));
      place.endpoints.emplace_back(endpoint);
    }
    if (!place.endpoints.empty()) return place;
  }
  return fail(Errc::kInvalidArgument,
              fmt::format("'{}': no place for state (write rocksdb:FOLDER or etcd:HOST:PORT,HOST:PORT)", text));
}

Result<ClusterNode> parse_cluster_node(std::string_view line, const std::string& folder) {
  const std::vector<std::string_view> words = split_words(line, ' ');
  if (words.size() < 3) {
    return fail(Errc::kInvalidArgument,
                fmt::format("'{}': too few words (write NUMBER ADDRESS ROLES [metrics=ADDRESS] [FOLDER...])", line));
  }
  ClusterNode node;
  FF_TRY_ASSIGN(node.id, parse_node_id(words[0]));
  FF_TRY_ASSIGN(node.address, net::parse_peer_address(words[1]));
  for (const net::Address& plane : node.address.planes) {
    if (!plane.is_unix() && (plane.host.empty() || plane.port == 0)) {
      return fail(
          Errc::kInvalidArgument,
          fmt::format("node {}: '{}': others cannot connect to it (write a host and a port)", words[0], words[1]));
    }
  }
  FF_TRY(parse_roles(words[2], node));
  for (std::size_t i = 3; i < words.size(); ++i) {
    if (!words[i].starts_with(kMetrics)) {
      node.folders.push_back(absolute(folder, words[i]));
      continue;
    }
    if (node.metrics) return fail(Errc::kInvalidArgument, fmt::format("node {}: metrics= twice", words[0]));
    FF_TRY_ASSIGN(node.metrics, parse_metrics(words[i].substr(kMetrics.size())));
  }
  if (node.stored != !node.folders.empty()) {
    return fail(Errc::kInvalidArgument,
                fmt::format("node {}: {}", words[0],
                            node.stored ? "stored needs folders for its targets" : "folders without the role stored"));
  }
  if (node.folders.size() > kFoldersMax) {
    return fail(Errc::kInvalidArgument,
                fmt::format("node {}: {} folders (up to {})", words[0], node.folders.size(), kFoldersMax));
  }
  for (std::size_t i = 0; i < node.folders.size(); ++i) {
    if (std::find(node.folders.begin(), node.folders.begin() + static_cast<std::ptrdiff_t>(i), node.folders[i]) !=
        node.folders.begin() + static_cast<std::ptrdiff_t>(i)) {
      return fail(Errc::kInvalidArgument, fmt::format("node {}: {} twice", words[0], node.folders[i]));
    }
  }
  return node;
}

Result<ClusterFile> parse_cluster_file(std::string_view text, const std::string& name, const std::string& folder) {
  config::Config config(cluster_schema());
  FF_TRY(config.load_environment());
  FF_TRY(config::load_text(config, text, name));
  auto file = from_config(config, folder);
  if (!file) return fail(std::move(file).error().context(name));
  return file;
}

Result<ClusterFile> load_cluster_file(const std::string& path) {
  FF_TRY_ASSIGN(const std::string text, read_file(path, config::kConfigBytesMax));
  const std::string whole = std::filesystem::absolute(path).lexically_normal().string();
  FF_TRY_ASSIGN(ClusterFile file, parse_cluster_file(text, path, std::filesystem::path(whole).parent_path().string()));
  file.path = whole;
  return file;
}

const ClusterNode* ClusterFile::node(NodeId wanted) const noexcept {
  const auto found = std::ranges::find(nodes, wanted, &ClusterNode::id);
  return found == nodes.end() ? nullptr : &*found;
}

std::vector<net::PeerAddress> ClusterFile::managers() const {
  std::vector<net::PeerAddress> addresses;
  for (const ClusterNode& node : nodes) {
    if (node.mgmtd) addresses.push_back(node.address);
  }
  return addresses;
}

std::string cluster_bytes(const ClusterFile& cluster) {
  return {reinterpret_cast<const char*>(cluster.id.data()), cluster.id.size()};
}

}  // namespace ff::ffs
