// What was left half-way: updates that a head did not finish, and commits that a replica did not hear of.
#include <algorithm>

#include "ffs/storage/storage.ff.hpp"
#include "ffs/storage/storage_convert.hpp"
#include "ffs/storage/storage_peers.hpp"
#include "ffs/storage/target.hpp"

namespace ff::ffs {

using runtime::Task;

namespace {
constexpr std::size_t kBatch = 64;
}

// Marks are told once, without an answer that counts: what gets lost is asked for by settle_with_head().
void Target::queue_mark(const Attempt& attempt) {
  if (!successor()) return;
  CommitMark& mark = marks_.emplace_back();
  set(*mark.mutable_chunk(), attempt.update.chunk);
  mark.set_version(attempt.update.version);
  set(*mark.mutable_tag(), attempt.update.tag);
  marked_.set();
}

void Target::apply_marks(const google::protobuf::RepeatedPtrField<CommitMark>& marks) {
  for (const CommitMark& mark : marks) {
    const AttemptPtr open = open_of(to_chunk(mark.chunk()));
    if (!open || open->update.version != mark.version() || open->update.tag != to_tag(mark.tag())) continue;
    if (open->staged) commit_attempt(*open, place_.version);
  }
}

void Target::commit(const CommitRequest& request) { apply_marks(request.commits()); }

Task<void> Target::mark_loop() {
  for (;;) {
    if (!co_await marked_.wait()) co_return;
    if (!co_await runtime::sleep(options_.commit_delay)) co_return;
    marked_.reset();
    const auto next = successor();
    rpc::Client* const client = next && !marks_.empty() ? host_.peers.of(*view_, next->target) : nullptr;
    if (client == nullptr) continue;
    CommitRequest request;
    request.set_target(number(next->target));
    for (CommitMark& mark : marks_) *request.add_commits() = std::move(mark);
    marks_.clear();
    (void)co_await ChunksClient(*client).commit(request, {.timeout = options_.forward_timeout,
                                                          .attempts = 1,
                                                          .wait_for_connection = false,
                                                          .traffic = net::TrafficClass::kStorage});
  }
}

Task<void> Target::settle_loop() {
  for (;;) {
    if (!settle_wanted_.is_set()) {
      (void)co_await runtime::with_timeout(options_.settle_every, "settle", settle_wanted_.wait());
      if (!co_await runtime::not_cancelled()) co_return;
    }
    settle_wanted_.reset();
    if (!may_serve(life_, place_)) continue;
    if (!is_head()) {
      co_await settle_with_head();
      continue;
    }
    std::vector<ChunkId> chunks;
    for (const auto& [chunk, open] : open_) {
      const bool left = open->term != term_ || env_.now() - open->since > options_.update_timeout;
      if (left && !locks_.locked(chunk)) chunks.push_back(chunk);
      if (chunks.size() == kBatch) break;
    }
    if (!chunks.empty()) (void)co_await finish(std::move(chunks), env_.now() + options_.forward_timeout);
  }
}

Task<bool> Target::finish(std::vector<ChunkId> chunks, runtime::Time deadline) {
  const auto locks = co_await lock_all(chunks);
  if (!locks) co_return false;
  std::vector<AttemptPtr> attempts;
  for (const ChunkId chunk : chunks)
    if (const AttemptPtr open = open_of(chunk)) attempts.push_back(open);
  if (attempts.empty()) co_return true;
  const std::vector<Outcome> outcomes = co_await drive(std::move(attempts), deadline);
  co_return std::ranges::all_of(outcomes, [](const Outcome& one) { return one.code == STORAGE_OK; });
}

Task<void> Target::settle_with_head() {
  std::vector<ChunkId> chunks;
  std::vector<AttemptPtr> attempts;
  for (const auto& [chunk, open] : open_) {
    if (!open->staged || env_.now() - open->since < options_.settle_every || locks_.locked(chunk)) continue;
    chunks.push_back(chunk);
    attempts.push_back(open);
    if (chunks.size() == kBatch) break;
  }
  if (chunks.empty()) co_return;
  const std::uint64_t stay = stay_;
  const Answer head = co_await ask_head(chunks);
  if (head.code != STORAGE_OK || stay != stay_) co_return;
  for (std::size_t i = 0; i < chunks.size(); ++i) {
    if (head.codes[i] != STORAGE_OK || head.versions[i] < attempts[i]->update.version) continue;
    if (open_of(chunks[i]) == attempts[i]) commit_attempt(*attempts[i], place_.version);
  }
}

}  // namespace ff::ffs
