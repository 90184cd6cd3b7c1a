#include "ffs/storage/target.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "ffs/storage/storage_convert.hpp"

namespace ff::ffs {

using runtime::Task;

Target::Target(TargetHost host, TargetId id, std::string path, std::unique_ptr<ChunkStore> store, TargetOptions options)
    : host_(std::move(host)),
      env_(host_.env),
      id_(id),
      path_(std::move(path)),
      options_(options),
      store_(std::move(store)),
      metrics_(target_metrics(options_.registry, id_)),
      own_client_(env_.rng().next() | 1),
      scope_(env_) {
  life_.usable = true;
  store_->measure_syncs(metrics_.sync_latency);
}

Target::~Target() = default;

void Target::start() {
  routing_changed();
  scope_.spawn(settle_loop());
  scope_.spawn(mark_loop());
  scope_.spawn(resync_loop());
  scope_.spawn(tombstone_loop());
  if (options_.scrub_bytes_per_second > 0) scope_.spawn(scrub_loop());
}

Task<void> Target::stop() {
  stopping_ = true;
  transition([this] { life_.usable = false; });
  scope_.cancel(Error(Errc::kUnavailable, "the target is stopping"));
  (void)co_await scope_.join();
  if (auto closed = co_await store_->stop(); !closed && trouble_.empty()) trouble_ = closed.error().message();
}

void Target::routing_changed() {
  auto view = host_.routing.current();
  TargetPlace place = place_of(view.get(), id_);
  if (view == view_ || (place.chain == place_.chain && place.version < place_.version)) return;
  transition([&] {
    view_ = std::move(view);
    place_ = place;
  });
}

void Target::transition(const std::function<void()>& change) {
  const TargetPlace before = place_;
  const TargetLife life_before = life_;
  const bool served = may_serve(life_, place_);
  const bool synced = may_sync(life_, place_);
  const bool led = is_head();
  change();
  advance(life_, place_);
  if (before.version != place_.version || before.chain != place_.chain) received_.clear();
  // Also from serving to syncing at once: the versions of the chain in between passed unseen.
  if ((served && !may_serve(life_, place_)) || (synced && !in_path())) left_path();
  // What came back as the last complete copy, or is new, has staged every update that was acknowledged; nobody else can
  // say what became of the others.
  if (may_serve(life_, place_) && !served && !synced) commit_leftovers();
  if (!is_head()) {
    term_ = 0;
  } else if (!led) {
    term_ = ++terms_;
    settle_wanted_.set();
  }
  if (before == place_ && life_before == life_) return;
  changed_.wake_all();
  host_.report_soon();
}

bool Target::in_path() const noexcept { return may_serve(life_, place_) || may_sync(life_, place_); }

bool Target::is_head() const noexcept {
  const Chain* const mine = chain();
  return mine != nullptr && may_serve(life_, place_) && mine->head() == id_;
}

std::optional<Member> Target::successor() const {
  const Chain* const mine = chain();
  return mine == nullptr ? std::nullopt : mine->successor(id_);
}

std::optional<Member> Target::predecessor() const {
  const Chain* const mine = chain();
  if (mine == nullptr) return std::nullopt;
  const std::vector<Member> path = mine->path();
  const auto found = std::ranges::find(path, id_, &Member::target);
  if (found == path.end() || found == path.begin()) return std::nullopt;
  return *std::prev(found);
}

void Target::commit_leftovers() {
  constexpr std::size_t kPage = 1024;
  for (ChunkId from{};;) {
    const std::vector<ChunkInfo> page = store_->marked(ChunkMark::kPending, from, kPage);
    for (const ChunkInfo& info : page) {
      const auto done = store_->commit(info.chunk, info.pending->version, place_.version);
      // What is still on its way to the disk was not acknowledged; its stage() aborts it.
      if (done || done.error().code() == Errc::kUnavailable) continue;
      // Without what may have been acknowledged the target must not serve.
      if (trouble_.empty()) trouble_ = "commit: " + done.error().message();
      if (life_.usable) transition([this] { life_.usable = false; });
      return;
    }
    if (page.size() < kPage) return;
    from = page.back().chunk;
    if (++from.index == 0) from.inode = InodeId{number(from.inode) + 1};
  }
}

void Target::left_path() {
  ++stay_;
  open_.clear();
  marks_.clear();
}

void Target::disk_trouble(const Error& why) {
  if (!store_->failed()) return;
  if (trouble_.empty()) trouble_ = why.message();
  if (life_.usable) transition([this] { life_.usable = false; });
}

bool Target::fenced() const { return !options_.hazards.no_fencing && !host_.has_lease(); }

StorageCode Target::check_serving(std::uint64_t chain, ChainVersion version) {
  if (ChainId{chain} != place_.chain || !place_.known) return STALE_CHAIN;
  if (version != place_.version) return STALE_CHAIN;
  if (!may_serve(life_, place_) || stopping_ || fenced()) return NOT_SERVING;
  return STORAGE_OK;
}

StorageCode Target::check_head(std::uint64_t chain, ChainVersion version) {
  if (const StorageCode code = check_serving(chain, version); code != STORAGE_OK) return code;
  return is_head() ? STORAGE_OK : NOT_SERVING;
}

Task<void> Target::catch_up(std::uint64_t chain, ChainVersion version) {
  const runtime::Time until = env_.now() + options_.routing_wait;
  while ((ChainId{chain} != place_.chain || version > place_.version) && env_.now() < until && !stopping_) {
    const std::uint64_t known = view_ ? view_->version() : 0;
    if (!co_await host_.routing.newer_than(known, until - env_.now())) co_return;
    routing_changed();
  }
}

Target::AttemptPtr Target::open_of(ChunkId chunk) const {
  const auto found = open_.find(chunk);
  return found == open_.end() ? nullptr : found->second;
}

std::optional<OpenUpdate> Target::open_update(ChunkId chunk) const {
  const auto found = open_.find(chunk);
  return found == open_.end() ? std::nullopt : std::optional(found->second->open());
}

// REQUIRES: staged, or whole.
void Target::commit_attempt(Attempt& attempt, ChainVersion version) {
  if (attempt.committed) return;
  attempt.committed = true;
  if (!attempt.whole) {
    if (auto done = store_->commit(attempt.update.chunk, attempt.update.version, version); !done) {
      // It was staged, so this cannot be; and a target that lacks a committed update must not serve.
      if (trouble_.empty()) trouble_ = "commit: " + done.error().message();
      if (life_.usable) transition([this] { life_.usable = false; });
      return;
    }
  }
  queue_mark(attempt);
  forget(attempt);
}

void Target::forget(const Attempt& attempt) {
  const auto found = open_.find(attempt.update.chunk);
  if (found != open_.end() && found->second.get() == &attempt) open_.erase(found);
}

Result<runtime::DiskBuffer> Target::buffer(std::uint64_t bytes) { return env_.disk().buffer(bytes); }

namespace {

// In its own frame, so that it stays when the one that waits is cancelled.
Task<void> run_and_tell(Task<void> task, std::shared_ptr<runtime::Event> done) {
  co_await std::move(task);
  done->set();
}

}  // namespace

Task<Result<>> Target::shielded(Task<void> task) {
  const auto done = std::make_shared<runtime::Event>();
  scope_.spawn(run_and_tell(std::move(task), done));
  co_return co_await done->wait();
}

Task<Result<std::vector<ChunkLocks::Guard>>> Target::lock_all(std::vector<ChunkId> chunks) {
  std::ranges::sort(chunks);
  std::vector<ChunkLocks::Guard> out;
  out.reserve(chunks.size());
  for (const ChunkId chunk : chunks) {
    FF_CO_TRY_ASSIGN(ChunkLocks::Guard guard, co_await locks_.lock(chunk));
    out.push_back(std::move(guard));
  }
  co_return out;
}

bool Target::low_space() const noexcept {
  const SpaceUse use = store_->space();
  return use.used_bytes + std::min(options_.reserve_bytes, use.capacity_bytes / 20) > use.capacity_bytes;
}

// What is admitted may outlive the target where a simulation kills the node.
std::shared_ptr<void> Target::admit_bytes(std::uint64_t bytes) {
  if (*update_bytes_ > 0 && *update_bytes_ + bytes > options_.update_bytes_most) return nullptr;
  *update_bytes_ += bytes;
  return {update_bytes_.get(), [count = update_bytes_, bytes](void*) { *count -= bytes; }};
}

TargetReport Target::report() {
  advance(life_, place_);
  const SpaceUse use = store_->space();
  TargetReport out;
  out.set_target(number(id_));
  out.set_local(stopping_ ? LOCAL_OFFLINE : local_state(life_, place_));
  out.set_chain_version(place_.version);
  out.set_generation(store_->identity().generation);
  out.set_capacity_bytes(use.capacity_bytes);
  out.set_used_bytes(use.used_bytes);
  out.set_chunks(use.chunks);
  out.set_path(path_);
  out.set_trouble(trouble_);
  out.set_sync_done_bytes(sync_done_bytes_);
  out.set_sync_left_bytes(sync_left_bytes_);
  return out;
}

TargetStatus Target::status() {
  const SpaceUse use = store_->space();
  TargetStatus out;
  out.set_target(number(id_));
  out.set_path(path_);
  out.set_chain(number(place_.chain));
  out.set_chain_version(place_.version);
  out.set_capacity_bytes(use.capacity_bytes);
  out.set_used_bytes(use.used_bytes);
  out.set_chunks(use.chunks);
  out.set_bad_chunks(bad_chunks_);
  out.set_damaged_chunks(use.bad_chunks);
  out.set_serving(may_serve(life_, place_) && !stopping_ && !fenced());
  out.set_trouble(trouble_);
  out.set_scrubbed_bytes(scrubbed_bytes_);
  out.set_scrub_rounds(scrub_rounds_);
  out.set_open_updates(open_.size());
  out.set_sync_left_bytes(sync_left_bytes_);
  out.set_repaired_chunks(repaired_chunks_);
  return out;
}

}  // namespace ff::ffs
