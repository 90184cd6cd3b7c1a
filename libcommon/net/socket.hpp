// Sockets: listen, connect, options, and who is at the other end. For TCP and Unix stream sockets alike.
// All descriptors are non-blocking and close-on-exec. Errors name the address.
// Threads  Functions of a descriptor may be called from any thread; none keeps state.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "libcommon/base/deadline.hpp"
#include "libcommon/base/result.hpp"
#include "libcommon/base/unique_fd.hpp"
#include "libcommon/net/address.hpp"

namespace ff::net {

struct ListenOptions {
  int backlog = 4096;         // the kernel caps it at net.core.somaxconn
  bool reuse_port = false;    // TCP: several sockets (one a reactor) share the port; the kernel spreads connections
  unsigned unix_mode = 0600;  // Unix path: who may connect
};

// Listens on the first of the resolved addresses that the kernel grants (may block in the resolver for names).
// A Unix path: a socket file that a dead process left there is removed, under a lock on its folder, so that two
// starting at once cannot remove each other's. kAlreadyExists when something answers there, or when what stands at
// the path is no socket; kTimeout when somebody holds the folder's lock for 2 s. The file stays behind when the
// listener closes; the next listen removes it.
Result<UniqueFd> listen_on(const Address& at, const ListenOptions& options = {});
// TCP or Unix, without the resolver.
Result<UniqueFd> listen_on(const SocketAddress& at, const ListenOptions& options = {});

struct ConnectionOptions {
  // Both ends on one machine: large buffers (the receiver reads whole chunks) and a congestion control that does not
  // pace (bbr costs 20-30 % on loopback). Elsewhere the kernel tunes itself.
  bool same_machine = false;
  // How long sent data may stay unacknowledged before the kernel gives the peer up; 0: the kernel's default (minutes).
  std::chrono::milliseconds user_timeout{0};
  // A silent connection's peer is probed: gone after idle + probes * interval (16 s).
  std::chrono::seconds keepalive_idle{10};
  std::chrono::seconds keepalive_interval{2};
  int keepalive_probes = 3;
};

// Begins a connection; it is there when the socket becomes writable and socket_error() is 0. A Unix socket connects
// at once or fails: kUnavailable (with EAGAIN) when the listener's backlog is full.
Result<UniqueFd> begin_connect(const SocketAddress& to, const ConnectionOptions& options = {});
// SO_ERROR: the errno of an asynchronous failure, read once; 0 when there is none.
int socket_error(int fd) noexcept;

// Connects and waits (blocks), trying all resolved addresses. While the peer refuses, is unreachable or has no socket
// file yet it tries again (it may still be starting) until the deadline. The deadline does not cover the resolver.
Result<UniqueFd> connect_to(const Address& to, const Deadline& deadline, const ConnectionOptions& options = {});

// Nagle off, keepalive, and the rest of `options`, on a new or established connection; nothing on a Unix socket but its
// buffers. What the kernel refuses is left as it is: nothing here is needed for correctness.
void tune_connection(int fd, const ConnectionOptions& options = {}) noexcept;
void set_user_timeout(int fd, std::chrono::milliseconds timeout) noexcept;

// Numeric; for TCP in the form that connects back.
Result<Address> local_address(int fd);
Result<Address> peer_address(int fd);
// Where a connection went that was made to `asked`: the numeric address of its peer, so that another one to the same
// place needs no resolver. `asked` for Unix sockets, or when the kernel does not say.
Address numeric_address(const Address& asked, int fd);
// Whether both ends of a connection are on this machine: Unix, loopback, or the same address at both ends.
bool is_same_machine(int fd) noexcept;

// Numeric addresses of the interfaces that are up, as others reach this machine: IPv4 first, without loopback and
// link-local ones. Empty when the kernel does not say.
std::vector<std::string> interface_addresses();

// Who connected a Unix socket (as the kernel recorded at connect): for authorisation by user. The pid may have been
// reused since; do not authorise by it. kUnsupported for another kind of socket.
struct PeerCredentials {
  pid_t pid = 0;
  uid_t uid = 0;
  gid_t gid = 0;
};
Result<PeerCredentials> peer_credentials(int fd);
// In a list of users that are trusted: every one.
inline constexpr uid_t kAnyUser = static_cast<uid_t>(-1);

}  // namespace ff::net
