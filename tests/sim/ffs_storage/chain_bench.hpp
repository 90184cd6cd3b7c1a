// ChainBench: one chain of targets on model stores, for tests of single interleavings: the test writes the routing,
// holds stores where it wants, and watches what each target has.
//
//   ChainBench bench(2);
//   EXPECT_TRUE(bench.run([](ChainBench& b) -> Task<Result<>> {
//     co_await b.route({SERVING, SERVING});
//     ...
//   }));
//
// Every target runs on a node of its own; the test's body on another, as a client. Threads: one.
#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "ffs/storage/storage_client.hpp"
#include "ffs/storage/target.hpp"
#include "libcommon/rpc/client.hpp"
#include "libcommon/testing/sim_world.hpp"
#include "tests/sim/ffs_storage/model_store.hpp"

namespace ff::ffs {

class ChainBench {
 public:
  static constexpr std::uint32_t kChunkBytes = kChunkBytesMin;
  static constexpr ChainId kChain{1};

  static TargetOptions quick_options();
  explicit ChainBench(std::size_t targets, TargetOptions options = quick_options());
  ~ChainBench();
  ChainBench(const ChainBench&) = delete;
  ChainBench& operator=(const ChainBench&) = delete;

  // Runs `body` to its end, at most two minutes of virtual time.
  Result<> run(runtime::Task<Result<>> (*body)(ChainBench&));

  // ---- for the body
  // The next version of the chain, with these states; returns when every target has it. They have joined before.
  runtime::Task<void> route(std::vector<PublicState> states);
  // Waits until it holds; kTimeout after ten seconds.
  runtime::Task<Result<>> until(std::function<bool()> done, const char* what);
  runtime::Task<Result<ChunkVersion>> write(ChunkId chunk, char letter, std::size_t bytes = 256);
  runtime::Task<Result<ChunkVersion>> remove(ChunkId chunk);
  // Of target i itself, at once: version 0 is a hole. The code when it does not serve it: kUnavailable, kCorrupt.
  struct Seen {
    StorageCode code = BUSY;
    ChunkVersion version = 0;
    char letter = 0;
  };
  runtime::Task<Seen> read_at(std::size_t i, ChunkId chunk, bool relaxed = false);
  rpc::Client& peer(std::size_t i);
  StorageClient& client();
  ChainVersion version() const noexcept { return version_; }

  static TargetId id(std::size_t i) noexcept { return TargetId{11 + i}; }
  std::size_t targets() const noexcept { return targets_.size(); }
  Target& target(std::size_t i) { return *targets_[i]; }
  ModelDisk& disk(std::size_t i) { return disks_[i]; }
  testing::SimWorld& world() noexcept { return world_; }
  testing::NodeId node(std::size_t i) const noexcept { return static_cast<testing::NodeId>(i); }
  // 0: nothing is committed.
  ChunkVersion committed(std::size_t i, ChunkId chunk) const;
  // Puts a committed chunk onto a disk, as if it had always been there.
  void put(std::size_t i, ChunkId chunk, ChunkVersion version, char letter, std::size_t bytes = 256);
  void hold(std::size_t i, ModelStep step, ChunkId chunk) { disks_[i].held.emplace(step, chunk); }
  void release(std::size_t i, ModelStep step, ChunkId chunk) { disks_[i].held.erase({step, chunk}); }
  bool waits(std::size_t i, ModelStep step, ChunkId chunk) const { return disks_[i].reached.contains({step, chunk}); }

 private:
  class Routes;
  struct Driver;
  runtime::Task<Result<>> run_target(testing::SimEnv& env, std::size_t i);
  void publish(const std::vector<PublicState>& states);

  testing::SimWorld world_;
  const TargetOptions options_;
  std::vector<ModelDisk> disks_;
  std::vector<Target*> targets_;
  ChainVersion version_ = 0;
  std::shared_ptr<const RoutingView> view_;
  std::unique_ptr<Driver> driver_;
};

}  // namespace ff::ffs
