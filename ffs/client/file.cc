#include <fmt/core.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "ffs/client/file_system.hpp"
#include "ffs/storage/storage_client.hpp"

namespace ff::ffs {

using namespace std::chrono_literals;
using runtime::Task;

namespace {

constexpr runtime::Duration kRoutingWait = 5s;
constexpr std::uint64_t kQuotaStep = 1u << 20;  // so much may be written without asking what is left of a quota
constexpr runtime::Duration kQuotaPause = 1s;   // between questions where nothing is left
constexpr int kTruncatedTurns = 16;             // others may truncate again meanwhile

Layout layout_of(const LayoutInfo& info) {
  return {.table = TableId{info.table()},
          .table_version = info.table_version(),
          .chunk_bytes = info.chunk_bytes(),
          .stripe = info.stripe()};
}

void set_time(Timestamp& to, runtime::WallTime when) {
  const auto since = std::chrono::duration_cast<std::chrono::nanoseconds>(when.time_since_epoch());
  const auto seconds = std::chrono::floor<std::chrono::seconds>(since);
  to.set_seconds(seconds.count());
  to.set_nanoseconds(static_cast<std::uint32_t>((since - seconds).count()));
}

// The first error of a batch.
template <class T>
Result<> all_done(const std::vector<Result<T>>& results) {
  for (const Result<T>& result : results) {
    if (!result) return fail(result.error());
  }
  return {};
}

}  // namespace

File::File(FileSystem& fs, OpenReply reply, bool writes) : fs_(fs), handle_(reply.handle()), writes_(writes) {
  take_quota(reply.has_quota() ? &reply.quota() : nullptr);
  take(std::move(*reply.mutable_attributes()));
  content_ = attributes_.inline_data();
  attributes_.clear_inline_data();
}

File::~File() = default;

// The content of a file in its inode is taken only at open(): what was written since must not be lost. Answers overtake
// each other: one that is older than what is known tells nothing.
void File::take(Attributes attributes) {
  if (attributes.version() < attributes_.version()) return;
  if (attributes.truncate_epoch() != attributes_.truncate_epoch()) {
    if (wrote_) doubtful_end_ = std::max(doubtful_end_, seen_end_);
    seen_end_ = 0;
  }
  attributes_ = std::move(attributes);
  layout_ = layout_of(attributes_.layout());
  if (!in_inode()) attributes_.set_size(std::max(attributes_.size(), seen_end_));
}

Task<Result<>> File::refresh() {
  // The content that settle() has on its way to the service must not be replaced by what the service had before.
  std::optional<runtime::Mutex::Lock> lock;
  if (in_inode()) {
    FF_CO_TRY_ASSIGN(lock, co_await moving_.lock());
  }
  StatRequest request;
  request.mutable_where()->set_base(attributes_.inode());
  FF_CO_TRY_ASSIGN(StatReply reply, co_await fs_.meta().stat(std::move(request)));
  if (reply.attributes().version() < attributes_.version()) co_return {};
  if (in_inode() && reply.attributes().inlined()) {
    if (!wrote_ && reply.attributes().inline_data().size() != reply.attributes().size()) {
      co_return fail(Errc::kPermission,
                     fmt::format("inode {}: not readable for this user any more", attributes_.inode()), EACCES);
    }
    if (!wrote_) {
      content_ = reply.attributes().inline_data();
      take(std::move(*reply.mutable_attributes()));
      attributes_.clear_inline_data();
    }
    co_return {};
  }
  if (in_inode() && wrote_) {
    co_return fail(Errc::kUnavailable,
                   fmt::format("inode {}: another writer has replaced the small file meanwhile", attributes_.inode()),
                   ESTALE);
  }
  content_.clear();
  take(std::move(*reply.mutable_attributes()));
  co_return {};
}

Task<Result<std::vector<ChainId>>> File::chains() {
  auto view = fs_.routing();
  for (int turn = 0; turn < 2; ++turn) {
    if (view != nullptr) {
      const auto found = view->table(layout_.table, layout_.table_version);
      if (!found.empty()) co_return std::vector<ChainId>(found.begin(), found.end());
    }
    if (turn > 0) break;
    FF_CO_TRY_ASSIGN(view, co_await fs_.newer_routing(kRoutingWait));
  }
  co_return fail(Errc::kUnavailable,
                 fmt::format("inode {}: chain table {} version {} is not known to the manager", attributes_.inode(),
                             number(layout_.table), layout_.table_version),
                 EIO);
}

Task<Result<std::size_t>> File::read(std::uint64_t offset, std::span<std::byte> into) {
  if (into.empty()) co_return 0;
  if (offset > kFileBytesMax || into.size() > kFileBytesMax - offset) co_return 0;
  // Somebody else may have made it longer.
  if (offset + into.size() > size()) {
    FF_CO_TRY(co_await refresh());
    FF_CO_TRY(co_await settle_doubt());
  }
  if (offset >= size()) co_return 0;
  into = into.first(std::min<std::uint64_t>(into.size(), size() - offset));
  if (in_inode()) {
    std::memcpy(into.data(), content_.data() + offset, into.size());
    co_return into.size();
  }
  FF_CO_TRY(co_await read_chunks(offset, into));
  co_return into.size();
}

Task<Result<>> File::read_chunks(std::uint64_t offset, std::span<std::byte> into) {
  FF_CO_TRY_ASSIGN(const std::vector<ChainId> chains, co_await this->chains());
  FF_CO_TRY_ASSIGN(const std::vector<Extent> extents, split(layout_, offset, into.size()));
  const InodeId inode{attributes_.inode()};
  std::vector<ChunkReadOp> ops;
  ops.reserve(extents.size());
  for (const Extent& extent : extents) {
    ops.push_back({.chain = chain_of(layout_, inode, extent.chunk_index, chains),
                   .chunk = {inode, extent.chunk_index},
                   .offset = extent.offset,
                   .into = into.subspan(extent.buffer_offset, extent.bytes)});
  }
  const auto results =
      co_await fs_.storage().read(std::move(ops), fs_.options().relaxed_reads ? ReadMode::kRelaxed : ReadMode::kStrict);
  FF_CO_TRY(all_done(results));
  for (std::size_t i = 0; i < extents.size(); ++i) {
    // What lies beyond the chunk's end, and within the file's, was never written.
    std::ranges::fill(into.subspan(extents[i].buffer_offset + results[i]->bytes, extents[i].bytes - results[i]->bytes),
                      std::byte{0});
  }
  co_return {};
}

Task<Result<>> File::write(std::uint64_t offset, std::span<const std::byte> from) {
  if (!writes_) co_return fail(Errc::kPermission, "file: not open for writing", EBADF);
  if (from.empty()) co_return {};
  if (offset > kFileBytesMax || from.size() > kFileBytesMax - offset) {
    co_return fail(Errc::kInvalidArgument, fmt::format("write at {}: beyond the largest file (2^62 bytes)", offset),
                   EFBIG);
  }
  const std::uint64_t end = offset + from.size();
  if (room_ && end > size()) FF_CO_TRY(co_await check_quota(end));
  if (in_inode()) {
    if (fs_.options().inline_small && end <= kInlineBytes) {
      FF_CO_TRY_ASSIGN(const bool written, co_await write_inode(offset, from));
      if (written) co_return {};
    } else {
      FF_CO_TRY(co_await leave_inode());
    }
  }
  co_return co_await write_chunks(offset, from);
}

void File::take_quota(const QuotaLeft* left) {
  if (left == nullptr) {
    room_.reset();
    return;
  }
  const std::uint64_t bytes = std::min(left->bytes(), kFileBytesMax);
  room_ = Room{.end = left->size() + bytes,
               .ask = left->size() + std::max(bytes / 2, std::min(bytes, kQuotaStep)),
               .told = fs_.env().now()};
}

Task<Result<>> File::check_quota(std::uint64_t end) {
  if (end <= room_->ask) co_return {};
  const bool full = end > room_->end;
  if (!full || fs_.env().now() - room_->told >= kQuotaPause || wrote_) {
    if (wrote_) {
      FF_CO_TRY(co_await settle(false));
    } else {
      CloseRequest question;
      question.set_inode(attributes_.inode());
      question.set_handle(handle_);
      FF_CO_TRY_ASSIGN(const CloseReply reply, co_await fs_.meta().close(std::move(question)));
      if (reply.has_attributes()) take_quota(reply.has_quota() ? &reply.quota() : nullptr);
    }
  }
  if (!room_ || end <= room_->end) co_return {};
  co_return fail(Errc::kExhausted,
                 fmt::format("inode {}: its quota lets it become {} bytes long", attributes_.inode(),
                             std::max(room_->end, attributes_.size())),
                 EDQUOT);
}

// Where the file was truncated meanwhile, the chunks that heard of it refuse: they are written once more, on top of the
// truncate. Those that took their part already are not: what others have written there since would be undone.
Task<Result<>> File::write_chunks(std::uint64_t offset, std::span<const std::byte> from) {
  FF_CO_TRY_ASSIGN(std::vector<Extent> extents, split(layout_, offset, from.size()));
  for (int turn = 0; turn < kTruncatedTurns; ++turn) {
    if (turn > 0) FF_CO_TRY(co_await refresh());
    FF_CO_TRY_ASSIGN(extents, co_await write_extents(offset, from, std::move(extents)));
    if (extents.empty()) co_return {};
  }
  co_return fail(truncated_again());
}

Task<Result<std::vector<Extent>>> File::write_extents(std::uint64_t offset, std::span<const std::byte> from,
                                                      std::vector<Extent> extents) {
  FF_CO_TRY_ASSIGN(const std::vector<ChainId> chains, co_await this->chains());
  const InodeId inode{attributes_.inode()};
  const std::uint64_t epoch = attributes_.truncate_epoch();
  std::vector<ChunkUpdateOp> ops;
  ops.reserve(extents.size());
  for (const Extent& extent : extents) {
    ops.push_back({.chain = chain_of(layout_, inode, extent.chunk_index, chains),
                   .chunk = {inode, extent.chunk_index},
                   .kind = UpdateKind::kWrite,
                   .offset = extent.offset,
                   .data = from.subspan(extent.buffer_offset, extent.bytes),
                   .chunk_bytes = layout_.chunk_bytes,
                   .truncate_epoch = epoch});
  }
  wrote_ = true;
  const auto results = co_await fs_.storage().update(std::move(ops));
  wrote_ = true;  // a sync() that came meanwhile did not know of these
  std::vector<Extent> refused;
  std::uint64_t end = 0;
  for (std::size_t i = 0; i < extents.size(); ++i) {
    if (results[i]) {
      end = std::max(end, offset + extents[i].buffer_offset + extents[i].bytes);
    } else if (is_stale_epoch(results[i].error())) {
      refused.push_back(extents[i]);
    }
  }
  if (epoch == attributes_.truncate_epoch()) {
    seen_end_ = std::max(seen_end_, end);
    attributes_.set_size(std::max(attributes_.size(), seen_end_));
  } else {
    doubtful_end_ = std::max(doubtful_end_, end);
  }
  for (const auto& result : results)
    if (!result && !is_stale_epoch(result.error())) co_return fail(result.error());
  co_return refused;
}

// False: the content has left the inode meanwhile.
Task<Result<bool>> File::write_inode(std::uint64_t offset, std::span<const std::byte> from) {
  FF_CO_TRY_ASSIGN(const auto lock, co_await moving_.lock());
  if (!in_inode()) co_return false;
  if (content_.size() < offset + from.size()) content_.resize(offset + from.size());
  std::memcpy(content_.data() + offset, from.data(), from.size());
  attributes_.set_size(content_.size());
  wrote_ = true;
  co_return true;
}

// The metadata service moves the content, under a truncate epoch of its own: a copy that is older than another writer's
// cannot get there.
Task<Result<>> File::leave_inode() {
  FF_CO_TRY_ASSIGN(const auto lock, co_await moving_.lock());
  if (!in_inode()) co_return {};
  CloseRequest request;
  request.set_inode(attributes_.inode());
  request.set_handle(handle_);
  request.set_leave_inline(true);
  request.set_wrote(wrote_);
  request.set_inline_version(attributes_.version());
  if (wrote_) request.set_inline_data(content_);
  FF_CO_TRY_ASSIGN(CloseReply reply, co_await fs_.meta().close(std::move(request)));
  content_.clear();
  wrote_ = false;
  take_quota(reply.has_quota() ? &reply.quota() : nullptr);
  take(std::move(*reply.mutable_attributes()));
  co_return {};
}

Task<Result<>> File::truncate(std::uint64_t size) {
  if (!writes_) co_return fail(Errc::kPermission, "file: not open for writing", EBADF);
  if (size > kFileBytesMax)
    co_return fail(Errc::kInvalidArgument, fmt::format("truncate to {}: beyond the largest file", size), EFBIG);
  if (in_inode() && size <= kInlineBytes) {
    FF_CO_TRY_ASSIGN(const auto lock, co_await moving_.lock());
    if (in_inode()) {
      content_.resize(size);
      attributes_.set_size(size);
      wrote_ = true;
      co_return {};
    }
  } else if (in_inode()) {
    FF_CO_TRY(co_await leave_inode());
  }
  TruncateRequest request;
  request.mutable_where()->set_base(attributes_.inode());
  request.set_size(size);
  FF_CO_TRY_ASSIGN(StatReply reply, co_await fs_.meta().truncate(std::move(request)));
  // All of it came before, unless the new epoch is known already: what was written under that came after.
  if (reply.attributes().truncate_epoch() > attributes_.truncate_epoch()) seen_end_ = doubtful_end_ = 0;
  take(std::move(*reply.mutable_attributes()));
  co_return {};
}

Task<Result<>> File::sync() { co_return co_await settle(false); }

Task<Result<>> File::close() {
  if (!writes_) co_return {};
  co_return co_await settle(true);
}

Task<Result<std::uint64_t>> File::chunks_end() {
  FF_CO_TRY_ASSIGN(const std::vector<ChainId> all, co_await chains());
  const InodeId inode{attributes_.inode()};
  std::uint64_t end = 0;
  for (std::uint64_t i = 0; i < std::min<std::uint64_t>(layout_.stripe, all.size()); ++i) {
    FF_CO_TRY_ASSIGN(const FileOnChain found,
                     co_await fs_.storage().last_chunk(chain_of(layout_, inode, i, all), inode));
    if (found.found) end = std::max(end, found.index * layout_.chunk_bytes + found.length);
  }
  co_return end;
}

// A write under an earlier truncate epoch is acknowledged where its chunk did not hear of the truncate: there was
// nothing to cut. Such a write came after the truncate, but the metadata service does not take its length under that
// epoch. An epoch is told only when its cut is done, so what the chunks hold beyond the size then is of that kind.
Task<Result<bool>> File::settle_doubt() {
  const std::uint64_t doubtful = doubtful_end_;
  const std::uint64_t epoch = attributes_.truncate_epoch();
  if (doubtful > size()) {
    FF_CO_TRY_ASSIGN(const std::uint64_t end, co_await chunks_end());
    // Cut once more meanwhile: the doubt stays.
    if (attributes_.truncate_epoch() != epoch || doubtful_end_ != doubtful) co_return false;
    if (end > size()) {
      doubtful_end_ = 0;
      seen_end_ = std::max(seen_end_, std::min(doubtful, end));
      attributes_.set_size(std::max(attributes_.size(), seen_end_));
      wrote_ = true;
      co_return true;
    }
  }
  doubtful_end_ = 0;
  co_return false;
}

Task<Result<>> File::settle(bool close) {
  FF_CO_TRY_ASSIGN(const auto lock, co_await moving_.lock());
  // Only now: what another sync() has taken is not durable before that one is done.
  if (!close && !wrote_) co_return {};
  for (int turn = 0; turn < kTruncatedTurns; ++turn) {
    FF_CO_TRY(co_await settle_once(close));
    FF_CO_TRY_ASSIGN(const bool more, co_await settle_doubt());
    if (!more && doubtful_end_ == 0) co_return {};
    if (close) FF_CO_TRY(co_await open_again());
  }
  co_return fail(truncated_again());
}

Error File::truncated_again() const {
  return Error(Errc::kUnavailable,
               fmt::format("inode {}: truncated again and again by others (try again)", attributes_.inode()));
}

Task<Result<>> File::open_again() {
  OpenRequest request;
  request.mutable_where()->set_base(attributes_.inode());
  request.set_write(true);
  FF_CO_TRY_ASSIGN(const OpenReply reply, co_await fs_.meta().open(std::move(request)));
  handle_ = reply.handle();
  co_return {};
}

Task<Result<>> File::settle_once(bool close) {
  CloseRequest request;
  request.set_inode(attributes_.inode());
  request.set_handle(handle_);
  request.set_close(close);
  request.set_wrote(wrote_);
  const std::uint64_t request_epoch = attributes_.truncate_epoch();
  request.set_truncate_epoch(request_epoch);
  if (wrote_) {
    request.set_set_modified(true);
    set_time(*request.mutable_modified(), fs_.env().wall_now());
    if (in_inode()) {
      request.set_inline_write(true);
      request.set_inline_data(content_);
      request.set_inline_version(attributes_.version());
    } else {
      request.set_length_seen(seen_end_);
    }
  }
  const bool wrote = std::exchange(wrote_, false);
  Result<CloseReply> reply = co_await fs_.meta().close(std::move(request));
  if (!reply) {
    wrote_ = wrote_ || wrote;
    co_return fail(std::move(reply).error());
  }
  if (wrote && reply->has_attributes() && reply->attributes().truncate_epoch() != request_epoch)
    doubtful_end_ = std::max(doubtful_end_, seen_end_);
  if (!reply->has_attributes()) co_return {};  // the session had ended already
  if (!close) take_quota(reply->has_quota() ? &reply->quota() : nullptr);
  // Written to meanwhile: newer than the answer.
  if (!wrote_ || !in_inode()) {
    take(std::move(*reply->mutable_attributes()));
  } else {
    attributes_.set_version(std::max(attributes_.version(), reply->attributes().version()));
  }
  co_return {};
}

}  // namespace ff::ffs
