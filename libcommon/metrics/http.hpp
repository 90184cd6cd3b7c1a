// HttpServer: the pages by which people and machines look into a running program.
//
//   /metrics         the Registry as Prometheus text (text.hpp)
//   /healthz         200 or 503, JSON that names each failed check (pages.hpp)
//   /debug/requests  requests in flight, HTML for a browser and JSON otherwise (pages.hpp)
//   /                an index of these
//
// Exposure   Bound to 127.0.0.1 unless configured: the pages need no password and name peers. No page changes anything.
// Ownership  Refers to the Registry, which must outlive it.
// Threads    All functions from any thread but stop() and the destructor (one thread, not from a callback). Checks and
//            sources run on the server's workers, one call of each at a time; they read what is known and return at
//            once: no disk, no peer. One that hangs makes its page answer 503 after options.handle_timeout and holds
//            one worker; other pages go on with the rest.
// Limits     Connections, sizes and deadlines: http_loop.hpp.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "libcommon/base/deadline.hpp"
#include "libcommon/base/result.hpp"
#include "libcommon/metrics/http_loop.hpp"
#include "libcommon/metrics/pages.hpp"
#include "libcommon/metrics/registration.hpp"
#include "libcommon/metrics/registry.hpp"

namespace ff::metrics {

class HttpServer {
 public:
  // Serves when it returns. Errors as HttpLoop::start().
  static Result<std::unique_ptr<HttpServer>> start(const Registry& registry, HttpLoopOptions options = {});

  // kAlreadyExists for a name that is there, kInvalidArgument for an empty one. Gone with the Registration.
  Result<Registration> add_check(std::string name, std::function<Result<>()> check);
  Result<Registration> add_requests(std::string name, std::function<RequestList()> source);

  // "127.0.0.1:9100", with the port that was given.
  const std::string& endpoint() const noexcept { return loop_->endpoint(); }
  std::uint16_t port() const noexcept { return loop_->port(); }

  // As HttpLoop::stop(). The destructor stops within two seconds, but waits for a callback that hangs.
  Result<> stop(Deadline deadline) { return loop_->stop(deadline); }

 private:
  explicit HttpServer(const Registry& registry) : registry_(registry) {}
  HttpReply reply(const HttpRequest& request) const;
  std::vector<std::pair<std::string, Result<>>> run_checks() const;

  const Registry& registry_;
  CallbackTable<Result<>> checks_;
  CallbackTable<RequestList> requests_;
  std::unique_ptr<HttpLoop> loop_;  // last: its threads use the above
};

}  // namespace ff::metrics
