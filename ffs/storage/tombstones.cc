// Tombstones: what is left of removed chunks, so that an update that comes late is known to be late. They go when
// nobody's repeated update can reach them any more, or earlier when there are too many; at a pace of their own, as a
// file system may remove more than it keeps. Not while a member is away or syncs: it may have got the tombstone, or the
// chunk from before it, and the versions of a chunk that is made again begin anew.
#include <algorithm>
#include <vector>

#include "ffs/storage/range_digest.hpp"
#include "ffs/storage/target.hpp"
#include "libcommon/runtime/sleep.hpp"

namespace ff::ffs {

using runtime::Task;

namespace {
constexpr std::size_t kPage = 256;  // between two turns of others
}

Task<void> Target::tombstone_loop() {
  const runtime::Duration pause = std::min(options_.tombstones_kept / 10, options_.tombstones_kept_least / 2);
  while (co_await runtime::sleep(pause)) {
    if (!co_await tombstone_round()) co_return;
  }
}

bool Target::all_serve() const noexcept {
  const Chain* const mine = chain();
  return mine != nullptr && may_serve(life_, place_) &&
         std::ranges::all_of(mine->members, [](const Member& one) { return one.state == SERVING; });
}

runtime::Time Target::tombstones_until() const {
  const runtime::Time usual = env_.now() - options_.tombstones_kept;
  if (tombstones_.size() <= options_.tombstones_most) return usual;
  std::vector<runtime::Time> seen;
  seen.reserve(tombstones_.size());
  for (const auto& [chunk, stone] : tombstones_) seen.push_back(stone.seen);
  const auto last = seen.begin() + static_cast<std::ptrdiff_t>(seen.size() - options_.tombstones_most) - 1;
  std::ranges::nth_element(seen, last);
  return std::max(usual, std::min(*last, env_.now() - options_.tombstones_kept_least));
}

// Fails only when it is cancelled.
Task<Result<>> Target::tombstone_round() {
  std::map<ChunkId, Tombstone> found;
  for (ChunkId from{};;) {
    const std::vector<ChunkInfo> page = store_->marked(ChunkMark::kRemoved, from, kPage);
    for (const ChunkInfo& info : page) {
      const auto known = tombstones_.find(info.chunk);
      const bool same = known != tombstones_.end() && known->second.version == info.version;
      found[info.chunk] = same ? known->second : Tombstone{info.version, env_.now()};
    }
    if (page.size() < kPage) break;
    from = next_chunk(page.back().chunk);
    co_await runtime::yield();
    FF_CO_TRY(co_await runtime::not_cancelled());
  }
  tombstones_ = std::move(found);
  if (!all_serve()) co_return {};
  const runtime::Time until = tombstones_until();
  std::vector<std::pair<ChunkId, ChunkVersion>> due;
  for (const auto& [chunk, stone] : tombstones_)
    if (stone.seen <= until) due.emplace_back(chunk, stone.version);
  for (std::size_t i = 0; i < due.size(); ++i) {
    const auto [chunk, version] = due[i];
    if (i % kPage == kPage - 1) {
      co_await runtime::yield();
      FF_CO_TRY(co_await runtime::not_cancelled());
    }
    FF_CO_TRY_ASSIGN(const auto lock, co_await locks_.lock(chunk));
    const auto now = store_->info(chunk);
    if (!now || !now->removed || now->version != version || now->pending || open_of(chunk)) continue;
    if (!all_serve()) co_return {};
    auto purged = store_->purge(chunk);
    if (!purged && purged.error().code() == Errc::kExhausted && co_await store_->sync()) purged = store_->purge(chunk);
    if (!purged) {
      disk_trouble(purged.error());
      co_return {};
    }
    tombstones_.erase(chunk);
  }
  co_return {};
}

}  // namespace ff::ffs
