#include "tests/sim/ffs_mgmt/cluster.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "libcommon/rpc/server.hpp"
#include "tests/sim/ffs_mgmt/careless_store.hpp"

namespace ff::sim {

using namespace std::chrono_literals;
using runtime::Task;
using testing::SimEnv;

namespace {

constexpr auto kFailureTimeout = 1s;

std::uint64_t target_number(std::size_t chain, std::size_t replica) { return (chain + 1) * 10 + replica + 1; }
std::size_t host_of(std::size_t chain, std::size_t replica) { return (chain + replica) % kStorageNodes; }
// Manager and storage nodes are numbered from 1 in the order of the world.
std::uint64_t storage_number(std::size_t index) { return kManagers + index + 1; }

std::uint64_t spare_number(std::size_t index, std::size_t spare) { return 1000 + index * 10 + spare; }

std::vector<net::PeerAddress> managers(testing::SimWorld& world) {
  std::vector<net::PeerAddress> out;
  for (testing::NodeId node = 0; node < kManagers; ++node) out.push_back(world.address(node, kMgmtPort));
  return out;
}

ffs::MgmtClientOptions client_options() {
  return {.cluster = cluster_id(), .poll = 2s, .attempt = 300ms, .pause = 20ms};
}

ffs::PublicState state_in(const ffs::ChainInfo& chain, std::uint64_t target) {
  for (const ffs::ChainMember& member : chain.members())
    if (member.target() == target) return member.state();
  return ffs::PUBLIC_NONE;
}

std::size_t count(const ffs::ChainInfo& chain, ffs::PublicState state) {
  return static_cast<std::size_t>(
      std::ranges::count_if(chain.members(), [&](const ffs::ChainMember& m) { return m.state() == state; }));
}

std::string text(const ffs::ChainInfo& chain) {
  std::string out = fmt::format("chain {} v{}:", chain.chain(), chain.version());
  for (const ffs::ChainMember& member : chain.members())
    out += fmt::format(" {}={}", member.target(), ffs::PublicState_Name(member.state()));
  return out;
}

}  // namespace

std::string cluster_id() { return "simulated-ffs-01"; }

ffs::ManagerOptions manager_options(std::uint64_t node) {
  return {.cluster = cluster_id(),
          .node = node,
          .failure_timeout = kFailureTimeout,
          .session_timeout = 5s,
          .primary_ttl = 1s};
}

ffs::InstallChainsRequest install_request() {
  ffs::InstallChainsRequest request;
  request.set_cluster(cluster_id());
  request.mutable_table()->set_table(1);
  for (std::size_t chain = 0; chain < kStorageNodes; ++chain) {
    ffs::ChainInfo& info = *request.add_chains();
    info.set_chain(chain + 1);
    for (std::size_t replica = 0; replica < kReplicas; ++replica) {
      ffs::TargetInfo& target = *request.add_targets();
      target.set_target(target_number(chain, replica));
      target.set_node(storage_number(host_of(chain, replica)));
      info.add_members()->set_target(target.target());
    }
    request.mutable_table()->add_chains(chain + 1);
  }
  return request;
}

// ---- managers -------------------------------------------------------------------------------------------------------

Task<Result<>> run_manager(SimEnv& env, kv::MemoryCluster& cluster, Oracle& oracle) {
  const auto store = cluster.connect(env);
  CarelessStore careless(*store);
  if (env.world().elapsed() < 8s) {
    store->faults() = {.conflict = 0.02,
                       .maybe_committed = 0.05,
                       .late_max = 200ms,
                       .delay_max = 5ms,
                       .outage = 0.005,
                       .outage_max = 500ms};
  } else {
    store->faults() = {.delay_max = 5ms};
  }
  ffs::ManagerOptions options = manager_options(env.node() + 1);
  options.observe = [&oracle](const ffs::ManagerState& state) { oracle.saw(state); };
  ffs::Manager manager(env, oracle.variant.guard ? static_cast<kv::KvStore&>(*store) : careless, options);
  rpc::Server server(env);
  FF_CO_TRY(server.add(manager));
  FF_CO_TRY(co_await server.listen(net::Address::tcp("", kMgmtPort)));
  manager.start();
  runtime::Event forever;
  (void)co_await forever.wait();
  co_await manager.stop();
  co_await server.stop(1s);
  co_return {};
}

namespace {

// Refusals may pass: a chain that does not serve, spare targets whose nodes are down.
template <class Ask>
Task<Result<>> ask_until_done(SimEnv& env, Ask ask) {
  for (const runtime::Time end = env.now() + 60s;;) {
    const Result<> done = co_await ask();
    if (done || env.now() > end) co_return done;
    FF_CO_TRY(co_await runtime::sleep(std::chrono::milliseconds(50 + env.rng().below(200))));
  }
}

Task<Result<>> drain_node(SimEnv& env, ffs::MgmtClient& mgmt, std::size_t index, ffs::Drain drain) {
  co_return co_await ask_until_done(env, [&]() -> Task<Result<>> {
    ffs::SetNodeRequest request;
    request.set_node(storage_number(index));
    request.set_drain(drain);
    FF_CO_TRY(co_await mgmt.set_node(std::move(request), 5s));
    co_return {};
  });
}

Task<Result<>> drain_target(SimEnv& env, ffs::MgmtClient& mgmt, std::uint64_t target) {
  co_return co_await ask_until_done(env, [&]() -> Task<Result<>> {
    ffs::SetTargetRequest request;
    request.set_target(target);
    request.set_drain(ffs::DRAIN_OUT);
    FF_CO_TRY(co_await mgmt.set_target(std::move(request), 5s));
    co_return {};
  });
}

Task<Result<>> administrate(SimEnv& env, ffs::MgmtClient& mgmt, Oracle& oracle, Wishes wishes) {
  FF_CO_TRY(co_await mgmt.install_chains(install_request(), 60s));
  FF_CO_TRY(co_await runtime::sleep(std::chrono::milliseconds(env.rng().below(4000))));
  if (wishes.drain) {
    for (std::size_t chain = 0; chain < kStorageNodes; ++chain)
      for (std::size_t replica = 0; replica < kReplicas; ++replica)
        if (host_of(chain, replica) == 0) oracle.expect_out(target_number(chain, replica));
    FF_CO_TRY(co_await drain_node(env, mgmt, 0, ffs::DRAIN_OUT));
    oracle.expect_out(target_number(1, 0));
    FF_CO_TRY(co_await drain_target(env, mgmt, target_number(1, 0)));
  }
  if (wishes.regret) {
    FF_CO_TRY(co_await drain_node(env, mgmt, 2, ffs::DRAIN_OUT));
    FF_CO_TRY(co_await runtime::sleep(std::chrono::milliseconds(env.rng().below(1000))));
    FF_CO_TRY(co_await drain_node(env, mgmt, 2, ffs::DRAIN_UNDO));
  }
  co_return {};
}

}  // namespace

Task<Result<>> run_install(SimEnv& env, Oracle& oracle, Wishes wishes) {
  ffs::MgmtClient mgmt(env, managers(env.world()), client_options());
  const Result<> done = co_await administrate(env, mgmt, oracle, wishes);
  co_await mgmt.stop();
  co_return done;
}

// ---- storage nodes --------------------------------------------------------------------------------------------------

struct StorageProcess {
  SimEnv& env;
  Oracle& oracle;
  ffs::MgmtClient mgmt;
  std::map<ffs::TargetId, ffs::TargetLife> lives;
  std::set<ffs::TargetId> syncing;
  ffs::HeartbeatSender heartbeats;
  runtime::Scope scope;

