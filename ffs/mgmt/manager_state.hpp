// ManagerState: what the managers keep in the KvStore, in memory: the primary's copy. ManagerChange: a step from one
// state to the next. ManagerStore: reads the state and carries out changes, as primary only. Keys and values: mgmt.md.
//
// Fencing   Each transaction carries the lease's check, reads the state's version and sets the next one. So nothing
// that
//           a former primary (or an attempt of ours whose outcome was never known) still tries can come between.
// Threads   Those of the Env.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ffs/mgmt/mgmt.pb.h"
#include "libcommon/kv/kv_store.hpp"

namespace ff::ffs {

struct ManagerState {
  std::string cluster;
  std::uint64_t version = 0;                    // of the routing
  std::map<std::uint64_t, NodeInfo> nodes;      // `alive` as it was last decided
  std::map<std::uint64_t, TargetInfo> targets;  // what was decided, not what is reported: see mgmt.md
  std::map<std::uint64_t, ChainInfo> chains;
  std::map<std::pair<std::uint64_t, std::uint64_t>, ChainTable> tables;  // by id and version
  std::map<int, GetConfigReply> configs;                                 // by role
};

// What takes the place of what is there. Chains and their targets become visible before the table.
struct ManagerChange {
  std::vector<NodeInfo> nodes;
  std::vector<std::uint64_t> forgotten_nodes;
  std::vector<std::uint64_t> forgotten_targets;
  std::vector<TargetInfo> targets;
  std::vector<ChainInfo> chains;
  std::optional<ChainTable> table;
  std::optional<std::pair<Role, GetConfigReply>> config;

  bool empty() const noexcept;
};
// With the version that it leads to.
void apply(ManagerState& state, const ManagerChange& change, std::uint64_t version);

// Values: a byte with the format's version, then the message. kCorrupt; kUnsupported: written by newer software.
std::string encode_record(const google::protobuf::MessageLite& message);
Result<> decode_record(std::string_view key, std::string_view value, google::protobuf::MessageLite& message);

class ManagerStore {
 public:
  // `prefix` begins all keys. The store outlives it.
  ManagerStore(runtime::Env& env, kv::KvStore& store, std::string prefix);

  // What is stored, in one transaction that also sets the next version: when it returns, no earlier attempt can take
  // effect any more. An empty store becomes that of `cluster`; another's is refused with kInvalidArgument.
  runtime::Task<Result<ManagerState>> load(kv::Lease& lease, std::string cluster);

  // Carries out the change and applies it to `state`. REQUIRES: one at a time; `lease` and `state` outlive the task. On
  // an error `state` is as before, but the store may not be: load() again. Large changes take several transactions.
  runtime::Task<Result<>> commit(kv::Lease& lease, ManagerState& state, ManagerChange change);

 private:
  struct Write {
    std::string key;
    std::optional<std::string> value;  // nothing: removed
  };
  std::vector<std::vector<Write>> groups_of(const ManagerChange& change) const;
  runtime::Task<Result<>> write(kv::Lease& lease, std::vector<Write> writes, std::uint64_t version);
  runtime::Task<Result<ManagerState>> read(kv::Transaction& transaction) const;
  Result<> read_record(const kv::KeyValue& pair, ManagerState& state) const;
  std::string key(std::string_view kind, std::uint64_t id) const;

  runtime::Env& env_;
  kv::KvStore& store_;
  const std::string prefix_;
};

}  // namespace ff::ffs
