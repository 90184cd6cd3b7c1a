// Life, sending and lanes of a connection; receiving is in tcp_connection_read.cc.
#include "libcommon/net/tcp_connection.hpp"

#include <fmt/core.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>

#include "libcommon/net/ping.hpp"

namespace ff::net {
namespace {

using runtime::Task;

constexpr std::size_t kBatchFrames = 64;
constexpr std::size_t kBatchBytes = 256u << 10;
constexpr std::size_t kUrgentMax = 256;  // pongs not written; a peer that pings without reading gets no more
constexpr runtime::Duration kReopenMin = std::chrono::milliseconds(20);
constexpr runtime::Duration kReopenMax = std::chrono::seconds(2);

void put_header(Message& message, const FrameHeader& header) {
  std::ranges::copy(encode_frame_header(header), message.before(kFrameHeaderBytes));
}

Result<> check_remote(const char* what, std::uint64_t bytes, const RemoteMemory& remote) {
  if (bytes <= remote.bytes && remote.offset <= UINT64_MAX - remote.bytes) return {};
  return fail(Errc::kInvalidArgument, fmt::format("{} {} bytes: the remote memory is {} bytes at {}", what, bytes,
                                                  remote.bytes, remote.offset));
}

}  // namespace

class TcpConnection::TcpExposure final : public Exposure {
 public:
  TcpExposure(std::shared_ptr<TcpConnection> connection, std::shared_ptr<Region> region) noexcept
      : connection_(std::move(connection)), region_(std::move(region)) {}
  ~TcpExposure() override { connection_->bulk().forget(*region_); }

  RemoteMemory remote() const noexcept override { return {region_->key, 0, region_->memory.size()}; }
  [[clang::coro_wrapper]] Task<void> revoke() override { return revoke_region(connection_, region_); }
  std::uint64_t arrived() const noexcept override { return region_->arrived.bytes(); }

