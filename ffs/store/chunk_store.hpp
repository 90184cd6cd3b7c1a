// ChunkStore: the versioned chunks of one target, on a folder of one disk. What CRAQ needs of a disk, and nothing of
// the network: it knows no chains beyond the numbers that it is told to keep.
//
// Chunk      Up to `chunk_bytes` of its file's layout, sparse within its length (never-written bytes read as zeros). A
//            chunk has a committed state (version >= 1) and at most one pending update, staged on top of it, which
//            readers do not see until commit(). Removed chunks stay as tombstones (length 0, no space taken), so that
//            an update that comes late is known to be late; purge() forgets them.
// Durable    stage() and install() return when what they did survives a power cut: data, versions and tag. commit()
//            returns at once: the switch to the new state is durable with the next stage() or sync(); after a power cut
//            a commit that was not yet durable shows as pending again. That is enough for CRAQ: an update is
//            acknowledged when all replicas have staged it, and recovery decides about pending updates.
// Atomic     After a crash at any point a chunk is old or new, never a mix; what was staged is whole or absent.
// Checked    Every byte read from the disk is verified against its CRC-32C before it is given out; a mismatch is
//            kCorrupt, names chunk and place, and marks the chunk bad (info().bad) until install() replaces it, or
//            verify() finds it whole again. Never served, never guessed. A chunk's sector that the disk fails to read,
//            twice, counts as a mismatch.
// Rot        What was durable and rots is reported, never forgotten: a chunk's data when it is read, also a pending
//            update's; the store's own records by open(), which does not take rot for what a power cut left unfinished.
// Errors     kExhausted: no space (reads go on); kUnavailable: the journal is full of pending updates for now; kIo: the
//            disk failed: after a failed write or sync the store is failed(): every later stage/install/sync fails,
//            reads go on; kNotFound: no such chunk; kInvalidArgument; kCorrupt.
// Order      Calls about different chunks run at the same time. The caller serialises updates (stage, commit, abort,
//            install, purge) of one chunk; reads may run beside them and give the committed state as of some moment
//            during the call, whole.
// Threads    Those of the Env. Ownership: the Env outlives it. stop() before it goes (except where a simulation kills
//            it).
// Layout     store.md has the bytes.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ffs/format/types.hpp"
#include "libcommon/metrics/sharded.hpp"
#include "libcommon/runtime/disk.hpp"
#include "libcommon/runtime/env.hpp"
#include "libcommon/runtime/sync.hpp"

