#include "libcommon/kv/etcd_watches.hpp"

#include <algorithm>
#include <limits>

namespace ff::kv {

using runtime::Task;
using namespace std::chrono_literals;

namespace rpc = etcdserverpb;

class EtcdWatches::Entry final : public Watch {
 public:
  Entry(EtcdWatches& watches, EtcdRange range, Version after)
      : range(std::move(range)),
        next(static_cast<std::int64_t>(std::min<Version>(after, std::numeric_limits<std::int64_t>::max() - 1)) + 1),
        failure(watches.failure_),
        watches_(watches) {}
  ~Entry() override { watches_.removed(id); }

  Task<Result<Version>> changed() override {
    while (pending == 0) {
      if (failure) co_return std::unexpected(*failure);
      FF_CO_TRY(co_await waiting.wait());
    }
    co_return std::exchange(pending, 0);
  }
  void tell(std::int64_t revision) {
    pending = std::max(pending, static_cast<Version>(revision));
    next = std::max(next, revision + 1);
    waiting.wake_all();
  }
  void fail_with(const Error& why) {
    failure = why;
    waiting.wake_all();
  }

  std::int64_t id = 0;
  const EtcdRange range;
  std::int64_t next;    // the first revision not told of
  Version pending = 0;  // 0: nothing to tell
  std::optional<Error> failure;
  runtime::WaitQueue waiting;

 private:
  EtcdWatches& watches_;
};

std::unique_ptr<Watch> EtcdWatches::add(EtcdRange range, Version after) {
  auto entry = std::make_unique<Entry>(*this, std::move(range), after);
  if (failure_ || scope_.context().cancelled()) {
    if (!failure_) entry->fail_with(scope_.context().why());
    return entry;
  }
  request(*entry);
  if (!std::exchange(running_, true)) scope_.spawn(run());
  return entry;
}

void EtcdWatches::fail_all(const Error& why) {
  failure_ = why;
  for (const auto& [id, entry] : entries_) entry->fail_with(why);
}

void EtcdWatches::request(Entry& entry) {
  // Never an id again that etcd may still use for what was before.
  entry.id = ++last_id_;
  entries_.emplace(entry.id, &entry);
  rpc::WatchRequest request;
  auto* create = request.mutable_create_request();
  create->set_key(entry.range.key);
  create->set_range_end(entry.range.range_end);
  create->set_start_revision(entry.next);
  create->set_watch_id(entry.id);
  requests_.push_back(std::move(request));
  requested_.set();
}

void EtcdWatches::removed(std::int64_t id) {
  if (entries_.erase(id) == 0) return;
  rpc::WatchRequest request;
  request.mutable_cancel_request()->set_watch_id(id);
  requests_.push_back(std::move(request));
  requested_.set();
}

Task<void> EtcdWatches::run() {
  constexpr runtime::Duration kPauseMin = 20ms;
  constexpr runtime::Duration kPauseMax = 1s;
  runtime::Context& context = co_await runtime::current_context();
  runtime::Duration pause = kPauseMin;
  while (!context.cancelled()) {
    // A new stream knows of nothing yet.
    requests_.clear();
    std::map<std::int64_t, Entry*> before;
    before.swap(entries_);
    for (const auto& [id, entry] : before) request(*entry);

    const auto stream = client_.open_watch_stream();
    const runtime::Time opened = context.env().now();
    (void)co_await runtime::with_scope([&](runtime::Scope& both) -> Task<Result<>> {
      both.spawn(write_requests(*stream));
      co_return co_await read_answers(*stream);
    });
    // One that stood for long broke for a reason of its own.
    if (context.env().now() - opened > kPauseMax) pause = kPauseMin;
    if (!co_await runtime::sleep(pause)) break;
    pause = std::min(2 * pause, kPauseMax);
  }
}

Task<Result<>> EtcdWatches::write_requests(EtcdWatchStream& stream) {
  for (;;) {
    FF_CO_TRY(co_await requested_.wait());
    while (!requests_.empty()) {
      rpc::WatchRequest request = std::move(requests_.front());
      requests_.pop_front();
      FF_CO_TRY(co_await stream.write(std::move(request)));
    }
    requested_.reset();
  }
}

Task<Result<>> EtcdWatches::read_answers(EtcdWatchStream& stream) {
  for (;;) {
    FF_CO_TRY_ASSIGN(const rpc::WatchResponse answer, co_await stream.read());
    take(answer);
  }
}

void EtcdWatches::take(const rpc::WatchResponse& answer) {
  const auto found = entries_.find(answer.watch_id());
  if (found == entries_.end()) return;
  Entry& entry = *found->second;
  std::int64_t last = 0;
  for (const auto& event : answer.events()) last = std::max(last, event.kv().mod_revision());
  if (last >= entry.next) entry.tell(last);
  if (!answer.canceled()) return;
  entries_.erase(found);
  if (answer.compact_revision() != 0) {
    entry.tell(std::max(answer.header().revision(), answer.compact_revision()));
    request(entry);
  } else {
    entry.id = 0;
    entry.fail_with({Errc::kUnavailable, "etcd: refused a watch: " + answer.cancel_reason()});
  }
}

}  // namespace ff::kv