 private:
  static Task<void> revoke_region(std::shared_ptr<TcpConnection> connection, std::shared_ptr<Region> region) {
    co_await connection->bulk().revoke(std::move(region));
  }
  std::shared_ptr<TcpConnection> connection_;
  std::shared_ptr<Region> region_;
};

TcpConnection::TcpConnection(TcpHost& host, Lane control, std::vector<Address> planes, TrafficClass traffic,
                             PeerIdentity peer, std::string peer_text)
    : host_(host),
      socket_(std::move(control.socket)),
      link_(std::move(control.link)),
      planes_(std::move(planes)),
      traffic_(traffic),
      traffic_known_(!planes_.empty()),
      peer_(std::move(peer)),
      peer_text_(std::move(peer_text)) {
  received_ = pinged_ = host_.env().now();
  if (traffic_known_)
    post_frame(FrameType::kPing, ping_number(PingPurpose::kTraffic, static_cast<std::uint64_t>(traffic_)));
}

void TcpConnection::start(ConnectionHandler& handler) {
  FF_ASSERT(handler_ == nullptr);
  handler_ = &handler;
  received_ = host_.env().now();
  if (scope_ != nullptr) scope_->spawn(read_control());
  // Closed before it was started: its owner is told all the same, from the loop.
  if (served_) host_.tell_closed(*this);
}

void TcpConnection::tell_closed() {
  if (handler_ != nullptr && !std::exchange(told_, true)) handler_->on_closed(*this, *why_);
}

Task<void> TcpConnection::serve() {
  const auto self = std::static_pointer_cast<TcpConnection>(shared_from_this());
  {
    runtime::Scope scope(co_await runtime::current_context());
    scope_ = &scope;
    scope.spawn(write_control());
    if (handler_ != nullptr) scope.spawn(read_control());
    if (lanes_wanted_ && !planes_.empty()) open_lanes();
    while (!why_) {
      const Result<> waited = co_await changed_.wait();
      if (!waited && !why_) why_ = waited.error();
    }
    if (!broken_) (void)co_await runtime::with_timeout(host_.options().linger, "close", drain());
    broken_ = true;
    if (bulk_) bulk_->close(ended());
    socket_->shutdown();
    scope.cancel(ended());
    (void)co_await scope.join();
    scope_ = nullptr;
  }
  writable_.fail_all(ended());
  served_ = true;
  host_.forget(*this);
  tell_closed();
}

// After close(): what is queued leaves, the peer is told why, and its end is awaited, because closing a socket with
// unread bytes in it would take back what we sent.
Task<Result<>> TcpConnection::drain() {
  post_goaway(*why_);
  while (!broken_ && (queued_bytes_ > 0 || !urgent_.empty())) FF_CO_TRY(co_await changed_.wait());
  ::shutdown(socket_->fd(), SHUT_WR);
  while (!broken_ && !peer_done_ && handler_ != nullptr && !paused_) FF_CO_TRY(co_await changed_.wait());
  co_return {};
}

void TcpConnection::close(Error why) {
  if (why_) return;
  why_ = std::move(why);
  changed_.wake_all();
}

void TcpConnection::fail_with(Error why) {
  if (broken_) return;
  broken_ = true;
  if (!why_) why_ = std::move(why).context(peer_text_);
  changed_.wake_all();
}

Error TcpConnection::ended() const {
  return Error(Errc::kUnavailable, fmt::format("{}: connection closed: {}", peer_text_, why_->message()));
}

Result<> TcpConnection::send(Message message) {
  if (why_) return fail(ended());
  if (message.size() > kMessageBytesMax)
    return fail(Errc::kInvalidArgument, fmt::format("message of {} bytes: the most is {} (send bulk by push)",
                                                    message.size(), kMessageBytesMax));
  if (queued_bytes_ >= host_.options().send_queue_bytes)
    return fail(Errc::kExhausted,
                fmt::format("{}: {} bytes wait to be sent already (it reads too slowly)", peer_text_, queued_bytes_));
  if (message.size() == 0) message = Message(0);  // one made by default has no room for a header
  put_header(message, checked_header(FrameType::kMessage, message.payload()));
  queued_bytes_ += kFrameHeaderBytes + message.size();
  queue_.push_back(std::move(message));
  work_.wake_one();
  return {};
}

Task<Result<>> TcpConnection::writable() {
  const auto self = shared_from_this();
  while (!why_ && queued_bytes_ >= host_.options().send_queue_bytes / 2) FF_CO_TRY(co_await writable_.wait());
  if (why_) co_return fail(ended());
  co_return {};
}

void TcpConnection::post_frame(FrameType type, std::uint64_t transfer) {
  if (urgent_.size() >= kUrgentMax) return;
  Message frame(0);
  put_header(frame, {.type = type, .transfer = transfer});
  urgent_.push_back(std::move(frame));
  work_.wake_one();
}

void TcpConnection::post_goaway(const Error& why) {
  const auto reason = std::as_bytes(std::span(bounded_reason(why.message())));
  Message frame(reason.size());
  std::ranges::copy(reason, frame.payload().begin());
  put_header(frame, checked_header(FrameType::kGoaway, frame.payload()));
  queued_bytes_ += kFrameHeaderBytes + frame.size();
  queue_.push_back(std::move(frame));
  work_.wake_one();
}

Task<void> TcpConnection::write_control() {
  while (!broken_) {
    if (queue_.empty() && urgent_.empty()) {
      if (!co_await work_.wait()) co_return;
      co_await runtime::yield();  // whoever is ready now may have more for this write
      continue;
    }
    if (Result<> written = co_await write_batch(); !written) {
      fail_with(std::move(written).error());
      co_return;
    }
    if (queued_bytes_ < host_.options().send_queue_bytes / 2) writable_.wake_all();
    if (why_ && queued_bytes_ == 0) changed_.wake_all();
  }
}

// A frame of its own, so that an idle connection does not hold these arrays.
Task<Result<>> TcpConnection::write_batch() {
  std::array<Message, kBatchFrames> frames;
  std::array<iovec, kBatchFrames> parts;
  std::size_t count = 0, bytes = 0, messages = 0;
  const auto take_from = [&](std::deque<Message>& from) {
    while (!from.empty() && count < kBatchFrames && bytes < kBatchBytes) {
      frames[count] = std::move(from.front());
      from.pop_front();
      parts[count] = {frames[count].before(kFrameHeaderBytes), kFrameHeaderBytes + frames[count].size()};
      bytes += parts[count].iov_len;
      ++count;
    }
  };
  take_from(urgent_);
  const std::size_t urgent = bytes;
  messages = count;
  take_from(queue_);
  messages = count - messages;
  const Result<> written = co_await socket_->write({parts.data(), count});
  queued_bytes_ -= bytes - urgent;
  host_.counters().messages_sent += messages;
  ++host_.counters().message_writes;
  co_return written;
}

void TcpConnection::tick(runtime::Time now) {
  if (broken_) return;
  const TcpOptions& options = host_.options();
  const bool reading = handler_ != nullptr && !paused_ && !waiting_for_memory_;
  if (reading && now - received_ >= options.peer_timeout)
    return fail_with(Error(Errc::kUnavailable, partial_ ? "a frame began and did not go on (the peer is stuck)"
                                                        : "nothing heard from the peer, and no answer to pings"));
  // While we do not read, we cannot see the peer's answer; it must hear from us all the same.
  const runtime::Time since = reading ? std::max(received_, pinged_) : pinged_;
  if (now - since >= options.ping_interval) {
    pinged_ = now;
    post_frame(FrameType::kPing, ping_number(PingPurpose::kAlive, 0));
  }
  if (bulk_) bulk_->tick(now);
}

BulkEngine& TcpConnection::bulk() {
  if (!bulk_) {
    bulk_ = std::make_unique<BulkEngine>(*this, host_, link_.features);
    if (broken_) bulk_->close(ended());
  }
  return *bulk_;
}

Result<std::unique_ptr<Exposure>> TcpConnection::expose(std::span<std::byte> memory, Access access) {
  if (why_) return fail(ended());
  auto self = std::static_pointer_cast<TcpConnection>(shared_from_this());
  return std::make_unique<TcpExposure>(std::move(self), bulk().expose(memory, access));
}

Task<Result<>> TcpConnection::push(std::span<const std::byte> from, RemoteMemory to) {
  const auto self = shared_from_this();
  if (why_) co_return fail(ended());
  FF_CO_TRY(check_remote("push", from.size(), to));
  if (from.empty()) co_return {};
  co_return co_await bulk().run(BulkKind::kPush, const_cast<std::byte*>(from.data()), to, from.size());
}

Task<Result<>> TcpConnection::pull(RemoteMemory from, std::span<std::byte> into) {
  const auto self = shared_from_this();
  if (why_) co_return fail(ended());
  FF_CO_TRY(check_remote("pull", into.size(), from));
  if (into.empty()) co_return {};
  co_return co_await bulk().run(BulkKind::kPull, into.data(), from, into.size());
}

void TcpConnection::want_lanes() {
  if (lanes_wanted_ || why_) return;
  lanes_wanted_ = true;
  if (planes_.empty())
    post_frame(FrameType::kPing, ping_number(PingPurpose::kOpenLanes, 0));
  else
    open_lanes();
}

void TcpConnection::open_lanes() {
  lanes_wanted_ = true;
  if (scope_ == nullptr) return;
  const std::size_t count = planes_.size() * host_.options().lanes_per_plane;
  for (std::size_t n = 1; n <= count; ++n) scope_->spawn(keep_lane(static_cast<std::uint16_t>(n)));
}

// Opens a bulk lane again and again, while the connection lives.
Task<void> TcpConnection::keep_lane(std::uint16_t number) {
  Address plane = planes_[(number - 1u) / host_.options().lanes_per_plane];
  runtime::Duration wait = kReopenMin;
  while (!why_) {
    const std::uint64_t drops = bulk().drops(number);
    Result<Lane> lane = co_await host_.open_lane(plane, traffic_, &link_, number);
    if (lane) {
      plane = numeric_address(plane, lane->socket->fd());
      const std::shared_ptr<BulkLane> served = bulk_lane(std::move(*lane));
      bulk().open_failed(co_await bulk().serve(served, drops));
      if (served->useful) wait = kReopenMin;
    } else {
      bulk().open_failed(std::move(lane).error());
    }
    if (!co_await runtime::sleep(wait)) co_return;
    wait = std::min(wait * 2, kReopenMax);
  }
}

std::shared_ptr<BulkLane> TcpConnection::bulk_lane(Lane lane) const {
  mark_socket(lane.socket->fd());
  return std::make_shared<BulkLane>(lane.number, std::move(lane.socket), lane.encrypted, host_.env().now());
}

Task<void> TcpConnection::serve_lane(Lane lane) {
  const std::uint64_t drops = lane.admission;
  (void)co_await bulk().serve(bulk_lane(std::move(lane)), drops);
}

Task<Result<std::uint64_t>> TcpConnection::before_lane(std::uint16_t number) {
  const auto self = shared_from_this();
  if (why_) co_return fail(ended());
  FF_CO_TRY(co_await bulk().drop_lane(number, "bulk lane: the peer has opened it anew"));
  co_return bulk().drops(number);
}

void TcpConnection::add_lane(Lane lane) {
  if (!why_ && scope_ != nullptr) scope_->spawn(serve_lane(std::move(lane)));
}

void TcpConnection::mark_socket(int fd) const {
  if (traffic_known_) (void)apply_to_socket(fd, traffic_);  // a sandbox may refuse; nothing depends on it
}

std::vector<int> TcpConnection::bulk_lane_fds() const { return bulk_ ? bulk_->lane_fds() : std::vector<int>{}; }

}  // namespace ff::net
