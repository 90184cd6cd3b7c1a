// LoopbackNetwork: a net::Network inside one Env: listeners by address, connections whose two ends deliver to each
// other after a delay. Reliable until a test cuts it. For faults that come by chance, use libcommon/testing.
//
// Threads  Those of the Env.
#pragma once

#include <algorithm>
#include <cstring>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "libcommon/net/network.hpp"
#include "libcommon/runtime/scope.hpp"

namespace ff::tests {

class LoopbackNetwork final : public net::Network {
 public:
  explicit LoopbackNetwork(runtime::Env& env) : env_(env), scope_(env) {}

  // Knobs, read when they matter.
  runtime::Duration delay = std::chrono::microseconds(10);  // one way, of messages and of each bulk operation
  double bulk_bytes_per_second = 10e9;
  std::size_t queue_bytes_max = 1u << 20;
  bool refuse_connects = false;
  bool swallow = false;  // messages are taken and never delivered
  net::PeerIdentity client_identity{.role = "client", .instance_id = 7, .authenticated = true};
  net::PeerIdentity server_identity{.role = "server", .instance_id = 1, .authenticated = true};
  // Counters.
  std::size_t connects = 0;
  std::size_t messages = 0;
  std::size_t pauses = 0;

  runtime::Task<Result<std::unique_ptr<net::Listener>>> listen(net::Address at) override;
  runtime::Task<Result<std::shared_ptr<net::Connection>>> connect(net::PeerAddress to,
                                                                  net::ConnectOptions options) override;
  runtime::Task<void> stop() override;
  // All connections are lost.
  void cut(const std::string& why);

 private:
  class End;
  class Door;
  struct Pipe {
    std::weak_ptr<End> ends[2];
  };

  runtime::Env& env_;
  std::map<std::string, Door*> doors_;
  std::vector<std::weak_ptr<End>> ends_;
  runtime::Scope scope_;
};

class LoopbackNetwork::End final : public net::Connection {
 public:
  End(LoopbackNetwork& network, net::PeerIdentity peer) : network_(network), peer_(std::move(peer)) {}

  void start(net::ConnectionHandler& handler) override {
    handler_ = &handler;
    network_.scope_.spawn(deliver(std::static_pointer_cast<End>(shared_from_this())));
  }
  const net::PeerIdentity& peer() const noexcept override { return peer_; }
  std::string peer_text() const override { return "loopback (" + peer_.role + ")"; }
  Result<> send(net::Message message) override {
    if (closed_) return fail(Errc::kUnavailable, "connection is closed");
    if (message.size() > net::kMessageBytesMax) return fail(Errc::kInvalidArgument, "message is too large");
    if (queued_ > network_.queue_bytes_max) return fail(Errc::kExhausted, "queue is full");
    ++network_.messages;
    if (network_.swallow) return {};
    queued_ += message.size();
    const auto other = other_.lock();
    if (other == nullptr) return {};
    other->inbox_.push_back({network_.env_.now() + network_.delay, std::move(message)});
    other->arrived_.wake_one();
    return {};
  }
  runtime::Task<Result<>> writable() override {
    while (!closed_ && queued_ * 2 > network_.queue_bytes_max) FF_CO_TRY(co_await drained_.wait());
    if (closed_) co_return fail(Errc::kUnavailable, "connection is closed");
    co_return {};
  }
  std::size_t queued_bytes() const noexcept override { return queued_; }
  void pause_reading() noexcept override {
    paused_ = true;
    ++network_.pauses;
  }
  void resume_reading() noexcept override {
    paused_ = false;
    arrived_.wake_one();
  }

  class Region final : public net::Exposure {
   public:
    Region(End& end, std::uint64_t id, std::span<std::byte> memory, net::Access access)
        : end_(end.weak_from_this()), id_(id), memory_(memory), access_(access) {}
    ~Region() override { forget(); }
    net::RemoteMemory remote() const noexcept override { return {id_, 0, memory_.size()}; }
    runtime::Task<void> revoke() override {
      forget();
      co_return;
    }
    std::uint64_t arrived() const noexcept override { return arrived_; }

   private:
    friend class End;
    void forget() {
      if (const auto end = end_.lock()) static_cast<End&>(*end).regions_.erase(id_);
    }
    std::weak_ptr<net::Connection> end_;
    std::uint64_t id_;
    std::span<std::byte> memory_;
    net::Access access_;
    std::uint64_t arrived_ = 0;
  };

  Result<std::unique_ptr<net::Exposure>> expose(std::span<std::byte> memory, net::Access access) override {
    if (closed_) return fail(Errc::kUnavailable, "connection is closed");
    const std::uint64_t id = ++last_region_;
    auto region = std::make_unique<Region>(*this, id, memory, access);
    regions_[id] = region.get();
    return region;
  }
  runtime::Task<Result<>> push(std::span<const std::byte> from, net::RemoteMemory to) override {
    FF_CO_TRY(co_await bulk(from.size()));
    FF_CO_TRY_ASSIGN(Region * region, find(to, from.size(), net::Access::kPush));
    std::memcpy(region->memory_.data() + to.offset, from.data(), from.size());
    region->arrived_ += from.size();
    co_return {};
  }
  runtime::Task<Result<>> pull(net::RemoteMemory from, std::span<std::byte> into) override {
    FF_CO_TRY(co_await bulk(into.size()));
    FF_CO_TRY_ASSIGN(Region * region, find(from, into.size(), net::Access::kPull));
    std::memcpy(into.data(), region->memory_.data() + from.offset, into.size());
    co_return {};
  }
  void close(Error why) override {
    if (const auto other = other_.lock()) other->lose(Error(Errc::kUnavailable, "closed by peer: " + why.message()));
    lose(std::move(why));
  }
  bool closed() const noexcept override { return closed_; }

