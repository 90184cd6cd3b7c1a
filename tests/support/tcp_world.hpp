// Two TCP networks on one RealEnv, for tests.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <string>

#include "libcommon/net/tcp_network.hpp"
#include "libcommon/runtime/real_env.hpp"
#include "tests/support/connection_world.hpp"

namespace ff::testing {

struct TcpWorldOptions {
  runtime::Backend backend = runtime::Backend::kAuto;
  bool tls = false;
  bool unix_socket = false;
  bool bulk_checksum = false;
  net::TcpOptions tcp;  // times and bounds; who and key are filled in
};

inline std::shared_ptr<const net::ClusterKey> test_key() {
  static const auto key = std::make_shared<const net::ClusterKey>(net::ClusterKey::generate());
  return key;
}

inline net::Endpoint test_endpoint(std::string role, std::uint64_t node) {
  net::Endpoint endpoint;
  endpoint.identity = {std::move(role), node, node * 1000 + 1};
  endpoint.key = test_key();
  return endpoint;
}

class TcpWorld final : public ConnectionWorld {
 public:
  explicit TcpWorld(TcpWorldOptions options = {}) : options_(std::move(options)) {
    auto made = runtime::RealEnv::create({.backend = options_.backend});
    if (!made) throw std::runtime_error(made.error().message());
    env_ = std::move(*made);
    if (options_.tls) {
      auto context = net::TlsContext::from_cluster_key(*test_key());
      if (!context) throw std::runtime_error(context.error().message());
      options_.tcp.tls = std::make_shared<const net::TlsContext>(std::move(*context));
    }
    options_.tcp.bulk_checksum = options_.bulk_checksum;
    server_ = make("server", 7);
    client_ = make("client", 9);
  }

  net::Network& server() override { return *server_; }
  net::Network& client() override { return *client_; }
  runtime::RealEnv& env() { return *env_; }
  net::TcpStats server_stats() const { return net::tcp_stats(*server_); }
  net::TcpStats client_stats() const { return net::tcp_stats(*client_); }
  net::Address listen_at() override {
    return options_.unix_socket ? unix_name("listen") : net::Address::tcp("127.0.0.1", 0);
  }
  // Port 1 of loopback: a service that no machine runs.
  net::Address nobody() override {
    return options_.unix_socket ? unix_name("nobody") : net::Address::tcp("127.0.0.1", 1);
  }
  void run(runtime::Task<void> body) override { (void)env_->run(then_stop(std::move(body))); }

  std::shared_ptr<net::Network> make(std::string role, std::uint64_t node) {
    net::TcpOptions tcp = options_.tcp;
    if (tcp.endpoint.key == nullptr && !tcp.endpoint.insecure) tcp.endpoint = test_endpoint(std::move(role), node);
    auto network = net::make_tcp_network(*env_, std::move(tcp));
    if (!network) throw std::runtime_error(network.error().message());
    return std::move(*network);
  }

 private:
  runtime::Task<bool> then_stop(runtime::Task<void> body) {
    co_await std::move(body);
    co_await client_->stop();
    co_await server_->stop();
    co_return true;
  }
  static net::Address unix_name(const char* what) {
    static std::atomic<int> counter = 0;
    return net::Address::unix_abstract("ff-test-" + std::to_string(::getpid()) + "-" + what + "-" +
                                       std::to_string(++counter));
  }

  TcpWorldOptions options_;
  std::unique_ptr<runtime::RealEnv> env_;
  std::shared_ptr<net::Network> server_, client_;
};

}  // namespace ff::testing
