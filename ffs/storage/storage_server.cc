#include "ffs/storage/storage_server.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <span>

#include "ffs/storage/storage_peers.hpp"
#include "ffs/storage/storage_service.hpp"

namespace ff::ffs {

using runtime::Task;

namespace {

HeartbeatSenderOptions heartbeat_options(const StorageServerOptions& options) {
  HeartbeatSenderOptions out{.cluster = options.cluster, .node = options.node};
  out.node.add_roles(ROLE_STORED);
  return out;
}

}  // namespace

StorageServer::StorageServer(runtime::Env& env, MgmtClient& mgmt, StorageServerOptions options)
    : env_(env), mgmt_(mgmt), options_(std::move(options)), scope_(env) {
  peers_ = std::make_unique<StoragePeers>(env_);
  service_ = std::make_unique<ChunkTargets>(env_);
}

StorageServer::~StorageServer() = default;

Task<Result<net::Address>> StorageServer::start(net::Address at) {
  heartbeats_ =
      std::make_unique<HeartbeatSender>(env_, mgmt_, heartbeat_options(options_), [this] { return reports(); });
  service_->set_lease_left([this] { return heartbeats_->serve_until() - env_.now(); });
  server_ = std::make_unique<rpc::Server>(env_, options_.server);
  FF_CO_TRY(server_->add(*service_, options_.authorize));
  for (rpc::Service* const service : options_.beside) FF_CO_TRY(server_->add(*service, options_.authorize));
  FF_CO_TRY_ASSIGN(net::Address bound, co_await server_->listen(std::move(at)));
  for (const auto& target : targets_) target->start();
  heartbeats_->start();
  scope_.spawn(follow_routing());
  co_return bound;
}

void StorageServer::add(TargetId target, std::string path, Result<std::unique_ptr<ChunkStore>> store) {
  if (store && (*store)->identity().target != target)
    store = fail(Errc::kInvalidArgument,
                 fmt::format("{}: holds target {}, not {}", path, number((*store)->identity().target), number(target)));
  if (store && !std::ranges::equal(std::as_bytes(std::span(options_.cluster)), (*store)->identity().cluster))
    store = fail(Errc::kInvalidArgument,
                 fmt::format("{}: a store of another cluster (is this the right disk? format makes a new one)", path));
  if (!store) {
    TargetReport& report = broken_.emplace_back();
    report.set_target(number(target));
    report.set_local(LOCAL_OFFLINE);
    report.set_path(path);
    report.set_trouble(store.error().message());
    return;
  }
  TargetHost host{.env = env_,
                  .routing = mgmt_,
                  .peers = *peers_,
                  .has_lease = [this] { return heartbeats_->may_serve(); },
                  .report_soon =
                      [this] {
                        if (heartbeats_) heartbeats_->poke();
                      }};
  targets_.push_back(
      std::make_unique<Target>(std::move(host), target, std::move(path), std::move(*store), options_.target));
  service_->add(*targets_.back());
}

Task<void> StorageServer::follow_routing() {
  for (;;) {
    const auto view = mgmt_.current();
    for (const auto& target : targets_) target->routing_changed();
    const auto next = co_await mgmt_.newer_than(view ? view->version() : 0, std::chrono::seconds(10));
    if (!co_await runtime::not_cancelled()) co_return;
    if (!next && next.error().code() != Errc::kTimeout && !co_await runtime::sleep(std::chrono::milliseconds(50)))
      co_return;
  }
}

std::vector<TargetReport> StorageServer::reports() {
  std::vector<TargetReport> out = broken_;
  for (const auto& target : targets_) {
    target->routing_changed();  // what came with the last answer counts already
    out.push_back(target->report());
  }
  const auto view = mgmt_.current();
  for (std::size_t i = 0; i < broken_.size(); ++i)
    out[i].set_chain_version(place_of(view.get(), TargetId{out[i].target()}).version);
  return out;
}

Target* StorageServer::target(TargetId id) const {
  for (const auto& target : targets_)
    if (target->id() == id) return target.get();
  return nullptr;
}

Task<void> StorageServer::stop() {
  if (heartbeats_) co_await heartbeats_->stop();
  if (server_) co_await server_->stop(options_.drain);
  scope_.cancel();
  (void)co_await scope_.join();
  for (const auto& target : targets_) co_await target->stop();
  co_await peers_->stop();
}

}  // namespace ff::ffs