namespace ff::ffs {

// How many of a chunk's last committed updates it remembers by tag.
inline constexpr std::size_t kRememberedUpdates = 4;

struct RememberedUpdate {
  UpdateTag tag;
  ChunkVersion version = 0;  // that it made; 0: empty entry
  friend bool operator==(const RememberedUpdate&, const RememberedUpdate&) = default;
};

enum class UpdateKind : std::uint8_t {
  kWrite = 1,     // bytes at an offset; grows the chunk where needed (the gap reads as zeros)
  kTruncate = 2,  // the length becomes `length`, down or up
  kRemove = 3,    // a tombstone
};

struct ChunkUpdate {
  ChunkId chunk;
  UpdateKind kind = UpdateKind::kWrite;
  std::uint32_t offset = 0;         // kWrite
  std::span<const std::byte> data;  // kWrite; at least 1 byte; kept by the caller until stage() has returned
  std::uint32_t length = 0;         // kTruncate
  std::uint32_t chunk_bytes =
      1u << 20;  // of the file's layout: bounds offset + size and length; the same for a chunk's whole life
  std::uint64_t truncate_epoch = 0;  // of the file when the client sent it
  ChunkVersion version = 0;          // it makes this one: committed version + 1
  ChainVersion chain_version = 0;
  UpdateTag tag;
};

struct PendingInfo {
  UpdateKind kind = UpdateKind::kWrite;
  ChunkVersion version = 0;
  ChainVersion chain_version = 0;
  UpdateTag tag;
  std::uint32_t length = 0;  // that the chunk will have
  std::uint32_t crc = 0;     // that the chunk will have
};

struct ChunkInfo {
  ChunkId chunk;
  ChunkVersion version = 0;          // committed; 0: only a pending update exists
  ChainVersion chain_version = 0;    // under which it was committed
  std::uint64_t truncate_epoch = 0;  // the highest that an applied update carried
  std::uint32_t length = 0;
  std::uint32_t chunk_bytes = 0;
  // CRC-32C of the CRCs of the checksum blocks of the whole length: equal on replicas with equal content and equal
  // checksum block size (which all targets of a chain share).
  std::uint32_t crc = 0;
  bool removed = false;
  bool bad = false;
  std::array<RememberedUpdate, kRememberedUpdates> recent{};  // newest first
  std::optional<PendingInfo> pending;
};

struct StoreOptions {
  std::uint64_t capacity_bytes = 0;           // 0: what the file system has, less 5 %
  std::uint32_t checksum_bytes = 4096;        // power of two, 4 KiB..64 KiB: what a small read must read to verify
  std::uint64_t journal_bytes = 64ull << 20;  // power of two
  bool direct = true;                         // O_DIRECT where the file system can
};

struct StoreIdentity {
  std::array<std::byte, 16> cluster{};  // random, made by format
  TargetId target{};
  std::uint64_t generation = 0;  // random: distinguishes this store from an earlier one with the same target id
};

// Whose a store must be.
struct StoreOwner {
  std::array<std::byte, 16> cluster{};
  TargetId target{};
};

struct SpaceUse {
  std::uint64_t capacity_bytes = 0;
  std::uint64_t used_bytes = 0;  // blocks that hold chunks or pending updates
  std::uint64_t chunks = 0;      // without tombstones
  std::uint64_t bad_chunks = 0;  // of these: marked bad
  std::uint64_t tombstones = 0;
};

// What is rare among chunks, and can be found without looking at all of them.
enum class ChunkMark : std::uint8_t { kPending, kRemoved };
inline constexpr std::size_t kChunkMarks = 2;

enum class InstallMode : std::uint8_t {
  kReplace,  // whatever is there goes, whatever its version, with what is pending on it
  // What is committed never goes back (kInvalidArgument). A pending update stays, in the same durable step, if the
  // content that it builds on is the one installed and its own bytes can be read; otherwise it goes.
  kBase,
};

// A chunk of which a part cannot be read.
struct DamagedContent {
  ChunkVersion version = 0;
  std::uint32_t length = 0;
  std::vector<std::uint32_t> crcs;  // of each checksum block, as it should be
};

struct ReadResult {
  std::uint32_t bytes = 0;  // less than asked only at the end of the chunk
  ChunkVersion version = 0;
  std::uint32_t length = 0;  // of the chunk
};

class ChunkStore {
 public:
  // Makes a store in an empty or absent folder. kAlreadyExists names what is in the way.
  static runtime::Task<Result<>> format(runtime::Env& env, std::string folder, StoreIdentity identity,
                                        StoreOptions options);
  // Recovers what the journal holds; scans no data. kCorrupt: the disk has changed what may have been acknowledged, so
  // the store is not to be trusted as complete (format the target anew; the chain's other replicas fill it).
  // kUnsupported (another major format), kNotFound, kIo, kInvalidArgument: it is not `owner`'s.
  static runtime::Task<Result<std::unique_ptr<ChunkStore>>> open(runtime::Env& env, std::string folder,
                                                                 std::optional<StoreOwner> owner = std::nullopt);

  virtual ~ChunkStore() = default;
  ChunkStore(const ChunkStore&) = delete;
  ChunkStore& operator=(const ChunkStore&) = delete;

