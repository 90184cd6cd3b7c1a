// cpp-httplib's own server waits in one thread a connection, for each read anew: a client that sends a byte now and
// then holds a thread for ever. Here it only reads a head that is complete and in memory, and writes into memory.
#include "libcommon/metrics/http_message.hpp"

#include <fmt/core.h>
#include <httplib.h>

#include <algorithm>
#include <csignal>
#include <exception>

#include "libcommon/base/assert.hpp"

namespace ff::metrics {
namespace {

// A connection whose input has all arrived and whose output nobody waits for.
class MemoryStream : public httplib::Stream {
 public:
  explicit MemoryStream(std::string_view input) : input_(input) {}

  std::string take_output() { return std::move(output_); }

  bool is_readable() const override { return !input_.empty(); }
  bool is_writable() const override { return true; }
  ssize_t read(char* bytes, std::size_t count) override {
    const std::size_t given = input_.copy(bytes, count);
    input_.remove_prefix(given);
    return static_cast<ssize_t>(given);
  }
  ssize_t write(const char* bytes, std::size_t count) override {
    output_.append(bytes, count);
    return static_cast<ssize_t>(count);
  }
  void get_remote_ip_and_port(std::string& ip, int& port) const override { ip.clear(), port = 0; }
  void get_local_ip_and_port(std::string& ip, int& port) const override { ip.clear(), port = 0; }
  // Asked for only to compare it with select(2)'s limit, which does not bind us.
  socket_t socket() const override { return -1; }

 private:
  std::string_view input_;
  std::string output_;
};

bool has_body(const httplib::Request& request) {
  return request.has_header("Transfer-Encoding") ||
         (request.has_header("Content-Length") && request.get_header_value("Content-Length") != "0");
}

bool reads_only(const httplib::Request& request) { return request.method == "GET" || request.method == "HEAD"; }

// The head without its Range lines: cpp-httplib matches them with std::regex, which recurses for each character.
std::string without_ranges(std::string_view head) {
  constexpr std::string_view kRange = "range:";
  const auto same = [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a + ('a' - 'A') : a) == b; };
  std::string kept;
  kept.reserve(head.size());
  while (!head.empty()) {
    const std::size_t end = head.find('\n');
    const std::string_view line = head.substr(0, end == std::string_view::npos ? end : end + 1);
    head.remove_prefix(line.size());
    if (line.size() < kRange.size() ||
        !std::equal(kRange.begin(), kRange.end(), line.begin(), [&](char b, char a) { return same(a, b); }))
      kept += line;
  }
  return kept;
}

}  // namespace

class HttpMessages::Parser : public httplib::Server {
 public:
  explicit Parser(std::function<HttpReply(const HttpRequest&)> handler) : handler_(std::move(handler)) {
    set_keep_alive_max_count(1000);
    set_default_headers({{"Cache-Control", "no-store"},
                         {"X-Content-Type-Options", "nosniff"},
                         {"Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'"}});
    // Answers before cpp-httplib's own routing, which would match patterns and read bodies.
    set_pre_routing_handler([this](const httplib::Request& request, httplib::Response& response) {
      reply_to(request, response);
      return HandlerResponse::Handled;
    });
  }

  HttpAnswer answer(std::string_view head, bool last) {
    const std::string kept = without_ranges(head);
    MemoryStream stream(kept);
    bool parsed = false, closes = last;
    const bool ok = process_request(stream, last, closes, [&](httplib::Request& request) {
      parsed = true;
      request.headers.erase("Expect");
      if (reads_only(request) && !has_body(request)) return;
      // What follows the head is not read, so no request can follow it.
      closes = true;
      request.headers.erase("Connection");
      request.set_header("Connection", "close");
    });
    std::string bytes = stream.take_output();
    if (bytes.empty()) bytes = refusal(400, "Bad Request", "request: is no HTTP request");
    return {.bytes = std::move(bytes), .close = closes || !ok || !parsed};
  }

 private:
  void reply_to(const httplib::Request& request, httplib::Response& response) const {
    HttpReply reply;
    if (!reads_only(request)) {
      response.set_header("Allow", "GET, HEAD");
      reply = {405, "text/plain; charset=utf-8", "request: only GET and HEAD are answered here\n"};
    } else if (has_body(request)) {
      reply = {413, "text/plain; charset=utf-8", "request: has a body (send none)\n"};
    } else {
      try {
        reply = handler_({.path = request.path, .accept = request.get_header_value("Accept")});
      } catch (const std::exception& thrown) {
        reply = {500, "text/plain; charset=utf-8", fmt::format("page: failed: {}\n", thrown.what())};
      }
    }
    response.status = reply.status;
    response.set_content(reply.body, reply.type);
  }

  std::function<HttpReply(const HttpRequest&)> handler_;
};

HttpMessages::HttpMessages(std::function<HttpReply(const HttpRequest&)> handler) {
  // httplib::Server's constructor ignores SIGPIPE for the whole process; that is the program's to decide.
  struct sigaction before{};
  FF_ASSERT(::sigaction(SIGPIPE, nullptr, &before) == 0);
  parser_ = std::make_unique<Parser>(std::move(handler));
  FF_ASSERT(::sigaction(SIGPIPE, &before, nullptr) == 0);
}

HttpMessages::~HttpMessages() = default;

HttpAnswer HttpMessages::answer(std::string_view head, bool last) const { return parser_->answer(head, last); }

std::string refusal(int status, std::string_view reason, std::string_view text) {
  return fmt::format(
      "HTTP/1.1 {} {}\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\n"
      "Content-Length: {}\r\n\r\n{}\n",
      status, reason, text.size() + 1, text);
}

}  // namespace ff::metrics
