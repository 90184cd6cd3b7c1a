#include "libcommon/net/socket.hpp"

#include <fcntl.h>
#include <fmt/core.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
#include <string_view>
#include <thread>

#include "libcommon/base/defer.hpp"
#include "libcommon/base/file.hpp"

namespace ff::net {
namespace {

constexpr int kLocalBufferBytes = 4 << 20;
constexpr std::chrono::seconds kFolderLockWait{2};

void set_int(int fd, int level, int name, std::int64_t value) noexcept {
  // A refused option costs speed, not correctness (see tune_connection).
  const int number = static_cast<int>(std::clamp<std::int64_t>(value, 0, std::numeric_limits<int>::max()));
  static_cast<void>(::setsockopt(fd, level, name, &number, sizeof number));
}

bool set_congestion_control(int fd, std::string_view name) noexcept {
  return ::setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name.data(), static_cast<socklen_t>(name.size())) == 0;
}

UniqueFd stream_socket(int family) { return UniqueFd(::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0)); }

// For messages: an address that cannot be shown is still an address.
std::string name_of(const SocketAddress& at) {
  const auto address = at.address();
  return address ? address->text() : "an address of an unknown family";
}

// Two listeners that start at once both see the dead socket file; without a lock the slower would remove the faster's
// live one. The folder is locked rather than a file beside the socket, so nothing is left behind. Released on close.
Result<UniqueFd> lock_folder_of(const std::string& path) {
  const std::string folder = parent_folder(path);
  UniqueFd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return fail(errno_error(fmt::format("listen on unix:{}: open its folder", path)));
  const Deadline deadline = Deadline::after(kFolderLockWait);
  while (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR)
      return fail(errno_error(fmt::format("listen on unix:{}: lock its folder", path)));
    if (deadline.expired())
      return fail(Errc::kTimeout, fmt::format("listen on unix:{}: another process holds the lock of '{}' for {} s "
                                              "(end it, or use a folder of your own)",
                                              path, folder, kFolderLockWait.count()));
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return fd;
}

// Removes the socket file of a process that is gone. REQUIRES: the folder is locked.
Result<> remove_dead_socket(const std::string& path, const SocketAddress& at) {
  struct stat about;
  if (::lstat(path.c_str(), &about) != 0) {
    if (errno == ENOENT) return {};
    return fail(errno_error(fmt::format("listen on unix:{}", path)));
  }
  if (!S_ISSOCK(about.st_mode))
    return fail(
        Errc::kAlreadyExists,
        fmt::format("listen on unix:{}: the path exists and is no socket (choose another, or move it away)", path));
  const UniqueFd probe = stream_socket(AF_UNIX);
  if (!probe) return fail(errno_error("open a Unix socket"));
  const int error = ::connect(probe.get(), at.get(), at.length) == 0 ? 0 : errno;
  if (error == 0 || error == EAGAIN)
    return fail(
        Errc::kAlreadyExists,
        fmt::format("listen on unix:{}: a running process listens there (stop it, or choose another path)", path),
        EADDRINUSE);
  if (error != ECONNREFUSED)
    return fail(errno_error(fmt::format("listen on unix:{}: probe the socket that stands there", path), error));
  if (::unlink(path.c_str()) != 0 && errno != ENOENT)
    return fail(errno_error(fmt::format("listen on unix:{}: remove the dead socket", path)));
  return {};
}

Result<UniqueFd> listen_unix_path(const std::string& path, const SocketAddress& at, const ListenOptions& options) {
  FF_TRY_ASSIGN(const UniqueFd lock, lock_folder_of(path));
  FF_TRY(remove_dead_socket(path, at));
  UniqueFd fd = stream_socket(AF_UNIX);
  if (!fd) return fail(errno_error("open a Unix socket"));
  // Linux gives the file the mode of the unbound socket, less the umask: it is never wider than asked, not even between
  // bind and chmod.
  if (::fchmod(fd.get(), options.unix_mode) != 0 || ::bind(fd.get(), at.get(), at.length) != 0 ||
      ::chmod(path.c_str(), options.unix_mode) != 0 || ::listen(fd.get(), options.backlog) != 0)
    return fail(errno_error("listen on unix:" + path));
  return fd;
}

