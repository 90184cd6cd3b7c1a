#include "ffs/mgmt/manager_state.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <iterator>

#include "libcommon/kv/key_range.hpp"
#include "libcommon/runtime/sleep.hpp"

namespace ff::ffs {

using namespace std::chrono_literals;
using runtime::Task;

namespace {

constexpr char kFormat = 1;
// Below what the smallest engine takes in one transaction (etcd: 128 with the lease's check and the version).
constexpr std::size_t kWritesMax = 100;
constexpr int kAttemptsMax = 20;  // after conflicts

std::string big_endian(std::uint64_t value) {
  std::string out(8, '\0');
  for (int i = 7; i >= 0; --i, value >>= 8) out[static_cast<std::size_t>(i)] = static_cast<char>(value & 0xff);
  return out;
}

}  // namespace

bool ManagerChange::empty() const noexcept {
  return nodes.empty() && forgotten_nodes.empty() && forgotten_targets.empty() && targets.empty() && chains.empty() &&
         !table && !config;
}

void apply(ManagerState& state, const ManagerChange& change, std::uint64_t version) {
  for (const std::uint64_t node : change.forgotten_nodes) state.nodes.erase(node);
  for (const std::uint64_t target : change.forgotten_targets) state.targets.erase(target);
  for (const NodeInfo& node : change.nodes) state.nodes[node.node()] = node;
  for (const TargetInfo& target : change.targets) state.targets[target.target()] = target;
  for (const ChainInfo& chain : change.chains) state.chains[chain.chain()] = chain;
  if (change.table) state.tables[{change.table->table(), change.table->version()}] = *change.table;
  if (change.config) state.configs[change.config->first] = change.config->second;
  state.version = version;
}

std::string encode_record(const google::protobuf::MessageLite& message) {
  std::string out(1, kFormat);
  message.AppendToString(&out);
  return out;
}

Result<> decode_record(std::string_view key, std::string_view value, google::protobuf::MessageLite& message) {
  const std::string name = kv::printable_key(key);
  if (value.empty()) return fail(Errc::kCorrupt, fmt::format("record {}: is empty", name));
  if (value[0] > kFormat || value[0] <= 0)
    return fail(Errc::kUnsupported,
                fmt::format("record {}: of format {}, this software knows {} (was it written by newer "
                            "software? upgrade)",
                            name, static_cast<int>(static_cast<unsigned char>(value[0])), static_cast<int>(kFormat)));
  if (!message.ParseFromArray(value.data() + 1, static_cast<int>(value.size() - 1)))
    return fail(Errc::kCorrupt, fmt::format("record {}: cannot be read", name));
  return {};
}

ManagerStore::ManagerStore(runtime::Env& env, kv::KvStore& store, std::string prefix)
    : env_(env), store_(store), prefix_(std::move(prefix)) {}

std::string ManagerStore::key(std::string_view kind, std::uint64_t id) const {
  return fmt::format("{}{}/", prefix_, kind) + big_endian(id);
}

// Each group goes into one transaction: a chain, if it changes, and its members' records.
std::vector<std::vector<ManagerStore::Write>> ManagerStore::groups_of(const ManagerChange& change) const {
  std::vector<std::vector<Write>> groups;
  std::map<std::uint64_t, std::size_t> group_of_chain;
  for (const NodeInfo& node : change.nodes) groups.push_back({{key("node", node.node()), encode_record(node)}});
  for (const std::uint64_t target : change.forgotten_targets) groups.push_back({{key("target", target), std::nullopt}});
  for (const std::uint64_t node : change.forgotten_nodes) groups.push_back({{key("node", node), std::nullopt}});
  for (const ChainInfo& chain : change.chains) {
    group_of_chain[chain.chain()] = groups.size();
    groups.push_back({{key("chain", chain.chain()), encode_record(chain)}});
  }
  // A target that leaves its chain goes with the change of that chain, which is then the only one.
  if (change.chains.size() == 1) group_of_chain[0] = groups.size() - 1;
  for (const TargetInfo& target : change.targets) {
    const auto found = group_of_chain.find(target.chain());
    const std::size_t at = found == group_of_chain.end() ? groups.size() : found->second;
    if (at == groups.size()) groups.emplace_back();
    if (target.chain() != 0) group_of_chain.emplace(target.chain(), at);
    groups[at].push_back({key("target", target.target()), encode_record(target)});
  }
  if (change.table)
    groups.push_back(
        {{key("table", change.table->table()) + big_endian(change.table->version()), encode_record(*change.table)}});
  if (change.config)
    groups.push_back(
        {{key("config", static_cast<std::uint64_t>(change.config->first)), encode_record(change.config->second)}});
  return groups;
}

Task<Result<>> ManagerStore::commit(kv::Lease& lease, ManagerState& state, ManagerChange change) {
  std::vector<std::vector<Write>> groups = groups_of(change);
  std::uint64_t version = state.version;
  for (std::size_t next = 0; next < groups.size();) {
    std::vector<Write> writes = std::move(groups[next++]);
    while (next < groups.size() && writes.size() + groups[next].size() <= kWritesMax)
      std::ranges::move(groups[next++], std::back_inserter(writes));
    FF_CO_TRY(co_await write(lease, std::move(writes), version));
    ++version;
  }
  apply(state, change, version);
  co_return {};
}

Task<Result<>> ManagerStore::write(kv::Lease& lease, std::vector<Write> writes, std::uint64_t version) {
  const std::string state_key = prefix_ + "state";
  for (int attempt = 1; attempt <= kAttemptsMax; ++attempt) {
    const auto transaction = store_.begin();
    FF_CO_TRY(co_await lease.guard(*transaction));
    FF_CO_TRY_ASSIGN(const auto stored, co_await transaction->get(state_key));
    Routing header;
    if (stored) FF_CO_TRY(decode_record(state_key, *stored, header));
    if (header.version() != version)
      co_return fail(Errc::kUnavailable, fmt::format("state: stands at version {}, not {}", header.version(), version));
    for (const Write& one : writes) {
      if (one.value) {
        transaction->set(one.key, *one.value);
      } else {
        transaction->clear(one.key);
      }
    }
    header.set_version(version + 1);
    transaction->set(state_key, encode_record(header));
    FF_CO_TRY_ASSIGN(const kv::Commit done, co_await transaction->commit());
    if (done.outcome == kv::Outcome::kCommitted) co_return {};
    if (done.outcome == kv::Outcome::kMaybeCommitted)
      co_return fail(Errc::kUnavailable, "state: nobody knows whether it was written");
    FF_CO_TRY(co_await runtime::sleep(std::chrono::milliseconds(1 + env_.rng().below(10))));
  }
  co_return fail(Errc::kUnavailable, "state: conflict after conflict");
}

Task<Result<ManagerState>> ManagerStore::load(kv::Lease& lease, std::string cluster) {
  for (int attempt = 1; attempt <= kAttemptsMax; ++attempt) {
    const auto transaction = store_.begin();
    FF_CO_TRY(co_await lease.guard(*transaction));
    FF_CO_TRY_ASSIGN(ManagerState state, co_await read(*transaction));
    if (state.cluster.empty()) state.cluster = cluster;
    if (state.cluster != cluster)
      co_return fail(Errc::kInvalidArgument, "state: is another cluster's (is this the right store?)");
    Routing header;
    header.set_cluster(cluster);
    header.set_version(++state.version);
    transaction->set(prefix_ + "state", encode_record(header));
    FF_CO_TRY_ASSIGN(const kv::Commit done, co_await transaction->commit());
    if (done.outcome == kv::Outcome::kCommitted) co_return state;
    FF_CO_TRY(co_await runtime::sleep(std::chrono::milliseconds(1 + env_.rng().below(10))));
  }
  co_return fail(Errc::kUnavailable, "state: cannot be read, conflict after conflict");
}

Task<Result<ManagerState>> ManagerStore::read(kv::Transaction& transaction) const {
  ManagerState state;
  kv::KeyRange range = kv::prefix_range(prefix_);
  for (;;) {
    FF_CO_TRY_ASSIGN(const kv::RangeResult part, co_await transaction.get_range(range, {.limit = 10'000}));
    for (const kv::KeyValue& pair : part.pairs) FF_CO_TRY(read_record(pair, state));
    if (!part.more) co_return state;
    range.begin = kv::key_after(part.pairs.back().key);
  }
}

Result<> ManagerStore::read_record(const kv::KeyValue& pair, ManagerState& state) const {
  const std::string_view rest = std::string_view(pair.key).substr(prefix_.size());
  const std::string_view kind = rest.substr(0, rest.find('/'));
  const auto decode = [&](auto message) -> Result<decltype(message)> {
    FF_TRY(decode_record(pair.key, pair.value, message));
    return message;
  };
  if (kind == "state") {
    FF_TRY_ASSIGN(const auto record, decode(Routing()));
    state.version = record.version();
    state.cluster = record.cluster();
  } else if (kind == "node") {
    FF_TRY_ASSIGN(const auto record, decode(NodeInfo()));
    state.nodes[record.node()] = record;
  } else if (kind == "target") {
    FF_TRY_ASSIGN(const auto record, decode(TargetInfo()));
    state.targets[record.target()] = record;
  } else if (kind == "chain") {
    FF_TRY_ASSIGN(const auto record, decode(ChainInfo()));
    state.chains[record.chain()] = record;
  } else if (kind == "table") {
    FF_TRY_ASSIGN(const auto record, decode(ChainTable()));
    state.tables[{record.table(), record.version()}] = record;
  } else if (kind == "config") {
    FF_TRY_ASSIGN(const auto record, decode(GetConfigReply()));
    const auto role = static_cast<unsigned char>(pair.key.back());
    state.configs[role] = record;
  } else {
    return fail(Errc::kUnsupported, fmt::format("record {}: of a kind that this software does not know (upgrade)",
                                                kv::printable_key(pair.key)));
  }
  return {};
}

}  // namespace ff::ffs
