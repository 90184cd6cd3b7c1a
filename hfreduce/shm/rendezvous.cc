#include "hfreduce/shm/rendezvous.hpp"

#include <fmt/core.h>
#include <openssl/crypto.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <thread>

namespace ff::hfreduce::shm {
namespace {

constexpr std::uint32_t kMagic = 0x68667231;  // changes with the layout of the shared memory
constexpr std::size_t kTokenMax = 256;
constexpr std::size_t kStrangersMax = 64;  // connections that have not said hello

struct Hello {
  std::uint32_t magic = kMagic;
  std::int32_t rank = 0;
  std::int32_t size = 0;
  std::uint32_t token_bytes = 0;
  std::uint64_t windows_bytes = 0;
  char token[kTokenMax] = {};
};

enum class Answer : std::uint32_t { kWelcome = 1, kWrongVersion, kWrongToken, kWrongSize, kRankTaken, kHostFailed };

struct Reply {
  Answer answer = Answer::kWelcome;
  Shape shape;
};

const char* answer_text(Answer answer) {
  switch (answer) {
    case Answer::kWelcome: return "welcome";
    case Answer::kWrongVersion: return "another version of the library (install the same on all ranks)";
    case Answer::kWrongToken: return "another token";
    case Answer::kWrongSize: return "another number of ranks in the group";
    case Answer::kRankTaken: return "this rank has joined already, or is not in the group (are ranks unique?)";
    case Answer::kHostFailed: return "the group's first rank could not create the shared memory";
  }
  return "an unknown answer";
}

// 64 bits of a token of 128 or more: enough to be unique, too little to guess the rest from.
std::uint64_t name_hash(const std::string& token) {
  std::uint64_t h = 0xcbf29ce484222325ULL;
  for (const char c : token) {
    h = (h ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
    h ^= h >> 29;
  }
  return (h ^ (h >> 32)) * 0xbf58476d1ce4e5b9ULL;
}

struct Address {
  sockaddr_un address{};
  socklen_t length = 0;
};
Address address_of(const std::string& token) {
  Address out;
  out.address.sun_family = AF_UNIX;
  const std::string name = fmt::format("hfreduce-{:016x}", name_hash(token));
  std::memcpy(out.address.sun_path + 1, name.data(), name.size());  // a leading zero: abstract, no file
  out.length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  return out;
}

bool same_user(int fd) {
  ucred peer{};
  socklen_t length = sizeof peer;
  return ::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 && (peer.uid == ::geteuid() || peer.uid == 0);
}

UniqueFd packet_socket() { return UniqueFd(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)); }

// A reply is one packet and the first on its connection, so it always fits the socket's buffer.
void send_reply(int to, const Reply& reply, int fd) {
  iovec piece{const_cast<Reply*>(&reply), sizeof reply};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  if (fd >= 0) {
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(header), &fd, sizeof fd);
  }
  // A joiner that died meanwhile is found missing in the first call.
  (void)::sendmsg(to, &message, MSG_NOSIGNAL);
}

struct Received {
  Reply reply;
  UniqueFd fd;
  bool complete = false;
};
Received receive_reply(int from) {
  Received out;
  iovec piece{&out.reply, sizeof out.reply};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
  msghdr message{};
  message.msg_iov = &piece;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  const ssize_t got = ::recvmsg(from, &message, MSG_CMSG_CLOEXEC);
  for (cmsghdr* h = CMSG_FIRSTHDR(&message); got > 0 && h != nullptr; h = CMSG_NXTHDR(&message, h))
    if (h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_RIGHTS) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(h), sizeof fd);
      out.fd.reset(fd);
    }
  out.complete = got == static_cast<ssize_t>(sizeof out.reply);
  return out;
}

// The group as rank 0 gathers it.
class Gathering {
 public:
  explicit Gathering(const Introduction& self)
      : self_(self), members_(static_cast<std::size_t>(self.size)), windows_bytes_(self.windows_bytes) {}

  bool complete() const { return joined_ == self_.size - 1; }
  std::uint64_t windows_bytes() const { return windows_bytes_; }
  const std::vector<UniqueFd>& members() const { return members_; }

  // Takes a hello from `fd`. The connection stays ours if it was good; else it is answered and closed.
  void admit(UniqueFd fd) {
    Hello hello;
    const ssize_t got = ::recv(fd.get(), &hello, sizeof hello, 0);
    if (got <= 0) return;
    const Answer answer = judge(hello, static_cast<std::size_t>(got));
    if (answer != Answer::kWelcome) return send_reply(fd.get(), {answer, {}}, -1);
    windows_bytes_ = std::min(windows_bytes_, hello.windows_bytes);
    members_[static_cast<std::size_t>(hello.rank)] = std::move(fd);
    ++joined_;
  }

  std::string missing() const {
    std::string out;
    for (int r = 1; r < self_.size; ++r)
      if (!members_[static_cast<std::size_t>(r)])
        out += fmt::format("{}{}", out.empty() ? "" : ", ", self_.global_ranks[static_cast<std::size_t>(r)]);
    return out;
  }

 private:
  Answer judge(const Hello& hello, std::size_t bytes) const {
    if (bytes != sizeof hello || hello.magic != kMagic) return Answer::kWrongVersion;
    if (hello.token_bytes != self_.token.size() ||
        ::CRYPTO_memcmp(hello.token, self_.token.data(), self_.token.size()) != 0)
      return Answer::kWrongToken;
    if (hello.size != self_.size) return Answer::kWrongSize;
    if (hello.rank < 1 || hello.rank >= self_.size || members_[static_cast<std::size_t>(hello.rank)])
      return Answer::kRankTaken;
    return Answer::kWelcome;
  }

