// HttpMessages: one HTTP request as bytes in, its answer as bytes out. The grammar is cpp-httplib's, whose headers stay
// in http_message.cc; sockets, waits and limits are http_loop.hpp's.
//
// Scope    GET and HEAD without a body, which is all that our pages need: another method is 405, a body 413, a Range
//          is ignored, an Accept-Encoding is honoured. Security headers (no sniffing, no scripts, no caching) are
//          added.
// Errors   An answer is always made: 400 for what is no HTTP, 500 when the handler throws.
// Threads  answer() from several threads at once; the handler must bear that.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace ff::metrics {

struct HttpRequest {
  std::string path;    // decoded, without the query
  std::string accept;  // the Accept header, empty without one
};

struct HttpReply {
  int status = 200;
  std::string type;  // Content-Type
  std::string body;
};

struct HttpAnswer {
  std::string bytes;
  bool close = true;  // after these bytes
};

class HttpMessages {
 public:
  explicit HttpMessages(std::function<HttpReply(const HttpRequest&)> handler);
  HttpMessages(const HttpMessages&) = delete;
  HttpMessages& operator=(const HttpMessages&) = delete;
  ~HttpMessages();

  // `head` is a request from its first byte through the empty line. `last` announces that the connection closes after
  // it.
  HttpAnswer answer(std::string_view head, bool last) const;

 private:
  class Parser;
  std::unique_ptr<Parser> parser_;
};

// A whole answer with a line of text that closes the connection, for what never reaches a handler.
std::string refusal(int status, std::string_view reason, std::string_view text);

}  // namespace ff::metrics