  StorageProcess(SimEnv& e, Oracle& o)
      : env(e),
        oracle(o),
        mgmt(e, managers(e.world()), client_options()),
        heartbeats(e, mgmt, {.cluster = cluster_id(), .node = info(), .interval = 100ms}, [this] { return reports(); }),
        scope(e) {
    for (std::size_t chain = 0; chain < kStorageNodes; ++chain)
      for (std::size_t replica = 0; replica < kReplicas; ++replica)
        if (storage_number(host_of(chain, replica)) == env.node() + 1)
          lives[ffs::TargetId{target_number(chain, replica)}];
    for (std::size_t spare = 0; spare < kSpares; ++spare)
      lives[ffs::TargetId{spare_number(env.node() - kManagers, spare)}];
    oracle.processes.insert(this);
  }
  StorageProcess(const StorageProcess&) = delete;
  ~StorageProcess() { oracle.processes.erase(this); }

  ffs::NodeInfo info() const {
    ffs::NodeInfo node;
    node.set_node(env.node() + 1);
    node.add_roles(ffs::ROLE_STORED);
    node.add_addresses(env.world().address(env.node(), 9700).text());
    return node;
  }

  std::vector<ffs::TargetReport> reports() {
    std::vector<ffs::TargetReport> out;
    for (auto& [target, life] : lives) {
      const auto place = ffs::place_of(mgmt.current().get(), target);
      advance(life, place);
      ffs::TargetReport& report = out.emplace_back();
      report.set_target(number(target));
      report.set_local(local_state(life, place));
      report.set_chain_version(place.version);
    }
    return out;
  }

