#include "ffbench/storage/load.hpp"

#include <algorithm>

namespace ff::bench {

Load::Load(const StorageJob& job, std::int64_t begin_ns, std::int64_t end_ns)
    : job_(job),
      begin_ns_(begin_ns),
      end_ns_(end_ns),
      blocks_(job.size / job.block_bytes),
      rng_(job.seed),
      pass_(blocks_, rng_.next()) {
  if (job.zipf_theta > 0) zipf_.emplace(blocks_, job.zipf_theta);
}

std::uint64_t Load::next_block() {
  if (is_random(job_.pattern)) {
    if (zipf_) return pass_.at(zipf_->draw(rng_));  // the frequent ones lie anywhere
    if (job_.repeat_offsets) return rng_.below(blocks_);
  }
  if (in_pass_ == blocks_) {
    in_pass_ = 0;
    if (is_random(job_.pattern)) pass_ = Permutation(blocks_, rng_.next());
  }
  const std::uint64_t index = in_pass_++;
  return is_random(job_.pattern) ? pass_.at(index) : index;
}

bool Load::next_is_write() {
  if (!writes(job_.pattern)) return false;
  if (!reads(job_.pattern)) return true;
  return rng_.uniform() >= job_.read_share;
}

std::optional<Load::Operation> Load::next(std::int64_t now_ns) {
  if (job_.operations_max > 0 && begun_ >= job_.operations_max) return std::nullopt;
  Operation operation;
  if (job_.rate_iops > 0)
    operation.due_ns = begin_ns_ + static_cast<std::int64_t>(static_cast<double>(begun_) / job_.rate_iops * 1e9);
  if (std::max(now_ns, operation.due_ns) >= end_ns_) return std::nullopt;
  ++begun_;
  operation.write = next_is_write();
  operation.offset = job_.offset + next_block() * job_.block_bytes;
  if (operation.write && job_.fsync_every > 0) operation.sync_after = ++writes_ % job_.fsync_every == 0;
  return operation;
}

void Load::done(const Operation& operation, std::int64_t submitted_ns, std::int64_t now_ns) {
  StorageCounts& counts = operation.write ? reading_.write : reading_.read;
  ++counts.operations;
  counts.bytes += job_.block_bytes;
  counts.latency.record(now_ns - (operation.due_ns > 0 ? operation.due_ns : submitted_ns));
  reading_.elapsed_ns = std::max(reading_.elapsed_ns, now_ns - begin_ns_);
}

void Load::synced(std::int64_t submitted_ns, std::int64_t now_ns) {
  reading_.sync.record(now_ns - submitted_ns);
  reading_.elapsed_ns = std::max(reading_.elapsed_ns, now_ns - begin_ns_);
}

}  // namespace ff::bench
