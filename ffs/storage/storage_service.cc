#include "ffs/storage/storage_service.hpp"

#include <fmt/core.h>

#include <algorithm>

namespace ff::ffs {

using runtime::Task;

namespace {

std::unexpected<Error> not_here(std::uint64_t target) {
  return fail(Errc::kUnavailable, fmt::format("target {}: not on this node", target));
}

}  // namespace

Target* ChunkTargets::find(std::uint64_t target) const {
  const auto found = targets_.find(TargetId{target});
  return found == targets_.end() ? nullptr : found->second;
}

// All of the operations together, then what they found in as few pushes as the memory's layout allows.
Task<Result<ReadReply>> ChunkTargets::read(rpc::ServerCall& call, const ReadRequest& request) {
  const std::uint64_t room = call.bulk_receive_bytes();
  std::uint64_t bytes = 0;
  for (const ReadOp& op : request.ops()) {
    if (op.bytes() == 0 || op.bytes() > kChunkBytesMax || op.buffer_offset() > room ||
        op.bytes() > room - op.buffer_offset())
      co_return fail(Errc::kInvalidArgument,
                     fmt::format("a read of {} bytes to {} of {}", op.bytes(), op.buffer_offset(), room));
    bytes += op.bytes();
  }
  if (bytes > room) co_return fail(Errc::kInvalidArgument, "reads that overlap in memory");
  ReadReply reply;
  if (request.ops_size() == 0) co_return reply;
  FF_CO_TRY_ASSIGN(const runtime::DiskBuffer memory, env_.disk().buffer(room));
  std::vector<Task<ReadOpReply>> tasks;
  std::vector<int> which;
  for (int i = 0; i < request.ops_size(); ++i) {
    const ReadOp& op = request.ops(i);
    ReadOpReply& one = *reply.add_ops();
    Target* const target = find(op.target());
    if (target == nullptr) {
      one.set_code(NOT_SERVING);
      continue;
    }
    if (request.hedged()) target->metrics().hedged_reads.add();
    tasks.push_back(target->read(op, request.relaxed(), memory.span().subspan(op.buffer_offset(), op.bytes())));
    which.push_back(i);
  }
  std::vector<ReadOpReply> done = co_await runtime::when_all(std::move(tasks));
  std::vector<std::pair<std::uint64_t, std::uint64_t>> filled;  // [begin, end)
  for (std::size_t k = 0; k < done.size(); ++k) {
    const std::uint64_t begin = request.ops(which[k]).buffer_offset();
    if (done[k].code() == STORAGE_OK && done[k].bytes() > 0) filled.emplace_back(begin, begin + done[k].bytes());
    *reply.mutable_ops(which[k]) = std::move(done[k]);
  }
  std::ranges::sort(filled);
  for (std::size_t i = 0; i < filled.size();) {
    const std::uint64_t begin = filled[i].first;
    std::uint64_t end = filled[i].second;
    for (++i; i < filled.size() && filled[i].first == end; ++i) end = filled[i].second;
    FF_CO_TRY(co_await call.push_bulk(memory.span().subspan(begin, end - begin), begin));
  }
  co_return reply;
}

Task<Result<UpdateReply>> ChunkTargets::update(rpc::ServerCall& call, const UpdateRequest& request) {
  Target* const target = find(request.target());
  if (target == nullptr) co_return not_here(request.target());
  co_return co_await target->update(call, request);
}

Task<Result<ForwardReply>> ChunkTargets::forward(rpc::ServerCall& call, const ForwardRequest& request) {
  Target* const target = find(request.target());
  if (target == nullptr) co_return not_here(request.target());
  co_return co_await target->forward(call, request);
}

Task<Result<CommitReply>> ChunkTargets::commit(rpc::ServerCall&, const CommitRequest& request) {
  Target* const target = find(request.target());
  if (target == nullptr) co_return not_here(request.target());
  target->commit(request);
  co_return CommitReply();
}

Task<Result<CommittedReply>> ChunkTargets::committed(rpc::ServerCall&, const CommittedRequest& request) {
  Target* const target = find(request.target());
  if (target == nullptr) co_return not_here(request.target());
  co_return co_await target->committed(request);
}

Task<Result<FetchChunkReply>> ChunkTargets::fetch_chunk(rpc::ServerCall& call, const FetchChunkRequest& request) {
  Target* const target = find(request.target());
  if (target == nullptr) co_return not_here(request.target());
  co_return co_await target->fetch_chunk(call, request);
}

Task<Result<LastChunkReply>> ChunkTargets::last_chunk(rpc::ServerCall&, const LastChunkRequest& request) {
  Target* const target = find(request.target());
  if (target == nullptr) co_return not_here(request.target());
  co_return co_await target->last_chunk(request);
}

Task<Result<RemoveChunksReply>> ChunkTargets::remove_chunks(rpc::ServerCall&, const RemoveChunksRequest& request) {
  Target* const target = find(request.target());
  if (target == nullptr) co_return not_here(request.target());
  co_return co_await target->remove_chunks(request);
}

Task<Result<SyncRangeReply>> ChunkTargets::sync_range(rpc::ServerCall&, const SyncRangeRequest& request) {
  Target* const target = find(request.target());
  if (target == nullptr) co_return not_here(request.target());
  co_return co_await target->sync_range(request);
}

Task<Result<SyncInstallReply>> ChunkTargets::sync_install(rpc::ServerCall& call, const SyncInstallRequest& request) {
  Target* const target = find(request.target());
  if (target == nullptr) co_return not_here(request.target());
  co_return co_await target->sync_install(call, request);
}

Task<Result<SyncDoneReply>> ChunkTargets::sync_done(rpc::ServerCall&, const SyncDoneRequest& request) {
  Target* const target = find(request.target());
  if (target == nullptr) co_return not_here(request.target());
  co_return co_await target->sync_done(request);
}

Task<Result<TargetStatusReply>> ChunkTargets::target_status(rpc::ServerCall&, const TargetStatusRequest&) {
  TargetStatusReply reply;
  const runtime::Duration left = lease_left_ ? std::max(lease_left_(), runtime::Duration(0)) : runtime::Duration(0);
  for (const auto& [id, target] : targets_) {
    TargetStatus& status = *reply.add_targets() = target->status();
    status.set_lease_left_ms(
        static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(left).count()));
  }
  co_return reply;
}

}  // namespace ff::ffs
