#include "hfreduce/net/connect.hpp"

#include <fmt/core.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "libcommon/net/socket.hpp"
#include "libcommon/net/traffic_class.hpp"

namespace ff::hfreduce::net {
namespace {

constexpr int kSliceMs = 20;

struct Attempt {
  LinkId id;
  UniqueFd fd;
  bool connected = false;
  std::size_t got = 0;
  PreambleBytes answer{};
};

class Connector {
 public:
  Connector(const NetOptions& options, TcpListener& listener, int channel, LinkTable& links, const Deadline& deadline)
      : options_(options), listener_(listener), channel_(channel), links_(links), deadline_(deadline) {}

  std::expected<void, ConnectTrouble> run(std::span<const LinkId> needs) {
    for (const LinkId& id : needs)
      if (links_.find(id.peer, id.lane) == nullptr && options_.rank < id.peer)
        if (auto begun = begin(id); !begun) return begun;
    if (auto connected = connect_all(); !connected) return connected;
    for (const LinkId& id : needs)
      if (links_.find(id.peer, id.lane) == nullptr)
        if (auto taken = take(id); !taken) return taken;
    return {};
  }

 private:
  int wire_lane(const LinkId& id) const noexcept { return 2 * channel_ + id.lane; }
  bool same_machine(int peer) const { return options_.same_machine[static_cast<std::size_t>(peer)]; }

  std::unexpected<ConnectTrouble> trouble(Trouble::Kind kind, int peer, std::string_view why) const {
    const auto& to = options_.endpoints[static_cast<std::size_t>(peer)];
    return std::unexpected(
        ConnectTrouble{kind, peer,
                       fmt::format("connection with rank {} at {} port {}: {}",
                                   options_.global_ranks[static_cast<std::size_t>(peer)], to.address, to.port, why)});
  }

  std::expected<void, ConnectTrouble> begin(const LinkId& id) {
    const auto& to = options_.endpoints[static_cast<std::size_t>(id.peer)];
    const auto address = ff::net::resolve_numeric({.host = to.address, .port = to.port}, ff::net::ResolveFor::kConnect);
    if (!address) return trouble(Trouble::Kind::kLinkLost, id.peer, address.error().message());
    auto fd = ff::net::begin_connect(*address, {.same_machine = same_machine(id.peer)});
    if (!fd) return trouble(Trouble::Kind::kLinkLost, id.peer, fd.error().message());
    attempts_.push_back({.id = id, .fd = std::move(*fd)});
    return {};
  }

  // Failure and deadline, for whoever is awaited now.
  std::expected<void, ConnectTrouble> still_wanted(int peer) const {
    if (options_.failure->failed()) return trouble(Trouble::Kind::kAborted, peer, "given up");
    if (deadline_.expired()) return trouble(Trouble::Kind::kTimeout, peer, "not made by the deadline");
    return {};
  }

  std::expected<void, ConnectTrouble> connect_all() {
    std::vector<pollfd> polled;
    while (!attempts_.empty()) {
      polled.clear();
      for (const Attempt& a : attempts_)
        polled.push_back({a.fd.get(), static_cast<short>(a.connected ? POLLIN : POLLOUT), 0});
      // Errors of poll itself (EINTR) leave revents at 0: the next turn asks again.
      if (poll(polled.data(), polled.size(), deadline_.poll_timeout_ms(kSliceMs)) > 0)
        for (std::size_t i = attempts_.size(); i-- > 0;) {
          if (polled[i].revents == 0) continue;
          const auto finished = advance(attempts_[i]);
          if (!finished) return std::unexpected(finished.error());
          if (*finished) attempts_.erase(attempts_.begin() + static_cast<std::ptrdiff_t>(i));
        }
      if (attempts_.empty()) break;
      if (auto wanted = still_wanted(attempts_.front().id.peer); !wanted) return wanted;
    }
    return {};
  }

  Preamble preamble(const LinkId& id) const {
    return {.group_id = options_.group_id,
            .lane = static_cast<std::uint16_t>(wire_lane(id)),
            .from = static_cast<std::uint32_t>(options_.rank),
            .to = static_cast<std::uint32_t>(id.peer),
            .token = options_.token};
  }

  // True when the link is made.
  std::expected<bool, ConnectTrouble> advance(Attempt& a) {
    if (!a.connected) {
      if (const int error = ff::net::socket_error(a.fd.get()); error != 0)
        return trouble(Trouble::Kind::kLinkLost, a.id.peer, std::strerror(error));
      const PreambleBytes bytes = encode_preamble(preamble(a.id));
      if (send(a.fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(bytes.size()))
        return trouble(Trouble::Kind::kLinkLost, a.id.peer, "cannot send the preamble");
      a.connected = true;
      return false;
    }
    const ssize_t n = recv(a.fd.get(), a.answer.data() + a.got, kPreambleBytes - a.got, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) return false;
    if (n < 0) return trouble(Trouble::Kind::kLinkLost, a.id.peer, std::strerror(errno));
    if (n == 0) return trouble(Trouble::Kind::kLinkLost, a.id.peer, "closed before the answer (another token?)");
    a.got += static_cast<std::size_t>(n);
    if (a.got < kPreambleBytes) return false;
    const auto answer = decode_preamble(a.answer);
    if (!answer) return trouble(Trouble::Kind::kCorrupt, a.id.peer, answer.error().message());
    Preamble wanted = preamble(a.id);
    std::swap(wanted.from, wanted.to);
    if (!equal_constant_time(answer->token, wanted.token))
      return trouble(Trouble::Kind::kCorrupt, a.id.peer, "the answer has another token");
    if (*answer != wanted) return trouble(Trouble::Kind::kCorrupt, a.id.peer, "the answer is for another link");
    adopt(a.id, std::move(a.fd));
    return true;
  }

  std::expected<void, ConnectTrouble> take(const LinkId& id) {
    const TcpListener::Key key{options_.group_id, wire_lane(id), id.peer, options_.rank};
    for (;;) {
      UniqueFd fd = listener_.take(key, std::chrono::milliseconds(kSliceMs));
      if (fd) {
        ff::net::tune_connection(fd.get(), {.same_machine = same_machine(id.peer)});
        adopt(id, std::move(fd));
        return {};
      }
      if (auto wanted = still_wanted(id.peer); !wanted) return wanted;
    }
  }

  void adopt(const LinkId& id, UniqueFd fd) {
    // Marks packets; where the kernel refuses, the data travels as before.
    static_cast<void>(ff::net::apply_to_socket(fd.get(), ff::net::TrafficClass::kCollective));
    links_.set(std::make_unique<Link>(std::move(fd), id.peer, id.lane, options_.group_id, options_.trace));
  }

  const NetOptions& options_;
  TcpListener& listener_;
  int channel_;
  LinkTable& links_;
  const Deadline& deadline_;
  std::vector<Attempt> attempts_;
};

}  // namespace

std::expected<void, ConnectTrouble> make_links(const NetOptions& options, TcpListener& listener, int channel,
                                               std::span<const LinkId> needs, LinkTable& links,
                                               const Deadline& deadline) {
  return Connector(options, listener, channel, links, deadline).run(needs);
}

}  // namespace ff::hfreduce::net