  // By this process' own judgement, at this moment.
  bool serves(ffs::TargetId target, ffs::ChainVersion& version) const {
    const bool lease = !oracle.variant.lease || env.now() < heartbeats.serve_until() + oracle.variant.late;
    ffs::TargetLife life = lives.at(target);
    const auto place = ffs::place_of(mgmt.current().get(), target);
    advance(life, place);
    version = place.version;
    return lease && may_serve(life, place);
  }

  Task<void> sync(ffs::TargetId target, ffs::ChainVersion version) {
    const bool slept(co_await runtime::sleep(std::chrono::milliseconds(20 + env.rng().below(300))));
    syncing.erase(target);
    const auto place = ffs::place_of(mgmt.current().get(), target);
    ffs::TargetLife& life = lives[target];
    advance(life, place);
    const bool same = place.version == version || !oracle.variant.sync_for_version;
    if (!slept || !may_sync(life, place) || !same) co_return;
    life.synced = place.version;
    oracle.synced(target, version);
    heartbeats.poke();
  }

  Task<void> follow() {
    std::uint64_t version = 0;
    for (;;) {
      const auto view = co_await mgmt.newer_than(version, 1s);
      if (!view && scope.context().cancelled()) co_return;
      if (view) version = (*view)->version();
      for (auto& [target, life] : lives) {
        const auto place = ffs::place_of(mgmt.current().get(), target);
        advance(life, place);
        if (may_sync(life, place) && life.synced != place.version && syncing.insert(target).second)
          scope.spawn(sync(target, place.version));
      }
      if (view) heartbeats.poke();
    }
  }

