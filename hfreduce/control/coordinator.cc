#include "hfreduce/control/coordinator.hpp"

#include <fmt/core.h>
#include <openssl/crypto.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "libcommon/net/socket.hpp"

namespace ff::hfreduce::control {
namespace {

constexpr auto kHelloWait = std::chrono::seconds(5);
// A lost connection is rarely alone when a host dies: give the others' a moment to end too, so that one verdict names
// all.
constexpr auto kSettle = std::chrono::milliseconds(50);

bool same_secret(const std::string& a, const std::string& b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace

Result<std::unique_ptr<Coordinator>> Coordinator::start(UniqueFd listener, const Options& options) {
  UniqueFd wake(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake) return fail(errno_error("coordinator: eventfd"));
  std::unique_ptr<Coordinator> coordinator(new Coordinator(std::move(listener), std::move(wake), options));
  coordinator->thread_ = std::thread([c = coordinator.get()] { c->serve(); });
  return coordinator;
}

Coordinator::Coordinator(UniqueFd listener, UniqueFd wake, const Options& options)
    : options_(options),
      listener_(std::move(listener)),
      wake_(std::move(wake)),
      ranks_(static_cast<std::size_t>(options.size)) {}

Coordinator::~Coordinator() {
  stop_.store(true);
  const std::uint64_t one = 1;
  // An eventfd write can only fail when its counter is full, and then the thread is awake anyway.
  [[maybe_unused]] const ssize_t n = ::write(wake_.get(), &one, sizeof one);
  if (thread_.joinable()) thread_.join();
}

void Coordinator::serve() {
  std::vector<pollfd> fds;
  std::vector<Peer*> peers;
  while (!stop_.load()) {
    // poll ignores a negative descriptor.
    fds.assign({{wake_.get(), POLLIN, 0}, {accept_from_.expired() ? listener_.get() : -1, POLLIN, 0}});
    peers.clear();
    const auto watch = [&](const std::unique_ptr<Peer>& peer) {
      if (!peer || !peer->fd) return;
      const short events = static_cast<short>(POLLIN | (peer->outbox.empty() ? 0 : POLLOUT));
      fds.push_back({peer->fd.get(), events, 0});
      peers.push_back(peer.get());
    };
    std::ranges::for_each(strangers_, watch);
    std::ranges::for_each(ranks_, watch);
    if (::poll(fds.data(), fds.size(), wait_ms()) < 0 && errno != EINTR) return;
    if (fds[1].revents != 0) accept_strangers();
    for (std::size_t i = 0; i < peers.size(); ++i) {
      const short happened = fds[i + 2].revents;
      if ((happened & POLLOUT) != 0) flush(*peers[i]);
      if ((happened & (POLLIN | POLLHUP | POLLERR)) != 0 && peers[i]->fd) read_from(*peers[i]);
    }
    drop_closed();
    welcome_when_complete();
    if (!welcomed_ && !judged_ && options_.join_deadline.expired()) give_up_joining();
    finish_probe_when_ready();
  }
  for (auto& rank : ranks_) {
    if (!rank || !rank->fd || !welcomed_) continue;
    send(*rank, MessageType::kBye, "");
    // Unread bytes would turn our close into a reset.
    char block[4096];
    while (::recv(rank->fd.get(), block, sizeof block, 0) > 0) {
    }
  }
}

int Coordinator::wait_ms() const {
  int ms = 60'000;
  if (!welcomed_ && !judged_) ms = options_.join_deadline.poll_timeout_ms(ms);
  if (probe_) ms = probe_->until.poll_timeout_ms(ms);
  for (const auto& stranger : strangers_) ms = stranger->hello_by.poll_timeout_ms(ms);
  if (!accept_from_.expired()) ms = accept_from_.poll_timeout_ms(ms);
  return ms;
}

void Coordinator::accept_strangers() {
  for (;;) {
    UniqueFd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (!fd) {
      if (errno == EINTR || errno == ECONNABORTED) continue;
      // Out of descriptors or memory: the connection stays queued and poll would report it again at once.
      if (errno != EAGAIN && errno != EWOULDBLOCK) accept_from_ = Deadline::after(kAcceptRest);
      return;
    }
    if (strangers_.size() >= kStrangersMax) continue;  // closes it; an honest rank tries again
    net::tune_connection(fd.get());
    auto peer = std::make_unique<Peer>(Peer{.fd = std::move(fd),
                                            .reader = {},
                                            .outbox = {},
                                            .hello_by = Deadline::after(kHelloWait),
                                            .hello = {},
                                            .state = {},
                                            .exchange = {}});
    strangers_.push_back(std::move(peer));
  }
}

void Coordinator::drop_closed() {
  std::erase_if(strangers_, [](const std::unique_ptr<Peer>& s) { return !s || !s->fd || s->hello_by.expired(); });
  if (welcomed_) return;
  // Before the table is out a rank may come back: a launcher that restarts it.
  for (auto& rank : ranks_)
    if (rank && !rank->fd) {
      rank.reset();
      --joined_;
    }
}

// Takes what the socket has; false when the connection ended or failed.
bool Coordinator::drain(Peer& peer) {
  char block[65536];
  for (;;) {
    const ssize_t n = ::recv(peer.fd.get(), block, sizeof block, 0);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return true;
    if (n <= 0) return false;
    peer.reader.append({block, static_cast<std::size_t>(n)});
    // A stranger may not fill our memory before it has shown its token.
    if (!peer.joined && peer.reader.buffered() > kHelloBytesMax) return false;
  }
}

void Coordinator::read_from(Peer& peer) {
  const bool open = drain(peer);
  if (!peer.joined && peer.reader.buffered() > kHelloBytesMax) return lose(peer);
  // What came before the end still counts: a goodbye tells a leaving rank from a dead one.
  // handle_hello() moves the peer from strangers_ to ranks_ (the object itself stays), so `peer` remains valid.
  while (peer.fd) {
    auto message = peer.reader.next();
    if (!message) {
      if (!peer.joined) send(peer, MessageType::kReject, encode(Report{0, -1, message.error().message()}));
      return lose(peer);
    }
    if (!*message) break;
    handle(peer, std::move(**message));
  }
  if (!open && peer.fd) lose(peer);
}

void Coordinator::handle(Peer& peer, Message message) {
  if (!peer.joined) {
    if (message.type == MessageType::kHello) return handle_hello(peer, message.body);
    return lose(peer);
  }
  switch (message.type) {
    case MessageType::kExchange: return handle_exchange(peer, message.body);
    case MessageType::kReport: return handle_report(peer, message.body);
    case MessageType::kBye: return handle_bye(peer, message.body);
    case MessageType::kState: {
      auto state = decode_state(message.body);
      if (!state) return lose(peer);
      if (state->probe == probe_id_) {
        peer.state = state->state;
        peer.answered = true;
      }
      return;
    }
    default: return lose(peer);
  }
}

void Coordinator::handle_hello(Peer& peer, const std::string& body) {
  const auto reject = [&](const std::string& why) {
    send(peer, MessageType::kReject, encode(Report{0, -1, why}));
    lose(peer);
  };
  auto hello = decode_hello(body);
  if (!hello) return reject(hello.error().message());
  if (!same_secret(hello->token, options_.token)) {
    ++refused_tokens_;
    return reject("wrong token (HFR_TOKEN must be the same on every rank)");
  }
  if (hello->size != options_.size)
    return reject(fmt::format("rank {} expects {} ranks, rank 0 expects {} (WORLD_SIZE must be the same on every rank)",
                              hello->rank, hello->size, options_.size));
  if (hello->rank < 0 || hello->rank >= options_.size)
    return reject(fmt::format("rank {} is outside 0..{}", hello->rank, options_.size - 1));
  auto& place = ranks_[static_cast<std::size_t>(hello->rank)];
  if (place)
    return reject(fmt::format("rank {} has joined already from host {}, pid {} (each rank needs its own RANK)",
                              hello->rank, place->hello.host, place->hello.pid));
  const auto self = std::find_if(strangers_.begin(), strangers_.end(),
                                 [&](const std::unique_ptr<Peer>& s) { return s.get() == &peer; });
  place = std::move(*self);
  peer.hello = std::move(*hello);
  peer.joined = true;
  ++joined_;
}

void Coordinator::welcome_when_complete() {
  if (welcomed_ || judged_ || joined_ < ranks_.size()) return;
  std::vector<Hello> table;
  for (const auto& rank : ranks_) table.push_back(rank->hello);
  const std::string body = encode(table);
  welcomed_ = true;
  for (auto& rank : ranks_) send(*rank, MessageType::kWelcome, body);
}

void Coordinator::give_up_joining() {
  std::string missing;
  for (std::size_t r = 0; r < ranks_.size(); ++r)
    if (!ranks_[r]) missing.append(missing.empty() ? "" : ", ").append(std::to_string(r));
  std::string why = fmt::format("{} of {} ranks joined in time; missing: {}", joined_, ranks_.size(), missing);
  if (refused_tokens_ > 0) why += fmt::format("; {} connections with a wrong token were refused", refused_tokens_);
  judged_ = true;
  for (auto& rank : ranks_)
    if (rank && rank->fd) send(*rank, MessageType::kReject, encode(Report{1, -1, why}));
}

void Coordinator::handle_exchange(Peer& peer, const std::string& body) {
  auto strings = decode_strings(body);
  if (!strings || strings->strings.size() != 1 || strings->round != round_ || peer.has_exchange) return lose(peer);
  peer.exchange = std::move(strings->strings[0]);
  peer.has_exchange = true;
  if (!std::ranges::all_of(ranks_, [](const auto& r) { return r && r->has_exchange; })) return;
  std::vector<std::string> all;
  for (auto& rank : ranks_) {
    all.push_back(std::move(rank->exchange));
    rank->has_exchange = false;
  }
  const std::string answer = encode_strings(round_++, all);
  for (auto& rank : ranks_) send(*rank, MessageType::kExchanged, answer);
}

// The goodbye says what the rank has done, because nobody can ask it later.
void Coordinator::handle_bye(Peer& peer, const std::string& body) {
  auto last = decode_state(body);
  if (!last) return lose(peer);
  peer.state = last->state;
  peer.left = true;
}

void Coordinator::handle_report(Peer& peer, const std::string& body) {
  // Nobody reports before it has the table; and without all ranks there is nobody to probe.
  if (!welcomed_) return lose(peer);
  auto report = decode_report(body);
  if (!report) return lose(peer);
  const Trouble trouble{static_cast<Trouble::Kind>(report->kind), report->suspect, report->detail};
  if (trouble.kind == Trouble::Kind::kAborted && !judged_) return announce(decide(trouble, peer.hello.rank, view()));
  start_probe(trouble, peer.hello.rank);
}

void Coordinator::lose(Peer& peer) {
  peer.fd.reset();
  if (!peer.joined || peer.left || judged_ || !welcomed_) return;
  start_probe({Trouble::Kind::kLinkLost, peer.hello.rank, "its control connection ended"}, -1);
  if (probe_) probe_->until = probe_->until.earlier(Deadline::after(kSettle));
}

void Coordinator::start_probe(const Trouble& trouble, int reporter) {
  if (judged_ || probe_) return;
  probe_ = std::make_unique<Probe>(Probe{trouble, reporter, Deadline::after(options_.probe_wait)});
  ++probe_id_;
  const std::string body = encode_number(probe_id_);
  for (auto& rank : ranks_) {
    if (!rank) continue;
    rank->answered = rank->left;
    if (rank->fd) send(*rank, MessageType::kProbe, body);
  }
}

void Coordinator::finish_probe_when_ready() {
  if (!probe_) return;
  const bool someone_lost = std::ranges::any_of(ranks_, [](const auto& r) { return !r->fd && !r->left; });
  const bool complete = std::ranges::all_of(ranks_, [](const auto& r) { return r->answered || !r->fd; });
  // With a lost process at hand there is no need to wait for slow answers; without one every answer counts.
  if (!probe_->until.expired() && (!complete || someone_lost)) return;
  auto members = view();
  if (someone_lost)
    for (MemberView& m : members) m.answered = m.answered || m.connected;
  announce(decide(probe_->trouble, probe_->reporter, members));
}

void Coordinator::announce(const Verdict& verdict) {
  judged_ = true;
  probe_.reset();
  const std::string body = encode(verdict);
  for (auto& rank : ranks_)
    if (rank && rank->fd) send(*rank, MessageType::kVerdict, body);
}

std::vector<MemberView> Coordinator::view() const {
  std::vector<MemberView> members;
  for (std::size_t r = 0; r < ranks_.size(); ++r) {
    const auto& p = ranks_[r];
    if (!p) continue;
    members.push_back(
        {static_cast<int>(r), p->hello.host, p->hello.pid, static_cast<bool>(p->fd), p->left, p->answered, p->state});
  }
  return members;
}

void Coordinator::send(Peer& peer, MessageType type, std::string_view body) {
  if (!peer.fd) return;
  peer.outbox.append(encode_frame(type, body));
  flush(peer);
}

void Coordinator::flush(Peer& peer) {
  while (!peer.outbox.empty()) {
    const ssize_t n = ::send(peer.fd.get(), peer.outbox.data(), peer.outbox.size(), MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    // A full socket is tried again by poll; a broken one is found by the next read.
    if (n < 0) return;
    peer.outbox.erase(0, static_cast<std::size_t>(n));
  }
}

}  // namespace ff::hfreduce::control