// Waits until a begun connection stands; errno, 0 when it does.
int finish_connect(int fd, const Deadline& deadline) noexcept {
  pollfd p{fd, POLLOUT, 0};
  for (;;) {
    const int n = ::poll(&p, 1, deadline.poll_timeout_ms(60'000));
    if (n > 0) return socket_error(fd);
    if (n < 0 && errno != EINTR) return errno;
    if (deadline.expired()) return ETIMEDOUT;
  }
}

// What goes away when the peer starts, or has more time.
bool may_come(int error) noexcept {
  return error == ECONNREFUSED || error == EHOSTUNREACH || error == ENETUNREACH || error == ECONNRESET ||
         error == ENOENT || error == EAGAIN;
}

Result<SocketAddress> name_from(int fd, int (*ask)(int, sockaddr*, socklen_t*), std::string_view what) {
  SocketAddress out;
  out.length = sizeof out.storage;
  if (ask(fd, reinterpret_cast<sockaddr*>(&out.storage), &out.length) != 0) return fail(errno_error(what));
  return out;
}
Result<SocketAddress> local_name(int fd) {
  return name_from(fd, [](int s, sockaddr* a, socklen_t* n) { return ::getsockname(s, a, n); }, "local address");
}
Result<SocketAddress> peer_name(int fd) {
  return name_from(fd, [](int s, sockaddr* a, socklen_t* n) { return ::getpeername(s, a, n); }, "peer address");
}

}  // namespace

Result<UniqueFd> listen_on(const SocketAddress& at, const ListenOptions& options) {
  const bool unix_socket = at.family() == AF_UNIX;
  if (unix_socket) {
    FF_TRY_ASSIGN(const Address address, at.address());
    if (address.kind == Address::Kind::kUnixPath) return listen_unix_path(address.host, at, options);
  }
  UniqueFd fd = stream_socket(at.family());
  if (!fd) return fail(errno_error("open a socket"));
  const int on = 1;
  if (!unix_socket && (::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
                       (options.reuse_port && ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) != 0)))
    return fail(errno_error(fmt::format("listen on {}: set options", name_of(at))));
  if (::bind(fd.get(), at.get(), at.length) != 0 || ::listen(fd.get(), options.backlog) != 0)
    return fail(errno_error("listen on " + name_of(at)));
  return fd;
}

Result<UniqueFd> listen_on(const Address& at, const ListenOptions& options) {
  FF_TRY_ASSIGN(const auto candidates, resolve(at, ResolveFor::kListen));
  Result<UniqueFd> last = fail(Errc::kInternal, "listen: no address");
  for (const SocketAddress& candidate : candidates)
    if (last = listen_on(candidate, options); last) return last;
  return last;
}

Result<UniqueFd> begin_connect(const SocketAddress& to, const ConnectionOptions& options) {
  UniqueFd fd = stream_socket(to.family());
  if (!fd) return fail(errno_error("open a socket"));
  tune_connection(fd.get(), options);
  int error = ::connect(fd.get(), to.get(), to.length) == 0 ? 0 : errno;
  if (error == EINTR) error = EINPROGRESS;  // goes on in the background, as POSIX has it
  if (error == EAGAIN)
    return fail(Errc::kUnavailable, fmt::format("connect to {}: the listener's backlog is full", name_of(to)), error);
  if (error != 0 && error != EINPROGRESS) return fail(errno_error("connect to " + name_of(to), error));
  return fd;
}

int socket_error(int fd) noexcept {
  int error = 0;
  socklen_t length = sizeof error;
  if (::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) != 0) return errno;
  return error;
}

Result<UniqueFd> connect_to(const Address& to, const Deadline& deadline, const ConnectionOptions& options) {
  FF_TRY_ASSIGN(const auto candidates, resolve(to, ResolveFor::kConnect));
  auto pause = std::chrono::milliseconds(5);
  for (;;) {
    int last = 0;
    for (const SocketAddress& candidate : candidates) {
      auto fd = begin_connect(candidate, options);
      if (!fd && fd.error().sys_errno() == 0) return fd;
      last = fd ? finish_connect(fd->get(), deadline) : fd.error().sys_errno();
      if (last == 0) return fd;
    }
    if (!may_come(last) || deadline.remaining() <= pause) return fail(errno_error("connect to " + to.text(), last));
    std::this_thread::sleep_for(pause);
    pause = std::min(pause * 2, std::chrono::milliseconds(200));
  }
}

