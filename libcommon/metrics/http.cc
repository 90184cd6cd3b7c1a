#include "libcommon/metrics/http.hpp"

#include "libcommon/metrics/text.hpp"

namespace ff::metrics {

Result<std::unique_ptr<HttpServer>> HttpServer::start(const Registry& registry, HttpLoopOptions options) {
  std::unique_ptr<HttpServer> server(new HttpServer(registry));
  FF_TRY_ASSIGN(server->loop_, HttpLoop::start(std::move(options), [self = server.get()](const HttpRequest& request) {
                  return self->reply(request);
                }));
  return server;
}

Result<Registration> HttpServer::add_check(std::string name, std::function<Result<>()> check) {
  return checks_.add(std::move(name), std::move(check));
}

Result<Registration> HttpServer::add_requests(std::string name, std::function<RequestList()> source) {
  return requests_.add(std::move(name), std::move(source));
}

// A check that could not be called has failed.
std::vector<std::pair<std::string, Result<>>> HttpServer::run_checks() const {
  std::vector<std::pair<std::string, Result<>>> results;
  for (auto& [name, called] : checks_.call_all())
    results.emplace_back(name, called ? std::move(*called) : fail(std::move(called).error()));
  return results;
}

HttpReply HttpServer::reply(const HttpRequest& request) const {
  if (request.path == "/metrics")
    return {.status = 200, .type = kTextContentType, .body = to_text(registry_.collect())};
  if (request.path == "/healthz") return health_page(run_checks());
  if (request.path == "/debug/requests") return requests_page(requests_.call_all(), wants_html(request.accept));
  if (request.path == "/") return index_page();
  return not_found_page();
}

}  // namespace ff::metrics