  virtual const StoreIdentity& identity() const noexcept = 0;
  virtual std::optional<ChunkInfo> info(ChunkId chunk) const = 0;
  // Of chunks from `from` on (inclusive), ascending, up to `limit`; tombstones and pending-only ones included.
  virtual std::vector<ChunkInfo> list(ChunkId from, std::size_t limit) const = 0;
  // The same, only those that are so marked, at a cost of what is given.
  virtual std::vector<ChunkInfo> marked(ChunkMark mark, ChunkId from, std::size_t limit) const = 0;
  // The committed chunk of `inode` with the highest index and a length above 0 (not removed).
  virtual std::optional<ChunkInfo> last_chunk(InodeId inode) const = 0;

  // Committed bytes from `offset` on into `into`. kNotFound: no committed chunk, or removed.
  virtual runtime::Task<Result<ReadResult>> read(ChunkId chunk, std::uint32_t offset, std::span<std::byte> into) = 0;
  // The bytes that the pending update will make, from `offset` on. kNotFound: nothing pending.
  virtual runtime::Task<Result<ReadResult>> read_pending(ChunkId chunk, std::uint32_t offset,
                                                         std::span<std::byte> into) = 0;

  // Makes `update` the chunk's pending one, replacing another that is pending. kInvalidArgument when its version is not
  // the committed one plus 1, beyond chunk_bytes, or truncate_epoch is below the chunk's. kCorrupt: the old bytes that
  // it needs cannot be read. `based` is set when they have been, at the latest when all is done: from then on it does
  // not fail with kCorrupt.
  virtual runtime::Task<Result<PendingInfo>> stage(ChunkUpdate update,
                                                   std::shared_ptr<runtime::Event> based = nullptr) = 0;
  // The pending update becomes the committed state, under `chain_version`. kNotFound: that version is not pending
  // (kInvalidArgument: a later one is committed).
  virtual Result<> commit(ChunkId chunk, ChunkVersion version, ChainVersion chain_version) = 0;
  // Forgets the pending update, if there is one.
  virtual Result<> abort(ChunkId chunk) = 0;
  // Makes this content and these numbers the committed state; `info.pending` is ignored, info.crc is checked against
  // the content, which the caller keeps until it returns, and the crcs. `info.removed`: makes the tombstone. What a
  // resync does. `crcs` (of read_damaged()): blocks that do not match theirs are taken from what is committed here if
  // that has them, or else the chunk is bad and reading them is kCorrupt.
  virtual runtime::Task<Result<>> install(const ChunkInfo& info, std::span<const std::byte> content,
                                          InstallMode mode = InstallMode::kReplace,
                                          std::span<const std::uint32_t> crcs = {}) = 0;
  // All of what is committed (`pending`: of what the pending update will make), with zeros where it cannot be read.
  // REQUIRES: room for its length, or kInvalidArgument. kNotFound as read() and read_pending().
  virtual runtime::Task<Result<DamagedContent>> read_damaged(ChunkId chunk, bool pending,
                                                             std::span<std::byte> into) = 0;
  // Forgets a chunk or tombstone altogether, durable with the next stage() or sync().
  virtual Result<> purge(ChunkId chunk) = 0;
  // Everything done so far is durable.
  virtual runtime::Task<Result<>> sync() = 0;

  // Reads and verifies one chunk from the disk; kCorrupt marks it bad. One that was bad and is whole again, because
  // what could not be read was written over, or can be read now, is not bad any more.
  virtual runtime::Task<Result<>> verify(ChunkId chunk) = 0;

  // Where to record how long syncs of the disk take, from now on.
  virtual void measure_syncs(metrics::Recorder) {}
  virtual SpaceUse space() const noexcept = 0;
  // The first write or sync error; the store takes no updates any more.
  virtual std::optional<Error> failed() const = 0;
  // Writes out what is cheap to replay, closes the files.
  virtual runtime::Task<Result<>> stop() = 0;

 protected:
  ChunkStore() = default;
};

}  // namespace ff::ffs
