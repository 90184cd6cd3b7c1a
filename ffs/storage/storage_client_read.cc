#include <fmt/core.h>

#include <algorithm>
#include <cstring>
#include <map>

#include "ffs/storage/storage.ff.hpp"
#include "ffs/storage/storage_client.hpp"
#include "ffs/storage/storage_client_jobs.hpp"
#include "ffs/storage/storage_convert.hpp"
#include "ffs/storage/storage_peers.hpp"

namespace ff::ffs {

using runtime::Task;

Task<std::vector<Result<ChunkContent>>> StorageClient::read(std::vector<ChunkReadOp> ops, ReadMode mode) {
  const runtime::Time until = deadline(co_await runtime::current_context());
  std::vector<ReadJob> jobs(ops.size());
  for (std::size_t i = 0; i < ops.size(); ++i) {
    jobs[i].op = &ops[i];
    if (ops[i].into.empty() || ops[i].into.size() > kChunkBytesMax)
      jobs[i].finish(fail(Errc::kInvalidArgument,
                          fmt::format("{}: a read of {} bytes", to_text(ops[i].chunk), ops[i].into.size())));
  }
  co_await run_reads(&jobs, mode, until);
  std::vector<Result<ChunkContent>> out;
  out.reserve(jobs.size());
  for (ReadJob& job : jobs) out.push_back(std::move(job.result));
  co_return out;
}

Task<void> StorageClient::run_reads(std::vector<ReadJob>* jobs, ReadMode mode, runtime::Time deadline) {
  Attempts attempts;
  for (;;) {
    const auto view = routing_.current();
    std::map<NodeId, std::vector<ReadJob*>> by_node;
    bool left = false;
    for (ReadJob& job : *jobs) {
      if (job.done) continue;
      const Chain* const chain = view ? view->chain(job.op->chain) : nullptr;
      if (view && chain == nullptr) {
        job.finish(fail(Errc::kNotFound, fmt::format("chain {}: no such chain", number(job.op->chain))));
        continue;
      }
      left = true;
      job.stale = true;
      job.why = "no replica of the chain serves";
      const auto target = chain ? choose(*view, *chain, job.avoid) : std::nullopt;
      const TargetInfo* const info = target ? view->target(*target) : nullptr;
      if (info == nullptr) continue;
      if (std::ranges::find(job.avoid, *target) != job.avoid.end()) job.avoid.clear();
      job.target = *target;
      by_node[NodeId{info->node()}].push_back(&job);
    }
    if (!left) co_return;
    std::vector<Task<Result<>>> requests;
    for (auto& [node, group] : by_node) {
      for (auto& packed : pack(std::move(group), options_.request_ops, options_.request_bytes))
        requests.push_back(send_reads(std::move(packed.jobs), view, mode, deadline));
    }
    (void)co_await runtime::when_all(std::move(requests));
    left = false;
    for (const ReadJob& job : *jobs) {
      left = left || !job.done;
      attempts.stale = attempts.stale || (!job.done && job.stale);
    }
    if (!left) co_return;
    if (auto go_on = co_await pause(attempts, view ? view->version() : 0, deadline); !go_on) {
      for (ReadJob& job : *jobs)
        if (!job.done)
          job.finish(fail(Error(go_on.error()).context(fmt::format("read {}: {}", to_text(job.op->chunk), job.why))));
      co_return;
    }
  }
}

Task<Result<>> StorageClient::send_reads(std::vector<ReadJob*> jobs, std::shared_ptr<const RoutingView> view,
                                         ReadMode mode, runtime::Time deadline) {
  const auto turn = co_await requests_.acquire();
  if (!turn) co_return fail(turn.error());
  rpc::Client* const client = peers_->of(*view, jobs.front()->target);
  const runtime::Duration left = std::min(options_.attempt_timeout, deadline - env_.now());
  if (client == nullptr || left <= runtime::Duration(0)) co_return {};
  ReadRequest request;
  request.set_relaxed(mode == ReadMode::kRelaxed);
  std::uint64_t bytes = 0;
  for (const ReadJob* const job : jobs) {
    ReadOp& op = *request.add_ops();
    set(*op.mutable_chunk(), job->op->chunk);
    op.set_chain(number(job->op->chain));
    op.set_chain_version(view->chain(job->op->chain)->version);
    op.set_target(number(job->target));
    op.set_offset(job->op->offset);
    op.set_bytes(static_cast<std::uint32_t>(job->op->into.size()));
    op.set_buffer_offset(bytes);
    bytes += job->op->into.size();
  }
  const bool direct = contiguous(jobs);
  std::vector<std::byte> gathered(direct ? 0 : bytes);
  const std::span<std::byte> memory = direct ? std::span(jobs.front()->op->into.data(), bytes) : std::span(gathered);
  const NodeId node{view->target(jobs.front()->target)->node()};
  outstanding_[node] += bytes;
  const auto reply = co_await ChunksClient(*client).read(request, {.timeout = left,
                                                                   .attempts = 1,
                                                                   .wait_for_connection = false,
                                                                   .traffic = net::TrafficClass::kStorage,
                                                                   .bulk_receive = memory});
  outstanding_[node] -= bytes;
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    ReadJob& job = *jobs[i];
    if (!reply || reply->ops_size() != request.ops_size()) {
      job.why = reply ? "an answer that makes no sense" : reply.error().message();
      job.avoid.push_back(job.target);
      continue;
    }
    const ReadOpReply& one = reply->ops(static_cast<int>(i));
    if (one.code() == STORAGE_OK && one.bytes() <= job.op->into.size()) {
      if (!direct)
        std::memcpy(job.op->into.data(), gathered.data() + request.ops(static_cast<int>(i)).buffer_offset(),
                    one.bytes());
      learn(job.op->chunk, one.version());
      job.finish(ChunkContent{one.bytes(), one.version(), one.length()});
      continue;
    }
    if (one.code() == CHUNK_NOT_FOUND) {
      job.finish(ChunkContent{});
      continue;
    }
    job.why = fmt::format("target {}: {} {}", number(job.target), StorageCode_Name(one.code()), one.detail());
    job.stale = one.code() == STALE_CHAIN || one.code() == NOT_SERVING;
    if (one.code() != STALE_CHAIN) job.avoid.push_back(job.target);
    if (one.code() == STORAGE_INVALID) job.finish(fail(error_of(one.code(), job.why)));
    if (one.code() != CORRUPT) continue;
    if (std::ranges::find(job.corrupt, job.target) == job.corrupt.end()) job.corrupt.push_back(job.target);
    const std::vector<TargetId> serving = view->chain(job.op->chain)->serving();
    if (std::ranges::all_of(serving,
                            [&](TargetId id) { return std::ranges::find(job.corrupt, id) != job.corrupt.end(); }))
      job.finish(fail(error_of(CORRUPT, job.why)));
  }
  co_return {};
}

}  // namespace ff::ffs
