// Where a peer is reached: the text that configurations, command lines and the metadata store hold, and the socket
// address that the kernel wants.
//
// Grammar   address = host ":" port | "unix:/" path | "unix:@" name
//           host    = IPv4 | "[" IPv6 [ "%" interface ] "]" | name | "*"    ("*": every interface; listening only)
//           port    = decimal 0..65535, no sign, no leading zero            (0: a free port; listening only)
//           peer    = address { "," address }                               (one for each plane, in order)
// Bounds    names up to 253 bytes of labels up to 63; Unix paths and abstract names up to 107 bytes, printable ASCII
//           without space and comma; up to kPlanesMax addresses for a peer, no two equal.
// Round trip  parse(x.text()) == x for all x that parse returns.
// Threads   Value types. resolve() asks the resolver of the system and BLOCKS for as long as that takes (seconds when
//           a name server is gone); call it where waiting is harmless, or give numeric addresses, which never wait.
#pragma once

#include <sys/socket.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "libcommon/base/result.hpp"

namespace ff::net {

inline constexpr std::size_t kPlanesMax = 16;
inline constexpr std::size_t kUnixPathBytesMax = 107;

struct Address {
  enum class Kind : std::uint8_t { kTcp, kUnixPath, kUnixAbstract };

  Kind kind = Kind::kTcp;
  std::string host;        // kTcp: without brackets; empty means every interface ("*"). Else the path or abstract name.
  std::uint16_t port = 0;  // kTcp; 0 elsewhere

  static Address tcp(std::string host, std::uint16_t port) { return {Kind::kTcp, std::move(host), port}; }
  static Address unix_path(std::string path) { return {Kind::kUnixPath, std::move(path), 0}; }
  static Address unix_abstract(std::string name) { return {Kind::kUnixAbstract, std::move(name), 0}; }

  bool is_unix() const noexcept { return kind != Kind::kTcp; }
  // "127.0.0.1:80", "[::1]:80", "*:80", "unix:/run/ff.sock", "unix:@ff".
  std::string text() const;
  bool operator==(const Address&) const = default;
};

// kInvalidArgument, naming what is wrong and how to write it.
Result<Address> parse_address(std::string_view text);

// One process, reachable on one address of each plane (a plane is a network of its own: a NIC, a switch).
struct PeerAddress {
  std::vector<Address> planes;  // never empty after parse

  std::string text() const;
  bool operator==(const PeerAddress&) const = default;
};

Result<PeerAddress> parse_peer_address(std::string_view text);

// What the kernel takes and gives. The family is AF_INET, AF_INET6 or AF_UNIX.
struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t length = 0;

  const sockaddr* get() const noexcept { return reinterpret_cast<const sockaddr*>(&storage); }
  int family() const noexcept { return storage.ss_family; }
  // 127.0.0.0/8, ::1, and those mapped into IPv6. False for Unix sockets.
  bool is_loopback() const noexcept;
  // Numeric. kInvalidArgument for another family; an unnamed Unix socket has an empty name ("unix:@").
  Result<Address> address() const;
};

enum class ResolveFor : std::uint8_t { kConnect, kListen };

// In the resolver's order of preference; at least one. kInvalidArgument for "*" or port 0 with kConnect, and for a
// Unix name out of bounds; kNotFound for a name that nobody knows; kUnavailable when name servers do not answer.
Result<std::vector<SocketAddress>> resolve(const Address& address, ResolveFor use);

// As resolve(), for numeric hosts and Unix sockets only: never waits. kInvalidArgument for names.
Result<SocketAddress> resolve_numeric(const Address& address, ResolveFor use);

}  // namespace ff::net
