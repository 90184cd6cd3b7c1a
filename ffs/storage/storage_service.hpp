// ChunkTargets: the service of storage.proto for all targets of a process: finds the target that a request names and
// lets it answer.
//
// Ownership  Targets are shared with the StorageServer; the service outlives the rpc::Server. Threads: the Env's.
#pragma once

#include <functional>
#include <map>
#include <memory>

#include "ffs/storage/storage.ff.hpp"
#include "ffs/storage/target.hpp"

namespace ff::ffs {

class ChunkTargets final : public ChunksService {
 public:
  explicit ChunkTargets(runtime::Env& env) : env_(env) {}

  void add(Target& target) { targets_[target.id()] = &target; }
  // REQUIRES: no request is running.
  void clear() { targets_.clear(); }
  // Of the lease, for TargetStatus.
  void set_lease_left(std::function<runtime::Duration()> lease_left) { lease_left_ = std::move(lease_left); }

  runtime::Task<Result<ReadReply>> read(rpc::ServerCall& call, const ReadRequest& request) override;
  runtime::Task<Result<UpdateReply>> update(rpc::ServerCall& call, const UpdateRequest& request) override;
  runtime::Task<Result<ForwardReply>> forward(rpc::ServerCall& call, const ForwardRequest& request) override;
  runtime::Task<Result<CommitReply>> commit(rpc::ServerCall& call, const CommitRequest& request) override;
  runtime::Task<Result<CommittedReply>> committed(rpc::ServerCall& call, const CommittedRequest& request) override;
  runtime::Task<Result<FetchChunkReply>> fetch_chunk(rpc::ServerCall& call, const FetchChunkRequest& request) override;
  runtime::Task<Result<LastChunkReply>> last_chunk(rpc::ServerCall& call, const LastChunkRequest& request) override;
  runtime::Task<Result<RemoveChunksReply>> remove_chunks(rpc::ServerCall& call,
                                                         const RemoveChunksRequest& request) override;
  runtime::Task<Result<SyncRangeReply>> sync_range(rpc::ServerCall& call, const SyncRangeRequest& request) override;
  runtime::Task<Result<SyncInstallReply>> sync_install(rpc::ServerCall& call,
                                                       const SyncInstallRequest& request) override;
  runtime::Task<Result<SyncDoneReply>> sync_done(rpc::ServerCall& call, const SyncDoneRequest& request) override;
  runtime::Task<Result<TargetStatusReply>> target_status(rpc::ServerCall& call,
                                                         const TargetStatusRequest& request) override;

 private:
  Target* find(std::uint64_t target) const;

  runtime::Env& env_;
  std::map<TargetId, Target*> targets_;
  std::function<runtime::Duration()> lease_left_;
};

}  // namespace ff::ffs
