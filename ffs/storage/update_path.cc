// Updates as the head takes them, and what every member of the path does with one: stage it here and send it on, at the
// same time.
//
// The problem: the next target's disk must not wait for this one's, but nobody may see an update before everybody in
// the path has it on disk. So staging overlaps with sending on, and the head alone decides: it commits when its own
// staging and its successor's answer (which stands for all behind) are both there, under the version of the chain that
// holds at that moment. It sends an update on when it has read the old bytes that the update builds on: what it cannot
// make itself, it must not have others make, for then it could neither be committed nor dropped. If the chain has
// changed meanwhile it sends the update down the new path again; who has it already says so. Until then the update is
// open, here and everywhere.
#include <fmt/core.h>

#include <algorithm>
#include <set>

#include "ffs/storage/storage.ff.hpp"
#include "ffs/storage/storage_convert.hpp"
#include "ffs/storage/storage_peers.hpp"
#include "ffs/storage/target.hpp"
#include "ffs/storage/update_batch.hpp"
#include "libcommon/base/crc32c.hpp"
#include "libcommon/base/defer.hpp"

namespace ff::ffs {

using runtime::Task;

namespace {

// Empty: fine.
std::string check_op(const UpdateOp& op, std::uint64_t bulk_bytes) {
  if (op.tag().client() == 0) return "an update without a tag";
  if (op.chunk().inode() == 0) return "an update without a chunk";
  if (!valid_chunk_bytes(op.chunk_bytes())) return fmt::format("chunks of {} bytes", op.chunk_bytes());
  switch (op.type()) {
    case WRITE:
      if (op.bytes() == 0) return "a write of nothing";
      if (std::uint64_t{op.offset()} + op.bytes() > op.chunk_bytes()) return "a write beyond the chunk";
      if (op.buffer_offset() > bulk_bytes || op.bytes() > bulk_bytes - op.buffer_offset())
        return "a write of more bytes than came";
      return {};
    case TRUNCATE: return op.length() > op.chunk_bytes() ? "a length beyond the chunk" : "";
    case REMOVE: return {};
    default: return "an update of no known kind";
  }
}

}  // namespace

Task<Result<>> pull_updates(rpc::ServerCall& call, runtime::Disk& disk, runtime::DiskBuffer& memory) {
  const std::uint64_t bytes = call.bulk_send_bytes();
  if (bytes == 0) co_return {};
  FF_CO_TRY_ASSIGN(memory, disk.buffer(bytes));
  co_return co_await call.pull_bulk(memory.span().first(bytes));
}

std::string check_update(const UpdateOp& op, std::span<const std::byte> bulk) {
  if (std::string wrong = check_op(op, bulk.size()); !wrong.empty()) return wrong;
  if (op.type() != WRITE) return {};
  if (crc32c(0, bulk.data() + op.buffer_offset(), op.bytes()) != op.crc()) return kDamaged;
  return {};
}

ChunkUpdate to_update(const UpdateOp& op, std::span<const std::byte> bulk) {
  ChunkUpdate out;
  out.chunk = to_chunk(op.chunk());
  out.kind = to_kind(op.type());
  out.offset = op.type() == WRITE ? op.offset() : 0;
  if (op.type() == WRITE) out.data = bulk.subspan(op.buffer_offset(), op.bytes());
  out.length = op.type() == TRUNCATE ? op.length() : 0;
  out.chunk_bytes = op.chunk_bytes();
  out.truncate_epoch = op.truncate_epoch();
  out.tag = to_tag(op.tag());
  return out;
}

Task<Result<UpdateReply>> Target::update(rpc::ServerCall& call, const UpdateRequest& request) {
  const Stopwatch timed(env_, metrics_.update_latency);
  const auto batch = std::make_shared<UpdateBatch>();
  batch->request = request;
  for (int i = 0; i < request.ops_size(); ++i) {
    UpdateOpReply& reply = *batch->reply.add_ops();
    reply.set_code(BUSY);
    reply.set_untouched(true);
  }
  batch->admitted = admit_bytes(call.bulk_send_bytes());
  if (!batch->admitted) co_return std::move(batch->reply);
  FF_CO_TRY(co_await pull_updates(call, env_.disk(), batch->memory));
  FF_CO_TRY(co_await shielded(run_updates(batch)));
  co_return std::move(batch->reply);
}

Task<void> Target::run_updates(std::shared_ptr<UpdateBatch> batch) {
  batch->deadline = env_.now() + options_.update_timeout;
  co_await catch_up(batch->request.chain(), batch->request.chain_version());
  // Operations on one chunk go one after the other, in rounds of different chunks.
  std::vector<std::size_t> todo;
  for (int i = 0; i < batch->request.ops_size(); ++i) {
    const UpdateOp& op = batch->request.ops(i);
    if (std::string wrong = check_update(op, batch->memory.span()); wrong.empty()) {
      todo.push_back(static_cast<std::size_t>(i));
    } else {
      UpdateOpReply& reply = *batch->reply.mutable_ops(i);
      reply.set_code(wrong == kDamaged ? BUSY : STORAGE_INVALID);
      reply.set_detail(std::move(wrong));
    }
  }
  while (!todo.empty()) {
    std::vector<std::size_t> round, later;
    std::set<ChunkId> taken;
    for (const std::size_t i : todo) {
      const ChunkId chunk = to_chunk(batch->request.ops(static_cast<int>(i)).chunk());
      (taken.insert(chunk).second ? round : later).push_back(i);
    }
    co_await run_round(batch, std::move(round));
    todo = std::move(later);
  }
}

Task<void> Target::run_round(std::shared_ptr<UpdateBatch> batch, std::vector<std::size_t> round) {
  const UpdateRequest& request = batch->request;
  const auto reply_of = [&](std::size_t i) -> UpdateOpReply& { return *batch->reply.mutable_ops(static_cast<int>(i)); };
  std::vector<ChunkId> chunks;
  for (const std::size_t i : round) chunks.push_back(to_chunk(request.ops(static_cast<int>(i)).chunk()));
  const auto locks = co_await lock_all(chunks);
  // Nothing was done yet, and the client has given up this attempt.
  if (!locks || env_.now() >= batch->deadline) co_return;

  // First what others left open on these chunks.
  std::vector<AttemptPtr> first;
  for (const std::size_t i : round) {
    const UpdateOp& op = request.ops(static_cast<int>(i));
    const AttemptPtr open = open_of(to_chunk(op.chunk()));
    if (open && open->open().tag != to_tag(op.tag()) && !options_.hazards.reused_versions) first.push_back(open);
  }
  if (check_head(request.chain(), request.chain_version()) == STORAGE_OK && !first.empty())
    (void)co_await drive(std::move(first), batch->deadline);

  const StorageCode code = check_head(request.chain(), request.chain_version());
  std::vector<AttemptPtr> attempts;
  std::vector<std::size_t> which;
  const bool full = low_space();
  for (const std::size_t i : round) {
    UpdateOpReply& reply = reply_of(i);
    reply.set_chain_version(place_.version);
    if (code != STORAGE_OK) {
      reply.set_code(code);
      continue;
    }
    const UpdateOp& op = request.ops(static_cast<int>(i));
    const ChunkId chunk = to_chunk(op.chunk());
    const auto info = store_->info(chunk);
    const HeadDecision decision = decide_update(info, open_update(chunk),
                                                {.kind = to_kind(op.type()),
                                                 .tag = to_tag(op.tag()),
                                                 .retry = op.retry(),
                                                 .known_version = op.known_version(),
                                                 .truncate_epoch = op.truncate_epoch(),
                                                 .chunk_bytes = op.chunk_bytes(),
                                                 .must_know = op.must_know(),
                                                 .older_only = op.older_only()},
                                                options_.hazards);
    reply.set_version(decision.version);
    switch (decision.action) {
      case HeadAction::kDone:
      case HeadAction::kNothingDone:
        reply.set_code(STORAGE_OK);
        if (info) reply.set_length(info->length);
        if (info) reply.set_crc(info->crc);
        break;
      case HeadAction::kFinishFirst:
        reply.set_code(BUSY);
        reply.set_detail("an earlier update of the chunk is not finished yet");
        break;
      case HeadAction::kUncertain: reply.set_code(UNCERTAIN); break;
      case HeadAction::kTellVersion: reply.set_code(TELL_VERSION); break;
      case HeadAction::kStaleEpoch: reply.set_code(STALE_EPOCH); break;
      case HeadAction::kWrongSize:
        reply.set_code(STORAGE_INVALID);
        reply.set_detail(fmt::format("{} is a chunk of {} bytes", to_text(chunk), info->chunk_bytes));
        break;
      case HeadAction::kResume:
        attempts.push_back(open_of(chunk));
        which.push_back(i);
        break;
      case HeadAction::kApply: {
        if (full && op.type() == WRITE) {
          reply.set_code(NO_SPACE);
          break;
        }
        const auto attempt = std::make_shared<Attempt>();
        attempt->update = to_update(op, batch->memory.span());
        attempt->update.version = decision.version;
        attempt->update.chain_version = place_.version;
        attempt->memory = batch->memory;
        attempt->crc = op.crc();
        attempt->term = term_;
        attempt->stay = stay_;
        attempt->since = env_.now();
        open_[chunk] = attempt;
        attempts.push_back(attempt);
        which.push_back(i);
        break;
      }
    }
  }
  if (attempts.empty()) co_return;
  const std::vector<Outcome> outcomes = co_await drive(attempts, batch->deadline);
  for (std::size_t k = 0; k < which.size(); ++k) {
    UpdateOpReply& reply = reply_of(which[k]);
    reply.set_untouched(false);
    reply.set_code(outcomes[k].code);
    reply.set_detail(outcomes[k].detail);
    reply.set_version(attempts[k]->update.version);
    reply.set_length(attempts[k]->length);
    reply.set_crc(attempts[k]->chunk_crc);
    reply.set_chain_version(place_.version);
  }
}

Task<std::vector<Target::Outcome>> Target::drive(std::vector<AttemptPtr> attempts, runtime::Time deadline) {
  std::vector<Outcome> out(attempts.size());
  const std::uint64_t stay = stay_;
  runtime::Duration wait = std::chrono::milliseconds(2);
  for (;;) {
    std::vector<AttemptPtr> left;
    std::vector<std::size_t> which;
    for (std::size_t i = 0; i < attempts.size(); ++i) {
      if (out[i].code == STORAGE_OK) continue;
      if (attempts[i]->committed) {
        out[i] = {STORAGE_OK, {}};
        continue;
      }
      if (open_of(attempts[i]->update.chunk) != attempts[i]) continue;  // dropped: it can be told no more
      if (attempts[i]->whole && is_head()) {
        // Who serves behind me has got it from me, in its sync.
        commit_attempt(*attempts[i], place_.version);
        out[i] = {STORAGE_OK, {}};
        continue;
      }
      left.push_back(attempts[i]);
      which.push_back(i);
    }
    if (left.empty()) co_return out;
    const auto view = view_;
    const ChainVersion version = place_.version;
    if (stay != stay_ || !is_head()) {
      for (const std::size_t i : which) out[i] = {STALE_CHAIN, "the target is head no more"};
      co_return out;
    }
    const std::vector<Outcome> now = co_await pass(view, left);
    const bool holds = stay == stay_ && is_head() && place_.version == version && !fenced();
    bool again = false;
    for (std::size_t k = 0; k < left.size(); ++k) {
      Outcome& mine = out[which[k]];
      mine = now[k];
      if (now[k].code == STORAGE_OK && holds) {
        commit_attempt(*left[k], version);
      } else if (now[k].code == STORAGE_OK) {
        mine = {BUSY, "the chain changed"};
        again = true;
      } else if ((now[k].code == NO_SPACE || now[k].code == STORAGE_INVALID || now[k].code == CORRUPT) &&
                 !left[k]->was_staged && !left[k]->sent) {
        forget(*left[k]);  // nobody has it
      } else {
        again = again || (now[k].code != CORRUPT && now[k].code != DISK_FAILED && now[k].code != STORAGE_INVALID);
      }
    }
    if (!again) co_return out;
    if (env_.now() + wait >= deadline || stopping_) co_return out;
    (void)co_await host_.routing.newer_than(view ? view->version() : 0, wait);
    routing_changed();
    wait = std::min<runtime::Duration>(wait * 2, std::chrono::milliseconds(200));
  }
}

// One attempt at staging here and at all behind, under `view`.
Task<std::vector<Target::Outcome>> Target::pass(std::shared_ptr<const RoutingView> view,
                                                std::vector<AttemptPtr> attempts) {
  const auto next = successor();
  if (!next) co_return co_await stage_all(std::move(attempts));
  // A syncing successor needs the whole chunk as it will be; and with little space left, what cannot be staged here
  // must not be sent on.
  if (next->state == SYNCING || low_space()) {
    std::vector<Outcome> out = co_await stage_all(attempts);
    std::vector<AttemptPtr> good;
    std::vector<std::size_t> which;
    for (std::size_t i = 0; i < out.size(); ++i) {
      if (out[i].code != STORAGE_OK) continue;
      good.push_back(attempts[i]);
      which.push_back(i);
    }
    if (good.empty()) co_return out;
    std::vector<Outcome> behind = co_await send_on(std::move(view), *next, std::move(good));
    for (std::size_t k = 0; k < which.size(); ++k) out[which[k]] = std::move(behind[k]);
    co_return out;
  }
  for (const AttemptPtr& attempt : attempts) {
    attempt->based = std::make_shared<runtime::Event>();
    attempt->baseless = false;
  }
  auto [here, behind] = co_await runtime::when_all(
      stage_all(attempts), is_head() ? send_based(view, *next, attempts) : send_on(view, *next, attempts));
  for (std::size_t i = 0; i < here.size(); ++i) {
    if (here[i].code != STORAGE_OK) continue;
    here[i] = std::move(behind[i]);
    Attempt& attempt = *attempts[i];
    if (here[i].code == STORAGE_OK && attempt.crc_behind != 0 && attempt.chunk_crc != 0 &&
        attempt.crc_behind != attempt.chunk_crc)
      here[i] = co_await settle_dispute(view, *next, attempts[i]);
  }
  co_return std::move(here);
}

Task<std::vector<Target::Outcome>> Target::stage_all(std::vector<AttemptPtr> attempts) {
  if (attempts.size() == 1) {
    std::vector<Outcome> one;
    one.push_back(co_await stage(attempts.front()));
    co_return one;
  }
  std::vector<Task<Outcome>> tasks;
  for (const AttemptPtr& attempt : attempts) tasks.push_back(stage(attempt));
  co_return co_await runtime::when_all(std::move(tasks));
}

Task<Target::Outcome> Target::stage(AttemptPtr attempt) {
  const auto based = attempt->based;
  const Defer told([&] {
    if (based) based->set();
  });
  if (attempt->staged) co_return Outcome{STORAGE_OK, {}};
  const ChunkId chunk = attempt->update.chunk;
  auto made = co_await store_->stage(attempt->update, based);
  if (!made && made.error().code() == Errc::kCorrupt && attempt->stay == stay_) {
    // What it builds on has gone bad here.
    if (auto repaired = co_await repair(chunk, attempt->update.version - 1, std::nullopt); !repaired) {
      attempt->baseless = true;
      co_return Outcome{code_of(repaired.error()), repaired.error().message()};
    }
    made = co_await store_->stage(attempt->update, based);
  }
  if (attempt->stay != stay_) {
    // Its chain went on without us while the disk was busy: nobody counts on it, and what comes next must not meet it.
    if (made) (void)store_->abort(chunk);
    co_return Outcome{STALE_CHAIN, "the target left its chain"};
  }
  if (!made) {
    disk_trouble(made.error());
    co_return Outcome{code_of(made.error()), made.error().message()};
  }
  attempt->staged = attempt->was_staged = true;
  metrics_.updates.add();
  metrics_.update_bytes.add(attempt->update.data.size());
  attempt->length = made->length;
  attempt->chunk_crc = made->crc;
  co_return Outcome{STORAGE_OK, {}};
}

}  // namespace ff::ffs
