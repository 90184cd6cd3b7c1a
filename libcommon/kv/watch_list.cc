#include "libcommon/kv/watch_list.hpp"

#include <algorithm>
#include <optional>

#include "libcommon/kv/key_range.hpp"

namespace ff::kv {

struct WatchList::Entry final : Watch, runtime::ListHook<Entry> {
  KeyRange range;
  Version known = 0;    // changes up to it were told, or came before the watch
  Version pending = 0;  // 0: nothing to tell
  std::optional<Error> failure;
  runtime::WaitQueue waiting;

  runtime::Task<Result<Version>> changed() override {
    while (pending == 0) {
      if (failure) co_return std::unexpected(*failure);
      FF_CO_TRY(co_await waiting.wait());
    }
    co_return std::exchange(pending, 0);
  }
  void tell(Version version) {
    if (version <= known) return;
    pending = known = version;
    waiting.wake_all();
  }
};

std::unique_ptr<Watch> WatchList::add(KeyRange range, bool changed, Version now) {
  auto watch = std::make_unique<Entry>();
  watch->range = std::move(range);
  watch->known = now;
  if (changed) watch->pending = now;
  watches_.push_back(*watch);
  return watch;
}

void WatchList::wrote(const KeyRange& range, Version version) {
  watches_.for_each([&](Entry& watch) {
    if (!is_empty(watch.range) && overlaps(watch.range, range)) watch.tell(version);
  });
}

void WatchList::wrote(std::string_view key, Version version) {
  watches_.for_each([&](Entry& watch) {
    if (contains(watch.range, key)) watch.tell(version);
  });
}

void WatchList::wrote(const WriteSet& writes, Version version) {
  if (empty()) return;
  for (const auto& [key, write] : writes.points()) wrote(key, version);
  for (const auto& [begin, end] : writes.cleared()) wrote(KeyRange{begin, end}, version);
  std::uint16_t order = 0;
  for (const StampedKey& stamped : writes.stamped()) wrote(stamped.key(version, order++), version);
}

void WatchList::fail_all(const Error& why) {
  watches_.for_each([&](Entry& watch) {
    watch.failure = why;
    watch.waiting.wake_all();
  });
}

}  // namespace ff::kv
