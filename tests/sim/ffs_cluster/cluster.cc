#include "tests/sim/ffs_cluster/cluster.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <set>

#include "ffs/daemon/daemon.hpp"
#include "ffs/meta/keys.hpp"
#include "ffs/mgmt/routing_client.hpp"
#include "ffs/storage/storage_server.hpp"
#include "ffs/store/chunk_store.hpp"
#include "libcommon/base/defer.hpp"
#include "libcommon/runtime/scope.hpp"
#include "libcommon/runtime/sleep.hpp"

namespace ff::sim {

using namespace std::chrono_literals;
using runtime::Task;
using testing::NodeId;
using testing::SimEnv;

namespace {

constexpr std::uint16_t kPort = 9601;
constexpr const char* kFolder = "/disk";
constexpr std::size_t kChunksListed = 100'000;
// Removed files stay for readers for five minutes, sessions of dead clients for two; then a round or two.
constexpr runtime::Duration kCleanUp = 15min;

}  // namespace

// Hands of the one store, as faulty as the cluster says.
class Cluster::Opener final : public ffs::StoreOpener {
 public:
  explicit Opener(Cluster& cluster) : cluster_(cluster) {}
  Task<Result<std::unique_ptr<kv::KvStore>>> open(runtime::Env& env, ffs::StorePlace, std::string) override {
    auto store = cluster_.kv_.connect(env);
    store->faults() = cluster_.store_faults_;
    co_return std::unique_ptr<kv::KvStore>(std::move(store));
  }

