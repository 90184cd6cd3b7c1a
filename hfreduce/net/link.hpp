// Link: one TCP connection to one peer; a queue of frames to send and a state machine that reads frames into place.
//
// Receiving  Only while frames are expected (expect()), so a link never runs into the frames of a later call. A
//            header is shown to the sink, which says where the payload goes, or "later": then the link stays
//            blocked at this frame, the kernel's window closes and the sender waits (back-pressure). Payloads go
//            from the kernel straight to their place; small frames come with their header in one system call
//            through a staging area of kStagingBytes.
// Sending    Two queues: urgent frames (results) overtake others, never a frame that has begun. Header and payload
//            go in one sendmsg, several small frames too. Payload memory must stay unchanged until the sink's
//            sent().
// Ownership  Owns the socket. Payloads and the sink belong to others.
// Threads    One at a time.
// Errors     Io::kClosed and Io::kCorrupt are final; error_text() says what happened.
#pragma once

#include <sys/types.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "hfreduce/net/frame.hpp"
#include "hfreduce/trace.hpp"
#include "libcommon/base/unique_fd.hpp"

namespace ff::hfreduce::net {

class Link;

struct Landing {
  enum class Kind : std::uint8_t { kTake, kLater, kWrong };
  Kind kind = Kind::kWrong;
  std::byte* to = nullptr;  // kTake: room for header.length bytes

  static Landing take(std::byte* to) noexcept { return {Kind::kTake, to}; }
  static Landing later() noexcept { return {Kind::kLater, nullptr}; }
  static Landing wrong() noexcept { return {Kind::kWrong, nullptr}; }
};

// Whoever the frames are for. accept() may be asked again for the same frame after "later".
class FrameSink {
 public:
  virtual ~FrameSink() = default;
  virtual Landing accept(Link& link, const FrameHeader& header) = 0;
  virtual void received(Link& link, const FrameHeader& header) = 0;
  // The frame queued with this cookie is in the kernel; its payload may change now.
  virtual void sent(Link& link, std::uint64_t cookie) = 0;
};

// First in, first out, without allocation once it has grown.
template <class T>
class Fifo {
 public:
  bool empty() const noexcept { return count_ == 0; }
  std::size_t size() const noexcept { return count_; }
  void push(const T& value) {
    if (count_ == ring_.size()) grow();
    ring_[(first_ + count_++) & (ring_.size() - 1)] = value;
  }
  T pop() noexcept {
    T value = ring_[first_];
    first_ = (first_ + 1) & (ring_.size() - 1);
    --count_;
    return value;
  }

 private:
  void grow() {
    std::vector<T> bigger(ring_.empty() ? 16 : 2 * ring_.size());
    for (std::size_t i = 0; i < count_; ++i) bigger[i] = ring_[(first_ + i) & (ring_.size() - 1)];
    ring_ = std::move(bigger);
    first_ = 0;
  }
  std::vector<T> ring_;
  std::size_t first_ = 0, count_ = 0;
};

class Link {
 public:
  static constexpr std::size_t kStagingBytes = 8192;
  enum class Io : std::uint8_t { kIdle, kProgress, kClosed, kCorrupt, kWrong };

  Link(UniqueFd fd, int peer, int lane, std::uint32_t group_id, Trace* trace);

  int peer() const noexcept { return peer_; }
  int lane() const noexcept { return lane_; }
  int fd() const noexcept { return fd_.get(); }

  void queue(FrameHeader header, const void* payload, bool urgent = false, std::uint64_t cookie = 0);
  void expect(std::uint64_t frames) noexcept { expected_ += frames; }
  std::uint64_t expected() const noexcept { return expected_; }
  bool sending() const noexcept { return !urgent_.empty() || !normal_.empty() || batch_begin_ < batch_end_; }
  bool blocked() const noexcept { return blocked_; }

  // Moves what the socket takes or has, at most about 1 MiB a call so that other links get their turn.
  Io flush(FrameSink& sink);
  Io receive(FrameSink& sink);

  // The header that the sink refused (Io::kWrong) or that is in work.
  const FrameHeader& header() const noexcept { return header_; }
  const std::string& error_text() const noexcept { return error_text_; }
  std::uint64_t bytes_sent() const noexcept { return bytes_sent_; }
  std::uint64_t bytes_received() const noexcept { return bytes_received_; }

  // Kept for others: when this link last moved (in the channel's ticks), messages so far each way, the timeout that is
  // set.
  std::uint64_t last_tick = 0;
  std::uint64_t messages_out = 0, messages_in = 0;
  std::chrono::milliseconds user_timeout{0};

 private:
  struct Outgoing {
    FrameHeaderBytes header;
    const std::byte* payload;
    std::uint32_t length;
    std::uint64_t cookie;
  };
  static constexpr std::size_t kBatchMax = 8;

  void fill_batch();
  ssize_t send_batch();
  void finish_sent(std::size_t bytes, FrameSink& sink);
  Io open_frame(FrameSink& sink);
  void finish_frame(FrameSink& sink);
  Io refill();
  Io closed(std::string why);

  UniqueFd fd_;
  int peer_, lane_;
  std::uint32_t group_id_;
  Trace* trace_;

  Fifo<Outgoing> urgent_, normal_;
  std::array<Outgoing, kBatchMax> batch_;
  std::size_t batch_begin_ = 0, batch_end_ = 0;
  std::size_t begun_bytes_ = 0;  // of batch_[batch_begin_], header and payload, already in the kernel

  std::unique_ptr<std::byte[]> staging_;
  std::size_t staged_begin_ = 0, staged_end_ = 0;
  std::uint64_t expected_ = 0;
  FrameHeader header_;
  bool have_header_ = false, in_payload_ = false, blocked_ = false;
  std::byte* to_ = nullptr;
  std::size_t missing_ = 0;
  std::int64_t frame_begin_ns_ = 0;
  std::uint64_t bytes_sent_ = 0, bytes_received_ = 0;
  std::string error_text_;
};

// The links of one channel, by peer and lane. Links are made by connect.hpp and stay.
class LinkTable {
 public:
  LinkTable(int size, int lanes) : size_(size), links_(static_cast<std::size_t>(size * lanes)) {}
  Link* find(int peer, int lane) const noexcept { return links_[slot(peer, lane)].get(); }
  // REQUIRES that the link is there.
  Link& at(int peer, int lane) const noexcept { return *links_[slot(peer, lane)]; }
  void set(std::unique_ptr<Link> link) {
    const std::size_t i = slot(link->peer(), link->lane());
    links_[i] = std::move(link);
  }

 private:
  std::size_t slot(int peer, int lane) const noexcept {
    return static_cast<std::size_t>(lane) * static_cast<std::size_t>(size_) + static_cast<std::size_t>(peer);
  }
  int size_;
  std::vector<std::unique_ptr<Link>> links_;
};

}  // namespace ff::hfreduce::net