  static void join(const std::shared_ptr<End>& a, const std::shared_ptr<End>& b) {
    a->other_ = b;
    b->other_ = a;
  }
  void lose(Error why) {
    if (closed_) return;
    closed_ = true;
    why_ = std::move(why);
    arrived_.wake_all();
    drained_.wake_all();
    bulk_.fail_all(*why_);
  }

 private:
  struct Arrival {
    runtime::Time when;
    net::Message message;
  };

  static runtime::Task<void> deliver(std::shared_ptr<End> self) {
    for (;;) {
      if (self->closed_) break;
      if (self->paused_ || self->inbox_.empty()) {
        (void)co_await self->arrived_.wait();
        continue;
      }
      if (self->inbox_.front().when > self->network_.env_.now()) {
        (void)co_await runtime::sleep_until(self->inbox_.front().when);
        continue;
      }
      const net::Message message = std::move(self->inbox_.front().message);
      self->inbox_.pop_front();
      if (const auto other = self->other_.lock()) {
        other->queued_ -= message.size();
        other->drained_.wake_all();
      }
      self->handler_->on_message(*self, message.payload());
      co_await runtime::yield();
    }
    self->handler_->on_closed(*self, *self->why_);
  }
  runtime::Task<Result<>> bulk(std::size_t bytes) {
    if (closed_) co_return fail(Errc::kUnavailable, "connection is closed");
    const auto wire = std::chrono::duration_cast<runtime::Duration>(
        std::chrono::duration<double>(static_cast<double>(bytes) / network_.bulk_bytes_per_second));
    FF_CO_TRY(co_await runtime::sleep(network_.delay + wire));
    if (closed_) co_return fail(Errc::kUnavailable, "connection is closed");
    co_return {};
  }
  Result<Region*> find(net::RemoteMemory at, std::size_t bytes, net::Access access) {
    const auto other = other_.lock();
    if (other == nullptr) return fail(Errc::kUnavailable, "connection is closed");
    const auto found = other->regions_.find(at.region);
    if (found == other->regions_.end()) return fail(Errc::kNotFound, "memory has been taken back");
    Region* region = found->second;
    if ((static_cast<int>(region->access_) & static_cast<int>(access)) == 0)
      return fail(Errc::kPermission, "memory is not exposed for this");
    if (at.offset > region->memory_.size() || bytes > region->memory_.size() - at.offset || bytes > at.bytes)
      return fail(Errc::kInvalidArgument, "out of the range of the memory");
    return region;
  }

  LoopbackNetwork& network_;
  net::PeerIdentity peer_;
  std::weak_ptr<End> other_;
  net::ConnectionHandler* handler_ = nullptr;
  std::deque<Arrival> inbox_;
  std::size_t queued_ = 0;
  bool paused_ = false;
  bool closed_ = false;
  std::optional<Error> why_;
  std::map<std::uint64_t, Region*> regions_;
  std::uint64_t last_region_ = 0;
  runtime::WaitQueue arrived_;
  runtime::WaitQueue drained_;
  runtime::WaitQueue bulk_;
};

class LoopbackNetwork::Door final : public net::Listener {
 public:
  Door(LoopbackNetwork& network, net::Address at) : network_(network), address_(std::move(at)) {
    network_.doors_[address_.text()] = this;
  }
  ~Door() override { network_.doors_.erase(address_.text()); }
  runtime::Task<Result<std::shared_ptr<net::Connection>>> accept() override {
    while (waiting_.empty()) FF_CO_TRY(co_await knocks_.wait());
    auto first = std::move(waiting_.front());
    waiting_.pop_front();
    co_return first;
  }
  const net::Address& address() const noexcept override { return address_; }
  void knock(std::shared_ptr<net::Connection> connection) {
    waiting_.push_back(std::move(connection));
    knocks_.wake_one();
  }

 private:
  LoopbackNetwork& network_;
  net::Address address_;
  std::deque<std::shared_ptr<net::Connection>> waiting_;
  runtime::WaitQueue knocks_;
};

inline runtime::Task<Result<std::unique_ptr<net::Listener>>> LoopbackNetwork::listen(net::Address at) {
  co_return std::make_unique<Door>(*this, std::move(at));
}

inline runtime::Task<Result<std::shared_ptr<net::Connection>>> LoopbackNetwork::connect(net::PeerAddress to,
                                                                                        net::ConnectOptions) {
  FF_CO_TRY(co_await runtime::sleep(delay * 2));
  ++connects;
  const auto door = doors_.find(to.text());
  if (refuse_connects || door == doors_.end()) co_return fail(Errc::kUnavailable, to.text() + ": connection refused");
  auto near = std::make_shared<End>(*this, server_identity);
  auto far = std::make_shared<End>(*this, client_identity);
  End::join(near, far);
  std::erase_if(ends_, [](const auto& end) { return end.expired(); });
  ends_.push_back(near);
  ends_.push_back(far);
  door->second->knock(far);
  co_return near;
}

inline void LoopbackNetwork::cut(const std::string& why) {
  for (const auto& end : ends_)
    if (const auto alive = end.lock()) alive->lose(Error(Errc::kUnavailable, why));
}

inline runtime::Task<void> LoopbackNetwork::stop() {
  cut("network has been stopped");
  (void)co_await scope_.join();
}

}  // namespace ff::tests
