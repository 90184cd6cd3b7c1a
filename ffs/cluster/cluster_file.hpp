// ClusterFile: one YAML file that describes a file system to everybody: who serves what where, and where the state
// lies. The same file stands on every machine; a process is told by its node number which line is its own.
//
//   cluster:
//     id: 6f1c...                     # 32 hexadecimal digits, made by `ffs format`
//     key: cluster.key                # secret that members share; relative to this file
//     replicas: 3
//   mgmtd:
//     store: rocksdb:mgmtd            # or etcd:host:2379,host:2379,host:2379
//   metad:
//     store: rocksdb:metad
//   nodes:                            # number, address (several planes: a,b), roles, metrics page, folders of its
//   targets
//     - 1 127.0.0.1:9601 mgmtd,metad,stored metrics=127.0.0.1:9701 target-1
//     - 2 127.0.0.1:9602 stored target-2
//
// man 5 ffs-cluster lists all keys; it is made of the same schema.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ffs/format/types.hpp"
#include "libcommon/config/config.hpp"
#include "libcommon/net/address.hpp"

namespace ff::ffs {

struct ClusterNode {
  NodeId id{};
  net::PeerAddress address;
  bool mgmtd = false;
  bool metad = false;
  bool stored = false;
  std::optional<net::Address> metrics;  // of its metrics page: an IP address and a port. Nothing: it has none
  std::vector<std::string> folders;     // of targets, in order; absolute. Only of stored
  friend bool operator==(const ClusterNode&, const ClusterNode&) = default;
};

// Where a service keeps its state.
struct StorePlace {
  enum class Engine : std::uint8_t { kRocksdb, kEtcd };
  Engine engine = Engine::kRocksdb;
  std::string folder;                  // kRocksdb; absolute
  std::vector<std::string> endpoints;  // kEtcd
  friend bool operator==(const StorePlace&, const StorePlace&) = default;
};

struct ClusterFile {
  std::string path;  // of the file
  std::array<std::byte, 16> id{};
  std::string key_file;  // absolute
  std::uint32_t replicas = 3;
  std::uint32_t chains_per_target_folder = 1;
  std::uint32_t spares_per_target_folder = 0;  // targets that wait to take the place of others
  std::uint32_t chunk_bytes = 1u << 20;
  std::uint32_t stripe = 0;          // 0: all chains
  bool one_host = false;             // chains may have several members on one machine
  bool require_tokens = false;       // metadata services and managers ask users for tokens
  std::uint64_t capacity_bytes = 0;  // of a target folder; 0: what is free
  std::uint32_t checksum_bytes = 4096;
  std::uint64_t journal_bytes = 64u << 20;
  StorePlace mgmtd_store;
  StorePlace metad_store;
  std::chrono::nanoseconds failure_timeout = std::chrono::seconds(10);
  std::vector<ClusterNode> nodes;  // ascending by id

  // Null: no such node.
  const ClusterNode* node(NodeId id) const noexcept;
  // Addresses of all managers, for clients.
  std::vector<net::PeerAddress> managers() const;
  std::size_t targets_per_folder() const noexcept { return chains_per_target_folder + spares_per_target_folder; }
};

// The id as messages carry it: 16 bytes.
std::string cluster_bytes(const ClusterFile& cluster);

// A target's number: of the chain-th target in the folder-th folder of a node. Stable: it follows from the file alone.
constexpr TargetId target_id(NodeId node, std::size_t folder, std::size_t index) noexcept {
  return TargetId{number(node) << 24 | static_cast<std::uint64_t>(folder + 1) << 12 |
                  static_cast<std::uint64_t>(index + 1)};
}

const config::Schema& cluster_schema();

// kNotFound, kPermission, kInvalidArgument ("site.yaml:12: nodes: ...").
Result<ClusterFile> load_cluster_file(const std::string& path);
// The same from text; relative paths are taken from `folder`.
Result<ClusterFile> parse_cluster_file(std::string_view text, const std::string& name, const std::string& folder);

// One line of `nodes`.
Result<ClusterNode> parse_cluster_node(std::string_view line, const std::string& folder);
// "rocksdb:FOLDER" or "etcd:HOST:PORT,...".
Result<StorePlace> parse_store_place(std::string_view text, const std::string& folder);

}  // namespace ff::ffs
