#include "libcommon/rpc/idempotency_cache.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "libcommon/base/assert.hpp"

namespace ff::rpc {
namespace {

// Stands for an answer that has no room: the bound holds, and the operation still does not run twice.
StoredReply not_kept(std::size_t bytes) {
  const std::string text = fmt::format("the operation has run, but its answer of {} bytes could not be kept", bytes);
  const auto view = std::as_bytes(std::span(text));
  return {.ok = false, .code = Errc::kInternal, .inline_bytes = 0, .bytes = {view.begin(), view.end()}};
}

}  // namespace

IdempotencyCache::Client& IdempotencyCache::touch(std::uint64_t client, runtime::Time now) {
  const auto [at, fresh] = clients_.try_emplace(client);
  if (fresh) {
    clients_age_.emplace_back(now, client);
    bytes_ += kClientBytes;
  } else {
    clients_age_.splice(clients_age_.end(), clients_age_, at->second.age);
    clients_age_.back().first = now;
  }
  at->second.age = std::prev(clients_age_.end());
  return at->second;
}

void IdempotencyCache::erase(std::uint64_t id, Client& client, std::map<std::uint64_t, Entry>::iterator at) {
  if (at->second.running == nullptr) finished_.erase({at->second.keep_until, id, at->first});
  bytes_ -= kEntryBytes + at->second.reply.bytes.size();
  --entries_;
  client.entries.erase(at);
}

void IdempotencyCache::keep(IdempotencyKey key, Entry& entry, runtime::Time from) {
  finished_.erase({entry.keep_until, key.client, key.sequence});
  // Not before an attempt that was sent with the last of the budget has had time to arrive.
  const runtime::Time until = runtime::saturating_add(std::max(from, entry.asked_until), options_.expiry);
  entry.keep_until = std::max(entry.keep_until, until);
  finished_.emplace(entry.keep_until, key.client, key.sequence);
}

void IdempotencyCache::settle(std::uint64_t id, Client& client, std::uint64_t below) {
  if (below <= client.settled_below) return;
  client.settled_below = below;
  // What still runs leaves when it ends.
  for (auto at = client.entries.begin(); at != client.entries.end() && at->first < below;) {
    const auto next = std::next(at);
    if (at->second.running == nullptr) erase(id, client, at);
    at = next;
  }
}

void IdempotencyCache::expire(runtime::Time now) {
  while (!finished_.empty() && std::get<0>(*finished_.begin()) <= now) {
    const auto [when, id, sequence] = *finished_.begin();
    Client& client = clients_.at(id);
    erase(id, client, client.entries.find(sequence));
  }
  while (!clients_age_.empty() && now - clients_age_.front().first >= options_.expiry) {
    const auto at = clients_.find(clients_age_.front().second);
    if (!at->second.entries.empty()) {
      // It has something running, or an answer that is kept for longer: as good as used now.
      at->second.age->first = now;
      clients_age_.splice(clients_age_.end(), clients_age_, at->second.age);
      continue;
    }
    clients_age_.pop_front();
    clients_.erase(at);
    bytes_ -= kClientBytes;
  }
}

IdempotencyCache::Lookup IdempotencyCache::begin(IdempotencyKey key, std::uint64_t settled_below, std::uint32_t method,
                                                 ServerCall* call, runtime::Time now, runtime::Duration budget) {
  expire(now);
  if (!clients_.contains(key.client) && bytes_ + kClientBytes + kEntryBytes > options_.bytes)
    return {.outcome = Outcome::kFull};
  Client& client = touch(key.client, now);
  settle(key.client, client, settled_below);
  const runtime::Time asked_until = runtime::saturating_add(now, budget);

  if (const auto found = client.entries.find(key.sequence); found != client.entries.end()) {
    Entry& entry = found->second;
    if (entry.method != method) return {.outcome = Outcome::kConflict};
    entry.asked_until = std::max(entry.asked_until, asked_until);
    if (entry.running != nullptr) return {.outcome = Outcome::kRunning, .running = entry.running};
    keep(key, entry, entry.asked_until);
    return {.outcome = Outcome::kStored, .stored = &entry.reply};
  }
  if (key.sequence < client.settled_below) return {.outcome = Outcome::kSettled};
  if (bytes_ + kEntryBytes > options_.bytes) return {.outcome = Outcome::kFull};
  client.entries.emplace(key.sequence, Entry{.method = method, .running = call, .asked_until = asked_until});
  bytes_ += kEntryBytes;
  ++entries_;
  return {.outcome = Outcome::kNew};
}

void IdempotencyCache::finish(IdempotencyKey key, StoredReply reply, runtime::Time now) {
  Client& client = clients_.at(key.client);
  const auto at = client.entries.find(key.sequence);
  FF_ASSERT(at != client.entries.end() && at->second.running != nullptr, key.sequence);
  if (key.sequence < client.settled_below) {
    erase(key.client, client, at);
    return;
  }
  Entry& entry = at->second;
  entry.running = nullptr;
  if (reply.bytes.size() > options_.bytes - std::min(options_.bytes, bytes_)) reply = not_kept(reply.bytes.size());
  entry.reply = std::move(reply);
  bytes_ += entry.reply.bytes.size();
  keep(key, entry, now);
}

void IdempotencyCache::forget(IdempotencyKey key) {
  Client& client = clients_.at(key.client);
  const auto at = client.entries.find(key.sequence);
  FF_ASSERT(at != client.entries.end() && at->second.running != nullptr, key.sequence);
  erase(key.client, client, at);
}

}  // namespace ff::rpc
