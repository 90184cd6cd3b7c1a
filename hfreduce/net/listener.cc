#include "hfreduce/net/listener.hpp"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "libcommon/net/socket.hpp"

namespace ff::hfreduce::net {

Result<std::unique_ptr<TcpListener>> TcpListener::start(const std::string& address, const std::string& token) {
  if (token.size() > kTokenBytesMax) return fail(Errc::kInvalidArgument, "listener: token longer than 128 characters");
  FF_TRY_ASSIGN(const auto where, ff::net::resolve_numeric({.host = address}, ff::net::ResolveFor::kListen));
  FF_TRY_ASSIGN(UniqueFd listen, ff::net::listen_on(where));
  FF_TRY_ASSIGN(const ff::net::Address bound, ff::net::local_address(listen.get()));
  UniqueFd stop(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!stop) return fail(errno_error("make an eventfd"));
  return std::unique_ptr<TcpListener>(
      new TcpListener(std::move(listen), std::move(stop), {address, bound.port}, token));
}

TcpListener::TcpListener(UniqueFd listen, UniqueFd stop, Endpoint endpoint, std::string token)
    : listen_(std::move(listen)),
      stop_(std::move(stop)),
      endpoint_(std::move(endpoint)),
      token_(std::move(token)),
      thread_([this] { serve(); }) {}

TcpListener::~TcpListener() {
  // Cannot fail: the counter is far from its limit.
  static_cast<void>(eventfd_write(stop_.get(), 1));
  thread_.join();
}

UniqueFd TcpListener::take(const Key& key, std::chrono::milliseconds wait) {
  std::unique_lock lock(mutex_);
  arrived_.wait_for(lock, wait, [&] { return parked_.contains(key); });
  const auto found = parked_.find(key);
  if (found == parked_.end()) return {};
  UniqueFd fd = std::move(found->second);
  parked_.erase(found);
  return fd;
}

void TcpListener::serve() {
  std::vector<pollfd> polled;
  bool may_accept = true;
  for (;;) {
    polled.assign({{stop_.get(), POLLIN, 0}, {listen_.get(), POLLIN, 0}});
    if (!may_accept || strangers_.size() >= kStrangersMax) polled[1].fd = -1;
    int timeout_ms = may_accept ? -1 : 100;
    for (const Stranger& s : strangers_) {
      polled.push_back({s.fd.get(), POLLIN, 0});
      const int left = s.deadline.poll_timeout_ms(60000);
      timeout_ms = timeout_ms < 0 ? left : std::min(timeout_ms, left);
    }
    if (poll(polled.data(), polled.size(), timeout_ms) < 0 && errno != EINTR) return;
    if ((polled[0].revents & POLLIN) != 0) return;
    for (std::size_t i = strangers_.size(); i-- > 0;) {
      const Step step = polled[i + 2].revents != 0 ? read_preamble(strangers_[i]) : Step::kWait;
      if (step != Step::kWait || strangers_[i].deadline.expired())
        strangers_.erase(strangers_.begin() + static_cast<std::ptrdiff_t>(i));
    }
    may_accept = (polled[1].revents & POLLIN) == 0 || accept_all();
  }
}

bool TcpListener::accept_all() {
  while (strangers_.size() < kStrangersMax) {
    UniqueFd fd(accept4(listen_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!fd) return errno != EMFILE && errno != ENFILE && errno != ENOBUFS && errno != ENOMEM;
    strangers_.push_back({std::move(fd), Deadline::after(kStrangerTime)});
  }
  return true;
}

TcpListener::Step TcpListener::read_preamble(Stranger& stranger) {
  const ssize_t n = recv(stranger.fd.get(), stranger.bytes.data() + stranger.got, kPreambleBytes - stranger.got, 0);
  if (n < 0) return errno == EAGAIN || errno == EINTR ? Step::kWait : Step::kDrop;
  if (n == 0) return Step::kDrop;
  stranger.got += static_cast<std::size_t>(n);
  if (stranger.got < kPreambleBytes) return Step::kWait;
  return admit(stranger) ? Step::kDone : Step::kDrop;
}

bool TcpListener::admit(Stranger& stranger) {
  const auto preamble = decode_preamble(stranger.bytes);
  if (!preamble || !equal_constant_time(preamble->token, token_)) return false;
  Preamble answer = *preamble;
  std::swap(answer.from, answer.to);
  const PreambleBytes bytes = encode_preamble(answer);
  // The socket is fresh, so the answer fits into its buffer or the peer is gone.
  if (send(stranger.fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(bytes.size()))
    return false;
  const Key key{preamble->group_id, preamble->lane, static_cast<int>(preamble->from), static_cast<int>(preamble->to)};
  {
    std::lock_guard lock(mutex_);
    if (parked_.size() >= kParkedMax && !parked_.contains(key)) return false;
    parked_[key] = std::move(stranger.fd);
  }
  arrived_.notify_all();
  return true;
}

}  // namespace ff::hfreduce::net

namespace ff::hfreduce {

Result<std::unique_ptr<NetListener>> NetListener::create(const std::string& address, const std::string& token) {
  FF_TRY_ASSIGN(auto listener, net::TcpListener::start(address, token));
  return std::unique_ptr<NetListener>(std::move(listener));
}

}  // namespace ff::hfreduce
