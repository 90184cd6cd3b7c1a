// RawPeer: a socket in the hands of a test that plays a broken or hostile peer, byte by byte. It can also shake hands
// properly, to misbehave afterwards.
#pragma once

#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "libcommon/net/auth.hpp"
#include "libcommon/net/frame.hpp"
#include "libcommon/net/socket.hpp"
#include "libcommon/runtime/sleep.hpp"

namespace ff::testing {

class RawPeer {
 public:
  // Blocks until the kernel has connected, which needs nobody to accept.
  explicit RawPeer(const net::Address& to) {
    auto fd = net::connect_to(to, Deadline::after(std::chrono::seconds(2)));
    if (fd) fd_ = std::move(*fd);
  }
  bool connected() const { return static_cast<bool>(fd_); }
  int fd() const { return fd_.get(); }
  void close() { fd_.reset(); }

  // As much as the kernel takes.
  std::size_t send(std::span<const std::byte> bytes) {
    const ssize_t sent = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent > 0) sent_.insert(sent_.end(), bytes.begin(), bytes.begin() + sent);
    return sent > 0 ? static_cast<std::size_t>(sent) : 0;
  }
  std::size_t send(std::string_view text) { return send(std::as_bytes(std::span(text))); }
  void send_frame(net::FrameHeader header, std::span<const std::byte> payload = {}) {
    const net::FrameHeaderBytes head = net::encode_frame_header(header);
    send(head);
    send(payload);
  }
  // All of it, not recorded; false when the other side has closed, or takes nothing for 10 s.
  runtime::Task<bool> send_all(std::span<const std::byte> bytes) {
    runtime::Env& env = (co_await runtime::current_context()).env();
    runtime::Time until = env.now() + std::chrono::seconds(10);
    while (!bytes.empty()) {
      const ssize_t sent = ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (sent > 0) {
        bytes = bytes.subspan(static_cast<std::size_t>(sent));
        until = env.now() + std::chrono::seconds(10);
        co_await runtime::yield();
      } else if ((errno != EAGAIN && errno != EINTR) || env.now() > until) {
        co_return false;
      } else {
        (void)co_await runtime::sleep(std::chrono::milliseconds(1));
      }
    }
    co_return true;
  }
  // All that send() has sent so far.
  const std::vector<std::byte>& sent() const { return sent_; }

  // Reads and drops; true when the other side has closed within `wait`.
  runtime::Task<bool> closed_within(runtime::Duration wait) {
    runtime::Env& env = (co_await runtime::current_context()).env();
    const runtime::Time until = env.now() + wait;
    std::array<std::byte, 4096> bin;
    while (env.now() < until) {
      const ssize_t got = ::recv(fd_.get(), bin.data(), bin.size(), MSG_DONTWAIT);
      if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) co_return true;
      if (got < 0) (void)co_await runtime::sleep(std::chrono::milliseconds(2));
    }
    co_return false;
  }

  struct Frame {
    net::FrameHeader header;
    std::vector<std::byte> payload;
  };
  runtime::Task<std::optional<Frame>> read_frame() {
    net::FrameHeaderBytes head;
    if (!co_await read(head)) co_return std::nullopt;
    const auto header = net::decode_frame_header(head);
    if (!header) co_return std::nullopt;
    Frame frame{*header, std::vector<std::byte>(header->length)};
    if (!co_await read(frame.payload)) co_return std::nullopt;
    co_return frame;
  }
  // The next frame that is no ping.
  runtime::Task<std::optional<Frame>> read_answer() {
    while (true) {
      auto frame = co_await read_frame();
      if (!frame || frame->header.type != net::FrameType::kPing) co_return frame;
    }
  }

  // Opens lane 0, or with `link` a further one. Null when refused; error() then says why.
  runtime::Task<std::optional<net::LinkSession>> shake(const net::Endpoint& endpoint,
                                                       const net::LinkSession* link = nullptr, std::uint16_t lane = 1) {
    auto handshake = link == nullptr ? net::ClientHandshake::open_link(endpoint)
                                     : net::ClientHandshake::open_lane(endpoint, *link, lane);
    if (!handshake) co_return std::nullopt;
    send_message(handshake->start());
    while (true) {
      const auto frame = co_await read_frame();
      if (!frame) co_return std::nullopt;
      auto step = handshake->feed(frame->header.type, frame->payload);
      if (!step) {
        error_ = step.error();
        co_return std::nullopt;
      }
      if (step->send) send_message(*step->send);
      if (step->done) co_return std::move(step->done);
    }
  }
  const std::optional<Error>& error() const { return error_; }

 private:
  void send_message(const net::HandshakeMessage& message) {
    send_frame(net::checked_header(message.type, message.payload), message.payload);
  }
  runtime::Task<bool> read(std::span<std::byte> into) {
    runtime::Env& env = (co_await runtime::current_context()).env();
    const runtime::Time until = env.now() + std::chrono::seconds(10);
    while (!into.empty()) {
      const ssize_t got = ::recv(fd_.get(), into.data(), into.size(), MSG_DONTWAIT);
      if (got > 0) into = into.subspan(static_cast<std::size_t>(got));
      if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) co_return false;
      if (got < 0) (void)co_await runtime::sleep(std::chrono::milliseconds(1));
      if (env.now() > until) co_return false;
    }
    co_return true;
  }

  UniqueFd fd_;
  std::vector<std::byte> sent_;
  std::optional<Error> error_;
};

}  // namespace ff::testing