  // Disks fail and recover.
  Task<void> fail_now_and_then(runtime::Time until) {
    for (;;) {
      if (!co_await runtime::sleep(std::chrono::milliseconds(env.rng().below(6000)))) co_return;
      if (env.world().now() > until) co_return;
      auto life = lives.begin();
      std::advance(life, env.rng().below(lives.size()));
      life->second.usable = false;
      advance(life->second, ffs::place_of(mgmt.current().get(), life->first));
      heartbeats.poke();
      (void)co_await runtime::sleep(std::chrono::milliseconds(env.rng().below(500)));
      // A real disk returns with a new process, which the manager tells from the old one. Here the manager must have
      // heard that it is offline, and have answered with what is so now: the second answer is to what was said after.
      for (int answers = 0; answers < 2;) {
        const runtime::Time before = heartbeats.serve_until();
        if (!co_await runtime::sleep(20ms)) co_return;
        if (heartbeats.serve_until() != before) ++answers;
      }
      life->second.usable = true;
      heartbeats.poke();
    }
  }
};

Task<Result<>> run_storage(SimEnv& env, Oracle& oracle, runtime::Time flaky_until) {
  StorageProcess process(env, oracle);
  process.heartbeats.start();
  (void)co_await process.mgmt.start(10s);
  for (auto& [target, life] : process.lives) life.usable = true;
  process.scope.spawn(process.follow());
  process.scope.spawn(process.fail_now_and_then(flaky_until));
  runtime::Event forever;
  (void)co_await forever.wait();
  process.scope.cancel();
  (void)co_await process.scope.join();
  co_await process.heartbeats.stop();
  co_await process.mgmt.stop();
  co_return {};
}

// ---- the oracle -----------------------------------------------------------------------------------------------------

void Oracle::saw(const ffs::ManagerState& state) {
  if (state.version < version_)
    world_.convict(fmt::format("routing went back from version {} to {}", version_, state.version));
  version_ = std::max(version_, state.version);
  for (const auto& [id, chain] : state.chains) saw_chain(chain);
  replacing_.clear();
  for (const auto& [id, target] : state.targets) replacing_.insert(target.replacement());
  for (const auto& [id, chain] : chains_)
    if (!state.chains.contains(id)) world_.convict(fmt::format("chain {} was lost", id));
  check_fencing();
}

void Oracle::saw_chain(const ffs::ChainInfo& chain) {
  const auto known = chains_.find(chain.chain());
  if (known == chains_.end()) {
    chains_[chain.chain()] = chain;
    for (const ffs::ChainMember& member : chain.members()) served_.insert(member.target());
    return;
  }
  const ffs::ChainInfo before = known->second;
  if (before.SerializeAsString() == chain.SerializeAsString()) return;
  const auto wrong = [&](const char* what) {
    world_.convict(fmt::format("{}: {} -> {}", what, text(before), text(chain)));
  };
  ++changes_;
  world_.note(testing::kNoNode, text(chain));
  if (chain.version() != before.version() + 1) return wrong("chain versions do not grow by one");
  if (count(chain, ffs::SYNCING) > 1) return wrong("two sync");
  if (count(chain, ffs::SYNCING) == 1 && count(chain, ffs::SERVING) == 0) return wrong("syncs from nobody");
  if (!std::ranges::is_sorted(chain.members(), {}, &ffs::ChainMember::state)) return wrong("out of order");
  if (count(chain, ffs::SERVING) + count(chain, ffs::LASTSRV) == 0) return wrong("the last complete replica is lost");
  for (const ffs::ChainMember& member : chain.members()) {
    const auto old = state_in(before, member.target());
    if (member.state() != ffs::SERVING || old == ffs::SERVING) continue;
    const bool has_synced = old == ffs::SYNCING && synced_[ffs::TargetId{member.target()}] == before.version();
    const bool returns = old == ffs::LASTSRV && count(before, ffs::SERVING) == 0 && count(chain, ffs::SERVING) == 1;
    if (!has_synced && !returns) return wrong("serves, and is not complete");
  }
  for (const ffs::ChainMember& member : before.members()) {
    if (state_in(chain, member.target()) != ffs::PUBLIC_NONE) continue;
    if (member.state() != ffs::OFFLINE) return wrong("a member that is not offline was removed");
    // A replacement that is down makes room for another one; of the others no copy may be given up.
    const bool had = served_.erase(member.target()) == 1;
    if (had && !replacing_.contains(member.target()) && count(chain, ffs::SERVING) < kReplicas)
      return wrong("a copy was given up");
  }
  for (const ffs::ChainMember& member : chain.members())
    if (member.state() == ffs::SERVING) served_.insert(member.target());
  known->second = chain;
}

void Oracle::check_fencing() {
  for (const StorageProcess* process : processes) {
    for (const auto& [target, life] : process->lives) {
      ffs::ChainVersion version = 0;
      if (!process->serves(target, version)) continue;
      for (const auto& [id, chain] : chains_) {
        const auto state = state_in(chain, number(target));
        if (state == ffs::PUBLIC_NONE || state == ffs::SERVING || chain.version() <= version) continue;
        // Nobody goes on: a LASTSRV member whose process was replaced, say, while it was put back in service.
        if (count(chain, ffs::SERVING) == 0) continue;
        world_.convict(fmt::format("target {} serves by version {}, and others go on without it: {}", number(target),
                                   version, text(chain)));
      }
    }
  }
}

bool Oracle::all_serve(std::size_t chains) const {
  return chains_.size() == chains && std::ranges::all_of(chains_, [&](const auto& c) {
           return count(c.second, ffs::SERVING) == kReplicas && c.second.members_size() == kReplicas &&
                  std::ranges::none_of(
                      out_, [&](std::uint64_t target) { return state_in(c.second, target) != ffs::PUBLIC_NONE; });
         });
}

std::string Oracle::describe() const {
  std::string out;
  for (const auto& [id, chain] : chains_) out += text(chain) + "; ";
  return out;
}

}  // namespace ff::sim
