#include "ffs/storage/storage_peers.hpp"

namespace ff::ffs {

rpc::Client* StoragePeers::of(const RoutingView& view, TargetId target) {
  const net::PeerAddress* address = view.address_of(target);
  if (address == nullptr || stopped_) return nullptr;
  std::unique_ptr<rpc::Client>& client = clients_[address->text()];
  if (!client) {
    client = std::make_unique<rpc::Client>(env_, *address,
                                           rpc::ClientOptions{.grants = grants_,
                                                              .connect_timeout = std::chrono::seconds(1),
                                                              .reconnect_most = std::chrono::milliseconds(250)});
  }
  return client.get();
}

runtime::Task<void> StoragePeers::stop() {
  stopped_ = true;
  for (const auto& [address, client] : clients_) co_await client->stop();
}

}  // namespace ff::ffs
