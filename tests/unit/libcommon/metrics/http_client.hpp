// A client for tests that can misbehave: a plain socket with deadlines, which knows of HTTP only how to read one
// answer.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "libcommon/base/deadline.hpp"
#include "libcommon/base/unique_fd.hpp"

namespace ff::metrics::testing {

struct Answer {
  int status = 0;  // 0: the connection ended or the time was up before an answer was whole
  std::string head;
  std::string body;
};

class Client {
 public:
  explicit Client(std::uint16_t port, int receive_buffer = 0) : Client() {
    if (receive_buffer > 0)
      EXPECT_EQ(::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer), 0);
    connect(port);
  }
  // A socket that is not connected yet.
  Client() : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {}

  void connect(std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  }
  bool send(std::string_view bytes) {
    return ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size());
  }
  void get(const std::string& path, const std::string& headers = "") {
    EXPECT_TRUE(send("GET " + path + " HTTP/1.1\r\nHost: test\r\n" + headers + "\r\n"));
  }
  Answer read(std::chrono::milliseconds wait = std::chrono::seconds(10)) {
    const Deadline deadline = Deadline::after(wait);
    while (true) {
      if (const std::size_t end = in_.find("\r\n\r\n"); end != std::string::npos) {
        const std::size_t length = content_length(in_.substr(0, end));
        if (in_.size() >= end + 4 + length) {
          Answer answer{
              .status = std::atoi(in_.c_str() + 9), .head = in_.substr(0, end), .body = in_.substr(end + 4, length)};
          in_.erase(0, end + 4 + length);
          return answer;
        }
      }
      if (!receive(deadline)) return {};
    }
  }
  // True if the server ends the connection in time; what it sends before is thrown away.
  bool closes(std::chrono::milliseconds wait = std::chrono::seconds(10)) {
    const Deadline deadline = Deadline::after(wait);
    while (receive(deadline)) in_.clear();
    return ended_;
  }

 private:
  static std::size_t content_length(const std::string& head) {
    const std::size_t at = head.find("Content-Length: ");
    return at == std::string::npos ? 0 : std::strtoul(head.c_str() + at + 16, nullptr, 10);
  }
  bool receive(Deadline deadline) {
    pollfd polled{fd_.get(), POLLIN, 0};
    if (::poll(&polled, 1, deadline.poll_timeout_ms(60'000)) <= 0) return false;
    char bytes[4096];
    const ssize_t got = ::recv(fd_.get(), bytes, sizeof bytes, 0);
    ended_ = got <= 0;
    if (!ended_) in_.append(bytes, static_cast<std::size_t>(got));
    return !ended_;
  }

  UniqueFd fd_;
  std::string in_;
  bool ended_ = false;
};

inline Answer fetch(std::uint16_t port, const std::string& path, const std::string& headers = "") {
  Client client(port);
  client.get(path, headers);
  return client.read();
}

}  // namespace ff::metrics::testing
