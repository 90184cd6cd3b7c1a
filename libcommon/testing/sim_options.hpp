// What a simulated world is made of: options and fault rates. Plain data.
//
// All probabilities are of one occasion (a segment, a message, an operation), 0..1. Faults are off by default.
#pragma once

#include <cstdint>
#include <string>

#include "libcommon/testing/latency.hpp"

namespace ff::testing {

using namespace std::chrono_literals;

// One direction between two nodes.
//
// Connections are reliable and ordered, as TCP's are: a lost segment is a delay (fast retransmission after a round
// trip, or the retransmission timer, doubling) that holds up everything behind it on that connection. A message as a
// whole is lost, or comes late, only with its connection: what was queued when a connection broke may or may not have
// arrived, and a client that asks again over a new connection makes the duplicate. With `unreliable` the messages of
// connections are datagrams: they really are lost, duplicated and reordered (for protocols that claim to bear it).
struct LinkModel {
  Latency latency = Latency::uniform(50us, 250us);  // one way
  double bytes_per_second = 0;                      // of one plane; 0: no limit
  double loss = 0;                                  // of a segment; unreliable: of a message
  double reset = 0;                                 // of the connection, when a message is sent
  double connect_refused = 0;
  double connect_silent = 0;  // nobody answers
  bool unreliable = false;
  double duplicate = 0;  // unreliable only
  double reorder = 0;    // unreliable only: overtakes what was sent before
};

struct NetworkModel {
  std::uint32_t planes = 1;
  std::size_t window_bytes = 1u << 20;     // sent and not yet taken by the peer; the rest waits in the queue
  std::size_t queue_bytes_max = 8u << 20;  // then send() refuses; net::kSendQueueBytesMin or more
  runtime::Duration dead_after = 16s;      // silence after which a connection is given up (half to all of it)
  runtime::Duration retransmit_after = 200ms;
  double kill_resets = 0.5;  // of connections of a node that lost power: the peer hears of it at once
};

struct DiskModel {
  Latency read = Latency::uniform(20us, 120us);
  Latency write = Latency::uniform(10us, 60us);
  Latency sync = Latency::uniform(50us, 500us);
  double bytes_per_second = 0;  // of all operations together; 0: no limit
  double read_error = 0;        // EIO once
  double write_error = 0;       // EIO; any part of the write may have happened
  double sync_error = 0;        // EIO; what was not synced may never become durable, and later syncs do not say so
  double latent_sector = 0;     // of a written sector: it cannot be read until it is written again
  double bit_flip = 0;          // of a write: one bit of it is stored wrong, silently
  std::uint64_t capacity_bytes = 64ull << 30;
  std::uint32_t sector_bytes = 512;
  std::uint32_t alignment_bytes = 4096;  // of direct files
};

struct WorldOptions {
  bool random_order = true;  // which of a node's ready tasks runs next; false: first come, first served, as in reality
  std::uint64_t steps_max = 200'000'000;            // tasks resumed and events; beyond it the run is convicted
  std::uint64_t steps_per_instant_max = 1'000'000;  // without time passing: a livelock
  std::size_t log_lines = 256;                      // kept of the event log
  bool log_live = false;                            // every line to standard error
  LinkModel link;                                   // of every pair until changed
  NetworkModel network;
  DiskModel disk;  // of every node until changed
};

struct NodeOptions {
  std::string role = "node";  // as peers see it
  std::uint64_t node_id = 0;  // as peers see it; 0: index + 1
};

}  // namespace ff::testing
