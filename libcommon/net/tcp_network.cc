#include "libcommon/net/tcp_network.hpp"

#include <fmt/core.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <deque>
#include <map>

#include "libcommon/net/lane_handshake.hpp"
#include "libcommon/net/name_lookup.hpp"
#include "libcommon/net/socket.hpp"
#include "libcommon/net/tcp_connection.hpp"
#include "libcommon/net/tcp_host.hpp"
#include "libcommon/runtime/scope.hpp"

namespace ff::net {
namespace {

using runtime::Task;
using std::chrono::milliseconds;

constexpr runtime::Duration kAcceptRetryMin = milliseconds(20);
constexpr runtime::Duration kAcceptRetryMax = milliseconds(500);
constexpr std::size_t kSegmentBytesMin = 4096;

Result<> check(const TcpOptions& o) {
  const auto refuse = [](const char* what) {
    return fail(Errc::kInvalidArgument, fmt::format("TCP options: {}", what));
  };
  if (o.endpoint.key == nullptr && !o.endpoint.insecure)
    return refuse("no cluster key (give one, or set `insecure` on purpose)");
  if (o.endpoint.key != nullptr && o.endpoint.insecure) return refuse("a cluster key and `insecure` (choose one)");
  if (o.lanes_per_plane == 0 || o.lanes_per_plane * kPlanesMax >= kLanesMax)
    return refuse("lanes_per_plane is 1 to 15");
  if (o.segment_bytes < kSegmentBytesMin || o.segment_bytes > kBulkBytesMax)
    return refuse("segment_bytes is 4 KiB to 64 MiB");
  if (o.lane_window_bytes < o.segment_bytes) return refuse("lane_window_bytes is less than segment_bytes");
  if (o.send_queue_bytes < kSendQueueBytesMin) return refuse("send_queue_bytes is less than 64 KiB");
  if (o.assembly_bytes < 2 * kMessageBytesMax) return refuse("assembly_bytes is less than two of the largest messages");
  if (o.connections_max == 0 || o.pending_handshakes_max == 0 || o.accept_queue_max == 0) return refuse("a bound of 0");
  for (const runtime::Duration d : {o.handshake_timeout, o.ping_interval, o.peer_timeout, o.lane_timeout, o.linger})
    if (d <= runtime::Duration(0)) return refuse("a time of 0 or less");
  if (o.ping_interval >= o.peer_timeout) return refuse("ping_interval is not less than peer_timeout");
  return {};
}

// Features that are ours to choose; the rest of `offered` stays.
TcpOptions with_features(TcpOptions options) {
  options.endpoint.features_offered |= kFeatureMessageChecksum;
  options.endpoint.features_required |= kFeatureMessageChecksum;
  if (options.bulk_checksum)
    options.endpoint.features_offered |= kFeatureBulkChecksum;
  else
    options.endpoint.features_offered &= ~kFeatureBulkChecksum;
  return options;
}

class TcpNetwork;

// Shared by a Listener and the task that accepts for it.
struct Acceptor {
  Acceptor(runtime::Context& parent, UniqueFd listening, Address bound)
      : context(parent), fd(std::move(listening)), address(std::move(bound)) {}
  runtime::Context context;
  UniqueFd fd;
  const Address address;
  std::deque<std::shared_ptr<Connection>> ready;
  runtime::WaitQueue changed;
  std::optional<Error> ended;

  void end(Error why) {
    if (ended) return;
    ended = std::move(why);
    context.cancel(*ended);
    changed.wake_all();
    for (const auto& connection : ready) connection->close(*ended);
    ready.clear();
  }
};

class TcpListener final : public Listener {
 public:
  explicit TcpListener(std::shared_ptr<Acceptor> acceptor) noexcept : acceptor_(std::move(acceptor)) {}
  ~TcpListener() override { acceptor_->end(Error(Errc::kCancelled, "the listener was closed")); }
  [[clang::coro_wrapper]] Task<Result<std::shared_ptr<Connection>>> accept() override { return next(acceptor_); }
  const Address& address() const noexcept override { return acceptor_->address; }

