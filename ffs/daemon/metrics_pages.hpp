// MetricsPages: a daemon's pages over HTTP: /metrics for Prometheus, /healthz for whoever routes or restarts, and
// /debug/requests with what is in flight. Of real processes only: the server has threads of its own.
//
//   MetricsPages pages(env, daemon);
//   if (auto at = co_await pages.start(*node.metrics); !at) log::warn(...);
//   ...
//   co_await pages.stop();            // before the daemon's stop()
//
// Freshness  What only the parts know is read on the reactor every kSampleEvery, and served as read last. A reactor
// that
//            does not come round for kStuckAfter fails /healthz.
// Threads    The Env's; the pages are served on others. Ownership: Env and Daemon outlive it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "libcommon/metrics/registration.hpp"
#include "libcommon/net/address.hpp"
#include "libcommon/runtime/scope.hpp"

namespace ff::metrics {
class HttpServer;
}

namespace ff::ffs {

class Daemon;

inline constexpr runtime::Duration kSampleEvery = std::chrono::seconds(1);
inline constexpr runtime::Duration kStuckAfter = std::chrono::seconds(10);

class MetricsPages {
 public:
  MetricsPages(runtime::Env& env, Daemon& daemon);
  // REQUIRES: stop() has returned.
  ~MetricsPages();
  MetricsPages(const MetricsPages&) = delete;
  MetricsPages& operator=(const MetricsPages&) = delete;

  // REQUIRES: the daemon has started. Gives where it listens; the host of `at` is an IP address. Errors: those of the
  // address (taken, not of this machine).
  Result<std::string> start(const net::Address& at);
  // Harmless when it was not started.
  runtime::Task<void> stop();

 private:
  struct Health;
  runtime::Task<void> sample_loop();
  runtime::Task<void> stop_all();

  runtime::Env& env_;
  Daemon& daemon_;
  std::shared_ptr<Health> health_;
  std::unique_ptr<metrics::HttpServer> http_;
  std::vector<metrics::Registration> registrations_;  // go before the server
  runtime::Scope scope_;
};

}  // namespace ff::ffs
