#include "tests/sim/ffs_storage/model_store.hpp"

#include <algorithm>
#include <cstring>

#include "libcommon/base/assert.hpp"
#include "libcommon/base/crc32c.hpp"
#include "libcommon/base/defer.hpp"

namespace ff::ffs {

using runtime::Task;

namespace {

std::uint32_t crc_of(const std::vector<std::byte>& content) { return crc32c(0, content.data(), content.size()); }

void remember(ChunkInfo& info, UpdateTag tag, ChunkVersion version) {
  std::shift_right(info.recent.begin(), info.recent.end(), 1);
  info.recent.front() = {tag, version};
}

std::unexpected<Error> none(ChunkId chunk) { return fail(Errc::kNotFound, to_text(chunk) + ": no such chunk"); }

}  // namespace

ModelStore::ModelStore(runtime::Env& env, ModelDisk& disk) : env_(env), disk_(disk) {
  // The crash: each commit that was not durable yet is there, or is not.
  if (disk_.opened++ == 0) return;
  for (auto& [id, chunk] : disk_.chunks) {
    if (!chunk.before_commit) continue;
    auto before = std::move(chunk.before_commit);
    if (env_.rng().below(2) == 0) chunk = *before;
  }
}

std::optional<ChunkInfo> ModelStore::info(ChunkId chunk) const {
  const auto found = disk_.chunks.find(chunk);
  return found == disk_.chunks.end() ? std::nullopt : std::optional(found->second.info);
}

std::vector<ChunkInfo> ModelStore::list(ChunkId from, std::size_t limit) const {
  std::vector<ChunkInfo> out;
  for (auto at = disk_.chunks.lower_bound(from); at != disk_.chunks.end() && out.size() < limit; ++at)
    out.push_back(at->second.info);
  return out;
}

std::vector<ChunkInfo> ModelStore::marked(ChunkMark mark, ChunkId from, std::size_t limit) const {
  std::vector<ChunkInfo> out;
  for (auto at = disk_.chunks.lower_bound(from); at != disk_.chunks.end() && out.size() < limit; ++at) {
    const ChunkInfo& info = at->second.info;
    if (mark == ChunkMark::kPending ? info.pending.has_value() : info.removed) out.push_back(info);
  }
  return out;
}

std::optional<ChunkInfo> ModelStore::last_chunk(InodeId inode) const {
  std::optional<ChunkInfo> out;
  for (const auto& [id, chunk] : disk_.chunks)
    if (id.inode == inode && chunk.info.version > 0 && !chunk.info.removed && chunk.info.length > 0) out = chunk.info;
  return out;
}

Task<Result<>> ModelStore::spend() {
  co_return co_await runtime::sleep(std::chrono::microseconds(20 + env_.rng().below(200)));
}

Task<Result<>> ModelStore::hold(ModelStep step, ChunkId chunk) {
  while (disk_.held.contains({step, chunk})) {
    disk_.reached.emplace(step, chunk);
    FF_CO_TRY(co_await runtime::sleep(std::chrono::microseconds(100)));
  }
  co_return {};
}

Result<> ModelStore::writable() {
  if (disk_.broken && !failed_) failed_ = Error(Errc::kIo, "model: the disk fails");
  if (failed_) return fail(*failed_);
  return {};
}

Result<> ModelStore::check(ModelDisk::Chunk& chunk) {
  if (chunk.rotten) chunk.info.bad = true;
  if (chunk.info.bad) return fail(Errc::kCorrupt, to_text(chunk.info.chunk) + ": checksum differs");
  return {};
}

void ModelStore::durable() {
  for (auto& [id, chunk] : disk_.chunks) chunk.before_commit.reset();
}

Task<Result<ReadResult>> ModelStore::read(ChunkId id, std::uint32_t offset, std::span<std::byte> into) {
  ++disk_.reads;
  FF_CO_TRY(co_await spend());
  const auto found = disk_.chunks.find(id);
  if (found == disk_.chunks.end() || found->second.info.version == 0 || found->second.info.removed) co_return none(id);
  FF_CO_TRY(check(found->second));
  const auto& content = found->second.content;
  ReadResult out{.version = found->second.info.version, .length = found->second.info.length};
  if (offset < content.size()) {
    out.bytes = static_cast<std::uint32_t>(std::min<std::size_t>(into.size(), content.size() - offset));
    std::memcpy(into.data(), content.data() + offset, out.bytes);
  }
  FF_CO_TRY(co_await hold(ModelStep::kRead, id));
  FF_CO_TRY(co_await spend());
  co_return out;
}

Task<Result<ReadResult>> ModelStore::read_pending(ChunkId id, std::uint32_t offset, std::span<std::byte> into) {
  FF_CO_TRY(co_await spend());
  const auto found = disk_.chunks.find(id);
  if (found == disk_.chunks.end() || !found->second.info.pending) co_return none(id);
  const auto& content = found->second.pending;
  ReadResult out{.version = found->second.info.pending->version, .length = found->second.info.pending->length};
  if (offset < content.size()) {
    out.bytes = static_cast<std::uint32_t>(std::min<std::size_t>(into.size(), content.size() - offset));
    std::memcpy(into.data(), content.data() + offset, out.bytes);
  }
  co_return out;
}

Task<Result<PendingInfo>> ModelStore::stage(ChunkUpdate update, std::shared_ptr<runtime::Event> based) {
  FF_ASSERT(busy_.insert(update.chunk).second);
  const Defer done([&] { busy_.erase(update.chunk); });
  FF_CO_TRY(co_await spend());
  if (const auto base = disk_.chunks.find(update.chunk); base != disk_.chunks.end()) {
    const bool alone =
        update.kind == UpdateKind::kRemove || (update.kind == UpdateKind::kTruncate && update.length == 0) ||
        (update.kind == UpdateKind::kWrite && update.offset == 0 && update.data.size() >= base->second.content.size());
    if (!alone) FF_CO_TRY(check(base->second));
  }
  if (based) based->set();
  FF_CO_TRY(co_await hold(ModelStep::kStage, update.chunk));
  FF_CO_TRY(writable());
  if (disk_.full.contains(update.chunk)) co_return fail(Errc::kExhausted, to_text(update.chunk) + ": no space");
  const auto found = disk_.chunks.find(update.chunk);
  const ChunkVersion here = found == disk_.chunks.end() ? 0 : found->second.info.version;
  if (update.version != here + 1)
    co_return fail(Errc::kInvalidArgument, to_text(update.chunk) + ": not the next version");
  if (found != disk_.chunks.end()) {
    if (update.truncate_epoch < found->second.info.truncate_epoch)
      co_return fail(Errc::kInvalidArgument, to_text(update.chunk) + ": an earlier epoch");
  }
  ModelDisk::Chunk& chunk = disk_.chunks[update.chunk];
  chunk.info.chunk = update.chunk;
  chunk.info.chunk_bytes = update.chunk_bytes;
  std::vector<std::byte> next;
  if (update.kind != UpdateKind::kRemove) next = chunk.content;
  if (update.kind == UpdateKind::kTruncate) next.resize(update.length);
  if (update.kind == UpdateKind::kWrite) {
    next.resize(std::max<std::size_t>(next.size(), update.offset + update.data.size()));
    std::memcpy(next.data() + update.offset, update.data.data(), update.data.size());
  }
  durable();
  chunk.pending = std::move(next);
  chunk.info.pending = PendingInfo{.kind = update.kind,
                                   .version = update.version,
                                   .chain_version = update.chain_version,
                                   .tag = update.tag,
                                   .length = static_cast<std::uint32_t>(chunk.pending.size()),
                                   .crc = crc_of(chunk.pending)};
  const PendingInfo out = *chunk.info.pending;
  staging_.insert(update.chunk);
  const Defer staged([&] { staging_.erase(update.chunk); });
  FF_CO_TRY(co_await spend());
  FF_CO_TRY(co_await hold(ModelStep::kStaged, update.chunk));
  co_return out;
}

Result<> ModelStore::commit(ChunkId id, ChunkVersion version, ChainVersion chain_version) {
  const auto found = disk_.chunks.find(id);
  if (found == disk_.chunks.end() || !found->second.info.pending || found->second.info.pending->version != version)
    return none(id);
  if (staging_.contains(id)) return fail(Errc::kUnavailable, to_text(id) + ": it is still being staged");
  ModelDisk::Chunk& chunk = found->second;
  if (!chunk.before_commit) chunk.before_commit = std::make_shared<ModelDisk::Chunk>(chunk);
  const PendingInfo pending = *chunk.info.pending;
  chunk.content = std::move(chunk.pending);
  chunk.pending.clear();
  chunk.info.pending.reset();
  chunk.info.version = version;
  chunk.info.chain_version = chain_version;
  chunk.info.length = pending.length;
  chunk.info.crc = pending.crc;
  chunk.info.removed = pending.kind == UpdateKind::kRemove;
  chunk.info.bad = chunk.rotten = false;
  remember(chunk.info, pending.tag, version);
  return {};
}

Result<> ModelStore::abort(ChunkId id) {
  const auto found = disk_.chunks.find(id);
  if (found == disk_.chunks.end()) return {};
  found->second.info.pending.reset();
  found->second.pending.clear();
  if (found->second.info.version == 0) disk_.chunks.erase(found);
  return {};
}

// The model has no checksum blocks: a chunk is one, and good or bad as a whole.
Task<Result<DamagedContent>> ModelStore::read_damaged(ChunkId id, bool pending, std::span<std::byte> into) {
  FF_CO_TRY(co_await spend());
  const auto found = disk_.chunks.find(id);
  if (found == disk_.chunks.end()) co_return none(id);
  const ModelDisk::Chunk& chunk = found->second;
  if (pending ? !chunk.info.pending : chunk.info.version == 0 || chunk.info.removed) co_return none(id);
  const auto& content = pending ? chunk.pending : chunk.content;
  const bool good = pending || (!chunk.rotten && !chunk.info.bad);
  for (std::size_t i = 0; i < content.size(); ++i) into[i] = good ? content[i] : std::byte{0};
  co_return DamagedContent{.version = pending ? chunk.info.pending->version : chunk.info.version,
                           .length = static_cast<std::uint32_t>(content.size()),
                           .crcs = {pending ? chunk.info.pending->crc : chunk.info.crc}};
}

Task<Result<>> ModelStore::install(const ChunkInfo& info, std::span<const std::byte> content, InstallMode mode,
                                   std::span<const std::uint32_t> crcs) {
  const ChunkInfo wanted = info;
  FF_ASSERT(busy_.insert(wanted.chunk).second);
  const Defer done([&] { busy_.erase(wanted.chunk); });
  FF_CO_TRY(co_await spend());
  FF_CO_TRY(co_await hold(ModelStep::kInstall, wanted.chunk));
  FF_CO_TRY(writable());
  ModelDisk::Chunk chunk;
  chunk.content.assign(content.begin(), content.end());
  const bool matches = crc_of(chunk.content) == wanted.crc || wanted.removed;
  if (!matches && crcs.empty())
    co_return fail(Errc::kCorrupt, to_text(wanted.chunk) + ": the image's checksum differs");
  chunk.info = wanted;
  chunk.info.pending.reset();
  if (const auto found = disk_.chunks.find(wanted.chunk); found != disk_.chunks.end()) {
    ModelDisk::Chunk& here = found->second;
    const bool same = here.info.version == wanted.version && here.info.crc == wanted.crc;
    if (mode == InstallMode::kBase && here.info.version > wanted.version)
      co_return fail(Errc::kInvalidArgument, to_text(wanted.chunk) + ": a later version is committed");
    if (mode == InstallMode::kBase && same && here.info.pending) {
      chunk.info.pending = here.info.pending;
      chunk.pending = here.pending;
    }
    if (!matches && same && !here.rotten && !here.info.bad) chunk.content = here.content;
  }
  chunk.rotten = chunk.info.bad = !wanted.removed && crc_of(chunk.content) != wanted.crc;
  durable();
  const bool keeps = chunk.info.pending.has_value();
  disk_.chunks[wanted.chunk] = std::move(chunk);
  if (keeps) staging_.insert(wanted.chunk);
  const Defer staged([&] {
    if (keeps) staging_.erase(wanted.chunk);
  });
  FF_CO_TRY(co_await hold(ModelStep::kInstalled, wanted.chunk));
  co_return co_await spend();
}

Result<> ModelStore::purge(ChunkId id) {
  disk_.chunks.erase(id);
  return {};
}

Task<Result<>> ModelStore::sync() {
  FF_CO_TRY(co_await spend());
  FF_CO_TRY(writable());
  durable();
  co_return {};
}

Task<Result<>> ModelStore::verify(ChunkId id) {
  FF_CO_TRY(co_await spend());
  const auto found = disk_.chunks.find(id);
  if (found == disk_.chunks.end()) co_return none(id);
  co_return check(found->second);
}

SpaceUse ModelStore::space() const noexcept { return {.capacity_bytes = 1ull << 40, .chunks = disk_.chunks.size()}; }

}  // namespace ff::ffs
