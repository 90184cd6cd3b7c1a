// For LD_PRELOAD: every TCP socket gets the congestion control named by PEERS_CONGESTION, so that no library is
// measured with another one than the rest. Accepted sockets inherit it from their listener.
#include <dlfcn.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

extern "C" int socket(int domain, int type, int protocol) {
  using Socket = int (*)(int, int, int);
  static const auto next = reinterpret_cast<Socket>(::dlsym(RTLD_NEXT, "socket"));
  const int fd = next(domain, type, protocol);
  const char* name = std::getenv("PEERS_CONGESTION");
  const bool tcp = (domain == AF_INET || domain == AF_INET6) && (type & 0xf) == SOCK_STREAM;
  if (fd >= 0 && tcp && name != nullptr) {
    const int saved = errno;
    ::setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, static_cast<socklen_t>(std::strlen(name)));
    errno = saved;
  }
  return fd;
}
