#include "ffs/daemon/daemon.hpp"

#include <fmt/core.h>

#include <filesystem>

#include "ffs/daemon/administrator_check.hpp"
#include "ffs/daemon/chain_file_chunks.hpp"
#include "ffs/daemon/counted_store.hpp"
#include "ffs/daemon/manager_sessions.hpp"
#include "ffs/daemon/node_metrics.hpp"
#include "ffs/daemon/node_stats.hpp"
#include "ffs/daemon/target_store.hpp"
#include "ffs/meta/meta_service.hpp"
#include "ffs/meta/users_service.hpp"
#include "ffs/mgmt/mgmt_service.hpp"
#include "libcommon/cli/app.hpp"
#include "libcommon/kv/etcd_store.hpp"
#include "libcommon/kv/rocksdb_store.hpp"
#include "libcommon/rpc/server.hpp"
#include "libcommon/runtime/scope.hpp"
#include "libcommon/runtime/sleep.hpp"

namespace ff::ffs {

using namespace std::chrono_literals;
using runtime::Task;

namespace {

constexpr runtime::Duration kDrain = 2s;
constexpr runtime::Duration kFirstRouting = 5s;
// Some 25 a target, and a node has hundreds of those at most.
constexpr std::size_t kSeriesMost = 100'000;

std::string hex(std::span<const std::byte> bytes) {
  std::string text;
  for (const std::byte byte : bytes) text += fmt::format("{:02x}", static_cast<unsigned>(byte));
  return text;
}

// Of a store that takes the place of a damaged one.
Task<StoreOptions> empty_store_options(runtime::Env& env, const ClusterFile& cluster, std::string folder) {
  StoreOptions options{.capacity_bytes = cluster.capacity_bytes,
                       .checksum_bytes = cluster.checksum_bytes,
                       .journal_bytes = cluster.journal_bytes};
  if (options.capacity_bytes != 0) co_return options;
  const auto space = co_await env.disk().space(std::filesystem::path(folder).parent_path().string());
  // The targets of a folder share it, and something stays free.
  if (space) options.capacity_bytes = space->free_bytes / 100 * 95 / cluster.targets_per_folder();
  co_return options;
}

}  // namespace

RealStoreOpener::RealStoreOpener(const ClusterFile& cluster, bool create)
    : prefix_("ffs/" + hex(cluster.id) + "/"), create_(create) {}

Task<Result<std::unique_ptr<kv::KvStore>>> RealStoreOpener::open(runtime::Env& env, StorePlace place,
                                                                 std::string service) {
  if (place.engine == StorePlace::Engine::kEtcd) {
    co_return co_await kv::open_etcd_store(env, {.endpoints = place.endpoints, .prefix = prefix_ + service + "/"});
  }
  co_return co_await kv::open_rocksdb_store(env, {.path = place.folder, .create = create_});
}

std::vector<TargetFolder> target_folders(const ClusterFile& cluster, const ClusterNode& node) {
  std::vector<TargetFolder> folders;
  for (std::size_t f = 0; f < node.folders.size(); ++f) {
    for (std::size_t i = 0; i < cluster.targets_per_folder(); ++i) {
      const TargetId target = target_id(node.id, f, i);
      folders.push_back({.target = target, .path = fmt::format("{}/{}", node.folders[f], number(target))});
    }
  }
  return folders;
}

Daemon::Daemon(runtime::Env& env, const ClusterFile& cluster, const ClusterNode& node, StoreOpener& stores)
    : env_(env),
      cluster_(cluster),
      node_(node),
      stores_(stores),
      began_(env.now()),
      registry_({.shards = 1, .series_max = kSeriesMost}),  // one thread counts
      sampled_(registry_) {}

Daemon::~Daemon() = default;

NodeInfo Daemon::node_info() const {
  NodeInfo info;
  info.set_node(number(node_.id));
  if (node_.mgmtd) info.add_roles(ROLE_MGMTD);
  if (node_.metad) info.add_roles(ROLE_METAD);
  for (const net::Address& plane : node_.address.planes) info.add_addresses(plane.text());
  info.set_host(node_.address.planes.front().host);
  info.set_version(cli::build_version());
  return info;
}

Task<Result<>> Daemon::start_manager() {
  FF_CO_TRY_ASSIGN(manager_store_, co_await stores_.open(env_, cluster_.mgmtd_store, "mgmtd"));
  ManagerOptions options{.cluster = cluster_bytes(cluster_),
                         .node = number(node_.id),
                         .address = node_.address.text(),
                         .failure_timeout = cluster_.failure_timeout,
                         .share_hosts = cluster_.one_host};
  if (cluster_.require_tokens) {
    administrators_ = std::make_unique<AdministratorCheck>(env_, *mgmt_);
    options.administrators = administrators_.get();
  }
  manager_ = std::make_unique<Manager>(env_, *manager_store_, std::move(options));
  manager_->start();
  co_return {};
}

Task<Result<>> Daemon::start_namespace() {
  FF_CO_TRY_ASSIGN(auto store, co_await stores_.open(env_, cluster_.metad_store, "metad"));
  names_store_ = std::make_unique<CountedStore>(env_, std::move(store), registry_, "ff_ffs_meta");
  chunks_client_ = std::make_unique<StorageClient>(env_, *mgmt_);
  chunks_ = std::make_unique<ChainFileChunks>(*chunks_client_, *mgmt_);
  sessions_ = std::make_unique<ManagerSessions>(*mgmt_);
  NamespaceServiceOptions options;
  options.identities.required = cluster_.require_tokens;
  options.names.default_layout = [this]() -> std::optional<LayoutInfo> {
    const auto view = mgmt_->current();
    const std::uint64_t version = view == nullptr ? 0 : view->latest_version(kDefaultTable);
    if (version == 0) return std::nullopt;
    LayoutInfo layout;
    layout.set_table(number(kDefaultTable));
    layout.set_table_version(version);
    layout.set_chunk_bytes(cluster_.chunk_bytes);
    const std::size_t chains = view->table(kDefaultTable, version).size();
    layout.set_stripe(
        static_cast<std::uint32_t>(cluster_.stripe == 0 ? chains : std::min<std::size_t>(cluster_.stripe, chains)));
    return layout;
  };
  options.names.has_table = [this](const LayoutInfo& layout) -> std::optional<bool> {
    const auto view = mgmt_->current();
    if (view == nullptr) return std::nullopt;
    return !view->table(TableId{layout.table()}, layout.table_version()).empty();
  };
  names_ = std::make_unique<NamespaceService>(env_, *names_store_, *chunks_, *sessions_, std::move(options));
  users_ = std::make_unique<UsersAdministration>(names_->users(), names_->identities());
  co_return co_await names_->start();
}

Task<Result<>> Daemon::start() {
  mgmt_ =
      std::make_unique<MgmtClient>(env_, cluster_.managers(), MgmtClientOptions{.cluster = cluster_bytes(cluster_)});
  if (node_.mgmtd) FF_CO_TRY(co_await start_manager());
  if (node_.metad) FF_CO_TRY(co_await start_namespace());
  const net::Address& at = node_.address.planes.front();
  stats_ = std::make_unique<NodeStats>(registry_, node_.id, [this]() -> std::uint64_t {
    sample();
    const HeartbeatSender* const sender = heartbeats();
    return sender == nullptr ? 0 : sender->incarnation();
  });
  std::vector<rpc::Service*> services = {stats_.get()};
  if (manager_ != nullptr) services.push_back(manager_.get());
  if (names_ != nullptr) services.insert(services.end(), {names_.get(), users_.get()});
  if (node_.stored) {
    storage_ = std::make_unique<StorageServer>(env_, *mgmt_,
                                               StorageServerOptions{.cluster = cluster_bytes(cluster_),
                                                                    .node = node_info(),
                                                                    .beside = services,
                                                                    .target = {.registry = &registry_},
                                                                    .server = {.registry = &registry_}});
    for (TargetFolder& folder : target_folders(cluster_, node_)) {
      const StoreIdentity identity{.cluster = cluster_.id, .target = folder.target, .generation = env_.rng().next()};
      const StoreOptions options = co_await empty_store_options(env_, cluster_, folder.path);
      storage_->add(folder.target, folder.path, co_await open_target_store(env_, folder.path, identity, options));
    }
    FF_CO_TRY(co_await storage_->start(at));
  } else {
    server_ = std::make_unique<rpc::Server>(env_, rpc::ServerOptions{.registry = &registry_});
    for (rpc::Service* const service : services) FF_CO_TRY(server_->add(*service));
    FF_CO_TRY(co_await server_->listen(at));
    heartbeats_ = std::make_unique<HeartbeatSender>(
        env_, *mgmt_, HeartbeatSenderOptions{.cluster = cluster_bytes(cluster_), .node = node_info()},
        HeartbeatSender::Reports());
    heartbeats_->start();
  }
  // Without a manager it waits for one: the order in which processes start does not matter.
  if (const Result<> followed = co_await mgmt_->start(kFirstRouting);
      !followed && followed.error().code() != Errc::kTimeout && followed.error().code() != Errc::kUnavailable) {
    co_return fail(followed.error());
  }
  about_ = fmt::format("node {} at {}:{}{}{}", number(node_.id), node_.address.text(), node_.mgmtd ? " mgmtd" : "",
                       node_.metad ? " metad" : "", node_.stored ? " stored" : "");
  co_return {};
}

bool Daemon::unused(const TargetFolder& folder) const {
  const std::uint64_t index = (number(folder.target) & 0xfff) - 1;
  return index >= cluster_.chains_per_target_folder && storage_->target(folder.target) == nullptr &&
         number(place_of(mgmt_->current().get(), folder.target).chain) == 0;
}

const HeartbeatSender* Daemon::heartbeats() const {
  return storage_ != nullptr ? &storage_->heartbeats() : heartbeats_.get();
}

void Daemon::sample() {
  sampled_.begin();
  const HeartbeatSender* const sender = heartbeats();
  sample_node(sampled_, cli::build_version(), env_.now() - began_,
              sender == nullptr ? runtime::Duration(0) : sender->serve_until() - env_.now());
  if (storage_ != nullptr) {
    for (const TargetFolder& folder : target_folders(cluster_, node_)) {
      Target* const target = storage_->target(folder.target);
      if (unused(folder)) continue;
      if (target == nullptr) {
        sample_closed_target(sampled_, folder.target);
      } else {
        sample_target(sampled_, target->status());
      }
    }
  }
  if (names_ != nullptr) sample_namespace(sampled_, names_->housekeeping().bad_records());
  if (manager_ != nullptr) {
    sample_manager(sampled_, manager_->primary(), manager_->primary() ? manager_->routing() : Routing());
  }
  sampled_.end();
}

Result<> Daemon::health() const {
  const HeartbeatSender* const sender = heartbeats();
  if (sender == nullptr || !sender->may_serve())
    return fail(Errc::kUnavailable, "no lease: the manager has not answered lately (is it up, and does it reach us?)");
  if (manager_ != nullptr && !manager_->primary() && manager_->trouble()) return fail(*manager_->trouble());
  if (storage_ == nullptr) return {};
  for (const TargetFolder& folder : target_folders(cluster_, node_)) {
    Target* const target = storage_->target(folder.target);
    if (unused(folder)) continue;
    if (target == nullptr) return fail(Errc::kIo, fmt::format("{}: its store did not open", folder.path));
    if (const std::string trouble = target->status().trouble(); !trouble.empty())
      return fail(Errc::kIo, fmt::format("{}: {}", folder.path, trouble));
  }
  return {};
}

Task<Error> Daemon::ended() {
  while (true) {
    if (const auto& refused = heartbeats()->refused()) co_return *refused;
    if (const Result<> slept = co_await runtime::sleep(500ms); !slept) co_return slept.error();
  }
}

// Under a context of its own: ours may be cancelled, and stores and farewells need time that is not.
Task<void> Daemon::stop() {
  runtime::Scope scope(env_);
  scope.spawn(stop_all());
  (void)co_await scope.join();
}

// Who depends on others goes before them.
Task<void> Daemon::stop_all() {
  if (names_ != nullptr) co_await names_->stop();
  if (heartbeats_ != nullptr) co_await heartbeats_->stop();
  if (manager_ != nullptr && storage_ == nullptr) co_await manager_->stop();
  if (storage_ != nullptr) co_await storage_->stop();
  if (manager_ != nullptr && storage_ != nullptr) co_await manager_->stop();
  if (server_ != nullptr) co_await server_->stop(kDrain);
  if (administrators_ != nullptr) co_await administrators_->stop();
  if (chunks_client_ != nullptr) co_await chunks_client_->stop();
  if (mgmt_ != nullptr) co_await mgmt_->stop();
  if (names_store_ != nullptr) co_await names_store_->stop();
  if (manager_store_ != nullptr) co_await manager_store_->stop();
}

}  // namespace ff::ffs
