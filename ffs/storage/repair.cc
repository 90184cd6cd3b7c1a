// Bad copies: a chunk whose bytes failed their check, or that lacks updates, takes the committed state of another
// serving replica.
//
// Lost      Only when every other replica that serves has answered that it has no good copy (kCorrupt). Where one has
//           not answered, nothing is known (kUnavailable). Either way it is tried again, ever more slowly: a replica
//           may come back with the copy. Replicas that ask each other do not wake each other: one attempt of a chunk
//           runs or waits at a time.
//
// Commit marks take no lock, so the chunk may change while its image is on its way: what is here is looked at again
// when the image has come. From then on the update that is open here counts as not staged (set_base()), so that no mark
// meets an image which is half in the store.
#include <fmt/core.h>

#include <algorithm>

#include "ffs/storage/storage.ff.hpp"
#include "ffs/storage/storage_convert.hpp"
#include "ffs/storage/storage_peers.hpp"
#include "ffs/storage/target.hpp"

namespace ff::ffs {

using runtime::Task;

Task<Result<>> Target::repair(ChunkId chunk, std::optional<ChunkVersion> version, std::optional<TargetId> only) {
  const auto view = view_;
  const Chain* const mine = chain();
  if (mine == nullptr) co_return fail(Errc::kUnavailable, to_text(chunk) + ": the target is in no chain");
  const ChainVersion under = mine->version;
  const std::uint64_t stay = stay_;
  std::string tried;
  bool unknown = false;  // one that serves may have it
  // The last complete copy may be the bad one: then those that do not serve yet may have the very bytes that we have on
  // record.
  std::vector<std::pair<TargetId, bool>> sources;
  for (const TargetId from : mine->serving()) sources.emplace_back(from, false);
  for (const Member& member : mine->members) {
    if (member.state == SYNCING || member.state == WAITING) sources.emplace_back(member.target, true);
  }
  for (const auto& [from, exact] : sources) {
    if (from == id_ || (only && from != *only) || (exact && version)) continue;
    rpc::Client* const client = host_.peers.of(*view, from);
    if (client == nullptr) {
      unknown = unknown || !exact;
      continue;
    }
    const auto here = store_->info(chunk);
    FF_CO_TRY_ASSIGN(runtime::DiskBuffer memory,
                     buffer(here && here->chunk_bytes ? here->chunk_bytes : kChunkBytesMax));
    FetchChunkRequest request;
    request.set_chain(number(mine->id));
    request.set_chain_version(under);
    request.set_target(number(from));
    set(*request.mutable_chunk(), chunk);
    request.set_exact(exact);
    const auto reply = co_await ChunksClient(*client).fetch_chunk(request, {.timeout = options_.forward_timeout * 2,
                                                                            .attempts = 2,
                                                                            .wait_for_connection = false,
                                                                            .traffic = net::TrafficClass::kStorage,
                                                                            .bulk_receive = memory.span()});
    if (stay != stay_ || under != place_.version)
      co_return fail(Errc::kUnavailable, to_text(chunk) + ": the chain changed");
    if (!reply) {
      tried += fmt::format("; target {}: {}", number(from), reply.error().message());
      unknown = unknown || !exact;
      continue;
    }
    const AttemptPtr open = open_of(chunk);
    const auto now = store_->info(chunk);
    if ((now ? now->version : 0) != (here ? here->version : 0))
      co_return fail(Errc::kUnavailable, to_text(chunk) + ": it was committed meanwhile");
    if (reply->code() == CHUNK_NOT_FOUND && version == 0) {
      FF_CO_TRY(store_->purge(chunk));
      if (open) forget(*open);
      co_return {};
    }
    if (reply->code() != STORAGE_OK) {
      tried += fmt::format("; target {}: {} {}", number(from), StorageCode_Name(reply->code()), reply->detail());
      unknown = unknown || (!exact && reply->code() != CORRUPT && reply->code() != CHUNK_NOT_FOUND);
      continue;
    }
    auto info = to_info(reply->image());
    if (!info || info->chunk != chunk || info->length > memory.size()) {
      tried += fmt::format("; target {}: an image that makes no sense", number(from));
      continue;
    }
    if (exact && (!now || info->version != now->version || info->crc != now->crc || info->length != now->length)) {
      tried += fmt::format("; target {}: does not serve, and has another version", number(from));
      continue;
    }
    // Never back: what is committed here may have been read here.
    const ChunkVersion least = now ? now->version : 0;
    if (version ? info->version != *version : info->version < least) {
      tried += fmt::format("; target {}: has version {}", number(from), info->version);
      unknown = true;  // one of us has not heard of a commit
      continue;
    }
    const bool was_staged = open && !open->whole && open->staged;
    FF_CO_TRY(co_await set_base(*info, std::span<const std::byte>(memory.span()).first(info->length)));
    if (stay != stay_) co_return fail(Errc::kUnavailable, to_text(chunk) + ": the chain changed");
    if (was_staged && !open->staged && open_of(chunk) == open) {
      if (Outcome again = co_await stage(open); again.code != STORAGE_OK)
        co_return fail(Errc::kUnavailable, fmt::format("{}: {}", to_text(chunk), again.detail));
    }
    co_return {};
  }
  if (unknown || only)
    co_return fail(Errc::kUnavailable,
                   fmt::format("{}: not every replica has said whether it has it{}", to_text(chunk), tried));
  const auto here = store_->info(chunk);
  if (here && here->bad && (!version || here->version == *version)) {
    auto mended = co_await mend(chunk);
    if (mended || mended.error().code() != Errc::kCorrupt) co_return mended;
  }
  co_return fail(Errc::kCorrupt, fmt::format("{}: no other replica has what is missing here{}", to_text(chunk), tried));
}

Task<Result<>> Target::mend(ChunkId chunk) {
  const auto view = view_;
  const Chain* const mine = chain();
  const auto here = store_->info(chunk);
  if (mine == nullptr || !here || here->version == 0)
    co_return fail(Errc::kUnavailable, to_text(chunk) + ": nothing is here to mend");
  const ChainVersion under = mine->version;
  const std::uint64_t stay = stay_;
  for (const TargetId from : mine->serving()) {
    rpc::Client* const client = from == id_ ? nullptr : host_.peers.of(*view, from);
    if (client == nullptr) continue;
    FF_CO_TRY_ASSIGN(runtime::DiskBuffer memory, buffer(here->chunk_bytes));
    FetchChunkRequest request;
    request.set_chain(number(mine->id));
    request.set_chain_version(under);
    request.set_target(number(from));
    set(*request.mutable_chunk(), chunk);
    request.set_damaged(true);
    const auto reply = co_await ChunksClient(*client).fetch_chunk(request, {.timeout = options_.forward_timeout * 2,
                                                                            .attempts = 1,
                                                                            .wait_for_connection = false,
                                                                            .traffic = net::TrafficClass::kStorage,
                                                                            .bulk_receive = memory.span()});
    if (stay != stay_ || under != place_.version)
      co_return fail(Errc::kUnavailable, to_text(chunk) + ": the chain changed");
    if (!reply || reply->code() != STORAGE_OK) continue;
    const auto info = to_info(reply->image());
    const auto now = store_->info(chunk);
    if (!now || now->version != here->version)
      co_return fail(Errc::kUnavailable, to_text(chunk) + ": it was committed meanwhile");
    if (!info || info->chunk != chunk || info->length > memory.size() || info->version != now->version ||
        info->crc != now->crc || info->length != now->length)
      continue;
    const auto& block_crcs = reply->image().block_crcs();
    const std::vector<std::uint32_t> crcs(block_crcs.begin(), block_crcs.end());
    FF_CO_TRY(co_await set_base(*info, std::span<const std::byte>(memory.span()).first(info->length), crcs));
    if (const auto made = store_->info(chunk); made && !made->bad) co_return {};
  }
  co_return fail(Errc::kCorrupt, to_text(chunk) + ": all replicas together do not have all of it");
}

Task<Result<>> Target::set_base(ChunkInfo info, std::span<const std::byte> content,
                                std::span<const std::uint32_t> crcs) {
  const std::uint64_t stay = stay_;
  const AttemptPtr open = open_of(info.chunk);
  const bool was_staged = open && !open->whole && open->staged;
  if (was_staged) open->staged = false;
  const auto done = co_await store_->install(info, content, InstallMode::kBase, crcs);
  const bool still = stay == stay_ && open && open_of(info.chunk) == open;
  const auto now = store_->info(info.chunk);
  if (still && was_staged && now && now->pending && now->pending->version == open->update.version) open->staged = true;
  if (!done) {
    disk_trouble(done.error());
    co_return done;
  }
  if (now && !now->bad) ++repaired_chunks_;
  if (still && info.version >= open->update.version) {
    if (!open->committed) {
      open->committed = true;  // somebody has it committed, so it is
      queue_mark(*open);
    }
    forget(*open);
  }
  co_return {};
}

bool Target::wants_repair(ChunkId chunk) const {
  const auto info = store_->info(chunk);
  if (info && info->bad) return true;
  const AttemptPtr open = open_of(chunk);
  return open && !open->whole && !open->staged && open->term == 0;
}

void Target::start_repair(ChunkId chunk) {
  constexpr std::size_t kMost = 1024;  // others are asked for again when they are read
  if (stopping_ || repairing_.size() >= kMost || !repairing_.insert(chunk).second) return;
  if (const auto info = store_->info(chunk); info && info->bad) ++bad_chunks_;
  scope_.spawn(repair_later(chunk));
}

Task<void> Target::repair_later(ChunkId chunk) {
  runtime::Duration pause = options_.repair_pause;
  std::string told;  // in trouble_
  for (;;) {
    Result<> done;
    {
      const auto turn = co_await repair_turns_.acquire();
      const auto lock = co_await locks_.lock(chunk);
      if (!turn || !lock || !wants_repair(chunk) || !may_serve(life_, place_)) break;
      done = co_await repair(chunk, std::nullopt, std::nullopt);
    }
    if (!told.empty() && trouble_ == told) trouble_.clear();
    if (done) break;
    if (done.error().code() == Errc::kCorrupt) trouble_ = told = done.error().message();
    const ChainVersion version = place_.version;
    (void)co_await runtime::with_timeout(pause, "repair", place_change());
    if (!co_await runtime::not_cancelled()) break;
    const auto next = std::min(pause * 2, std::max(options_.repair_pause, options_.repair_pause_most));
    pause = version == place_.version ? next : options_.repair_pause;
  }
  if (!told.empty() && trouble_ == told) trouble_.clear();
  repairing_.erase(chunk);
}

}  // namespace ff::ffs
