// Bringing a returning successor up to date. The last serving target compares ranges by their digests, halves those
// that differ, and sends what differs, chunk by chunk, under the chunk's lock: with the updates that pass on their way
// as whole chunks, so the two streams cannot overtake each other.
//
// Lost chunks  Of what is unreadable here and on every other replica the successor gets what can be read, and the
//              checksums of the rest: it has then what there is, reads of the rest are CORRUPT there too, and it may
//              serve. The next copy of the chain is worth more than the wait for bytes that may never come.
#include <fmt/core.h>

#include <algorithm>

#include "ffs/storage/range_digest.hpp"
#include "ffs/storage/storage.ff.hpp"
#include "ffs/storage/storage_convert.hpp"
#include "ffs/storage/storage_peers.hpp"
#include "ffs/storage/target.hpp"

namespace ff::ffs {

using runtime::Task;

namespace {

// Below it chunks are compared one by one.
constexpr std::size_t kCompareChunks = 128;
constexpr std::uint32_t kPageChunks = 256;

}  // namespace

// One sync of one successor under one version of the chain.
struct Target::SyncSession {
  std::shared_ptr<const RoutingView> view;
  Member to;
  ChainVersion version = 0;
  rpc::Client* client = nullptr;
  runtime::Semaphore transfers;
  runtime::Time paid{};  // up to when the bandwidth that was used is paid for
  explicit SyncSession(std::size_t count) : transfers(count) {}
};

Task<Result<>> Target::place_change() { co_return co_await changed_.wait(); }

Task<void> Target::resync_loop() {
  for (;;) {
    const auto view = view_;
    const auto next = successor();
    const bool due = may_serve(life_, place_) && next && next->state == SYNCING && synced_to_ != place_.version;
    if (!due) {
      (void)co_await runtime::with_timeout(options_.resync_pause * 4, "resync", place_change());
      if (!co_await runtime::not_cancelled()) co_return;
      continue;
    }
    if (co_await resync(view, *next)) continue;
    if (!co_await runtime::sleep(options_.resync_pause)) co_return;
  }
}

Task<Result<>> Target::resync(std::shared_ptr<const RoutingView> view, Member to) {
  SyncSession session(options_.resync_transfers);
  session.view = view;
  session.to = to;
  session.version = place_.version;
  session.client = host_.peers.of(*view, to.target);
  if (session.client == nullptr) co_return fail(Errc::kUnavailable, "the successor's address is not known");
  session.paid = env_.now();
  sync_done_bytes_ = 0;
  FF_CO_TRY(co_await sync_span(&session, ChunkId{}, std::nullopt));
  SyncDoneRequest request;
  request.set_chain(number(place_.chain));
  request.set_chain_version(session.version);
  request.set_from_target(number(id_));
  request.set_target(number(to.target));
  FF_CO_TRY_ASSIGN(const auto reply, co_await ChunksClient(*session.client)
                                         .sync_done(request, {.timeout = options_.forward_timeout * 4,
                                                              .attempts = 2,
                                                              .wait_for_connection = false,
                                                              .traffic = net::TrafficClass::kStorage}));
  if (reply.code() != STORAGE_OK)
    co_return fail(Errc::kUnavailable, fmt::format("the successor answers {}", StorageCode_Name(reply.code())));
  synced_to_ = session.version;
  sync_left_bytes_ = 0;
  co_return {};
}

namespace {

Result<> session_holds(bool same_version) {
  if (!same_version) return fail(Errc::kUnavailable, "the chain changed during the sync");
  return {};
}

void set_range(SyncRangeRequest& request, ChunkId from, const std::optional<ChunkId>& until) {
  set(*request.mutable_from(), from);
  set(*request.mutable_until(), until.value_or(ChunkId{}));
}

}  // namespace

Task<Result<>> Target::sync_span(SyncSession* session, ChunkId from, std::optional<ChunkId> until) {
  FF_CO_TRY(session_holds(place_.version == session->version && may_serve(life_, place_)));
  SyncRangeRequest request;
  request.set_chain(number(place_.chain));
  request.set_chain_version(session->version);
  request.set_target(number(session->to.target));
  set_range(request, from, until);
  request.set_digest_only(true);
  // Ours first: what comes after it also goes to the successor as an update, so equal digests mean that all is there.
  const RangeDigest ours = digest(as_replica(true), {from, until});
  FF_CO_TRY_ASSIGN(const auto theirs, co_await ChunksClient(*session->client)
                                          .sync_range(request, {.timeout = options_.forward_timeout * 4,
                                                                .wait_for_connection = false,
                                                                .traffic = net::TrafficClass::kStorage}));
  if (theirs.code() != STORAGE_OK)
    co_return fail(Errc::kUnavailable, fmt::format("the successor answers {}", StorageCode_Name(theirs.code())));
  if (ours == RangeDigest{theirs.count(), theirs.digest()}) co_return {};
  if (ours.count <= kCompareChunks) co_return co_await sync_pages(session, from, until);
  // Halve at our middle chunk.
  const auto half = summarize(as_replica(true), {from, until}, static_cast<std::size_t>(ours.count / 2) + 1);
  // What was there may have been forgotten while the successor answered.
  const ChunkId middle = half.empty() ? from : half.back().chunk;
  if (middle == from) co_return co_await sync_pages(session, from, until);
  FF_CO_TRY(co_await sync_span(session, from, middle));
  co_return co_await sync_span(session, middle, until);
}

Task<Result<>> Target::sync_pages(SyncSession* session, ChunkId from, std::optional<ChunkId> until) {
  for (;;) {
    FF_CO_TRY(session_holds(place_.version == session->version && may_serve(life_, place_)));
    SyncRangeRequest request;
    request.set_chain(number(place_.chain));
    request.set_chain_version(session->version);
    request.set_target(number(session->to.target));
    set_range(request, from, until);
    request.set_limit(kPageChunks);
    FF_CO_TRY_ASSIGN(const auto reply, co_await ChunksClient(*session->client)
                                           .sync_range(request, {.timeout = options_.forward_timeout * 4,
                                                                 .wait_for_connection = false,
                                                                 .traffic = net::TrafficClass::kStorage}));
    if (reply.code() != STORAGE_OK)
      co_return fail(Errc::kUnavailable, fmt::format("the successor answers {}", StorageCode_Name(reply.code())));
    std::vector<ChunkSummary> theirs;
    for (const SyncChunk& chunk : reply.chunks()) theirs.push_back(summarize(chunk));
    const std::optional<ChunkId> next = reply.has_next() ? std::optional(to_chunk(reply.next())) : std::nullopt;
    const std::optional<ChunkId> page_end = next ? next : until;
    // Theirs was taken first here; what has changed since is merely sent twice.
    const auto ours = summarize(as_replica(true), {from, page_end}, SIZE_MAX);
    const std::vector<Difference> differences = compare(ours, theirs);
    sync_left_bytes_ = 0;
    for (const Difference& one : differences) sync_left_bytes_ += one.bytes;
    std::vector<Task<Result<>>> tasks;
    for (const Difference& one : differences) tasks.push_back(transfer(session, one));
    for (Result<>& one : co_await runtime::when_all(std::move(tasks))) FF_CO_TRY(std::move(one));
    if (!next) co_return {};
    from = *next;
  }
}

// Its share of the bandwidth is waited for before the chunk is locked: updates of it pass meanwhile.
Task<Result<>> Target::transfer(SyncSession* session, Difference what) {
  const ChunkId chunk = what.chunk;
  FF_CO_TRY_ASSIGN(const auto turn, co_await session->transfers.acquire());
  const auto pay = [&](std::uint64_t bytes) {
    if (options_.resync_bytes_per_second == 0) return;
    session->paid = std::max(session->paid, env_.now()) +
                    std::chrono::nanoseconds(static_cast<std::int64_t>(
                        static_cast<double>(bytes) * 1e9 / static_cast<double>(options_.resync_bytes_per_second)));
  };
  pay(what.bytes + 256);
  FF_CO_TRY(co_await runtime::sleep_until(session->paid));
  FF_CO_TRY_ASSIGN(const auto lock, co_await locks_.lock(chunk));
  FF_CO_TRY(session_holds(place_.version == session->version && may_serve(life_, place_)));
  auto sent = co_await send_image(session->view, session->to.target, chunk, false);
  if (!sent && sent.error().code() == Errc::kCorrupt) {
    // Our own copy is bad.
    const auto repaired = co_await repair(chunk, std::nullopt, std::nullopt);
    if (!repaired && repaired.error().code() != Errc::kCorrupt) co_return fail(repaired.error());
    if (!repaired) start_repair(chunk);  // says so, and tries again
    sent = co_await send_image(session->view, session->to.target, chunk, false, true);
  }
  if (!sent) co_return fail(sent.error());
  if (*sent > what.bytes) pay(*sent - what.bytes);
  co_return {};
}

// REQUIRES: the chunk is locked.
Task<Result<std::uint64_t>> Target::send_image(std::shared_ptr<const RoutingView> view, TargetId to, ChunkId chunk,
                                               bool repair, bool damaged) {
  rpc::Client* const client = host_.peers.of(*view, to);
  const Chain* const mine = view->chain(place_.chain);
  if (client == nullptr || mine == nullptr) co_return fail(Errc::kUnavailable, "the successor's address is not known");
  SyncInstallRequest request;
  request.set_chain(number(mine->id));
  request.set_chain_version(mine->version);
  request.set_from_target(number(id_));
  request.set_target(number(to));
  request.set_repair(repair);
  // Who is syncing gets what is pending as well; who serves has it staged, and its base repaired.
  auto copy = co_await copy_of(chunk, !repair, damaged);
  if (!copy && copy.error().code() != Errc::kNotFound) co_return fail(copy.error());
  std::span<const std::byte> content;
  if (copy) {
    *request.mutable_image() = copy->image;
    content = copy->content();
  } else {
    request.set_forget(true);
    set(*request.mutable_image()->mutable_chunk()->mutable_chunk(), chunk);
  }
  FF_CO_TRY_ASSIGN(const auto reply,
                   co_await ChunksClient(*client).sync_install(request, {.timeout = options_.forward_timeout * 2,
                                                                         .attempts = 2,
                                                                         .wait_for_connection = false,
                                                                         .traffic = net::TrafficClass::kStorage,
                                                                         .bulk_send = content}));
  if (reply.code() != STORAGE_OK)
    co_return fail(Errc::kUnavailable, fmt::format("{}: the successor answers {} {}", to_text(chunk),
                                                   StorageCode_Name(reply.code()), reply.detail()));
  sync_done_bytes_ += content.size();
  metrics_.resync_sent_bytes.add(content.size());
  sync_left_bytes_ -= std::min<std::uint64_t>(sync_left_bytes_, content.size());
  co_return content.size();
}

}  // namespace ff::ffs
