#include "tests/sim/ffs_storage/craq_cluster.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cstring>

#include "ffs/mgmt/mgmt_service.hpp"
#include "ffs/storage/storage_client.hpp"
#include "ffs/storage/storage_server.hpp"
#include "libcommon/base/defer.hpp"
#include "libcommon/kv/memory_store.hpp"
#include "libcommon/testing/linearizability.hpp"
#include "libcommon/testing/sim_env.hpp"
#include "tests/sim/ffs_storage/model_store.hpp"

namespace ff::ffs {

using namespace std::chrono_literals;
using runtime::Task;
using testing::SimEnv;
using testing::SimWorld;

namespace {

constexpr std::uint16_t kPort = 7000;
constexpr std::string_view kCluster = "0123456789abcdef";
constexpr testing::NodeId kManager = 0;
constexpr std::uint32_t kChunkBytes = kChunkBytesMin;

struct Shared {
  CraqOptions options;
  std::unique_ptr<kv::MemoryCluster> kv;
  std::map<TargetId, ModelDisk> disks;
  std::map<TargetId, ChunkStore*> stores;  // of the processes that run
  testing::RegisterHistory history;
  std::int64_t next_value = 1;
  std::size_t running = 0;       // clients that still operate
  bool others_are_back = false;  // with head_comes_back_empty
  std::shared_ptr<const RoutingView> view;
  std::map<ChainId, ChainVersion> versions;

