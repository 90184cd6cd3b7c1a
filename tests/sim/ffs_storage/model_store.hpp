// ModelStore: the contract of ChunkStore in memory, at its worst: whatever the contract leaves to chance is drawn. What
// is not durable yet when the node dies is lost or kept, commit by commit; operations take random times, and what they
// do happens at a random moment in between. The protocol is tested on it apart from the real store's code, and faster.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <vector>

#include "ffs/store/chunk_store.hpp"
#include "libcommon/testing/sim_env.hpp"

namespace ff::ffs {

// Where a test can hold an operation: reads that have their bytes; staging before anything is done, and when the update
// is pending and not durable yet; installing before the new state is there, and when it is there and not durable yet.
enum class ModelStep : std::uint8_t { kRead, kStage, kStaged, kInstall, kInstalled };

// What outlives the process: one target's disk.
struct ModelDisk {
  using Steps = std::set<std::pair<ModelStep, ChunkId>>;
  struct Chunk {
    ChunkInfo info;
    std::vector<std::byte> content;
    std::vector<std::byte> pending;
    bool rotten = false;  // a bit of the committed content has flipped, and nobody has noticed yet
    // What a crash may bring back, while a commit is not durable: the state with the update pending.
    std::shared_ptr<Chunk> before_commit;
  };
  StoreIdentity identity;
  std::map<ChunkId, Chunk> chunks;
  bool broken = false;  // writes fail
  std::uint64_t opened = 0;
  std::uint64_t reads = 0;
  Steps held;              // whoever comes there waits until the entry is gone
  Steps reached;           // where somebody waits, or did
  std::set<ChunkId> full;  // no update of these finds space
};

class ModelStore final : public ChunkStore {
 public:
  ModelStore(runtime::Env& env, ModelDisk& disk);

  const StoreIdentity& identity() const noexcept override { return disk_.identity; }
  std::optional<ChunkInfo> info(ChunkId chunk) const override;
  std::vector<ChunkInfo> list(ChunkId from, std::size_t limit) const override;
  std::vector<ChunkInfo> marked(ChunkMark mark, ChunkId from, std::size_t limit) const override;
  std::optional<ChunkInfo> last_chunk(InodeId inode) const override;
  runtime::Task<Result<ReadResult>> read(ChunkId chunk, std::uint32_t offset, std::span<std::byte> into) override;
  runtime::Task<Result<ReadResult>> read_pending(ChunkId chunk, std::uint32_t offset,
                                                 std::span<std::byte> into) override;
  runtime::Task<Result<PendingInfo>> stage(ChunkUpdate update, std::shared_ptr<runtime::Event> based) override;
  Result<> commit(ChunkId chunk, ChunkVersion version, ChainVersion chain_version) override;
  Result<> abort(ChunkId chunk) override;
  runtime::Task<Result<>> install(const ChunkInfo& info, std::span<const std::byte> content, InstallMode mode,
                                  std::span<const std::uint32_t> crcs) override;
  runtime::Task<Result<DamagedContent>> read_damaged(ChunkId chunk, bool pending, std::span<std::byte> into) override;
  Result<> purge(ChunkId chunk) override;
  runtime::Task<Result<>> sync() override;
  runtime::Task<Result<>> verify(ChunkId chunk) override;
  SpaceUse space() const noexcept override;
  std::optional<Error> failed() const override { return failed_; }
  runtime::Task<Result<>> stop() override { co_return {}; }

 private:
  runtime::Task<Result<>> spend();
  runtime::Task<Result<>> hold(ModelStep step, ChunkId chunk);
  Result<> writable();
  Result<> check(ModelDisk::Chunk& chunk);
  void durable();

  runtime::Env& env_;
  ModelDisk& disk_;
  std::optional<Error> failed_;
  std::set<ChunkId> staging_;  // whose pending update is not durable
  std::set<ChunkId> busy_;     // updates under way: the contract forbids two of one chunk
};

}  // namespace ff::ffs
