#include <fmt/core.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <set>

#include "ffs/storage/storage.ff.hpp"
#include "ffs/storage/storage_client.hpp"
#include "ffs/storage/storage_client_jobs.hpp"
#include "ffs/storage/storage_convert.hpp"
#include "ffs/storage/storage_peers.hpp"
#include "libcommon/base/crc32c.hpp"

namespace ff::ffs {

using runtime::Task;

namespace {

// Refusals that repairs or time may cure, before the caller is told.
constexpr std::uint32_t kRefusalsMost = 5;
constexpr std::size_t kKnownMost = 65536;

Result<> check(const ChunkUpdateOp& op) {
  const auto wrong = [&](const char* what) {
    return fail(Errc::kInvalidArgument, fmt::format("{}: {}", to_text(op.chunk), what));
  };
  if (!valid_chunk_bytes(op.chunk_bytes)) return wrong("not a size of chunks");
  if (op.kind == UpdateKind::kWrite) {
    if (op.data.empty()) return wrong("a write of nothing");
    if (op.data.size() > op.chunk_bytes || op.offset > op.chunk_bytes - op.data.size())
      return wrong("a write beyond the chunk");
  }
  if (op.kind == UpdateKind::kTruncate && op.length > op.chunk_bytes) return wrong("a length beyond the chunk");
  return {};
}

}  // namespace

void StorageClient::learn(ChunkId chunk, ChunkVersion version) {
  if (known_.size() >= kKnownMost) known_.clear();
  ChunkVersion& known = known_[chunk];
  known = std::max(known, version);
}

Task<std::vector<Result<ChunkUpdated>>> StorageClient::update(std::vector<ChunkUpdateOp> ops) {
  const runtime::Time until = deadline(co_await runtime::current_context());
  std::vector<ChunkId> chunks;
  for (const ChunkUpdateOp& op : ops) chunks.push_back(op.chunk);
  UpdateWindow::Turns turns = window_.enter(chunks);
  std::vector<UpdateJob> jobs(ops.size());
  std::map<ChainId, std::vector<UpdateJob*>> by_chain;
  for (std::size_t i = 0; i < ops.size(); ++i) {
    UpdateJob& job = jobs[i];
    job.op = &ops[i];
    job.index = i;
    if (auto good = check(ops[i]); !good) {
      job.finish(fail(good.error()));
      turns.end(i);
      continue;
    }
    job.tag = {client_, ++sequence_};
    job.crc = crc32c(0, ops[i].data.data(), ops[i].data.size());
    by_chain[ops[i].chain].push_back(&job);
  }
  std::vector<Task<Result<>>> chains;
  for (auto& [chain, group] : by_chain) chains.push_back(run_updates(std::move(group), turns, until));
  (void)co_await runtime::when_all(std::move(chains));
  std::vector<Result<ChunkUpdated>> out;
  out.reserve(jobs.size());
  for (UpdateJob& job : jobs) out.push_back(std::move(job.result));
  co_return out;
}

Task<Result<>> StorageClient::run_updates(std::vector<UpdateJob*> jobs, UpdateWindow::Turns& turns,
                                          runtime::Time deadline) {
  Attempts attempts;
  const auto give_up = [&](const Error& why) {
    for (UpdateJob* const job : jobs) {
      if (job->done) continue;
      job->finish(fail(job->sent ? Errc::kTimeout : Errc::kUnavailable,
                       fmt::format("update {}: {}: {}", to_text(job->op->chunk), job->why, why.message())));
    }
  };
  for (;;) {
    // Of each chunk the first that is not done: in the order given, also when some must be repeated.
    std::vector<UpdateJob*> round;
    std::set<ChunkId> taken;
    for (UpdateJob* const job : jobs)
      if (!job->done && taken.insert(job->op->chunk).second) round.push_back(job);
    if (round.empty()) co_return {};
    const auto view = routing_.current();
    const ChainId chain = jobs.front()->op->chain;
    if (view && view->chain(chain) == nullptr) {
      for (UpdateJob* const job : jobs)
        if (!job->done) job->finish(fail(Errc::kNotFound, fmt::format("chain {}: no such chain", number(chain))));
      co_return {};
    }
    for (UpdateJob* const job : round) {
      job->again = false;
      if (turns.may_begin(job->index)) continue;
      const auto turn = co_await runtime::with_timeout(deadline - env_.now(), "earlier updates of the chunk",
                                                       turns.begin(job->index));
      if (!turn) {
        give_up(turn.error());
        co_return {};
      }
    }
    if (view) {
      std::vector<Task<Result<>>> requests;
      for (auto& packed : pack(round, options_.request_ops, options_.request_bytes))
        requests.push_back(send_updates(std::move(packed.jobs), view, deadline));
      (void)co_await runtime::when_all(std::move(requests));
    }
    for (const UpdateJob* const job : round)
      if (job->done) turns.end(job->index);
    if (std::ranges::all_of(round, [](const UpdateJob* job) { return job->done || job->again; })) {
      attempts.failures = 0;
      continue;
    }
    attempts.stale = true;
    if (auto go_on = co_await pause(attempts, view ? view->version() : 0, deadline); !go_on) {
      give_up(go_on.error());
      co_return {};
    }
  }
}

Task<Result<>> StorageClient::send_updates(std::vector<UpdateJob*> jobs, std::shared_ptr<const RoutingView> view,
                                           runtime::Time deadline) {
  const auto turn = co_await requests_.acquire();
  if (!turn) co_return fail(turn.error());
  const Chain& chain = *view->chain(jobs.front()->op->chain);
  const auto head = chain.head();
  rpc::Client* const client = head ? peers_->of(*view, *head) : nullptr;
  const runtime::Duration left = std::min(options_.attempt_timeout, deadline - env_.now());
  if (client == nullptr || left <= runtime::Duration(0)) {
    for (UpdateJob* const job : jobs) job->why = "the chain has no head";
    co_return {};
  }
  UpdateRequest request;
  request.set_chain(number(chain.id));
  request.set_chain_version(chain.version);
  request.set_target(number(*head));
  std::uint64_t bytes = 0;
  for (UpdateJob* const job : jobs) {
    if (!job->sent) {
      const auto known = known_.find(job->op->chunk);
      job->known = known == known_.end() ? 0 : known->second;
    }
    UpdateOp& op = *request.add_ops();
    set(*op.mutable_chunk(), job->op->chunk);
    op.set_type(to_type(job->op->kind));
    op.set_chunk_bytes(job->op->chunk_bytes);
    op.set_truncate_epoch(job->op->truncate_epoch);
    op.set_older_only(job->op->older_only);
    set(*op.mutable_tag(), job->tag);
    op.set_retry(job->sent);
    op.set_known_version(job->known);
    op.set_must_know(!job->told);
    if (job->op->kind == UpdateKind::kTruncate) op.set_length(job->op->length);
    if (job->op->kind == UpdateKind::kWrite) {
      op.set_offset(job->op->offset);
      op.set_bytes(static_cast<std::uint32_t>(job->op->data.size()));
      op.set_buffer_offset(bytes);
      op.set_crc(job->crc);
      bytes += job->op->data.size();
    }
  }
  const bool direct = contiguous(jobs);
  std::vector<std::byte> gathered(direct ? 0 : bytes);
  if (!direct) {
    std::size_t at = 0;
    for (const UpdateJob* const job : jobs) {
      if (job->op->kind != UpdateKind::kWrite) continue;
      std::memcpy(gathered.data() + at, job->op->data.data(), job->op->data.size());
      at += job->op->data.size();
    }
  }
  const std::span<const std::byte> memory =
      direct ? std::span<const std::byte>(jobs.front()->op->data.data(), bytes) : std::span<const std::byte>(gathered);
  const NodeId node{view->target(*head)->node()};
  outstanding_[node] += bytes;
  bool may_have_run = true;
  const auto reply = co_await ChunksClient(*client).update(request, {.timeout = left,
                                                                     .attempts = 1,
                                                                     .wait_for_connection = false,
                                                                     .traffic = net::TrafficClass::kStorage,
                                                                     .bulk_send = memory,
                                                                     .may_have_run = &may_have_run});
  outstanding_[node] -= bytes;
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    UpdateJob& job = *jobs[i];
    if (!reply || reply->ops_size() != request.ops_size()) {
      job.sent = job.sent || reply || may_have_run;
      job.why = reply ? "an answer that makes no sense" : reply.error().message();
      continue;
    }
    const UpdateOpReply& one = reply->ops(static_cast<int>(i));
    job.why = fmt::format("target {}: {} {}", number(*head), StorageCode_Name(one.code()), one.detail());
    job.sent = job.sent || !one.untouched();
    switch (one.code()) {
      case STORAGE_OK:
        known_.erase(job.op->chunk);  // the version may be lower: a chunk that was removed and forgotten begins anew
        learn(job.op->chunk, one.version());
        job.finish(ChunkUpdated{one.version(), one.length()});
        break;
      case UNCERTAIN:
      case STALE_EPOCH:
      case STORAGE_INVALID: job.finish(fail(error_of(one.code(), job.why))); break;
      case NO_SPACE:
      case CORRUPT:
        if (++job.refusals >= kRefusalsMost) job.finish(fail(error_of(one.code(), job.why)));
        break;
      case TELL_VERSION:
        known_.erase(job.op->chunk);
        learn(job.op->chunk, one.version());
        job.told = job.again = true;
        break;
      default: break;
    }
  }
  co_return {};
}

}  // namespace ff::ffs
