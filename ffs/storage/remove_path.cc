// Removing the chunks of a file: updates that the head makes itself.
#include <fmt/core.h>

#include "ffs/storage/range_digest.hpp"
#include "ffs/storage/storage_convert.hpp"
#include "ffs/storage/target.hpp"
#include "ffs/storage/update_batch.hpp"

namespace ff::ffs {

using runtime::Task;

Task<Result<RemoveChunksReply>> Target::remove_chunks(const RemoveChunksRequest& request) {
  constexpr std::uint32_t kLimitMost = 1024;
  constexpr std::size_t kTogether = 64;
  co_await catch_up(request.chain(), request.chain_version());
  RemoveChunksReply reply;
  reply.set_code(check_head(request.chain(), request.chain_version()));
  if (reply.code() != STORAGE_OK) co_return reply;
  const InodeId inode{request.inode()};
  const std::uint32_t limit = std::clamp<std::uint32_t>(request.limit(), 1, kLimitMost);
  ChunkId from{inode, request.from()};
  while (reply.removed() < limit) {
    const auto batch = std::make_shared<UpdateBatch>();
    batch->request.set_chain(request.chain());
    batch->request.set_chain_version(request.chain_version());
    const std::vector<ChunkInfo> page = store_->list(from, kTogether);
    for (const ChunkInfo& info : page) {
      if (info.chunk.inode != inode) break;
      from = next_chunk(info.chunk);
      if (info.removed && !info.pending) continue;
      if (request.older_only() && info.truncate_epoch >= request.truncate_epoch()) continue;
      const std::uint32_t bytes = info.chunk_bytes;
      UpdateOp& op = *batch->request.add_ops();
      set(*op.mutable_chunk(), info.chunk);
      op.set_type(REMOVE);
      op.set_chunk_bytes(bytes);
      // What the file's epoch does not cover any more stays gone for late writes of earlier epochs.
      op.set_truncate_epoch(request.older_only() ? request.truncate_epoch()
                                                 : std::max(request.truncate_epoch(), info.truncate_epoch));
      op.set_older_only(request.older_only());
      set(*op.mutable_tag(), UpdateTag{own_client_, ++own_sequence_});
      batch->reply.add_ops()->set_code(BUSY);
    }
    const bool end = page.size() < kTogether || page.back().chunk.inode != inode;
    if (batch->request.ops_size() > 0) FF_CO_TRY(co_await shielded(run_updates(batch)));
    for (const UpdateOpReply& one : batch->reply.ops()) {
      if (one.code() != STORAGE_OK) {
        reply.set_code(one.code());
        reply.set_detail(one.detail());
        co_return reply;
      }
      reply.set_removed(reply.removed() + 1);
    }
    if (end) co_return reply;
  }
  reply.set_more(true);
  co_return reply;
}

}  // namespace ff::ffs