 private:
  static Task<Result<std::shared_ptr<Connection>>> next(std::shared_ptr<Acceptor> acceptor) {
    while (acceptor->ready.empty()) {
      if (acceptor->ended) co_return fail(*acceptor->ended);
      FF_CO_TRY(co_await acceptor->changed.wait());
    }
    auto connection = std::move(acceptor->ready.front());
    acceptor->ready.pop_front();
    co_return connection;
  }
  std::shared_ptr<Acceptor> acceptor_;
};

class TcpNetwork final : public Network, public TcpHost, private LaneServer::Links {
 public:
  TcpNetwork(runtime::RealEnv& env, TcpOptions options)
      : TcpHost(env, with_features(std::move(options))), keyless_(TcpHost::options().endpoint), scope_(env) {
    keyless_.key = nullptr;
    keyless_.insecure = true;
    scope_.spawn(tick_all());
  }

  Task<Result<std::unique_ptr<Listener>>> listen(Address at) override;
  Task<Result<std::shared_ptr<Connection>>> connect(PeerAddress to, ConnectOptions options) override;
  Task<void> stop() override;

  Task<Result<Lane>> open_lane(Address to, TrafficClass traffic, const LinkSession* link,
                               std::uint16_t number) override;
  void tell_closed(TcpConnection& connection) override;
  void forget(TcpConnection& connection) noexcept override;
  TcpStats snapshot() const noexcept;

 private:
  // A link that a peer opened: known from before its lane 0 was accepted until its connection has ended.
  struct Accepted {
    LinkSession link;
    TcpConnection* connection = nullptr;
  };

  Task<void> stop_all();
  Task<void> tick_all();
  Task<void> accept_loop(std::shared_ptr<Acceptor> acceptor);
  Task<Result<>> accept_all(Acceptor& acceptor);
  Task<void> welcome(std::shared_ptr<Acceptor> acceptor, UniqueFd fd);
  std::optional<LinkSession> find(const LinkId& id) override;
  Task<Result<std::uint64_t>> admit(LinkSession link, std::uint16_t number) override;
  void withdraw(const LinkId& id) noexcept override { accepted_.erase(id); }
  Task<Result<Lane>> shake(std::shared_ptr<Acceptor> acceptor, UniqueFd fd);
  Task<Result<Lane>> dial(Address to, TrafficClass traffic, const LinkSession* link, std::uint16_t number);
  Task<Result<UniqueFd>> connect_any(std::vector<SocketAddress> candidates, TrafficClass traffic, bool bulk);
  std::shared_ptr<TcpConnection> begin(Lane lane, std::vector<Address> planes, TrafficClass traffic, std::string at);
  ConnectionOptions socket_options(bool same_machine, bool bulk) const;

