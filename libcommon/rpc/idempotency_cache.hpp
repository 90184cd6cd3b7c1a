// IdempotencyCache: remembers which keyed operations run or have run, so that a repeated attempt joins the running one
// or gets the answer that was given, and none runs twice.
//
// Promise   Within one start of the server, an operation whose answer was stored does not run again until `expiry`
// after
//           it has ended and the budget of its last attempt is over: as long as its client may still ask. Clients that
//           reconnect to another start of the server must not repeat (rpc::Client compares instance ids).
// Bounds    `bytes` for stored answers, keys and clients together. What is not settled is never thrown out early (that
//           would break the promise): when the cache is full, new keyed operations are refused until answers expire or
//           clients report that they are settled, which every later keyed request of a client does for the earlier.
// Threads   One at a time. Pure: time is an argument.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "libcommon/rpc/wire.hpp"
#include "libcommon/runtime/time.hpp"

namespace ff::rpc {

class ServerCall;

struct IdempotencyCacheOptions {
  std::size_t bytes = 64u << 20;
  runtime::Duration expiry = std::chrono::minutes(10);
};

// What a finished call answered: error text, or inline bulk followed by the protobuf message.
struct StoredReply {
  bool ok = false;
  Errc code = Errc::kInternal;
  std::uint32_t inline_bytes = 0;
  std::vector<std::byte> bytes;
};

class IdempotencyCache {
 public:
  enum class Outcome : std::uint8_t {
    kNew,       // entered as running: start it, then finish() or forget()
    kRunning,   // lookup.running is the call to join
    kStored,    // lookup.stored is the answer; valid until the next call of this object
    kSettled,   // the client said that it would not come again: a late copy
    kConflict,  // the key was used for another method
    kFull,
  };
  struct Lookup {
    Outcome outcome = Outcome::kFull;
    ServerCall* running = nullptr;
    const StoredReply* stored = nullptr;
  };

  explicit IdempotencyCache(IdempotencyCacheOptions options) : options_(options) {}

  // `call` is entered when the outcome is kNew. `budget`: how long, from now, the client may ask for this operation.
  Lookup begin(IdempotencyKey key, std::uint64_t settled_below, std::uint32_t method, ServerCall* call,
               runtime::Time now, runtime::Duration budget);
  // REQUIRES of both: begin() said kNew for the key.
  void finish(IdempotencyKey key, StoredReply reply, runtime::Time now);
  void forget(IdempotencyKey key);

  std::size_t bytes() const noexcept { return bytes_; }
  std::size_t entries() const noexcept { return entries_; }

 private:
  struct Entry {
    std::uint32_t method = 0;
    ServerCall* running = nullptr;  // null: finished
    StoredReply reply;
    runtime::Time asked_until{};  // the latest end of its attempts' budgets
    runtime::Time keep_until{};   // when finished
  };
  struct Client {
    std::map<std::uint64_t, Entry> entries;
    std::uint64_t settled_below = 0;
    std::list<std::pair<runtime::Time, std::uint64_t>>::iterator age;  // last use
  };
  using Expiry = std::tuple<runtime::Time, std::uint64_t, std::uint64_t>;  // keep_until, client, sequence
  // Rough sizes of the nodes, so that many small entries count.
  static constexpr std::size_t kEntryBytes = 192;
  static constexpr std::size_t kClientBytes = 192;

  Client& touch(std::uint64_t client, runtime::Time now);
  void settle(std::uint64_t id, Client& client, std::uint64_t below);
  void expire(runtime::Time now);
  // Enters a finished one to expire, or later than before.
  void keep(IdempotencyKey key, Entry& entry, runtime::Time from);
  void erase(std::uint64_t id, Client& client, std::map<std::uint64_t, Entry>::iterator at);

  IdempotencyCacheOptions options_;
  std::unordered_map<std::uint64_t, Client> clients_;
  std::set<Expiry> finished_;
  std::list<std::pair<runtime::Time, std::uint64_t>> clients_age_;  // least recently used first
  std::size_t bytes_ = 0;
  std::size_t entries_ = 0;
};

}  // namespace ff::rpc