  testing::NodeId storage_node(std::size_t i) const { return static_cast<testing::NodeId>(1 + i); }
  testing::NodeId client_node(std::size_t i) const { return static_cast<testing::NodeId>(1 + options.nodes + i); }
  // Member i of chain c, and where it lives.
  TargetId target(std::size_t c, std::size_t i) const { return TargetId{100 * (c + 1) + i + 1}; }
  std::size_t node_of(std::size_t c, std::size_t i) const { return (c + i) % options.nodes; }
};

MgmtClientOptions manager_options() { return {.cluster = std::string(kCluster), .poll = 1s, .attempt = 300ms}; }

Task<Result<>> for_ever() {
  runtime::Event never;
  co_return co_await never.wait();
}

Task<Result<>> run_manager(SimEnv& env, Shared& shared) {
  const auto store = shared.kv->connect(env);
  Manager manager(env, *store,
                  {.cluster = std::string(kCluster),
                   .node = 1000,
                   .failure_timeout = shared.options.failure_timeout,
                   .primary_ttl = 1s,
                   .observe = {}});
  rpc::Server server(env);
  FF_CO_TRY(server.add(manager));
  FF_CO_TRY(co_await server.listen(net::Address::tcp("", kPort)));
  manager.start();
  co_return co_await for_ever();
}

std::string folder_of(TargetId id) { return fmt::format("target{}", number(id)); }

StoreIdentity identity_of(TargetId id, std::uint64_t generation) {
  StoreIdentity out{.cluster = {}, .target = id, .generation = generation};
  std::memcpy(out.cluster.data(), kCluster.data(), out.cluster.size());
  return out;
}

Task<Result<std::unique_ptr<ChunkStore>>> open_real(SimEnv& env, TargetId id) {
  auto store = co_await ChunkStore::open(env, folder_of(id));
  if (store || store.error().code() != Errc::kNotFound) co_return std::move(store);
  // The power may have gone while it was being made: who formats a disk would begin again.
  if (const auto names = co_await env.disk().list(folder_of(id)))
    for (const std::string& name : *names) FF_CO_TRY(co_await env.disk().remove(folder_of(id) + "/" + name));
  FF_CO_TRY(co_await ChunkStore::format(env, folder_of(id), identity_of(id, 1),
                                        {.capacity_bytes = 256u << 20, .journal_bytes = 4u << 20}));
  co_return co_await ChunkStore::open(env, folder_of(id));
}

Task<Result<>> run_storage(SimEnv& env, Shared& shared, std::size_t index) {
  MgmtClient mgmt(env, {env.world().address(kManager, kPort)}, manager_options());
  (void)co_await mgmt.start(100ms);
  NodeInfo node;
  node.set_node(index + 1);
  node.add_addresses(env.world().address(env.node(), kPort).text());
  node.set_host(fmt::format("host{}", index));
  TargetOptions target{.forward_timeout = 300ms,
                       .update_timeout = shared.options.update_timeout,
                       .routing_wait = 100ms,
                       .settle_every = 50ms,
                       .resync_pause = 50ms,
                       .scrub_bytes_per_second = 64 << 20,
                       .scrub_pause = 300ms,
                       .tombstones_kept = 20s,
                       .hazards = shared.options.hazards};
  StorageServer server(
      env, mgmt, {.cluster = std::string(kCluster), .node = node, .target = target, .server = {}, .authorize = {}});
  std::vector<TargetId> mine;
  const Defer gone([&] {
    for (const TargetId id : mine) shared.stores.erase(id);
  });
  for (std::size_t c = 0; c < shared.options.chains; ++c) {
    for (std::size_t i = 0; i < shared.options.replicas; ++i) {
      if (shared.node_of(c, i) != index) continue;
      const TargetId id = shared.target(c, i);
      ModelDisk& disk = shared.disks[id];
      if (disk.opened == 0) disk.identity = identity_of(id, 1);
      if (shared.options.real_store) {
        auto store = co_await open_real(env, id);
        if (!store) env.world().convict(fmt::format("{}: does not open: {}", folder_of(id), store.error().message()));
        server.add(id, folder_of(id), std::move(store));
      } else {
        server.add(id, folder_of(id), std::make_unique<ModelStore>(env, disk));
      }
      Target* const target_of_server = server.target(id);
      if (target_of_server == nullptr) {
        env.world().convict(folder_of(id) + ": its store was refused");
        co_return co_await for_ever();
      }
      shared.stores[id] = &target_of_server->store();
      mine.push_back(id);
    }
  }
  FF_CO_TRY(co_await server.start(net::Address::tcp("", kPort)));
  co_return co_await for_ever();
}

// Chains of consecutive nodes, so that each node is head of some.
InstallChainsRequest all_chains(const Shared& shared) {
  InstallChainsRequest request;
  request.set_cluster(std::string(kCluster));
  request.mutable_table()->set_table(1);
  request.mutable_table()->set_replicas(static_cast<std::uint32_t>(shared.options.replicas));
  for (std::size_t c = 0; c < shared.options.chains; ++c) {
    ChainInfo& chain = *request.add_chains();
    chain.set_chain(c + 1);
    request.mutable_table()->add_chains(c + 1);
    for (std::size_t i = 0; i < shared.options.replicas; ++i) {
      TargetInfo& target = *request.add_targets();
      target.set_target(number(shared.target(c, i)));
      target.set_node(shared.node_of(c, i) + 1);
      target.set_path("model");
      ChainMember& member = *chain.add_members();
      member.set_target(target.target());
      member.set_state(SERVING);
    }
  }
  return request;
}

bool complete(const RoutingView& view, const CraqOptions& options) {
  for (std::size_t c = 0; c < options.chains; ++c) {
    const Chain* const chain = view.chain(ChainId{c + 1});
    if (chain == nullptr || chain->serving().size() != options.replicas) return false;
  }
  return true;
}

struct Register {
  ChainId chain;
  ChunkId chunk;
  std::string key;
};

// The value in every eighth byte's place, so that a mix of two writes is seen.
std::vector<std::byte> encode(std::int64_t value, std::size_t bytes) {
  std::vector<std::byte> out(bytes);
  for (std::size_t at = 0; at + 8 <= bytes; at += 8) std::memcpy(out.data() + at, &value, 8);
  return out;
}

class Client {
 public:
  Client(SimEnv& env, Shared& shared, StorageClient& storage, std::uint32_t number)
      : env_(env), shared_(shared), storage_(storage), number_(number) {}

