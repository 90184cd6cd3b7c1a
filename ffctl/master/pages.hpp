// MasterPages: what ffctld shows over HTTP: /metrics, /healthz, /debug/requests.
//
// Freshness  What only the master knows is read on the reactor once a second, and served as read last. A reactor that
//            does not come round for ten seconds fails /healthz, as does a store that cannot be reached.
// Threads    The Env's; the pages are served on others. Ownership: all that is given outlives it.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "ffctl/master/master.hpp"
#include "libcommon/metrics/http.hpp"
#include "libcommon/net/address.hpp"
#include "libcommon/rpc/server.hpp"

namespace ff::ctl {

class MasterPages {
 public:
  MasterPages(runtime::Env& env, metrics::Registry& registry, Master& master, rpc::Server& server);
  // REQUIRES: stop() has returned.
  ~MasterPages();

  // Gives where it listens; the host of `at` is an IP address.
  Result<std::string> start(const net::Address& at);
  // Harmless when it was not started.
  runtime::Task<void> stop();

 private:
  struct Shown;
  Result<> add_metrics();
  void sample();
  runtime::Task<void> sample_loop();
  runtime::Task<void> stop_all();

  runtime::Env& env_;
  metrics::Registry& registry_;
  Master& master_;
  rpc::Server& server_;
  std::shared_ptr<Shown> shown_;
  std::unique_ptr<metrics::HttpServer> http_;
  std::vector<metrics::Registration> registrations_;
  runtime::Scope scope_;
};

}  // namespace ff::ctl
