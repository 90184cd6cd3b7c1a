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
    for (const AttemptPtr& open : next_open([this](const Attempt& one) {
           return one.term != term_ || env_.now() - one.since > options_.update_timeout;
         }))
      chunks.push_back(open->update.chunk);
    if (!chunks.empty()) (void)co_await finish(std::move(chunks), env_.now() + options_.forward_timeout);
  }
}

std::vector<Target::AttemptPtr> Target::next_open(const std::function<bool(const Attempt&)>& wanted) {
  std::vector<AttemptPtr> out;
  auto at = open_.upper_bound(settled_to_);
  for (std::size_t left = open_.size(); left > 0 && out.size() < kBatch; --left, ++at) {
    if (at == open_.end()) at = open_.begin();
    if (wanted(*at->second) && !locks_.locked(at->first)) out.push_back(at->second);
  }
  if (!out.empty()) settled_to_ = out.back()->update.chunk;
  return out;
}

// A reader that goes away must not take the update along: in a call that is over every wait ends at once.
Task<bool> Target::finish(std::vector<ChunkId> chunks, runtime::Time deadline) {
  const auto all = std::make_shared<bool>(false);
  if (!co_await shielded(finish_shielded(std::move(chunks), deadline, all))) co_return false;
  co_return *all;
}

Task<void> Target::finish_shielded(std::vector<ChunkId> chunks, runtime::Time deadline, std::shared_ptr<bool> all) {
  const auto locks = co_await lock_all(chunks);
  if (!locks) co_return;
  std::vector<AttemptPtr> attempts;
  for (const ChunkId chunk : chunks)
    if (const AttemptPtr open = open_of(chunk)) attempts.push_back(open);
  const std::vector<Outcome> outcomes = co_await drive(std::move(attempts), deadline);
  *all = std::ranges::all_of(outcomes, [](const Outcome& one) { return one.code == STORAGE_OK; });
}

Task<void> Target::settle_with_head() {
  const std::vector<AttemptPtr> attempts =
      next_open([this](const Attempt& one) { return env_.now() - one.since >= options_.settle_every; });
  if (attempts.empty()) co_return;
  std::vector<ChunkId> chunks;
  for (const AttemptPtr& open : attempts) chunks.push_back(open->update.chunk);
  const std::uint64_t stay = stay_;
  const Answer head = co_await ask_head(chunks);
  if (head.code != STORAGE_OK || stay != stay_) co_return;
  for (std::size_t i = 0; i < chunks.size(); ++i) {
    if (head.codes[i] != STORAGE_OK || head.versions[i] < attempts[i]->update.version) continue;
    if (open_of(chunks[i]) != attempts[i]) continue;
    if (attempts[i]->staged) {
      commit_attempt(*attempts[i], place_.version);
    } else if (!locks_.locked(chunks[i])) {
      start_repair(chunks[i]);
    }
  }
}

}  // namespace ff::ffs
