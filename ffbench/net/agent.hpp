// Agent: the service that every host of a network test runs. It knows nothing of who measures what: it opens its ends
// of the flows that a controller describes (traffic.hpp), runs them for the time that it is told, and says what they
// moved. For incast it is a receiver that fetches from other agents (incast.hpp), or one that is fetched from.
//
// Deserted  A call ends with its controller's connection; a test that no call was made for in kTestIdleMax is closed.
// Bounds    kTestsMax tests at once (kExhausted beyond), each bounded by traffic.hpp; what a test asks for is checked.
// Threads   Those of the Env.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "ffbench/net/agent.ff.hpp"
#include "ffbench/net/traffic.hpp"
#include "libcommon/runtime/scope.hpp"

namespace ff::bench {

inline constexpr std::size_t kTestsMax = 64;
inline constexpr runtime::Duration kTestIdleMax = std::chrono::seconds(60);
// The largest piece that Fetch gives.
inline constexpr std::uint64_t kPieceBytesMax = std::uint64_t{256} << 20;

class Agent final : public NetAgentService {
 public:
  // `host` outlives the Agent.
  Agent(runtime::Env& env, const TrafficHost& host);

  // Ends all tests; afterwards nothing of the Agent runs. The server must have stopped before.
  runtime::Task<void> stop();

  // A peer that has asked for anything, since the start.
  bool was_used() const noexcept { return used_; }
  std::size_t tests() const noexcept { return tests_.size(); }

 private:
  struct Open;
  using Method = rpc::ServerCall;

  runtime::Task<Result<NetHost>> describe(Method& call, const NetNothing& request) override;
  runtime::Task<Result<NetOpened>> open(Method& call, const NetTest& request) override;
  runtime::Task<Result<NetNothing>> connect(Method& call, const NetPeers& request) override;
  runtime::Task<Result<NetOutcome>> run(Method& call, const NetSchedule& request) override;
  runtime::Task<Result<NetNothing>> close(Method& call, const NetToken& request) override;
  runtime::Task<Result<NetPiece>> fetch(Method& call, const NetPiece& request) override;
  runtime::Task<Result<NetIncastOutcome>> receive_incast(Method& call, const NetIncast& request) override;

  Result<std::unique_ptr<Traffic>> make_traffic(const NetTest& test) const;
  Result<> bind(const NetTest& test) const;
  Result<std::shared_ptr<Open>> find(const std::string& token, bool for_work);
  // In the Agent's own scope: a test is taken down whole, whoever stops waiting for it.
  void begin_closing(const std::string& token);
  runtime::Task<void> take_down(std::shared_ptr<Open> test);
  runtime::Task<void> sweep();

  runtime::Env& env_;
  const TrafficHost& host_;
  std::map<std::string, std::shared_ptr<Open>> tests_;
  std::size_t incasts_ = 0;
  std::vector<std::byte> piece_;  // what Fetch gives; empty until first asked
  bool used_ = false;
  runtime::Scope scope_;  // last: its tasks use the rest
};

}  // namespace ff::bench
