// Being brought up to date by the predecessor.
#include <fmt/core.h>

#include <algorithm>

#include "ffs/storage/range_digest.hpp"
#include "ffs/storage/storage_convert.hpp"
#include "ffs/storage/target.hpp"
#include "ffs/storage/update_batch.hpp"
#include "libcommon/rpc/server_call.hpp"

namespace ff::ffs {

using runtime::Task;

Replica Target::as_replica(bool with_pending) const {
  return {
      .store = *store_, .open = [this](ChunkId chunk) { return open_.contains(chunk); }, .with_pending = with_pending};
}

Task<Result<SyncRangeReply>> Target::sync_range(const SyncRangeRequest& request) {
  co_await catch_up(request.chain(), request.chain_version());
  SyncRangeReply reply;
  if (ChainId{request.chain()} != place_.chain || request.chain_version() != place_.version) {
    reply.set_code(STALE_CHAIN);
    co_return reply;
  }
  if (!may_sync(life_, place_) || stopping_) {
    reply.set_code(NOT_SERVING);
    co_return reply;
  }
  const ChunkId until = to_chunk(request.until());
  const Range range{to_chunk(request.from()), until == ChunkId{} ? std::nullopt : std::optional(until)};
  if (request.digest_only()) {
    const RangeDigest all = digest(as_replica(false), range);
    reply.set_count(all.count);
    reply.set_digest(all.digest);
    co_return reply;
  }
  const std::size_t limit = std::clamp<std::size_t>(request.limit(), 1, 4096);
  const std::vector<ChunkSummary> chunks = summarize(as_replica(false), range, limit + 1);
  for (std::size_t i = 0; i < std::min(limit, chunks.size()); ++i) {
    SyncChunk& out = *reply.add_chunks();
    set(*out.mutable_chunk(), chunks[i].chunk);
    out.set_version(chunks[i].version);
    out.set_length(chunks[i].length);
    out.set_crc(chunks[i].crc);
    out.set_removed(chunks[i].removed);
    out.set_bad(chunks[i].bad);
    out.set_pending(chunks[i].open);
  }
  reply.set_count(static_cast<std::uint64_t>(reply.chunks_size()));
  if (chunks.size() > limit) set(*reply.mutable_next(), chunks[limit].chunk);
  co_return reply;
}

Task<Result<SyncInstallReply>> Target::sync_install(rpc::ServerCall& call, const SyncInstallRequest& request) {
  runtime::DiskBuffer memory;
  FF_CO_TRY(co_await pull_updates(call, env_.disk(), memory));
  co_await catch_up(request.chain(), request.chain_version());
  SyncInstallReply reply;
  const auto answer = [&](StorageCode code, std::string detail = {}) {
    reply.set_code(code);
    reply.set_detail(std::move(detail));
    return reply;
  };
  const ChunkId chunk = to_chunk(request.image().chunk().chunk());
  FF_CO_TRY_ASSIGN(const auto lock, co_await locks_.lock(chunk));
  if (ChainId{request.chain()} != place_.chain || request.chain_version() != place_.version)
    co_return answer(STALE_CHAIN);
  const auto before = predecessor();
  const bool welcome = request.repair() ? may_serve(life_, place_) : may_sync(life_, place_);
  if (!welcome || stopping_ || !before || number(before->target) != request.from_target())
    co_return answer(NOT_SERVING);
  const std::uint64_t stay = stay_;
  const ChainVersion version = place_.version;
  const ChunkVersion offered = request.forget() ? 0 : request.image().chunk().version();
  if (!request.repair()) {
    // A message that was long on its way must not undo what came since.
    ChunkVersion& newest = received_[chunk];
    if (offered < newest) co_return answer(STORAGE_OK, "a later state of the chunk is here");
    newest = offered;
  }
  if (request.forget()) {
    if (auto done = store_->purge(chunk); !done && done.error().code() != Errc::kNotFound)
      co_return answer(code_of(done.error()), done.error().message());
    if (const AttemptPtr open = open_of(chunk)) forget(*open);
    co_return answer(STORAGE_OK);
  }
  const auto info = to_info(request.image());
  if (!info || memory.size() < info->length) co_return answer(STORAGE_INVALID, "the image makes no sense");
  if (const auto here = store_->info(chunk); request.repair() && here && here->version > info->version)
    co_return answer(STORAGE_INVALID, "a later version is committed here");
  const auto content = std::span<const std::byte>(memory.span()).first(info->length);
  const auto& block_crcs = request.image().block_crcs();
  const std::vector<std::uint32_t> crcs(block_crcs.begin(), block_crcs.end());
  const bool open = request.image().chunk().pending();
  if (request.repair() && !open) {
    const auto based = co_await set_base(*info, content, crcs);
    if (stay != stay_ || version != place_.version) co_return answer(STALE_CHAIN);
    if (!based) co_return answer(code_of(based.error()), based.error().message());
    co_return answer(STORAGE_OK);
  }
  const AttemptPtr was_open = open ? open_whole(*info) : open_of(chunk);
  const auto done = co_await store_->install(*info, content, InstallMode::kReplace, crcs);
  if (done) metrics_.resync_received_bytes.add(content.size());
  if (stay != stay_) co_return answer(STALE_CHAIN);
  if (!done) {
    if (was_open) {
      open_[chunk] = was_open;
    } else {
      open_.erase(chunk);
    }
    disk_trouble(done.error());
    co_return answer(code_of(done.error()), done.error().message());
  }
  if (request.repair()) ++repaired_chunks_;
  if (open) {
    open_[chunk]->staged = true;
  } else {
    open_.erase(chunk);
  }
  if (version != place_.version) co_return answer(STALE_CHAIN);
  co_return answer(STORAGE_OK);
}

Task<Result<SyncDoneReply>> Target::sync_done(const SyncDoneRequest& request) {
  co_await catch_up(request.chain(), request.chain_version());
  SyncDoneReply reply;
  const auto code = [&] {
    const auto before = predecessor();
    if (ChainId{request.chain()} != place_.chain || request.chain_version() != place_.version) return STALE_CHAIN;
    if (!may_sync(life_, place_) || stopping_ || !before || number(before->target) != request.from_target())
      return NOT_SERVING;
    return STORAGE_OK;
  };
  reply.set_code(code());
  if (reply.code() != STORAGE_OK) co_return reply;
  // Nothing that an earlier membership staged may be left: neither what is pending, nor what is still on its way to
  // the disk under a lock.
  std::vector<ChunkId> chunks = locks_.held();
  constexpr std::size_t kPage = 1024;
  for (ChunkId from{};;) {
    const std::vector<ChunkInfo> page = store_->marked(ChunkMark::kPending, from, kPage);
    for (const ChunkInfo& info : page) chunks.push_back(info.chunk);
    if (page.size() < kPage) break;
    from = next_chunk(page.back().chunk);
  }
  for (const ChunkId chunk : chunks) {
    FF_CO_TRY_ASSIGN(const auto lock, co_await locks_.lock(chunk));
    if (code() != STORAGE_OK) break;
    if (const auto info = store_->info(chunk); info && info->pending) FF_CO_TRY(store_->abort(chunk));
  }
  if (auto synced = co_await store_->sync(); !synced) {
    disk_trouble(synced.error());
    reply.set_code(DISK_FAILED);
    co_return reply;
  }
  reply.set_code(code());
  if (reply.code() == STORAGE_OK) transition([this] { life_.synced = place_.version; });
  co_return reply;
}

}  // namespace ff::ffs