  Register pick() {
    const std::size_t n = env_.rng().below(shared_.options.chunks);
    const ChunkId chunk{InodeId{17}, n};
    return {ChainId{n % shared_.options.chains + 1}, chunk, to_text(chunk)};
  }

  Task<void> operate_once() {
    const Register at = pick();
    const std::uint64_t what = env_.rng().below(20);
    if (what < 9) {
      co_await write(at);
    } else if (what < 10) {
      co_await remove(at);
    } else {
      co_await read(at);
    }
  }

  Task<void> write(Register at) {
    const std::int64_t value = shared_.next_value++;
    const std::vector<std::byte> bytes = encode(value, value_bytes());
    const auto id = begin(testing::RegisterOpKind::kWrite, at, std::to_string(value));
    auto done =
        co_await storage_.update({{.chain = at.chain, .chunk = at.chunk, .data = bytes, .chunk_bytes = kChunkBytes}});
    end_write(id, done.front());
  }

  Task<void> remove(Register at) {
    const auto id = begin(testing::RegisterOpKind::kWrite, at, std::nullopt);
    auto done = co_await storage_.update(
        {{.chain = at.chain, .chunk = at.chunk, .kind = UpdateKind::kRemove, .chunk_bytes = kChunkBytes}});
    end_write(id, done.front());
  }

  Task<void> read(Register at) {
    std::vector<std::byte> bytes(value_bytes());
    const auto id = begin(testing::RegisterOpKind::kRead, at, std::nullopt);
    const auto done = co_await storage_.read({{.chain = at.chain, .chunk = at.chunk, .into = bytes}},
                                             shared_.options.relaxed_reads ? ReadMode::kRelaxed : ReadMode::kStrict);
    if (!done.front()) co_return;
    if (done.front()->version == 0) {
      shared_.history.end_read(id, std::nullopt, env_.world().now());
      co_return;
    }
    std::int64_t value = 0;
    std::memcpy(&value, bytes.data(), 8);
    if (done.front()->bytes != bytes.size() || encode(value, bytes.size()) != bytes)
      env_.world().convict(fmt::format("{}: a read gave a mix of writes, or a part of one", at.key));
    shared_.history.end_read(id, std::to_string(value), env_.world().now());
  }

 private:
  std::size_t value_bytes() const { return shared_.options.large ? 40960 : 256; }
  std::size_t begin(testing::RegisterOpKind kind, const Register& at, testing::RegisterValue value) {
    return shared_.history.begin(
        {.kind = kind, .client = number_, .key = at.key, .expected = {}, .value = std::move(value), .returned = {}},
        env_.world().now());
  }
  void end_write(std::size_t id, const Result<ChunkUpdated>& done) {
    if (done) {
      shared_.history.end_write(id, env_.world().now());
    } else if (done.error().code() == Errc::kUnavailable) {
      shared_.history.drop(id);
    } else if (done.error().code() != Errc::kTimeout) {
      env_.world().convict("an update failed: " + done.error().message());
    }
  }

