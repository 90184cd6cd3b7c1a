// net::Network over TCP and Unix stream sockets on a RealEnv.
//
// Lanes      A connection is a control lane (handshake, messages, keepalive) and, from the first expose(), push() or
//            pull() on, bulk lanes: `lanes_per_plane` to each address of the peer. The side that connected opens them.
//            Each lane is a socket with a handshake of its own (auth.hpp).
// Messages   Queued messages leave with one writev a loop iteration: up to 64 frames or 256 KiB. Always checksummed.
// Bulk       Cut into segments that idle lanes take (the faster lane carries more). Segments go from the caller's
//            memory to the socket and from the socket to exposed memory; user space copies nothing (bulk_bytes_copied
//            counts), except under TLS, which cannot work without. Acknowledgements travel on the lane of their
//            segment, so they flow while messages are paused.
// Failover   What a lost bulk lane carried is sent again by others, after the peer has confirmed that it dropped the
//            lane (ping.hpp); the lane is reopened with back-off. Messages have no second path, because their order and
//            count must hold: the connection ends with its control lane. connect() tries all planes in order.
// Liveness   A silent peer is pinged; silent for `peer_timeout` it is gone. So is one whose frame stops growing for as
//            long.
// Names      Looked up off the loop, two at a time. The timeout of connect() covers that too; stop() waits for look-ups
//            that have begun, for as long as the resolver takes. Lanes go where their name led the first time.
// Bounds     Each queue below. A connection idle costs a few KiB.
// Reactors   A network serves one: the lanes of a connection must reach the listener that accepted its first. A process
//            with several reactors gives each a port of its own.
// Threads    Those of the RealEnv.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "libcommon/net/auth.hpp"
#include "libcommon/net/network.hpp"
#include "libcommon/net/tls.hpp"
#include "libcommon/runtime/real_env.hpp"

namespace ff::net {

struct TcpOptions {
  Endpoint endpoint;                      // who we are, the cluster key, features offered
  std::shared_ptr<const TlsContext> tls;  // TCP lanes run through it; both ends must. Unix sockets never do.
  // Users that may connect by Unix socket without the cluster key; kAnyUser: all of this machine, for services that ask
  // PeerIdentity::local who it is.
  std::vector<uid_t> trusted_uids;
  bool bulk_checksum = false;  // CRC-32C of bulk, where the peer asks for it too

  std::uint16_t lanes_per_plane = 1;
  std::size_t segment_bytes = 1u << 20;
  std::size_t lane_window_bytes = 4u << 20;   // bulk under way on one lane
  std::size_t send_queue_bytes = 8u << 20;    // of messages not yet written, for each connection; 64 KiB or more
  std::size_t assembly_bytes = 256u << 20;    // of half-received messages, all connections together; waits beyond
  std::size_t connections_max = 65536;        // accepted; beyond it new ones are dropped
  std::size_t pending_handshakes_max = 1024;  // accepted and not authenticated; beyond it new ones are dropped
  std::size_t accept_queue_max = 1024;        // authenticated and not taken by accept(); beyond it they are closed

  runtime::Duration handshake_timeout = std::chrono::seconds(5);
  runtime::Duration ping_interval = std::chrono::seconds(5);
  runtime::Duration peer_timeout = std::chrono::seconds(15);
  // A bulk lane with work that makes no progress is cut, and its work given to others.
  runtime::Duration lane_timeout = std::chrono::seconds(5);
  // Close: how long queued messages may still take.
  runtime::Duration linger = std::chrono::seconds(1);
};

// Counters since the start, but for those named _now.
struct TcpStats {
  std::uint64_t accepted = 0;
  std::uint64_t connected = 0;
  std::uint64_t refused = 0;            // handshakes that failed or took too long, and peers over a bound
  std::uint64_t accept_out_of_fds = 0;  // times that accepting waited for descriptors
  std::uint64_t messages_sent = 0;      // handed to the kernel
  std::uint64_t messages_received = 0;  // delivered
  std::uint64_t message_writes = 0;     // system calls for the above
  std::uint64_t bulk_bytes_moved = 0;   // both directions, payload only
  std::uint64_t bulk_bytes_copied = 0;  // of those, by memcpy or cipher in user space
  std::uint64_t bulk_segments_resent = 0;
  std::uint64_t bulk_corrupt = 0;    // segments whose checksum failed
  std::uint64_t bulk_discarded = 0;  // segments for memory that is not (or no more) exposed
  std::uint64_t lanes_opened = 0;
  std::uint64_t lanes_lost = 0;
  std::uint64_t connections_now = 0;
  std::uint64_t assembly_bytes_now = 0;
};

// kInvalidArgument: options out of range, an endpoint without key that is not `insecure`.
// REQUIRES: stop() has returned before the network (and its connections) go; env outlives them.
Result<std::shared_ptr<Network>> make_tcp_network(runtime::RealEnv& env, TcpOptions options);
// REQUIRES: made by make_tcp_network(). Threads: the Env's.
TcpStats tcp_stats(const Network& network) noexcept;

}  // namespace ff::net
