// Sending updates on to the successor, and whole chunks to one that is syncing.
#include <fmt/core.h>

#include <algorithm>
#include <cstring>

#include "ffs/storage/storage.ff.hpp"
#include "ffs/storage/storage_convert.hpp"
#include "ffs/storage/storage_peers.hpp"
#include "ffs/storage/target.hpp"

namespace ff::ffs {

using runtime::Task;

namespace {

void set_op(UpdateOp& out, const ChunkUpdate& update, std::uint32_t crc) {
  set(*out.mutable_chunk(), update.chunk);
  out.set_type(to_type(update.kind));
  out.set_offset(update.offset);
  out.set_bytes(static_cast<std::uint32_t>(update.data.size()));
  out.set_length(update.length);
  out.set_chunk_bytes(update.chunk_bytes);
  out.set_truncate_epoch(update.truncate_epoch);
  set(*out.mutable_tag(), update.tag);
  out.set_crc(crc);
}

}  // namespace

Task<std::vector<Target::Outcome>> Target::send_on(std::shared_ptr<const RoutingView> view, Member to,
                                                   std::vector<AttemptPtr> attempts) {
  for (const AttemptPtr& attempt : attempts) attempt->sent = true;
  if (to.state != SYNCING) co_return co_await send_updates(std::move(view), to, std::move(attempts));
  std::vector<Task<Outcome>> tasks;
  for (const AttemptPtr& attempt : attempts) tasks.push_back(send_whole(view, to, attempt));
  co_return co_await runtime::when_all(std::move(tasks));
}

Task<std::vector<Target::Outcome>> Target::send_based(std::shared_ptr<const RoutingView> view, Member to,
                                                      std::vector<AttemptPtr> attempts) {
  std::vector<Outcome> out(attempts.size());
  std::vector<AttemptPtr> good;
  std::vector<std::size_t> which;
  for (std::size_t i = 0; i < attempts.size(); ++i) {
    if (!co_await attempts[i]->based->wait()) co_return out;
    if (attempts[i]->baseless && !attempts[i]->sent) continue;
    good.push_back(attempts[i]);
    which.push_back(i);
  }
  if (good.empty()) co_return out;
  std::vector<Outcome> sent = co_await send_on(std::move(view), to, std::move(good));
  for (std::size_t k = 0; k < which.size(); ++k) out[which[k]] = std::move(sent[k]);
  co_return out;
}

Task<std::vector<Target::Outcome>> Target::send_updates(std::shared_ptr<const RoutingView> view, Member to,
                                                        std::vector<AttemptPtr> attempts) {
  std::vector<Outcome> out(attempts.size(), Outcome{BUSY, "the successor does not answer"});
  rpc::Client* const client = host_.peers.of(*view, to.target);
  const Chain* const mine = view->chain(place_.chain);
  if (client == nullptr || mine == nullptr) co_return out;
  ForwardRequest request;
  request.set_chain(number(mine->id));
  request.set_chain_version(mine->version);
  request.set_from_target(number(id_));
  request.set_target(number(to.target));
  for (CommitMark& mark : marks_) *request.add_commits() = std::move(mark);
  marks_.clear();

  // Mostly all of one request, whose bytes lie together.
  std::uint64_t bytes = 0;
  bool together = true;
  const std::byte* begin = nullptr;
  const std::byte* end = nullptr;
  for (const AttemptPtr& attempt : attempts) {
    const auto data = attempt->update.data;
    if (data.empty()) continue;
    together = together && (begin == nullptr || attempt->memory.data() == attempts.front()->memory.data());
    begin = begin == nullptr ? data.data() : std::min(begin, data.data());
    end = end == nullptr ? data.data() + data.size() : std::max(end, data.data() + data.size());
    bytes += data.size();
  }
  together = together && (begin == nullptr || attempts.front()->memory.data() != nullptr);
  runtime::DiskBuffer gathered;
  if (!together) {
    auto memory = buffer(bytes);
    if (!memory) co_return out;
    gathered = std::move(*memory);
  }
  std::uint64_t at = 0;
  for (const AttemptPtr& attempt : attempts) {
    ForwardOp& op = *request.add_ops();
    set_op(*op.mutable_update(), attempt->update, attempt->crc);
    op.set_version(attempt->update.version);
    const auto data = attempt->update.data;
    if (data.empty()) continue;
    if (together) {
      op.mutable_update()->set_buffer_offset(static_cast<std::uint64_t>(data.data() - begin));
    } else {
      std::memcpy(gathered.data() + at, data.data(), data.size());
      op.mutable_update()->set_buffer_offset(at);
      at += data.size();
    }
  }
  const std::span<const std::byte> bulk =
      together ? std::span(begin, end) : std::span<const std::byte>(gathered.span()).first(bytes);
  const auto reply = co_await ChunksClient(*client).forward(request, {.timeout = options_.forward_timeout,
                                                                      .attempts = 1,
                                                                      .wait_for_connection = false,
                                                                      .traffic = net::TrafficClass::kStorage,
                                                                      .bulk_send = bulk});
  if (!reply) {
    for (Outcome& one : out) one.detail = reply.error().message();
    co_return out;
  }
  if (reply->ops_size() != static_cast<int>(attempts.size())) co_return out;
  for (std::size_t i = 0; i < attempts.size(); ++i) {
    const UpdateOpReply& one = reply->ops(static_cast<int>(i));
    out[i] = {one.code(), one.detail()};
    attempts[i]->crc_behind = one.code() == STORAGE_OK ? one.crc() : 0;
  }
  co_return out;
}

// A commit mark takes no lock, so the pending update may become the committed state while it is read: then again. That
// it is not there any more in the form that was looked for must never count as "there is none".
Task<Result<Target::Copy>> Target::copy_of(ChunkId chunk, bool pending, bool damaged) {
  constexpr int kTries = 4;
  for (int tries = 0; tries < kTries; ++tries) {
    const auto info = store_->info(chunk);
    if (!info) co_return fail(Errc::kNotFound, to_text(chunk) + ": not here");
    const bool staged = pending && info->pending.has_value();
    if (info->version == 0 && !staged) co_return fail(Errc::kNotFound, to_text(chunk) + ": nothing is committed");
    Copy out;
    set(out.image, *info, staged);
    if (const AttemptPtr open = open_of(chunk)) {
      // What came whole and is not known to be committed stays so wherever it goes.
      if (open->whole) out.image.mutable_chunk()->set_pending(true);
      if (staged)
        out.image.mutable_chunk()->set_truncate_epoch(std::max(info->truncate_epoch, open->update.truncate_epoch));
    }
    const std::uint32_t length = out.image.chunk().length();
    if (length == 0) co_return out;
    FF_CO_TRY_ASSIGN(out.memory, buffer(length));
    const auto span = out.memory.span().first(length);
    const auto read = staged ? co_await store_->read_pending(chunk, 0, span) : co_await store_->read(chunk, 0, span);
    if (!read && read.error().code() == Errc::kCorrupt && damaged) {
      const auto rest = co_await store_->read_damaged(chunk, staged, span);
      if (!rest && rest.error().code() != Errc::kNotFound) co_return fail(rest.error());
      if (!rest || rest->version != out.image.chunk().version() || rest->length != length) continue;
      for (const std::uint32_t crc : rest->crcs) out.image.add_block_crcs(crc);
      co_return out;
    }
    if (!read && read.error().code() != Errc::kNotFound) co_return fail(read.error());
    if (read && read->version == out.image.chunk().version() && read->bytes == length) co_return out;
  }
  co_return fail(Errc::kUnavailable, to_text(chunk) + ": it changes faster than it can be read");
}

Task<Target::Outcome> Target::send_whole(std::shared_ptr<const RoutingView> view, Member to, AttemptPtr attempt) {
  rpc::Client* const client = host_.peers.of(*view, to.target);
  const Chain* const mine = view->chain(place_.chain);
  if (client == nullptr || mine == nullptr) co_return Outcome{BUSY, "the successor's address is not known"};
  auto copy = co_await copy_of(attempt->update.chunk, true, true);
  if (!copy) co_return Outcome{code_of(copy.error()), copy.error().message()};
  if (copy->image.block_crcs_size() > 0) start_repair(attempt->update.chunk);
  ForwardRequest request;
  request.set_chain(number(mine->id));
  request.set_chain_version(mine->version);
  request.set_from_target(number(id_));
  request.set_target(number(to.target));
  ForwardOp& op = *request.add_ops();
  set_op(*op.mutable_update(), attempt->update, attempt->crc);
  op.set_version(attempt->update.version);
  op.set_whole_chunk(true);
  *op.mutable_image() = copy->image;
  const auto reply = co_await ChunksClient(*client).forward(request, {.timeout = options_.forward_timeout,
                                                                      .attempts = 1,
                                                                      .wait_for_connection = false,
                                                                      .traffic = net::TrafficClass::kStorage,
                                                                      .bulk_send = copy->content()});
  if (!reply) co_return Outcome{BUSY, reply.error().message()};
  if (reply->ops_size() != 1) co_return Outcome{BUSY, "the successor's answer makes no sense"};
  co_return Outcome{reply->ops(0).code(), reply->ops(0).detail()};
}

// The successor's chunk came out otherwise than ours. What each built on passed its checksums, or staging would have
// failed: so look at our own bytes again, and if they are good the successor takes them.
Task<Target::Outcome> Target::settle_dispute(std::shared_ptr<const RoutingView> view, Member with, AttemptPtr attempt) {
  const ChunkId chunk = attempt->update.chunk;
  ++bad_chunks_;
  if (++attempt->disputes > 2)
    co_return Outcome{CORRUPT, fmt::format("{}: targets {} and {} make different bytes of the same update",
                                           to_text(chunk), number(id_), number(with.target))};
  attempt->crc_behind = 0;
  if (auto mine = co_await copy_of(chunk, true); !mine && mine.error().code() == Errc::kCorrupt) {
    attempt->staged = false;
    if (auto done = co_await repair(chunk, attempt->update.version - 1, with.target); !done)
      co_return Outcome{code_of(done.error()), done.error().message()};
    co_return Outcome{BUSY, "our copy was bad and has been repaired"};
  }
  if (auto sent = co_await send_image(std::move(view), with.target, chunk, true); !sent)
    co_return Outcome{code_of(sent.error()), sent.error().message()};
  co_return Outcome{BUSY, "the successor's copy differed and has been replaced"};
}

}  // namespace ff::ffs
