// What the operations of a StorageClient call become while it works on them, and how they are packed into requests.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "ffs/storage/storage.pb.h"
#include "ffs/storage/storage_client.hpp"

namespace ff::ffs {

struct StorageClient::Attempts {
  std::uint32_t failures = 0;
  bool stale = false;  // newer routing may help
};

struct StorageClient::ReadJob {
  const ChunkReadOp* op = nullptr;
  Result<ChunkContent> result = ChunkContent{};
  bool done = false;
  bool stale = false;
  TargetId target{};            // asked in this round
  std::vector<TargetId> avoid;  // failed lately
  std::vector<TargetId> corrupt;
  std::string why = "nothing was tried";

  std::span<const std::byte> span() const noexcept { return op->into; }
  void finish(Result<ChunkContent> with) {
    result = std::move(with);
    done = true;
  }
};

struct StorageClient::UpdateJob {
  const ChunkUpdateOp* op = nullptr;
  std::size_t index = 0;  // among those of the call
  Result<ChunkUpdated> result = ChunkUpdated{};
  bool done = false;
  bool sent = false;   // in an attempt that was not refused for sure: it may have taken effect
  bool again = false;  // to be sent once more at once
  bool told = false;   // what the chunk's version is, once: others may change it all the time
  std::uint32_t refusals = 0;
  UpdateTag tag;
  std::uint32_t crc = 0;
  ChunkVersion known = 0;
  std::string why = "nothing was tried";

  std::span<const std::byte> span() const noexcept { return op->data; }
  void finish(Result<ChunkUpdated> with) {
    result = std::move(with);
    done = true;
  }
};

// Up to this many bytes are copied together into one request, so that they travel inside its message.
inline constexpr std::size_t kGatherBytes = 16u << 10;

// Splits jobs into requests: those whose memory lies together go together, without copying, up to the limits; small
// ones that lie apart are gathered. The order stays: addresses must decide nothing, or a simulation would not repeat.
// `contiguous`: the job's memory is one span from the first to the last.
template <class Job>
struct Packed {
  std::vector<Job*> jobs;
  std::size_t bytes = 0;
};
template <class Job>
std::vector<Packed<Job>> pack(std::vector<Job*> jobs, std::size_t ops_max, std::size_t bytes_max);
template <class Job>
bool contiguous(const std::vector<Job*>& jobs) noexcept {
  for (std::size_t i = 1; i < jobs.size(); ++i)
    if (jobs[i - 1]->span().data() + jobs[i - 1]->span().size() != jobs[i]->span().data()) return false;
  return true;
}

template <class Job>
std::vector<Packed<Job>> pack(std::vector<Job*> jobs, std::size_t ops_max, std::size_t bytes_max) {
  std::vector<Packed<Job>> out;
  Packed<Job> small;  // gathered
  Packed<Job> run;    // adjacent
  const auto close = [&](Packed<Job>& packed) {
    if (!packed.jobs.empty()) out.push_back(std::move(packed));
    packed = {};
  };
  const auto close_run = [&] {
    if (run.bytes > kGatherBytes) return close(run);
    if (small.jobs.size() + run.jobs.size() > ops_max || small.bytes + run.bytes > kGatherBytes) close(small);
    small.jobs.insert(small.jobs.end(), run.jobs.begin(), run.jobs.end());
    small.bytes += run.bytes;
    run = {};
  };
  for (Job* const job : jobs) {
    const auto span = job->span();
    const bool adjacent = !run.jobs.empty() && !span.empty() && !run.jobs.back()->span().empty() &&
                          run.jobs.back()->span().data() + run.jobs.back()->span().size() == span.data();
    if (!adjacent || run.jobs.size() >= ops_max || run.bytes + span.size() > bytes_max) close_run();
    run.jobs.push_back(job);
    run.bytes += span.size();
  }
  close_run();
  close(small);
  return out;
}

}  // namespace ff::ffs
