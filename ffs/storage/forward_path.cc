// Updates as they come from the predecessor: staged here and sent on, as update_path.cc says.
#include <fmt/core.h>

#include <algorithm>
#include <set>

#include "ffs/storage/storage_convert.hpp"
#include "ffs/storage/target.hpp"
#include "ffs/storage/update_batch.hpp"
#include "libcommon/rpc/server_call.hpp"

namespace ff::ffs {

using runtime::Task;

Task<Result<ForwardReply>> Target::forward(rpc::ServerCall& call, const ForwardRequest& request) {
  const auto batch = std::make_shared<ForwardBatch>();
  batch->request = request;
  for (int i = 0; i < request.ops_size(); ++i) batch->reply.add_ops()->set_code(BUSY);
  batch->deadline = env_.now() + options_.forward_timeout;
  batch->admitted = admit_bytes(call.bulk_send_bytes());
  if (!batch->admitted) co_return std::move(batch->reply);
  FF_CO_TRY(co_await pull_updates(call, env_.disk(), batch->memory));
  FF_CO_TRY(co_await shielded(run_forward(batch)));
  co_return std::move(batch->reply);
}

Task<void> Target::run_forward(std::shared_ptr<ForwardBatch> batch) {
  const ForwardRequest& request = batch->request;
  const std::size_t count = static_cast<std::size_t>(request.ops_size());
  const auto answer = [&](std::size_t i, StorageCode code, std::string detail) {
    UpdateOpReply& reply = *batch->reply.mutable_ops(static_cast<int>(i));
    reply.set_code(code);
    reply.set_detail(std::move(detail));
    reply.set_chain_version(place_.version);
  };
  const auto refuse = [&](StorageCode code, const char* detail) {
    for (std::size_t i = 0; i < count; ++i) answer(i, code, detail);
  };
  co_await catch_up(request.chain(), request.chain_version());
  apply_marks(request.commits());
  std::vector<ChunkId> chunks;
  for (const ForwardOp& op : request.ops()) chunks.push_back(to_chunk(op.update().chunk()));
  if (std::set<ChunkId>(chunks.begin(), chunks.end()).size() != count) {
    refuse(STORAGE_INVALID, "two updates of one chunk in one message");
    co_return;
  }
  const auto locks = co_await lock_all(chunks);
  if (!locks || env_.now() >= batch->deadline) co_return;
  const auto here = [&] {
    return ChainId{request.chain()} == place_.chain && request.chain_version() == place_.version;
  };
  if (!here()) {
    refuse(STALE_CHAIN, "the chain has another version here");
    co_return;
  }
  const auto before = predecessor();
  if (stopping_ || !in_path() || !before || number(before->target) != request.from_target()) {
    refuse(NOT_SERVING, "the target is not your successor");
    co_return;
  }
  const std::uint64_t stay = stay_;
  const auto holds = [&] { return here() && stay == stay_ && in_path(); };

  if (may_sync(life_, place_)) {
    std::vector<Task<Outcome>> tasks;
    for (std::size_t i = 0; i < count; ++i) tasks.push_back(install_whole(batch, i));
    std::vector<Outcome> outcomes = co_await runtime::when_all(std::move(tasks));
    for (std::size_t i = 0; i < count; ++i)
      answer(i, holds() ? outcomes[i].code : STALE_CHAIN, std::move(outcomes[i].detail));
    co_return;
  }

  std::vector<AttemptPtr> attempts;
  std::vector<std::size_t> which;
  for (std::size_t i = 0; i < count; ++i) {
    AttemptPtr attempt;
    Outcome outcome = co_await admit(batch, i, &attempt);
    if (attempt == nullptr) {
      answer(i, outcome.code, std::move(outcome.detail));
      continue;
    }
    attempts.push_back(std::move(attempt));
    which.push_back(i);
  }
  if (attempts.empty()) co_return;
  if (!holds()) {
    for (const std::size_t i : which) answer(i, STALE_CHAIN, "the chain changed");
    co_return;
  }
  std::vector<Outcome> outcomes = co_await pass(view_, attempts);
  for (std::size_t k = 0; k < which.size(); ++k) {
    // What was staged under a chain that is no more may have been passed over by a sync that has begun since: the
    // head must send it down the new path.
    const bool good = outcomes[k].code != STORAGE_OK || holds();
    answer(which[k], good ? outcomes[k].code : STALE_CHAIN, std::move(outcomes[k].detail));
    UpdateOpReply& reply = *batch->reply.mutable_ops(static_cast<int>(which[k]));
    reply.set_version(attempts[k]->update.version);
    reply.set_length(attempts[k]->length);
    reply.set_crc(attempts[k]->chunk_crc);
    if (outcomes[k].code == STORAGE_INVALID && !attempts[k]->staged && !attempts[k]->sent) forget(*attempts[k]);
  }
}

// Makes the operation an attempt of this replica. No attempt: the outcome says why.
Task<Target::Outcome> Target::admit(std::shared_ptr<ForwardBatch> batch, std::size_t index, AttemptPtr* out) {
  const ForwardOp& op = batch->request.ops(static_cast<int>(index));
  if (op.whole_chunk()) co_return Outcome{STORAGE_INVALID, "a whole chunk for a target that serves"};
  if (op.version() == 0) co_return Outcome{STORAGE_INVALID, "an update without a version"};
  if (std::string wrong = check_update(op.update(), batch->memory.span()); !wrong.empty())
    co_return Outcome{wrong == kDamaged ? BUSY : STORAGE_INVALID, std::move(wrong)};
  const auto attempt = std::make_shared<Attempt>();
  attempt->update = to_update(op.update(), batch->memory.span());
  attempt->update.version = op.version();
  attempt->update.chain_version = place_.version;
  attempt->memory = batch->memory;
  attempt->crc = op.update().crc();
  attempt->stay = stay_;
  attempt->since = env_.now();
  const ChunkId chunk = attempt->update.chunk;

  ForwardAction action{};
  for (bool repaired = false;; repaired = true) {
    action =
        decide_forward(store_->info(chunk), open_update(chunk), op.version(), attempt->update.tag, options_.hazards);
    // It could not be staged here again after a repair; the predecessor has it committed.
    if (action == ForwardAction::kCommitThenStage && !open_of(chunk)->staged) action = ForwardAction::kRepair;
    if (action != ForwardAction::kRepair) break;
    if (repaired) co_return Outcome{MISSING_UPDATE, to_text(chunk) + ": earlier updates are missing here"};
    if (auto done = co_await repair(chunk, op.version() - 1, TargetId{batch->request.from_target()}); !done) {
      // What is unreadable here may not be needed: a remove, a write of everything.
      const auto here = store_->info(chunk);
      action = ForwardAction::kStage;
      if (here && here->bad && here->version + 1 == op.version() && open_of(chunk) == nullptr) break;
      co_return Outcome{MISSING_UPDATE, done.error().message()};
    }
  }
  switch (action) {
    case ForwardAction::kCommitThenStage: {
      const AttemptPtr before = open_of(chunk);
      commit_attempt(*before, place_.version);
      break;
    }
    case ForwardAction::kStaged: {
      const AttemptPtr known = open_of(chunk);
      known->update = attempt->update;  // with its data, to pass on
      known->memory = attempt->memory;
      known->crc = attempt->crc;
      *out = known;
      co_return Outcome{STORAGE_OK, {}};
    }
    case ForwardAction::kCommitted:
      attempt->staged = true;
      attempt->committed = true;
      *out = attempt;
      co_return Outcome{STORAGE_OK, {}};
    case ForwardAction::kConflict:
      co_return Outcome{CORRUPT, fmt::format("{}: another update has version {} here", to_text(chunk), op.version())};
    default: break;
  }
  open_[chunk] = attempt;
  *out = attempt;
  co_return Outcome{STORAGE_OK, {}};
}

Task<Target::Outcome> Target::install_whole(std::shared_ptr<ForwardBatch> batch, std::size_t index) {
  const ForwardOp& op = batch->request.ops(static_cast<int>(index));
  if (!op.whole_chunk()) co_return Outcome{MISSING_UPDATE, "the target is syncing and takes whole chunks"};
  const auto info = to_info(op.image());
  if (!info || info->chunk != to_chunk(op.update().chunk()))
    co_return Outcome{STORAGE_INVALID, info ? "the image of another chunk" : info.error().message()};
  if (batch->memory.size() < info->length) co_return Outcome{STORAGE_INVALID, "less than the whole chunk came"};
  const std::uint64_t stay = stay_;
  const ChainVersion version = place_.version;
  ChunkVersion& newest = received_[info->chunk];
  if (info->version < newest) co_return Outcome{STALE_CHAIN, "a later state of the chunk is here"};
  newest = info->version;
  const auto content = std::span<const std::byte>(batch->memory.span()).first(info->length);
  const std::vector<std::uint32_t> crcs(op.image().block_crcs().begin(), op.image().block_crcs().end());
  const AttemptPtr before = open_whole(*info);
  const auto done = co_await store_->install(*info, content, InstallMode::kReplace, crcs);
  if (done) metrics_.resync_received_bytes.add(content.size());
  if (stay != stay_) co_return Outcome{STALE_CHAIN, "the target left its chain"};
  if (!done) {
    if (before) {
      open_[info->chunk] = before;
    } else {
      open_.erase(info->chunk);
    }
    disk_trouble(done.error());
    co_return Outcome{done.error().code() == Errc::kCorrupt ? BUSY : code_of(done.error()), done.error().message()};
  }
  open_[info->chunk]->staged = true;
  if (version != place_.version) co_return Outcome{STALE_CHAIN, "the chain changed"};
  co_return Outcome{STORAGE_OK, {}};
}

// From before it is in the store: the target may come to serve in the meantime, and what is installed reads as
// committed.
Target::AttemptPtr Target::open_whole(const ChunkInfo& info) {
  const auto attempt = std::make_shared<Attempt>();
  attempt->update.chunk = info.chunk;
  attempt->update.version = info.version;
  attempt->update.tag = info.recent.front().tag;
  attempt->whole = true;
  attempt->length = info.length;
  attempt->chunk_crc = info.crc;
  attempt->stay = stay_;
  attempt->since = env_.now();
  return std::exchange(open_[info.chunk], attempt);
}

}  // namespace ff::ffs