  SimEnv& env_;
  Shared& shared_;
  StorageClient& storage_;
  const std::uint32_t number_;
};

// The manager hears of deaths one by one: the head may have been the last for it, and the only complete copy. Nothing
// serves then until an administrator, who knows that all lost power at once, says whose copy counts.
Task<void> give_up_on_head(MgmtClient* mgmt, const Shared* shared) {
  while (!mgmt->current() || mgmt->current()->message().chains_size() == 0 ||
         !mgmt->current()->chain(ChainId{1})->serving().empty() || !shared->others_are_back) {
    if (!co_await runtime::sleep(50ms)) co_return;
  }
  if (!co_await runtime::sleep(2s)) co_return;
  if (!mgmt->current()->chain(ChainId{1})->serving().empty()) co_return;
  UpdateChainRequest request;
  request.set_chain(1);
  request.set_change(UpdateChainRequest::ROTATE_LASTSRV);
  request.set_target(number(shared->target(0, 1)));
  request.set_force(true);
  (void)co_await mgmt->update_chain(request, 20s);
}

Task<Result<>> run_client(SimEnv& env, Shared& shared, std::size_t index) {
  MgmtClient mgmt(env, {env.world().address(kManager, kPort)}, manager_options());
  (void)co_await mgmt.start(100ms);
  StorageClient storage(env, mgmt, {.timeout = 30s, .attempt_timeout = 700ms, .retry_base = 5ms, .retry_most = 100ms});
  if (index == 0) FF_CO_TRY(co_await mgmt.install_chains(all_chains(shared), 60s));
  while (!mgmt.current() || mgmt.current()->message().chains_size() == 0)
    (void)co_await mgmt.newer_than(mgmt.current() ? mgmt.current()->version() : 0, 1s);
  Client client(env, shared, storage, static_cast<std::uint32_t>(index));
  runtime::Scope scope(co_await runtime::current_context());
  if (index == 0 && shared.options.head_comes_back_empty) scope.spawn(give_up_on_head(&mgmt, &shared));
  for (std::size_t n = 0; n < shared.options.operations; ++n) {
    FF_CO_TRY(co_await runtime::sleep(runtime::Duration(
        static_cast<std::int64_t>(env.rng().below(static_cast<std::uint64_t>(shared.options.spread.count()))))));
    co_await client.operate_once();
  }
  --shared.running;
  // The first one watches the chains become whole again, and reads everything once more.
  if (index == 0) {
    for (;;) {
      shared.view = mgmt.current();
      if (shared.running == 0 && shared.view && complete(*shared.view, shared.options)) break;
      (void)co_await mgmt.newer_than(shared.view ? shared.view->version() : 0, 50ms);
    }
  }
  co_return co_await for_ever();
}

// What two replicas hold of a chain differs only where an update is not settled yet.
bool settled(const Shared& shared) {
  for (std::size_t c = 0; c < shared.options.chains; ++c) {
    std::optional<std::map<ChunkId, std::tuple<ChunkVersion, std::uint32_t, bool>>> first;
    for (std::size_t i = 0; i < shared.options.replicas; ++i) {
      std::map<ChunkId, std::tuple<ChunkVersion, std::uint32_t, bool>> held;
      if (const auto disk = shared.disks.find(shared.target(c, i)); disk != shared.disks.end())
        for (const auto& [id, chunk] : disk->second.chunks)
          if (chunk.rotten) return false;
      const auto store = shared.stores.find(shared.target(c, i));
      if (store == shared.stores.end()) return false;
      for (const ChunkInfo& info : store->second->list({}, 10'000)) {
        if (info.pending || info.bad) return false;
        if (!info.removed) held[info.chunk] = {info.version, info.crc, info.removed};
      }
      if (first && *first != held) return false;
      first = std::move(held);
    }
  }
  return true;
}

// One bit, where another replica still has it right.
void rot_one(SimWorld& world, Shared& shared) {
  const std::size_t c = world.rng().below(shared.options.chains);
  for (std::size_t i = 0; i < shared.options.replicas; ++i)
    for (const auto& [id, chunk] : shared.disks[shared.target(c, i)].chunks)
      if (chunk.rotten || chunk.info.bad) return;
  auto& disk = shared.disks[shared.target(c, world.rng().below(shared.options.replicas))];
  for (auto& [id, chunk] : disk.chunks) {
    if (chunk.info.removed || chunk.info.version == 0 || world.rng().below(2) == 0) continue;
    chunk.rotten = true;
    return;
  }
}

}  // namespace

Result<> craq_scenario(SimWorld& world, const CraqOptions& options) {
  Shared shared;
  shared.options = options;
  shared.running = options.clients;
  shared.kv = std::make_unique<kv::MemoryCluster>(
      kv::MemoryClusterOptions{.seed = world.seed(), .clock = [&world] { return world.now(); }});
  // What runs refers to what is here, and the world outlives it.
  const Defer end([&world] {
    for (testing::NodeId node = 0; node < world.nodes(); ++node) world.kill(node);
  });
  world.add_node({.role = "mgmtd"});
  std::vector<testing::NodeId> suffer = world.add_nodes(options.nodes, {.role = "stored"});
  const auto clients = world.add_nodes(options.clients, {.role = "client"});
  const auto storage = suffer;
  world.start(kManager, [&shared](SimEnv& env) -> Task<Result<>> { co_return co_await run_manager(env, shared); });
  for (std::size_t i = 0; i < options.nodes; ++i)
    world.start(storage[i],
                [&shared, i](SimEnv& env) -> Task<Result<>> { co_return co_await run_storage(env, shared, i); });
  for (std::size_t i = 0; i < options.clients; ++i)
    world.start(clients[i],
                [&shared, i](SimEnv& env) -> Task<Result<>> { co_return co_await run_client(env, shared, i); });
  testing::FaultPlanOptions faults = options.faults;
  faults.nodes = suffer;
  if (options.clients_suffer) {
    faults.kill = faults.pause = runtime::Duration(0);
    faults.nodes.insert(faults.nodes.end(), clients.begin(), clients.end());
  }
  testing::FaultPlan plan(world, faults);
  for (std::size_t i = 0; i < options.rot; ++i)
    world.after(runtime::Duration(static_cast<std::int64_t>(world.rng().below(2'500'000'000))),
                [&] { rot_one(world, shared); });
  for (std::size_t i = 0; i < options.broken_disks; ++i) {
    const TargetId target = shared.target(0, world.rng().below(options.replicas));
    const auto when = runtime::Duration(static_cast<std::int64_t>(500'000'000 + world.rng().below(1'000'000'000)));
    world.after(when, [&shared, target] { shared.disks[target].broken = true; });
    // A new disk later: empty.
    world.after(when + 1s, [&shared, &world, target, storage] {
      const std::size_t node = shared.node_of(0, number(target) % 100 - 1);
      world.kill(storage[node]);
      ModelDisk& disk = shared.disks[target];
      disk.broken = false;
      disk.chunks.clear();
      world.start(storage[node], [&shared, node](SimEnv& env) -> Task<Result<>> {
        co_return co_await run_storage(env, shared, node);
      });
    });
  }
  // Everything loses power, and the head comes back first, with an empty store.
  if (options.head_comes_back_empty) {
    world.after(1s, [&shared, &world, storage] {
      for (const auto node : storage) world.kill(node);
      const TargetId head = shared.target(0, 0);
      shared.disks[head].chunks.clear();
      shared.disks[head].identity = identity_of(head, 2);
    });
    for (std::size_t i = 0; i < storage.size(); ++i) {
      const bool first = i == shared.node_of(0, 0);
      world.after(first ? 2s : 4s, [&shared, &world, storage, i, first] {
        shared.others_are_back = shared.others_are_back || !first;
        world.start(storage[i],
                    [&shared, i](SimEnv& env) -> Task<Result<>> { co_return co_await run_storage(env, shared, i); });
      });
    }
  }
  if (options.kill_all)
    world.after(runtime::Duration(static_cast<std::int64_t>(800'000'000 + world.rng().below(1'000'000'000))), [&] {
      for (const auto node : storage)
        if (world.up(node)) world.restart(node);
    });
  FF_TRY(world.run_until(
      [&] {
        for (const auto node : clients)
          if (world.exited(node)) return true;
        return plan.healed_at() <= world.now() && shared.running == 0;
      },
      180s, "clients end"));
  for (const auto node : clients)
    if (world.exited(node)) FF_TRY(world.exit_result(node));
  FF_TRY(world.run_until([&] { return shared.view && complete(*shared.view, options) && settled(shared); }, 60s,
                         "every chain serves with all replicas, and they are equal"));
  if (options.relaxed_reads) return {};
  return testing::check_linearizable(shared.history.operations());
}

}  // namespace ff::ffs