 private:
  Cluster& cluster_;
};

Cluster::Cluster(testing::SimWorld& world)
    : world_(world), kv_({.seed = world.seed(), .clock = [&world] { return world.now(); }}) {
  for (const char* const role : {"mgmtd", "metad", "stored"}) {
    const std::size_t count = role[1] == 'g' ? kManagers : role[1] == 'e' ? kNamespaces : kStorage;
    for (std::size_t i = 0; i < count; ++i) daemons_.push_back(world.add_node({.role = role}));
  }
  administrator_ = world.add_node({.role = "admin"});
  for (std::size_t i = 0; i < file_.id.size(); ++i) file_.id[i] = static_cast<std::byte>(i + 1);
  file_.replicas = kReplicas;
  file_.chains_per_target_folder = kReplicas;
  file_.chunk_bytes = kChunkBytes;
  file_.capacity_bytes = 256u << 20;
  file_.journal_bytes = 4u << 20;
  file_.failure_timeout = 1s;
  for (const NodeId node : daemons_) {
    ffs::ClusterNode& line = file_.nodes.emplace_back();
    line.id = ffs::NodeId{node + 1};
    line.address = world.address(node, kPort);
    line.mgmtd = node < kManagers;
    line.metad = node >= kManagers && node < kManagers + kNamespaces;
    line.stored = node >= kManagers + kNamespaces;
    if (line.stored) line.folders.push_back(kFolder);
  }
}

Cluster::~Cluster() = default;

// ---- processes -----------------------------------------------------------------------------------------------------

Task<Result<>> Cluster::run_daemon(SimEnv& env) {
  Opener opener(*this);
  const ffs::ClusterNode& line = file_.nodes[env.node()];
  for (;;) {
    ffs::Daemon daemon(env, file_, line, opener);
    running_[env.node()] = &daemon;
    const Defer gone([this, &env] { running_.erase(env.node()); });
    const Result<> started = co_await daemon.start();
    if (started) {
      const Error why = co_await daemon.ended();
      env.note("daemon ends: " + why.message());
    } else {
      env.note("daemon does not start: " + started.error().message());
    }
    co_await daemon.stop();
    FF_CO_TRY(co_await runtime::sleep(300ms));
  }
}

void Cluster::start(NodeId node) {
  world_.start(node, [this](SimEnv& env) -> Task<Result<>> { co_return co_await run_daemon(env); });
}

Task<Result<>> Cluster::format(SimEnv& env) {
  FF_CO_TRY(co_await env.disk().make_folder(kFolder));
  FF_CO_TRY(co_await env.disk().sync_folder("/"));
  for (const ffs::TargetFolder& target : ffs::target_folders(file_, file_.nodes[env.node()])) {
    FF_CO_TRY(co_await ffs::ChunkStore::format(
        env, target.path, {.cluster = file_.id, .target = target.target, .generation = env.rng().next()},
        {.capacity_bytes = file_.capacity_bytes,
         .checksum_bytes = file_.checksum_bytes,
         .journal_bytes = file_.journal_bytes}));
  }
  co_return {};
}

// Chain i lies on the storage nodes i, i + 1 and i + 2: each is head of one, and has three targets.
ffs::InstallChainsRequest Cluster::chains() const {
  ffs::InstallChainsRequest request;
  request.set_cluster(ffs::cluster_bytes(file_));
  ffs::ChainTable& table = *request.mutable_table();
  table.set_table(number(ffs::kDefaultTable));
  table.set_replicas(kReplicas);
  for (std::size_t c = 0; c < kStorage; ++c) {
    ffs::ChainInfo& chain = *request.add_chains();
    chain.set_chain(c + 1);
    table.add_chains(c + 1);
    for (std::size_t i = 0; i < kReplicas; ++i) {
      const ffs::ClusterNode& node = file_.nodes[kManagers + kNamespaces + (c + i) % kStorage];
      const ffs::TargetFolder folder = ffs::target_folders(file_, node)[i];
      ffs::TargetInfo& target = *request.add_targets();
      target.set_target(number(folder.target));
      target.set_node(number(node.id));
      target.set_path(folder.path);
      ffs::ChainMember& member = *chain.add_members();
      member.set_target(target.target());
      member.set_state(ffs::SERVING);
      chain.add_preferred_order(target.target());
    }
  }
  return request;
}

Task<Result<>> Cluster::administrate(SimEnv& env) {
  ffs::MgmtClient manager(env, file_.managers(), {.cluster = ffs::cluster_bytes(file_), .poll = 2s, .attempt = 500ms});
  const auto installed = co_await manager.install_chains(chains(), 60s);
  if (!installed) world_.convict(installed.error().message());
  (void)co_await manager.start(10s);
  for (;;) {
    view_ = manager.current();
    (void)co_await manager.newer_than(view_ ? view_->version() : 0, 100ms);
  }
}

Result<> Cluster::bring_up() {
  for (const NodeId node : storage())
    world_.start(node, [this](SimEnv& env) -> Task<Result<>> { co_return co_await format(env); });
  const auto formatted = [this] {
    return std::ranges::all_of(storage(), [this](NodeId node) { return world_.exited(node); });
  };
  FF_TRY(world_.run_until(formatted, 60s, "the disks are formatted"));
  for (const NodeId node : storage()) FF_TRY(world_.exit_result(node));
  for (const NodeId node : daemons_) start(node);
  world_.start(administrator_, [this](SimEnv& env) -> Task<Result<>> { co_return co_await administrate(env); });
  return world_.run_until([this] { return complete(); }, 60s, "every chain serves");
}

void Cluster::make_store_unsure() {
  store_faults_ = {.conflict = 0.03,
                   .maybe_committed = 0.05,
                   .late_max = 200ms,
                   .delay_max = 3ms,
                   .outage = 0.002,
                   .outage_max = 500ms};
  for (const NodeId node : daemons_)
    if (node < kManagers + kNamespaces) world_.restart(node, testing::Kill::kProcess);
}

void Cluster::heal() {
  store_faults_ = {.delay_max = 3ms};
  for (const NodeId node : daemons_) {
    const bool has_store = node < kManagers + kNamespaces;
    const auto found = running_.find(node);
    bool broken = found == running_.end() || found->second->storage() == nullptr;
    if (!has_store && !broken) {
      for (const ffs::TargetFolder& folder : ffs::target_folders(file_, file_.nodes[node])) {
        ffs::Target* const target = found->second->storage()->target(folder.target);
        broken = broken || target == nullptr || target->store().failed();
      }
    }
    if (has_store || broken) world_.restart(node, testing::Kill::kProcess);
  }
}

// ---- what it has come to -------------------------------------------------------------------------------------------

bool Cluster::complete() const {
  if (!view_ || view_->message().chains_size() != static_cast<int>(kStorage)) return false;
  return std::ranges::all_of(view_->message().chains(), [](const ffs::ChainInfo& chain) {
    return std::ranges::all_of(chain.members(), [](const auto& member) { return member.state() == ffs::SERVING; });
  });
}

std::string Cluster::difference() const {
  const ffs::InstallChainsRequest plan = chains();
  for (const ffs::ChainInfo& chain : plan.chains()) {
    std::map<ffs::ChunkId, std::pair<ffs::ChunkVersion, std::uint32_t>> first;
    for (int i = 0; i < chain.members_size(); ++i) {
      const ffs::TargetId id{chain.members(i).target()};
      const auto daemon = running_.find(static_cast<NodeId>((number(id) >> 24) - 1));
      ffs::Target* const target = daemon == running_.end() || daemon->second->storage() == nullptr
                                      ? nullptr
                                      : daemon->second->storage()->target(id);
      if (target == nullptr) return fmt::format("target {} does not run", number(id));
      std::map<ffs::ChunkId, std::pair<ffs::ChunkVersion, std::uint32_t>> held;
      for (const ffs::ChunkInfo& info : target->store().list({}, kChunksListed)) {
        if (info.pending) return fmt::format("target {}: {} is pending", number(id), to_text(info.chunk));
        if (info.bad) return fmt::format("target {}: {} is bad", number(id), to_text(info.chunk));
        if (!info.removed) held[info.chunk] = {info.version, info.crc};
      }
      if (i == 0) first = held;
      if (held == first) continue;
      for (const auto& [chunk, what] : first) {
        const auto other = held.find(chunk);
        if (other != held.end() && other->second == what) continue;
        return fmt::format("chain {}: {} differs between its head and target {}", chain.chain(), to_text(chunk),
                           number(id));
      }
      return fmt::format("chain {}: target {} has chunks that its head lacks", chain.chain(), number(id));
    }
  }
  return "";
}

bool Cluster::equal() const { return difference().empty(); }

std::string Cluster::describe() const {
  std::string out = difference();
  if (!view_) return "no routing; " + out;
  for (const ffs::ChainInfo& chain : view_->message().chains()) {
    out += fmt::format("; chain {} v{}:", chain.chain(), chain.version());
    for (const auto& member : chain.members())
      out += fmt::format(" {}={}", member.target(), ffs::PublicState_Name(member.state()));
  }
  return out;
}

std::vector<ffs::ChunkId> Cluster::chunks() const {
  std::set<ffs::ChunkId> found;
  for (const auto& [node, daemon] : running_) {
    if (daemon->storage() == nullptr) continue;
    for (const ffs::TargetFolder& folder : ffs::target_folders(file_, file_.nodes[node])) {
      ffs::Target* const target = daemon->storage()->target(folder.target);
      if (target == nullptr) continue;
      for (const ffs::ChunkInfo& info : target->store().list({}, kChunksListed))
        if (!info.removed) found.insert(info.chunk);
    }
  }
  return {found.begin(), found.end()};
}

Task<Result<std::string>> Cluster::rubbish(kv::KvStore& store) const {
  const auto transaction = store.begin();
  const std::pair<const char*, kv::KeyRange> kinds[] = {{"garbage", ffs::keys::garbage_all()},
                                                        {"session", ffs::keys::sessions_by_client()},
                                                        {"unfinished truncate", ffs::keys::truncating_all()}};
  for (const auto& [what, range] : kinds) {
    FF_CO_TRY_ASSIGN(const auto found, co_await transaction->get_range(range, {.mode = kv::Read::kSnapshot}));
    if (!found.pairs.empty()) co_return fmt::format("{} of kind {}", found.pairs.size(), what);
  }
  for (const ffs::ChunkId chunk : chunks()) {
    FF_CO_TRY_ASSIGN(const auto inode, co_await transaction->get(ffs::keys::inode(chunk.inode), kv::Read::kSnapshot));
    if (!inode) co_return fmt::format("chunk {}, whose inode is gone", to_text(chunk));
  }
  co_return "";
}

Task<Result<>> Cluster::wait_until_clean(SimEnv& env) {
  const auto store = kv_.connect(env);
  const runtime::Time until = env.now() + kCleanUp;
  for (;;) {
    FF_CO_TRY_ASSIGN(const std::string left, co_await rubbish(*store));
    if (left.empty()) break;
    if (env.now() > until) {
      co_await store->stop();
      co_return fail(Errc::kCorrupt, "after everything: there is " + left);
    }
    FF_CO_TRY(co_await runtime::sleep(10s));
  }
  co_await store->stop();
  co_return {};
}

}  // namespace ff::sim
