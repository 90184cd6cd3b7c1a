#include "ffs/daemon/metrics_pages.hpp"

#include <fmt/core.h>

#include <mutex>

#include "ffs/daemon/daemon.hpp"
#include "libcommon/metrics/http.hpp"
#include "libcommon/rpc/server.hpp"
#include "libcommon/runtime/sleep.hpp"

namespace ff::ffs {

using runtime::Task;

namespace {

constexpr std::chrono::seconds kClose{2};

}  // namespace

// What the reactor found last, for the page's threads.
struct MetricsPages::Health {
  std::mutex mutex;  // guards what follows
  Result<> node;
  Deadline fresh_until = Deadline::after(kStuckAfter);

  void found(Result<> state) {
    const std::lock_guard lock(mutex);
    node = std::move(state);
    fresh_until = Deadline::after(kStuckAfter);
  }
  Result<> node_state() {
    const std::lock_guard lock(mutex);
    return node;
  }
  Result<> reactor_state() {
    const std::lock_guard lock(mutex);
    if (!fresh_until.expired()) return {};
    return fail(Errc::kTimeout,
                fmt::format("the reactor has not come round for {} s", kStuckAfter / std::chrono::seconds(1)));
  }
};

MetricsPages::MetricsPages(runtime::Env& env, Daemon& daemon)
    : env_(env), daemon_(daemon), health_(std::make_shared<Health>()), scope_(env) {}

MetricsPages::~MetricsPages() = default;

Result<std::string> MetricsPages::start(const net::Address& at) {
  daemon_.sample();
  health_->found(daemon_.health());
  FF_TRY_ASSIGN(http_, metrics::HttpServer::start(daemon_.registry(), {.address = at.host, .port = at.port}));
  const auto keep = [&](Result<metrics::Registration> made) {
    if (made) registrations_.push_back(std::move(*made));
  };
  keep(http_->add_check("node", [health = health_] { return health->node_state(); }));
  keep(http_->add_check("reactor", [health = health_] { return health->reactor_state(); }));
  keep(http_->add_requests("rpc", daemon_.server().request_source()));
  scope_.spawn(sample_loop());
  return http_->endpoint();
}

Task<void> MetricsPages::sample_loop() {
  while (co_await runtime::sleep(kSampleEvery)) {
    daemon_.sample();
    health_->found(daemon_.health());
  }
}

// Under a context of its own: ours may be cancelled.
Task<void> MetricsPages::stop() {
  runtime::Scope scope(env_);
  scope.spawn(stop_all());
  (void)co_await scope.join();
}

Task<void> MetricsPages::stop_all() {
  scope_.cancel();
  (void)co_await scope_.join();
  if (http_ == nullptr) co_return;
  // Not on the reactor: a page that is being made may be waiting for it.
  (void)co_await runtime::offload(env_, [this] {
    (void)http_->stop(Deadline::after(kClose));
    registrations_.clear();
    http_.reset();
  });
}

}  // namespace ff::ffs
