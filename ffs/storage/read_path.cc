// Reads at any replica, and what the head says about commits. An update that is open here may be committed already:
// only the head knows, so a strict read of such a chunk asks it, and serves what was committed at that moment or later.
#include <fmt/core.h>

#include "ffs/storage/storage.ff.hpp"
#include "ffs/storage/storage_convert.hpp"
#include "ffs/storage/storage_peers.hpp"
#include "ffs/storage/target.hpp"
#include "libcommon/rpc/server_call.hpp"

namespace ff::ffs {

using runtime::Task;

Task<ReadOpReply> Target::read(ReadOp op, bool relaxed, std::span<std::byte> into) {
  constexpr int kTries = 8;
  const Stopwatch timed(env_, metrics_.read_latency);
  const ChunkId chunk = to_chunk(op.chunk());
  ReadOpReply reply;
  const auto answer = [&](StorageCode code, std::string detail = {}) {
    reply.set_code(code);
    reply.set_detail(std::move(detail));
    reply.set_chain_version(place_.version);
  };
  co_await catch_up(op.chain(), op.chain_version());
  for (int tries = 0; tries < kTries; ++tries) {
    if (const StorageCode code = check_serving(op.chain(), op.chain_version()); code != STORAGE_OK) {
      answer(code);
      co_return reply;
    }
    const AttemptPtr open = open_of(chunk);
    const auto update = open ? std::optional(open->open()) : std::nullopt;
    const ReadAction action = decide_read(
        update,
        {.strict = !relaxed, .head = is_head(), .inherited = open && open->term != term_, .whole = open && open->whole},
        options_.hazards);
    if (action == ReadAction::kElsewhere) {
      answer(BUSY, "what was committed before the open update is not here");
      co_return reply;
    }
    if (action == ReadAction::kFinish) {
      if (!co_await finish({chunk}, env_.now() + options_.forward_timeout)) {
        answer(BUSY, "an update that an earlier head left is not finished yet");
        co_return reply;
      }
      continue;
    }
    if (action == ReadAction::kAsk) {
      const Answer head = co_await ask_head({chunk});
      if (head.code != STORAGE_OK || head.codes.front() != STORAGE_OK) {
        answer(head.code == STALE_CHAIN ? STALE_CHAIN : BUSY, "the head has not said what is committed");
        co_return reply;
      }
      if (open_of(chunk) != open) continue;  // committed, or replaced, while we asked
      const auto info = store_->info(chunk);
      const AnswerAction next = decide_answered(*update, info ? info->version : 0, head.versions.front());
      if (next == AnswerAction::kElsewhere) {
        answer(BUSY, "what was committed before the open update is not here");
        co_return reply;
      }
      if (next == AnswerAction::kCommit) {
        if (check_serving(op.chain(), op.chain_version()) != STORAGE_OK) continue;
        if (open->staged) commit_attempt(*open, place_.version);
        continue;
      }
    }
    const auto read = co_await store_->read(chunk, op.offset(), into);
    if (const StorageCode code = check_serving(op.chain(), op.chain_version()); code != STORAGE_OK) {
      answer(code);
      co_return reply;
    }
    // A whole chunk that arrived meanwhile reads as committed, and may not be.
    if (const AttemptPtr now = open_of(chunk);
        read && now && now->whole && now != open && read->version >= now->update.version)
      continue;
    if (!read) {
      if (read.error().code() == Errc::kCorrupt) start_repair(chunk);
      answer(code_of(read.error()), read.error().message());
      co_return reply;
    }
    answer(STORAGE_OK);
    reply.set_bytes(read->bytes);
    reply.set_version(read->version);
    reply.set_length(read->length);
    metrics_.reads.add();
    metrics_.read_bytes.add(read->bytes);
    co_return reply;
  }
  answer(BUSY, "the chunk changes faster than it can be read");
  co_return reply;
}

Task<Target::Answer> Target::ask_head(std::vector<ChunkId> chunks) {
  Answer out;
  const auto view = view_;
  const Chain* const mine = chain();
  const auto head = mine == nullptr ? std::nullopt : mine->head();
  rpc::Client* const client = head ? host_.peers.of(*view, *head) : nullptr;
  if (client == nullptr) co_return out;
  CommittedRequest request;
  request.set_chain(number(mine->id));
  request.set_chain_version(mine->version);
  request.set_target(number(*head));
  for (const ChunkId chunk : chunks) set(*request.add_chunks(), chunk);
  const auto reply = co_await ChunksClient(*client).committed(request, {.timeout = options_.forward_timeout,
                                                                        .attempts = 1,
                                                                        .wait_for_connection = false,
                                                                        .traffic = net::TrafficClass::kStorage});
  if (!reply) co_return out;
  out.code = reply->code();
  if (out.code != STORAGE_OK) co_return out;
  if (reply->codes_size() != request.chunks_size() || reply->versions_size() != request.chunks_size()) {
    out.code = BUSY;
    co_return out;
  }
  for (int i = 0; i < reply->codes_size(); ++i) {
    out.codes.push_back(reply->codes(i));
    out.versions.push_back(reply->versions(i));
  }
  co_return out;
}

Task<Result<CommittedReply>> Target::committed(const CommittedRequest& request) {
  co_await catch_up(request.chain(), request.chain_version());
  CommittedReply reply;
  reply.set_code(check_head(request.chain(), request.chain_version()));
  if (reply.code() != STORAGE_OK) co_return reply;
  for (const ChunkRef& ref : request.chunks()) {
    const ChunkId chunk = to_chunk(ref);
    const AttemptPtr open = open_of(chunk);
    const bool inherited = open && open->term != term_;
    if (inherited) settle_wanted_.set();
    const auto info = store_->info(chunk);
    reply.add_codes(inherited ? BUSY : STORAGE_OK);
    reply.add_versions(info ? info->version : 0);
  }
  co_return reply;
}

Task<Result<FetchChunkReply>> Target::fetch_chunk(rpc::ServerCall& call, const FetchChunkRequest& request) {
  co_await catch_up(request.chain(), request.chain_version());
  FetchChunkReply reply;
  reply.set_code(check_serving(request.chain(), request.chain_version()));
  if (reply.code() == NOT_SERVING && request.exact()) reply.set_code(STORAGE_OK);
  if (reply.code() != STORAGE_OK) co_return reply;
  const AttemptPtr open = open_of(to_chunk(request.chunk()));
  if (open && open->whole) {
    reply.set_code(BUSY);
    reply.set_detail("what is here may not be committed");
    co_return reply;
  }
  auto copy = co_await copy_of(to_chunk(request.chunk()), false, request.damaged());
  if (!copy) {
    if (copy.error().code() == Errc::kCorrupt) start_repair(to_chunk(request.chunk()));
    reply.set_code(code_of(copy.error()));
    reply.set_detail(copy.error().message());
    co_return reply;
  }
  if (call.bulk_receive_bytes() < copy->image.chunk().length())
    co_return fail(Errc::kInvalidArgument, fmt::format("{} needs {} bytes of room", to_text(to_chunk(request.chunk())),
                                                       copy->image.chunk().length()));
  if (!copy->content().empty()) FF_CO_TRY(co_await call.push_bulk(copy->content()));
  *reply.mutable_image() = std::move(copy->image);
  co_return reply;
}

Task<Result<LastChunkReply>> Target::last_chunk(const LastChunkRequest& request) {
  constexpr std::size_t kPage = 1024;
  co_await catch_up(request.chain(), request.chain_version());
  LastChunkReply reply;
  reply.set_code(check_head(request.chain(), request.chain_version()));
  if (reply.code() != STORAGE_OK) co_return reply;
  const InodeId inode{request.inode()};
  // What an earlier head left may have been acknowledged.
  std::vector<ChunkId> inherited;
  for (const auto& [chunk, open] : open_)
    if (chunk.inode == inode && open->term != term_) inherited.push_back(chunk);
  if (!inherited.empty() && !co_await finish(std::move(inherited), env_.now() + options_.forward_timeout)) {
    reply.set_code(BUSY);
    reply.set_detail("updates that an earlier head left are not finished yet");
    co_return reply;
  }
  for (ChunkId from{inode, 0};;) {
    const std::vector<ChunkInfo> page = store_->list(from, kPage);
    for (const ChunkInfo& info : page) {
      if (info.chunk.inode != inode) break;
      if (info.version == 0 || info.removed) continue;
      reply.set_chunks(reply.chunks() + 1);
      reply.set_used_bytes(reply.used_bytes() + info.length);
    }
    if (page.size() < kPage || page.back().chunk.inode != inode) break;
    from = {inode, page.back().chunk.index + 1};
  }
  if (const auto last = store_->last_chunk(inode)) {
    reply.set_found(true);
    reply.set_index(last->chunk.index);
    reply.set_length(last->length);
  }
  reply.set_code(check_head(request.chain(), request.chain_version()));
  co_return reply;
}

}  // namespace ff::ffs
