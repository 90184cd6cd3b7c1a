// Bad copies: a chunk whose bytes failed their check, or that lacks updates, takes the committed state of another
// serving replica.
#include <fmt/core.h>

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
    if (client == nullptr) continue;
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
      continue;
    }
    const AttemptPtr open = open_of(chunk);
    if (reply->code() == CHUNK_NOT_FOUND && version == 0) {
      FF_CO_TRY(store_->purge(chunk));
      if (open) forget(*open);
      co_return {};
    }
    if (reply->code() != STORAGE_OK) {
      tried += fmt::format("; target {}: {} {}", number(from), StorageCode_Name(reply->code()), reply->detail());
      continue;
    }
    auto info = to_info(reply->image());
    if (!info || info->chunk != chunk || info->length > memory.size()) {
      tried += fmt::format("; target {}: an image that makes no sense", number(from));
      continue;
    }
    if (exact && (!here || info->version != here->version || info->crc != here->crc || info->length != here->length)) {
      tried += fmt::format("; target {}: does not serve, and has another version", number(from));
      continue;
    }
    // Never back: what is committed here may have been read here.
    const ChunkVersion least = here ? here->version : 0;
    if (version ? info->version != *version : info->version < least) {
      tried += fmt::format("; target {}: has version {}", number(from), info->version);
      continue;
    }
    if (auto done = co_await store_->install(*info, std::span<const std::byte>(memory.span()).first(info->length));
        !done) {
      disk_trouble(done.error());
      co_return done;
    }
    ++repaired_chunks_;
    if (stay != stay_) co_return fail(Errc::kUnavailable, to_text(chunk) + ": the chain changed");
    if (open && open_of(chunk) == open) {
      if (info->version >= open->update.version) {
        if (!open->committed) {
          open->committed = true;  // somebody has it committed, so it is
          queue_mark(*open);
        }
        forget(*open);
      } else if (!open->whole && open->staged) {
        open->staged = false;
        if (Outcome again = co_await stage(open); again.code != STORAGE_OK)
          co_return fail(Errc::kUnavailable, fmt::format("{}: {}", to_text(chunk), again.detail));
      }
    }
    co_return {};
  }
  co_return fail(Errc::kCorrupt, fmt::format("{}: no other replica has what is missing here{}", to_text(chunk), tried));
}

void Target::start_repair(ChunkId chunk) {
  if (stopping_ || !repairing_.try_emplace(chunk, true).second) return;
  ++bad_chunks_;
  scope_.spawn(repair_later(chunk));
}

Task<void> Target::repair_later(ChunkId chunk) {
  {
    const auto lock = co_await locks_.lock(chunk);
    const auto info = store_->info(chunk);
    if (lock && info && info->bad && may_serve(life_, place_)) {
      if (auto done = co_await repair(chunk, std::nullopt, std::nullopt); !done) trouble_ = done.error().message();
    }
  }
  repairing_.erase(chunk);
}

}  // namespace ff::ffs
