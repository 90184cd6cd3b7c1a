// The replicated counter of tests/sim over TCP: three replicas in threads of their own, each with a folder, and clients
// in the test's thread. Replicas are stopped and started in turn, so that what is read at the end was durable.
#include "tests/sim/replicated_counter.hpp"

#include <gtest/gtest.h>

#include <array>
#include <optional>
#include <thread>

#include "libcommon/net/tcp_network.hpp"
#include "libcommon/runtime/real_env.hpp"
#include "libcommon/testing/free_ports.hpp"
#include "libcommon/testing/temp_folder.hpp"

namespace ff::sim {
namespace {

using namespace std::chrono_literals;
using runtime::RealEnv;
using runtime::Task;

constexpr std::size_t kReplicas = 3;

std::unique_ptr<RealEnv> make_env(const std::shared_ptr<const net::ClusterKey>& key, const std::string& role) {
  auto env = RealEnv::create({.offload_threads = 1});
  if (!env) throw std::runtime_error(env.error().message());
  net::TcpOptions options;
  options.endpoint.identity = {role, 1, (*env)->id()};
  options.endpoint.key = key;
  auto network = net::make_tcp_network(**env, std::move(options));
  if (!network) throw std::runtime_error(network.error().message());
  (*env)->attach_network(std::move(*network));
  return std::move(*env);
}

// A replica's process, but for the process. start(): as after a reboot, with the folder that it left.
class Machine {
 public:
  Machine(std::shared_ptr<const net::ClusterKey> key, std::uint16_t port)
      : key_(std::move(key)), at_(net::Address::tcp("127.0.0.1", port)) {}
  ~Machine() { stop(); }
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  void start() {
    env_ = make_env(key_, "replica");
    thread_ = std::jthread([this] {
      const Result<> ended = env_->run(run());
      // It may be stopped before it listens.
      if (!ended) EXPECT_EQ(ended.error().code(), Errc::kCancelled) << ended.error().message();
    });
  }
  void stop() {
    if (env_ == nullptr) return;
    env_->stop();
    thread_.join();
    env_ = nullptr;
  }
  net::PeerAddress address() const { return net::PeerAddress{{at_}}; }

 private:
  Task<Result<>> run() {
    Replica replica(env_->disk(), folder_.path());
    const Result<> served = co_await serve(*env_, replica, at_);
    co_await env_->network().stop();
    co_return served;
  }

  std::shared_ptr<const net::ClusterKey> key_;
  net::Address at_;
  testing::TempFolder folder_;
  std::unique_ptr<RealEnv> env_;
  std::jthread thread_;
};

TEST(ReplicatedCounterOverTcp, CountsWhileReplicasComeAndGo) {
  constexpr std::uint64_t kTurns = 20;
  const auto key = std::make_shared<const net::ClusterKey>(net::ClusterKey::generate());
  const auto ports = testing::free_ports(kReplicas);
  ASSERT_TRUE(ports) << ports.error().message();
  std::vector<std::unique_ptr<Machine>> machines;
  std::vector<net::PeerAddress> replicas;
  for (const std::uint16_t port : *ports) {
    machines.push_back(std::make_unique<Machine>(key, port));
    machines.back()->start();
    replicas.push_back(machines.back()->address());
  }

  const auto env = make_env(key, "client");
  // In each round the next replica is down and the one before is back: a majority always lives,
  // and after the rounds each has been restarted.
  Counter one(*env, replicas, 1), other(*env, replicas, 2);
  std::uint64_t counted = 0;
  for (std::size_t round = 0; round <= kReplicas; ++round) {
    if (round > 0) machines[round - 1]->start();
    if (round < kReplicas) machines[round]->stop();
    const Result<> result = env->run([](Counter& a, Counter& b, std::uint64_t& sum) -> Task<Result<>> {
      for (std::uint64_t turn = 0; turn < kTurns; ++turn) {
        FF_CO_TRY(co_await a.increment());
        FF_CO_TRY(co_await b.increment());
        sum += 2;
        FF_CO_TRY_ASSIGN(const std::uint64_t value, co_await b.read());
        EXPECT_EQ(value, sum);
      }
      co_return {};
    }(one, other, counted));
    ASSERT_TRUE(result) << result.error().message();
  }
  const Result<> ended = env->run([](RealEnv& e, Counter& a, Counter& b) -> Task<Result<>> {
    co_await a.stop();
    co_await b.stop();
    co_await e.network().stop();
    co_return {};
  }(*env, one, other));
  EXPECT_TRUE(ended);
  EXPECT_EQ(counted, 2 * kTurns * (kReplicas + 1));
}

}  // namespace
}  // namespace ff::sim
