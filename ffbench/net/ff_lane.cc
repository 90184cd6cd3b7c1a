#include "ffbench/net/ff_lane.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "libcommon/runtime/scope.hpp"

namespace ff::bench {
namespace {

using runtime::Duration;
using runtime::Task;
using runtime::Time;

constexpr std::size_t kJoinBytes = kTestTokenBytes + 8;

net::Message message_of(std::span<const std::byte> bytes) {
  net::Message message(bytes.size());
  std::ranges::copy(bytes, message.payload().begin());
  return message;
}

}  // namespace

FfLane::FfLane(runtime::Env& env, const NetTest& test, std::shared_ptr<net::Connection> connection, const NetFlow& flow,
               std::uint32_t index)
    : env_(env),
      test_(test),
      connection_(std::move(connection)),
      flow_(&flow),
      joining_{flow.id(), index},
      opened_(true) {}

FfLane::FfLane(runtime::Env& env, const NetTest& test, std::shared_ptr<net::Connection> connection, FindFlow find)
    : env_(env), test_(test), connection_(std::move(connection)), find_(std::move(find)) {}

Result<> FfLane::begin() {
  connection_->start(*this);
  if (!opened_) return {};
  std::array<std::byte, kJoinBytes> join;
  std::memcpy(join.data(), test_.token().data(), kTestTokenBytes);
  std::memcpy(join.data() + kTestTokenBytes, &joining_.flow, 4);
  std::memcpy(join.data() + kTestTokenBytes + 4, &joining_.index, 4);
  FF_TRY(connection_->send(message_of(join)));
  return greet();
}

// Tells the other end that this one is there, and what it may push into.
Result<> FfLane::greet() {
  if (!pushes() || flow_->sends()) {
    if (pushes()) memory_.resize(test_.message_bytes(), std::byte{0x5a});
    return connection_->send(message_of(std::array{std::byte{1}}));
  }
  memory_.resize(test_.message_bytes() * test_.depth());
  FF_TRY_ASSIGN(exposure_, connection_->expose(memory_, net::Access::kPush));
  const net::RemoteMemory remote = exposure_->remote();
  return connection_->send(message_of(std::as_bytes(std::span(&remote, 1))));
}

void FfLane::on_closed(net::Connection&, const Error& why) {
  lost_ = why;
  all_answered_.set();
}

void FfLane::on_message(net::Connection&, std::span<const std::byte> message) {
  if (flow_ == nullptr) return take_join(message);
  if (!ready_) return take_greeting(message);
  if (pushes()) {
    peer_ended_ = true;
  } else if (flow_->sends()) {
    take_answer();
  } else {
    answer(message);
  }
}

void FfLane::take_join(std::span<const std::byte> message) {
  if (message.size() == kJoinBytes && std::memcmp(message.data(), test_.token().data(), kTestTokenBytes) == 0) {
    std::memcpy(&joining_.flow, message.data() + kTestTokenBytes, 4);
    std::memcpy(&joining_.index, message.data() + kTestTokenBytes + 4, 4);
    flow_ = find_(joining_);
  }
  if (flow_ == nullptr) return connection_->close(Error(Errc::kPermission, "not a connection of this test"));
  if (const auto greeted = greet(); !greeted) connection_->close(greeted.error());
}

void FfLane::take_greeting(std::span<const std::byte> message) {
  if (pushes() && flow_->sends()) {
    if (message.size() == sizeof remote_) std::memcpy(&remote_, message.data(), sizeof remote_);
    if (remote_.bytes < test_.message_bytes() * test_.depth())
      return connection_->close(Error(Errc::kCorrupt, "the receiver's memory is too small"));
  }
  ready_ = true;
}

void FfLane::answer(std::span<const std::byte> message) {
  if (message.size() != test_.message_bytes())
    return connection_->close(Error(Errc::kCorrupt, fmt::format("a request of {} bytes", message.size())));
  // Beyond the queue's bound the peer does not read its answers: it ends here, and says so itself.
  if (const auto sent = connection_->send(message_of(message)); !sent) connection_->close(sent.error());
}

Result<> FfLane::ask(Time due) {
  net::Message request(test_.message_bytes());
  std::ranges::fill(request.payload(), std::byte{0x5a});
  FF_TRY(connection_->send(std::move(request)));
  ++begun_;
  due_.push_back(due);
  return {};
}

void FfLane::take_answer() {
  if (due_.empty()) return;
  const Time now = env_.now(), due = due_.front();
  due_.pop_front();
  if (test_.iterations() > 0 || in_window(due)) {
    round_trip_.record((now - due).count());
    ++answered_;
  }
  const bool more = test_.iterations() > 0 ? begun_ < test_.iterations() : !finishing_;
  if (test_.rate() > 0 || (more && ask(env_.now()))) return;
  if (due_.empty()) all_answered_.set();
}

Task<Result<>> FfLane::open_bulk() {
  if (!pushes() || !flow_->sends()) co_return {};
  co_return co_await connection_->push(std::span(memory_).first(1), {remote_.region, remote_.offset, 1});
}

Task<Result<>> FfLane::drive() {
  if (!flow_->sends()) co_return {};
  begun_ = ended_ = 0;
  finishing_ = false;
  const Time began = env_.now();
  Result<> result = co_await (pushes() ? push_all() : test_.rate() > 0 ? ask_by_rate() : ask_in_turn());
  elapsed_ns_ = static_cast<std::uint64_t>((env_.now() - began).count());
  // Delivered after the last pushed byte is in place.
  if (result && pushes()) result = connection_->send(message_of(std::array{std::byte{2}}));
  co_return result;
}

Task<Result<>> FfLane::push_all() {
  runtime::Scope slots(co_await runtime::current_context());
  for (std::size_t slot = 0; slot < test_.depth(); ++slot) slots.spawn(push_slot(slot));
  co_return co_await slots.join();
}

Task<Result<>> FfLane::push_slot(std::size_t slot) {
  const std::uint64_t bytes = test_.message_bytes();
  const net::RemoteMemory to{remote_.region, remote_.offset + slot * bytes, bytes};
  while (test_.iterations() > 0 ? begun_ < test_.iterations() : !finishing_) {
    ++begun_;
    ++in_flight_;
    const Time began = env_.now();
    const bool before_the_end = window_until_ == runtime::kNever;
    const Result<> pushed = co_await connection_->push(memory_, to);
    --in_flight_;
    if (before_the_end && window_until_ != runtime::kNever) --spanning_;  // else it was not there to be counted
    FF_CO_TRY(pushed);
    ++ended_;
    count_push(began, env_.now());
  }
  co_return {};
}

void FfLane::count_push(Time began, Time ended) {
  const auto bytes = static_cast<double>(test_.message_bytes());
  if (test_.iterations() > 0) {
    pushed_bytes_ += bytes;
    return;
  }
  if (in_window(ended)) ++pushes_ended_;
  if (window_from_ == runtime::kNever) return;
  const Duration within = std::min(ended, window_until_) - std::max(began, window_from_);
  if (within.count() <= 0) return;
  pushed_bytes_ += bytes * static_cast<double>(within.count()) / static_cast<double>((ended - began).count());
}

Task<Result<>> FfLane::ask_in_turn() {
  all_answered_.reset();
  FF_CO_TRY(ask(env_.now()));
  FF_CO_TRY(co_await all_answered_.wait());
  if (lost_) co_return std::unexpected(*lost_);
  co_return {};
}

Task<Result<>> FfLane::ask_by_rate() {
  rate_began_ = env_.now();
  for (asked_ = 0; !finishing_; ++asked_) {
    const Time due = due_at(asked_);
    if (due > env_.now()) FF_CO_TRY(co_await runtime::sleep_until(due));
    for (;;) {
      if (lost_) co_return std::unexpected(*lost_);
      if (finishing_) co_return {};
      const Result<> asked = ask(due);
      if (asked) break;
      if (asked.error().code() != Errc::kExhausted) co_return std::unexpected(asked.error());
      FF_CO_TRY(co_await connection_->writable());
    }
    if (asked_ % 64 == 63) co_await runtime::yield();  // late: let answers be read meanwhile
  }
  co_return {};
}

void FfLane::settle(Time now) {
  for (const Time due : due_) {
    if (!in_window(due)) continue;
    round_trip_.record((now - due).count());
    ++unanswered_;
  }
  due_.clear();
  // Those that a late sender never came to were due all the same.
  for (; rate_began_ != runtime::kNever && due_at(asked_) < window_until_; ++asked_) {
    if (!in_window(due_at(asked_))) continue;
    round_trip_.record((now - due_at(asked_)).count());
    ++unanswered_;
  }
}

Time FfLane::due_at(std::uint64_t k) const {
  return rate_began_ + Duration(static_cast<std::int64_t>(static_cast<double>(k) * 1e9 / test_.rate()));
}

Task<void> FfLane::shut() {
  if (exposure_) co_await exposure_->revoke();
  connection_->close(Error(Errc::kCancelled, "the test has ended"));
}

}  // namespace ff::bench
