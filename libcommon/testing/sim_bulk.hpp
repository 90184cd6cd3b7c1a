// SimBulk: one push or pull under way, and the memory that it reaches. See sim_network.hpp, net/network.hpp.
//
// A push takes a copy of its bytes when it begins and lands them in up to four pieces, in any order: after a kill or a
// cancellation any of them may still arrive. A pull reads the peer's memory at one instant on its way.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "libcommon/net/network.hpp"
#include "libcommon/runtime/timer.hpp"
#include "libcommon/runtime/wait_queue.hpp"
#include "libcommon/testing/sim_network.hpp"

namespace ff::testing {

class SimBulk final : public runtime::Timer {
 public:
  enum class Kind : std::uint8_t { kPush, kPull };

  // Under way at once. REQUIRES: `initiator` is open.
  static std::shared_ptr<SimBulk> push(SimConnection& initiator, std::span<const std::byte> from, net::RemoteMemory to);
  static std::shared_ptr<SimBulk> pull(SimConnection& initiator, net::RemoteMemory from, std::span<std::byte> into);
  SimBulk(SimConnection& initiator, Kind kind, net::RemoteMemory remote, std::uint64_t id);

  // Until it has ended; then its result.
  runtime::Task<Result<>> wait();
  // Its memory and its waiter are no more.
  void abandon() noexcept;

  // Ends those that `connection` began.
  static void connection_lost(SimFabric& fabric, SimConnection& connection);
  // Looks again at those that wait for a pause or a cut to end.
  static void kick_all(SimFabric& fabric);

 private:
  struct Piece {
    runtime::Time at;
    std::uint64_t offset, bytes;
  };
  void expired() override;
  // At the side that owns the memory. False: it must wait.
  bool reach_target();
  bool reach_initiator();
  void return_to_initiator(SimConnection& target, std::size_t bytes);
  Result<std::span<std::byte>> locate(SimConnection& target, std::uint64_t bytes);
  void finish(Result<> result);

  SimFabric& fabric_;
  std::weak_ptr<SimConnection> initiator_, target_;
  Kind kind_;
  net::RemoteMemory remote_;
  std::uint64_t id_;
  std::vector<std::byte> data_;
  std::span<std::byte> into_;
  std::vector<Piece> pieces_;  // that have not landed, the next one last
  bool returning_ = false;
  bool stalled_ = false;
  bool abandoned_ = false;
  Result<> outcome_;                // as the target saw it
  std::optional<Result<>> result_;  // as the initiator knows it
  runtime::WaitQueue finished_;
};

}  // namespace ff::testing