  Endpoint keyless_;
  runtime::Scope scope_;
  NameLookups look_ups_{scope_};
  std::optional<Error> stopped_;
  bool joining_ = false;
  runtime::Event joined_;
  std::map<LinkId, Accepted> accepted_;
  runtime::IntrusiveList<TcpConnection, TcpConnection> connections_;
  std::map<TcpConnection*, std::shared_ptr<Connection>> alive_;
  std::map<Acceptor*, std::weak_ptr<Acceptor>> acceptors_;
  std::size_t handshakes_ = 0;
};

PeerIdentity peer_of(const Lane& lane) {
  const NodeIdentity& node = lane.link.peer.node;
  PeerIdentity out{.role = node.role,
                   .node_id = node.node_id,
                   .instance_id = node.instance_id,
                   .authenticated = lane.link.peer.authenticated,
                   .local = std::nullopt};
  if (auto credentials = peer_credentials(lane.socket->fd())) out.local = *credentials;
  return out;
}

// A Unix peer has no address that tells it from another; who it is says more.
std::string name_of(const std::string& at, const PeerIdentity& peer) {
  return peer.local ? fmt::format("{} ({} {}, uid {})", at, peer.role, peer.node_id, peer.local->uid)
                    : fmt::format("{} ({} {})", at, peer.role, peer.node_id);
}

Task<Result<std::unique_ptr<Listener>>> TcpNetwork::listen(Address at) {
  if (stopped_) co_return fail(*stopped_);
  // A name may need the resolver, and a Unix path takes a lock: both wait, so not on this thread.
  Result<Result<UniqueFd>> opened = co_await runtime::offload(env(), [&] { return listen_on(at); });
  if (!opened) co_return fail(std::move(opened).error().context(fmt::format("listen on {}", at.text())));
  FF_CO_TRY_ASSIGN(UniqueFd fd, std::move(*opened));
  if (stopped_) co_return fail(*stopped_);
  FF_CO_TRY_ASSIGN(Address bound, local_address(fd.get()));
  if (!at.is_unix() && at.host.empty()) bound.host.clear();
  auto acceptor = std::make_shared<Acceptor>(scope_.context(), std::move(fd), std::move(bound));
  acceptors_.emplace(acceptor.get(), acceptor);
  scope_.spawn(accept_loop(acceptor));
  co_return std::make_unique<TcpListener>(std::move(acceptor));
}

Task<void> TcpNetwork::accept_loop(std::shared_ptr<Acceptor> acceptor) {
  const Result<> ended = co_await accept_all(*acceptor).under(acceptor->context);
  acceptor->end(ended ? Error(Errc::kCancelled, "the listener was closed") : ended.error());
  acceptor->fd.reset();
  acceptors_.erase(acceptor.get());
}

Task<Result<>> TcpNetwork::accept_all(Acceptor& acceptor) {
  runtime::Duration wait = kAcceptRetryMin;
  while (true) {
    Result<UniqueFd> fd = co_await env().accept(acceptor.fd.get());
    if (acceptor.context.cancelled()) co_return fail(acceptor.context.why());
    if (!fd) {
      // Out of descriptors or memory, or the peer has left already: others may fare better soon.
      if (fd.error().code() == Errc::kExhausted) ++counters().accept_out_of_fds;
      FF_CO_TRY(co_await runtime::sleep(wait));
      wait = std::min(wait * 2, kAcceptRetryMax);
      continue;
    }
    wait = kAcceptRetryMin;
    if (handshakes_ >= options().pending_handshakes_max) {
      ++counters().refused;
      continue;  // closes it
    }
    ++handshakes_;
    scope_.spawn(welcome(acceptors_.at(&acceptor).lock(), std::move(*fd)));
  }
}

// One accepted socket: handshake, then either a new connection or a lane of one.
Task<void> TcpNetwork::welcome(std::shared_ptr<Acceptor> acceptor, UniqueFd fd) {
  const bool unix_socket = acceptor->address.is_unix();
  const Result<Address> from = unix_socket ? acceptor->address : peer_address(fd.get());
  Result<Lane> lane =
      co_await runtime::with_timeout(options().handshake_timeout, "handshake", shake(acceptor, std::move(fd)));
  --handshakes_;
  if (!lane || !from || stopped_ || acceptor->ended) {
    ++counters().refused;
    if (lane && lane->number == 0) withdraw(lane->link.id);
    co_return;
  }
  const auto known = accepted_.find(lane->link.id);
  if (lane->number > 0) {
    set_user_timeout(lane->socket->fd(), std::chrono::ceil<milliseconds>(options().lane_timeout));
    if (known != accepted_.end() && known->second.connection != nullptr)
      known->second.connection->add_lane(std::move(*lane));
    co_return;
  }
  ++counters().accepted;
  auto connection = begin(std::move(*lane), {}, TrafficClass::kControl, from->text());
  known->second.connection = connection.get();
  if (acceptor->ready.size() >= options().accept_queue_max) {
    ++counters().refused;
    connection->close(Error(Errc::kExhausted, "too many connections wait to be accepted"));
    co_return;
  }
  acceptor->ready.push_back(std::move(connection));
  acceptor->changed.wake_one();
}

Task<Result<Lane>> TcpNetwork::shake(std::shared_ptr<Acceptor> acceptor, UniqueFd fd) {
  const bool unix_socket = acceptor->address.is_unix();
  tune_connection(fd.get(), socket_options(is_same_machine(fd.get()), false));
  const LaneServer server{
      .endpoint = options().endpoint,
      .keyless = keyless_,
      .tls = unix_socket ? nullptr : options().tls.get(),
      .trusted_uids = unix_socket ? std::span<const uid_t>(options().trusted_uids) : std::span<const uid_t>(),
      .links = *this};
  co_return co_await shake_as_server(env().adopt(std::move(fd)), server);
}

std::optional<LinkSession> TcpNetwork::find(const LinkId& id) {
  const auto at = accepted_.find(id);
  if (at == accepted_.end()) return std::nullopt;
  return at->second.link;
}

Task<Result<std::uint64_t>> TcpNetwork::admit(LinkSession link, std::uint16_t number) {
  const auto known = accepted_.find(link.id);
  if (number == 0) {
    if (known != accepted_.end()) co_return fail(Errc::kAlreadyExists, "handshake: this link stands already");
    // Only here is it known that this is no lane of a connection that stands.
    if (accepted_.size() >= options().connections_max)
      co_return fail(Errc::kExhausted, "handshake: as many connections as there may be");
    const LinkId id = link.id;
    accepted_.emplace(id, Accepted{std::move(link), nullptr});
    co_return 0;
  }
  if (known == accepted_.end() || known->second.connection == nullptr)
    co_return fail(Errc::kNotFound, "handshake: a lane of a link that does not stand");
  co_return co_await known->second.connection->before_lane(number);
}

ConnectionOptions TcpNetwork::socket_options(bool same_machine, bool bulk) const {
  ConnectionOptions out{.same_machine = same_machine};
  // Not on the control lane: it would end a connection whose reader has paused.
  if (bulk) out.user_timeout = std::chrono::ceil<milliseconds>(options().lane_timeout);
  return out;
}

Task<Result<std::shared_ptr<Connection>>> TcpNetwork::connect(PeerAddress to, ConnectOptions connect_options) {
  if (stopped_) co_return fail(*stopped_);
  if (to.planes.empty()) co_return fail(Errc::kInvalidArgument, "connect: the peer has no address");
  const runtime::Time deadline = runtime::saturating_add(env().now(), connect_options.timeout);
  std::optional<Error> last;
  std::string reasons;
  for (std::size_t i = 0; i < to.planes.size(); ++i) {
    // A silent plane leaves time for the others.
    const runtime::Duration share = (deadline - env().now()) / static_cast<long>(to.planes.size() - i);
    Result<Lane> lane =
        co_await runtime::with_timeout(share, "connect", dial(to.planes[i], connect_options.traffic, nullptr, 0));
    if (lane && stopped_) co_return fail(*stopped_);
    if (lane) {
      ++counters().connected;
      std::string at = to.planes[i].text();
      to.planes[i] = numeric_address(to.planes[i], lane->socket->fd());
      co_return begin(std::move(*lane), std::move(to.planes), connect_options.traffic, std::move(at));
    }
    if ((co_await runtime::current_context()).cancelled()) co_return fail(std::move(lane).error());
    reasons += fmt::format("{}{}: {}", reasons.empty() ? "" : "; ", to.planes[i].text(), lane.error().message());
    last = std::move(lane).error();
  }
  co_return fail(Error(last->code(), "connect: " + reasons, last->sys_errno()));
}

Task<Result<Lane>> TcpNetwork::open_lane(Address to, TrafficClass traffic, const LinkSession* link,
                                         std::uint16_t number) {
  auto lane =
      co_await runtime::with_timeout(options().handshake_timeout, "open a lane", dial(to, traffic, link, number));
  if (!lane) co_return fail(std::move(lane).error().context(to.text()));
  co_return std::move(*lane);
}

Task<Result<Lane>> TcpNetwork::dial(Address to, TrafficClass traffic, const LinkSession* link, std::uint16_t number) {
  FF_CO_TRY_ASSIGN(auto candidates, co_await look_ups_.resolve(to));
  FF_CO_TRY_ASSIGN(UniqueFd fd, co_await connect_any(std::move(candidates), traffic, number > 0));
  co_return co_await shake_as_client(env().adopt(std::move(fd)), options().endpoint,
                                     to.is_unix() ? nullptr : options().tls.get(), link, number);
}

Task<Result<UniqueFd>> TcpNetwork::connect_any(std::vector<SocketAddress> candidates, TrafficClass traffic, bool bulk) {
  std::optional<Error> last;
  for (const SocketAddress& candidate : candidates) {
    UniqueFd fd(::socket(candidate.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!fd) co_return fail(errno_error("open a socket"));
    tune_connection(fd.get(), socket_options(candidate.is_loopback() || candidate.family() == AF_UNIX, bulk));
    (void)apply_to_socket(fd.get(), traffic);  // a sandbox may refuse; nothing depends on it
    Result<> connected = co_await env().connect(fd.get(), candidate.storage, candidate.length);
    if (connected) {
      if (!candidate.is_loopback() && is_same_machine(fd.get())) tune_connection(fd.get(), socket_options(true, bulk));
      co_return fd;
    }
    last = std::move(connected).error();
    if ((co_await runtime::current_context()).cancelled()) break;
  }
  co_return fail(std::move(*last));
}

std::shared_ptr<TcpConnection> TcpNetwork::begin(Lane lane, std::vector<Address> planes, TrafficClass traffic,
                                                 std::string at) {
  PeerIdentity peer = peer_of(lane);
  std::string text = name_of(at, peer);
  auto connection = std::make_shared<TcpConnection>(*this, std::move(lane), std::move(planes), traffic, std::move(peer),
                                                    std::move(text));
  connections_.push_back(*connection);
  alive_.emplace(connection.get(), connection);
  ++counters().connections_now;
  scope_.spawn(connection->serve());
  return connection;
}

void TcpNetwork::forget(TcpConnection& connection) noexcept {
  connection.unlink();
  --counters().connections_now;
  const auto known = accepted_.find(connection.link().id);
  if (known != accepted_.end() && known->second.connection == &connection) accepted_.erase(known);
  alive_.erase(&connection);
}

void TcpNetwork::tell_closed(TcpConnection& connection) {
  // Not by a task of ours: these may have been joined.
  (void)env().post([self = connection.shared_from_this()] { static_cast<TcpConnection&>(*self).tell_closed(); });
}

Task<void> TcpNetwork::tick_all() {
  const TcpOptions& o = options();
  const runtime::Duration interval = std::clamp<runtime::Duration>(
      std::min({o.ping_interval, o.peer_timeout, o.lane_timeout}) / 5, milliseconds(5), std::chrono::seconds(1));
  while (co_await runtime::sleep(interval)) {
    const runtime::Time now = env().now();
    connections_.for_each([now](TcpConnection& connection) { connection.tick(now); });
  }
}

Task<void> TcpNetwork::stop() {
  runtime::Context root(env());  // whoever asks may be cancelled; the end is an orderly one all the same
  co_await stop_all().under(root);
}

Task<void> TcpNetwork::stop_all() {
  if (!stopped_) {
    stopped_ = Error(Errc::kCancelled, "the network was stopped");
    for (auto& [raw, weak] : acceptors_)
      if (const auto acceptor = weak.lock()) acceptor->context.cancel(*stopped_);
    connections_.for_each([this](TcpConnection& connection) { connection.close(*stopped_); });
    // Each closes within its linger; what is left then is cut.
    const runtime::Time deadline = runtime::saturating_add(env().now(), options().linger * 2);
    while (!alive_.empty() && env().now() < deadline && co_await runtime::sleep(milliseconds(5))) {
    }
    scope_.cancel(*stopped_);
  }
  if (!std::exchange(joining_, true)) {
    (void)co_await scope_.join();
    joined_.set();
  }
  (void)co_await joined_.wait();
}

TcpStats TcpNetwork::snapshot() const noexcept {
  TcpStats out = counters();
  out.assembly_bytes_now = assembly().capacity() - assembly().available();
  return out;
}

}  // namespace

Result<std::shared_ptr<Network>> make_tcp_network(runtime::RealEnv& env, TcpOptions options) {
  FF_TRY(check(options));
  return std::make_shared<TcpNetwork>(env, std::move(options));
}

TcpStats tcp_stats(const Network& network) noexcept { return static_cast<const TcpNetwork&>(network).snapshot(); }

}  // namespace ff::net
