#include "tests/unit/ffs/client/scripted_world.hpp"

#include "ffs/daemon/daemon.hpp"
#include "ffs/mgmt/heartbeat_sender.hpp"
#include "ffs/store/chunk_store.hpp"
#include "libcommon/kv/memory_store.hpp"
#include "libcommon/rpc/server.hpp"

namespace ff::ffs {

using namespace std::chrono_literals;
using runtime::Task;
using testing::SimEnv;

namespace {

constexpr std::uint16_t kPort = 9601;
constexpr std::uint32_t kChunkBytes = 64u << 10;
constexpr const char* kFolder = "/disk";

}  // namespace

class ScriptedWorld::Cluster final : public StoreOpener {
 public:
  Cluster(testing::SimWorld& world, ScriptedMeta& meta)
      : world_(world), meta_(meta), kv_({.seed = 1, .clock = [&world] { return world.now(); }}) {
    daemon_ = world.add_node({.role = "daemon"});
    names_ = world.add_node({.role = "metad"});
    client_ = world.add_node({.role = "client"});
    file_.id.fill(std::byte{7});
    file_.replicas = 1;
    file_.chunk_bytes = kChunkBytes;
    file_.capacity_bytes = 64u << 20;
    file_.journal_bytes = 4u << 20;
    file_.failure_timeout = 1s;
    ClusterNode& line = file_.nodes.emplace_back();
    line.id = NodeId{1};
    line.address = world.address(daemon_, kPort);
    line.mgmtd = line.stored = true;
    line.folders = {kFolder};
    world.start(daemon_, [this](SimEnv& env) -> Task<Result<>> { co_return co_await serve_chunks(env); });
    world.start(names_, [this](SimEnv& env) -> Task<Result<>> { co_return co_await serve_names(env); });
  }

  const ClusterFile& file() const noexcept { return file_; }
  testing::NodeId client() const noexcept { return client_; }
  bool up() const noexcept { return chunks_up_ && names_up_; }

  Task<Result<std::unique_ptr<kv::KvStore>>> open(runtime::Env& env, StorePlace, std::string) override {
    co_return std::unique_ptr<kv::KvStore>(kv_.connect(env));
  }

 private:
  Task<Result<>> serve_chunks(SimEnv& env) {
    FF_CO_TRY(co_await env.disk().make_folder(kFolder));
    const TargetFolder target = target_folders(file_, file_.nodes[0])[0];
    FF_CO_TRY(co_await ChunkStore::format(
        env, target.path, {.cluster = file_.id, .target = target.target, .generation = 1},
        {.capacity_bytes = file_.capacity_bytes, .checksum_bytes = 4096, .journal_bytes = file_.journal_bytes}));
    Daemon daemon(env, file_, file_.nodes[0], *this);
    FF_CO_TRY(co_await daemon.start());
    MgmtClient manager(env, file_.managers(), {.cluster = cluster_bytes(file_)});
    InstallChainsRequest request;
    request.set_cluster(cluster_bytes(file_));
    request.mutable_table()->set_table(number(kDefaultTable));
    request.mutable_table()->set_replicas(1);
    request.mutable_table()->add_chains(1);
    TargetInfo& info = *request.add_targets();
    info.set_target(number(target.target));
    info.set_node(1);
    info.set_path(target.path);
    ChainInfo& chain = *request.add_chains();
    chain.set_chain(1);
    ChainMember& member = *chain.add_members();
    member.set_target(number(target.target));
    member.set_state(SERVING);
    chain.add_preferred_order(number(target.target));
    FF_CO_TRY(co_await manager.install_chains(std::move(request), 30s));
    chunks_up_ = true;
    runtime::Event never;
    co_return co_await never.wait();
  }

  Task<Result<>> serve_names(SimEnv& env) {
    rpc::Server server(env);
    FF_CO_TRY(server.add(meta_));
    const net::PeerAddress address = world_.address(names_, kPort);
    FF_CO_TRY(co_await server.listen(address.planes.front()));
    MgmtClient manager(env, file_.managers(), {.cluster = cluster_bytes(file_)});
    NodeInfo info;
    info.set_node(2);
    info.add_roles(ROLE_METAD);
    for (const net::Address& plane : address.planes) info.add_addresses(plane.text());
    HeartbeatSender heartbeats(env, manager, {.cluster = cluster_bytes(file_), .node = info}, {});
    heartbeats.start();
    while (!heartbeats.may_serve()) FF_CO_TRY(co_await runtime::sleep(10ms));
    names_up_ = true;
    runtime::Event never;
    co_return co_await never.wait();
  }

  testing::SimWorld& world_;
  ScriptedMeta& meta_;
  kv::MemoryCluster kv_;
  ClusterFile file_;
  testing::NodeId daemon_, names_, client_;
  bool chunks_up_ = false, names_up_ = false;
};

ScriptedWorld::ScriptedWorld() : world_(1), cluster_(std::make_unique<Cluster>(world_, meta_)) {
  const auto up = world_.run_until([this] { return cluster_->up(); }, 60s, "the services");
  EXPECT_TRUE(up.has_value()) << up.error().message();
}

ScriptedWorld::~ScriptedWorld() {
  for (testing::NodeId node = 0; node < world_.nodes(); ++node) world_.kill(node);
}

FileSystemOptions ScriptedWorld::options() const {
  return {.managers = cluster_->file().managers(), .cluster = cluster_bytes(cluster_->file())};
}

void ScriptedWorld::run_main(testing::Main main) {
  world_.start(cluster_->client(), std::move(main));
  const auto ran = world_.run_until([&] { return world_.exited(cluster_->client()); }, 10min, "the client");
  ASSERT_TRUE(ran.has_value()) << ran.error().message();
  const Result<>& result = world_.exit_result(cluster_->client());
  EXPECT_TRUE(result.has_value()) << result.error().message();
}

Attributes ScriptedWorld::in_chunks(std::uint64_t version, std::uint64_t epoch, std::uint64_t size) {
  Attributes out;
  out.set_inode(2000);
  out.set_type(REGULAR);
  out.set_mode(0644);
  out.set_links(1);
  out.set_size(size);
  out.set_truncate_epoch(epoch);
  out.set_version(version);
  out.mutable_layout()->set_table(number(kDefaultTable));
  out.mutable_layout()->set_table_version(1);
  out.mutable_layout()->set_chunk_bytes(kChunkBytes);
  out.mutable_layout()->set_stripe(1);
  return out;
}

Attributes ScriptedWorld::in_inode(std::uint64_t version, std::string content) {
  Attributes out = in_chunks(version, 0, content.size());
  out.set_inlined(true);
  out.set_inline_data(std::move(content));
  return out;
}

}  // namespace ff::ffs