void tune_connection(int fd, const ConnectionOptions& options) noexcept {
  set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  set_int(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
  set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, options.keepalive_idle.count());
  set_int(fd, IPPROTO_TCP, TCP_KEEPINTVL, options.keepalive_interval.count());
  set_int(fd, IPPROTO_TCP, TCP_KEEPCNT, options.keepalive_probes);
  if (options.user_timeout.count() > 0) set_user_timeout(fd, options.user_timeout);
  if (!options.same_machine) return;
  if (!set_congestion_control(fd, "cubic")) static_cast<void>(set_congestion_control(fd, "reno"));
  set_int(fd, SOL_SOCKET, SO_SNDBUF, kLocalBufferBytes);
  set_int(fd, SOL_SOCKET, SO_RCVBUF, kLocalBufferBytes);
}

void set_user_timeout(int fd, std::chrono::milliseconds timeout) noexcept {
  set_int(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, timeout.count());
}

Result<Address> local_address(int fd) {
  FF_TRY_ASSIGN(const SocketAddress name, local_name(fd));
  return name.address();
}

Result<Address> peer_address(int fd) {
  FF_TRY_ASSIGN(const SocketAddress name, peer_name(fd));
  return name.address();
}

Address numeric_address(const Address& asked, int fd) {
  if (asked.is_unix()) return asked;
  return peer_address(fd).value_or(asked);
}

bool is_same_machine(int fd) noexcept {
  const auto local = local_name(fd), peer = peer_name(fd);
  if (!local || !peer) return false;
  if (peer->family() == AF_UNIX || peer->is_loopback()) return true;
  if (local->family() != peer->family()) return false;
  if (peer->family() == AF_INET)
    return reinterpret_cast<const sockaddr_in&>(local->storage).sin_addr.s_addr ==
           reinterpret_cast<const sockaddr_in&>(peer->storage).sin_addr.s_addr;
  return std::memcmp(&reinterpret_cast<const sockaddr_in6&>(local->storage).sin6_addr,
                     &reinterpret_cast<const sockaddr_in6&>(peer->storage).sin6_addr, sizeof(in6_addr)) == 0;
}

std::vector<std::string> interface_addresses() {
  std::vector<std::string> out;
  ifaddrs* found = nullptr;
  if (::getifaddrs(&found) != 0) return out;
  Defer release([&] { ::freeifaddrs(found); });
  for (const int family : {AF_INET, AF_INET6}) {
    for (const ifaddrs* entry = found; entry != nullptr; entry = entry->ifa_next) {
      if (entry->ifa_addr == nullptr || entry->ifa_addr->sa_family != family || (entry->ifa_flags & IFF_UP) == 0)
        continue;
      SocketAddress at;
      at.length = family == AF_INET6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in);
      std::memcpy(&at.storage, entry->ifa_addr, at.length);
      const bool link_local =
          family == AF_INET6 && IN6_IS_ADDR_LINKLOCAL(&reinterpret_cast<const sockaddr_in6&>(at.storage).sin6_addr);
      if (at.is_loopback() || link_local) continue;
      if (auto address = at.address()) out.push_back(std::move(address->host));
    }
  }
  return out;
}

Result<PeerCredentials> peer_credentials(int fd) {
  int family = 0;
  socklen_t length = sizeof family;
  if (::getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &length) != 0) return fail(errno_error("peer credentials"));
  if (family != AF_UNIX)
    return fail(Errc::kUnsupported, "peer credentials: only Unix sockets have them (connect through unix:PATH)");
  ucred credentials{};
  length = sizeof credentials;
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0)
    return fail(errno_error("peer credentials"));
  if (credentials.pid == 0) return fail(Errc::kUnavailable, "peer credentials: the socket is not connected");
  return PeerCredentials{credentials.pid, credentials.uid, credentials.gid};
}

}  // namespace ff::net
