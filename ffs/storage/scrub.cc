// The scrubber: reads every chunk from time to time, slowly, so that rot is found while other replicas are whole.
#include "ffs/storage/range_digest.hpp"
#include "ffs/storage/target.hpp"

namespace ff::ffs {

using runtime::Task;

Task<void> Target::scrub_loop() {
  for (;;) {
    if (!co_await scrub_round()) co_return;
    ++scrub_rounds_;
    if (!co_await runtime::sleep(options_.scrub_pause)) co_return;
  }
}

// Fails only when it is cancelled.
Task<Result<>> Target::scrub_round() {
  constexpr std::size_t kPage = 64;
  for (ChunkId from{};;) {
    const std::vector<ChunkInfo> page = store_->list(from, kPage);
    for (const ChunkInfo& info : page) {
      FF_CO_TRY(co_await runtime::not_cancelled());
      if (info.removed) continue;
      if (info.version == 0 || store_->failed()) continue;
      const auto verified = co_await store_->verify(info.chunk);
      if (!verified && verified.error().code() == Errc::kCorrupt) start_repair(info.chunk);
      scrubbed_bytes_ += info.length;
      const double seconds =
          (static_cast<double>(info.length) + 4096) / static_cast<double>(options_.scrub_bytes_per_second);
      FF_CO_TRY(co_await runtime::sleep(std::chrono::nanoseconds(static_cast<std::int64_t>(seconds * 1e9))));
    }
    if (page.size() < kPage) co_return {};
    from = next_chunk(page.back().chunk);
  }
}

}  // namespace ff::ffs