  const Introduction& self_;
  std::vector<UniqueFd> members_;
  int joined_ = 0;
  std::uint64_t windows_bytes_;
};

// Accepts and listens until all are there. Connections that say nothing do not hold up the others.
Result<> gather(Gathering& group, int listener, const Introduction& self, const Deadline& deadline) {
  std::vector<UniqueFd> strangers;
  while (!group.complete()) {
    if (self.failure->failed()) return fail(self.failure->verdict());
    if (deadline.expired())
      return fail(
          Errc::kTimeout,
          fmt::format("shared memory: rank {} of this host did not join in time (did it start?)", group.missing()));
    std::vector<pollfd> polls{{listener, POLLIN, 0}};
    for (const UniqueFd& fd : strangers) polls.push_back({fd.get(), POLLIN, 0});
    if (::poll(polls.data(), polls.size(), deadline.poll_timeout_ms(50)) <= 0) continue;
    std::vector<UniqueFd> quiet;
    for (std::size_t i = 0; i < strangers.size(); ++i) {
      if (polls[i + 1].revents != 0)
        group.admit(std::move(strangers[i]));
      else
        quiet.push_back(std::move(strangers[i]));
    }
    strangers = std::move(quiet);
    for (;;) {
      UniqueFd fd(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
      if (!fd) break;
      if (!same_user(fd.get())) continue;
      if (strangers.size() == kStrangersMax) strangers.erase(strangers.begin());
      strangers.push_back(std::move(fd));
    }
  }
  return {};
}

Error lost_host(const Introduction& self, std::string_view what) {
  return Error(Errc::kUnavailable, fmt::format("shared memory: rank {}: {}", self.global_ranks[0], what));
}

}  // namespace

Result<> host_group(const Introduction& self, const Deadline& deadline,
                    const std::function<Result<Offer>(std::uint64_t)>& make) {
  UniqueFd listener = packet_socket();
  if (!listener) return fail(errno_error("shared memory: socket"));
  const Address name = address_of(self.token);
  if (::bind(listener.get(), reinterpret_cast<const sockaddr*>(&name.address), name.length) != 0)
    return fail(errno_error("shared memory: bind of the group's socket (is the token unique?)"));
  if (::listen(listener.get(), std::max(self.size, 16)) != 0) return fail(errno_error("shared memory: listen"));
  Gathering group(self);
  FF_TRY(gather(group, listener.get(), self, deadline));
  const Result<Offer> offer = make(group.windows_bytes());
  const Reply reply = offer ? Reply{Answer::kWelcome, offer->shape} : Reply{Answer::kHostFailed, {}};
  for (const UniqueFd& member : group.members())
    if (member) send_reply(member.get(), reply, offer ? offer->fd : -1);
  if (!offer) return fail(offer.error());
  return {};
}

Result<Joined> join_group(const Introduction& self, const Deadline& deadline) {
  const Address name = address_of(self.token);
  UniqueFd fd;
  for (;;) {  // rank 0 may not listen yet
    if (self.failure->failed()) return fail(self.failure->verdict());
    fd = packet_socket();
    if (!fd) return fail(errno_error("shared memory: socket"));
    if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&name.address), name.length) == 0) break;
    if (errno != ECONNREFUSED && errno != ENOENT && errno != EAGAIN)
      return fail(errno_error("shared memory: connect to the group's socket"));
    if (deadline.expired())
      return fail(Errc::kTimeout,
                  fmt::format("shared memory: rank {} of this host did not open the group in time (did it start?)",
                              self.global_ranks[0]));
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  if (!same_user(fd.get())) return fail(Errc::kPermission, "shared memory: the group's socket belongs to another user");
  Hello hello;
  hello.rank = self.rank;
  hello.size = self.size;
  hello.token_bytes = static_cast<std::uint32_t>(self.token.size());
  hello.windows_bytes = self.windows_bytes;
  std::memcpy(hello.token, self.token.data(), self.token.size());
  if (::send(fd.get(), &hello, sizeof hello, MSG_NOSIGNAL) != static_cast<ssize_t>(sizeof hello))
    return fail(errno_error("shared memory: hello to the group's first rank"));
  for (;;) {
    pollfd readable{fd.get(), POLLIN, 0};
    const int ready = ::poll(&readable, 1, deadline.poll_timeout_ms(50));
    if (self.failure->failed()) return fail(self.failure->verdict());
    if (ready > 0) break;
    if (deadline.expired())
      return fail(Errc::kTimeout,
                  fmt::format("shared memory: rank {} has not heard from all ranks of this host in time",
                              self.global_ranks[0]));
  }
  Received got = receive_reply(fd.get());
  if (!got.complete) return fail(lost_host(self, "closed the connection during setup"));
  if (got.reply.answer != Answer::kWelcome)
    return fail(got.reply.answer == Answer::kHostFailed ? Errc::kUnavailable : Errc::kInvalidArgument,
                fmt::format("shared memory: rank {} refused: {}", self.global_ranks[0], answer_text(got.reply.answer)));
  if (!got.fd) return fail(lost_host(self, "sent no descriptor (is the limit of open files reached?)"));
  return Joined{got.reply.shape, std::move(got.fd)};
}

}  // namespace ff::hfreduce::shm
