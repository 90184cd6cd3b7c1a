#include <fmt/core.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <utility>

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

// What one node said to the reads of a request.
struct StorageClient::ReadAnswer {
  std::vector<TargetId> targets;  // asked, one for each job
  Result<ReadReply> reply = fail(Errc::kUnavailable, "nobody was asked");
  std::span<const std::byte> memory;  // that the answer's bytes are in, job after job
};

Task<Result<>> StorageClient::send_reads(std::vector<ReadJob*> jobs, std::shared_ptr<const RoutingView> view,
                                         ReadMode mode, runtime::Time deadline) {
  const auto turn = co_await requests_.acquire();
  if (!turn) co_return fail(turn.error());
  if (env_.now() >= deadline) co_return {};
  std::uint64_t bytes = 0;
  std::vector<TargetId> targets;
  for (const ReadJob* const job : jobs) {
    bytes += job->op->into.size();
    targets.push_back(job->target);
  }
  // The second request has memory of its own: the first one's answer may be arriving in this.
  std::vector<std::byte> gathered(contiguous(jobs) ? 0 : bytes), second;
  const std::span<std::byte> memory =
      contiguous(jobs) ? std::span(jobs.front()->op->into.data(), bytes) : std::span(gathered);
  std::vector<Task<ReadAnswer>> asked;
  asked.push_back(ask_reads(jobs, std::move(targets), *view, mode, deadline, memory));
  asked.push_back(hedge_reads(jobs, *view, mode, deadline, second));
  const auto first = co_await runtime::when_any(std::move(asked));
  apply(jobs, first.value, *view);
  co_return {};
}

Task<StorageClient::ReadAnswer> StorageClient::ask_reads(const std::vector<ReadJob*>& jobs,
                                                         std::vector<TargetId> targets, const RoutingView& view,
                                                         ReadMode mode, runtime::Time deadline,
                                                         std::span<std::byte> memory) {
  ReadAnswer answer{.targets = std::move(targets), .memory = memory};
  rpc::Client* const client = peers_->of(view, answer.targets.front());
  if (client == nullptr) co_return answer;
  ReadRequest request;
  request.set_relaxed(mode == ReadMode::kRelaxed);
  std::uint64_t bytes = 0;
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    const ChunkReadOp& wanted = *jobs[i]->op;
    ReadOp& op = *request.add_ops();
    if (answer.targets[i] != jobs[i]->target) request.set_hedged(true);
    set(*op.mutable_chunk(), wanted.chunk);
    op.set_chain(number(wanted.chain));
    op.set_chain_version(view.chain(wanted.chain)->version);
    op.set_target(number(answer.targets[i]));
    op.set_offset(wanted.offset);
    op.set_bytes(static_cast<std::uint32_t>(wanted.into.size()));
    op.set_buffer_offset(bytes);
    bytes += wanted.into.size();
  }
  const NodeId node{view.target(answer.targets.front())->node()};
  const runtime::Time begun = env_.now();
  outstanding_[node] += bytes;
  answer.reply =
      co_await ChunksClient(*client).read(request, {.timeout = std::min(options_.attempt_timeout, deadline - begun),
                                                    .attempts = 1,
                                                    .wait_for_connection = false,
                                                    .traffic = net::TrafficClass::kStorage,
                                                    .bulk_receive = memory});
  outstanding_[node] -= bytes;
  if (answer.reply) hedge_.answered(bytes, env_.now() - begun);
  co_return answer;
}

Task<StorageClient::ReadAnswer> StorageClient::hedge_reads(const std::vector<ReadJob*>& jobs, const RoutingView& view,
                                                           ReadMode mode, runtime::Time deadline,
                                                           std::vector<std::byte>& memory) {
  std::uint64_t bytes = 0;
  for (const ReadJob* const job : jobs) bytes += job->op->into.size();
  (void)co_await runtime::sleep(hedge_.delay(bytes));
  std::vector<TargetId> others;
  if (co_await runtime::not_cancelled() && env_.now() < deadline) others = alternatives(jobs, view);
  ReadAnswer answer;
  if (!others.empty() && hedge_.take()) {
    memory.resize(bytes);
    answer = co_await ask_reads(jobs, std::move(others), view, mode, deadline, memory);
    if (answer.reply) co_return answer;
  }
  // The first request is the one to wait for; its end cancels this.
  (void)co_await runtime::sleep_until(runtime::kNever);
  co_return answer;
}

std::vector<TargetId> StorageClient::alternatives(const std::vector<ReadJob*>& jobs, const RoutingView& view) {
  const auto serving_on = [&](const ReadJob& job, auto node) -> std::optional<TargetId> {
    const Chain* const chain = view.chain(job.op->chain);
    for (const TargetId id : chain->serving()) {
      const TargetInfo* const info = view.target(id);
      if (info != nullptr && info->node() == node && id != job.target &&
          std::ranges::find(job.avoid, id) == job.avoid.end())
        return id;
    }
    return std::nullopt;
  };
  for (const TargetId candidate : view.chain(jobs.front()->op->chain)->serving()) {
    const TargetInfo* const info = view.target(candidate);
    if (info == nullptr) continue;
    std::vector<TargetId> targets;
    for (const ReadJob* const job : jobs) {
      const auto target = serving_on(*job, info->node());
      if (!target) break;
      targets.push_back(*target);
    }
    if (targets.size() == jobs.size()) return targets;
  }
  return {};
}

void StorageClient::apply(const std::vector<ReadJob*>& jobs, const ReadAnswer& answer, const RoutingView& view) {
  std::uint64_t at = 0;  // of the job's bytes in the answer's memory
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    ReadJob& job = *jobs[i];
    const std::uint64_t begin = std::exchange(at, at + job.op->into.size());
    job.target = answer.targets.empty() ? job.target : answer.targets[i];
    if (!answer.reply || answer.reply->ops_size() != static_cast<int>(jobs.size())) {
      job.why = answer.reply ? "an answer that makes no sense" : answer.reply.error().message();
      job.avoid.push_back(job.target);
      continue;
    }
    const ReadOpReply& one = answer.reply->ops(static_cast<int>(i));
    if (one.code() == STORAGE_OK && one.bytes() <= job.op->into.size()) {
      const std::byte* const bytes = answer.memory.data() + begin;
      if (bytes != job.op->into.data()) std::memcpy(job.op->into.data(), bytes, one.bytes());
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
    const std::vector<TargetId> serving = view.chain(job.op->chain)->serving();
    if (std::ranges::all_of(serving,
                            [&](TargetId id) { return std::ranges::find(job.corrupt, id) != job.corrupt.end(); }))
      job.finish(fail(error_of(CORRUPT, job.why)));
  }
}

}  // namespace ff::ffs
