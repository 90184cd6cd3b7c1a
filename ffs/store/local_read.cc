// Reading: from what was committed when the read began, or later.
#include <fmt/core.h>

#include <algorithm>

#include "ffs/store/local_store.hpp"

namespace ff::ffs {

using runtime::Task;

namespace {

constexpr std::uint32_t kVerifyBytes = 1u << 20;

std::unexpected<Error> not_there(ChunkId chunk, const char* what) {
  return fail(Errc::kNotFound, fmt::format("chunk {}: {}", to_text(chunk), what));
}

}  // namespace

Task<Result<ReadResult>> LocalChunkStore::read_content(ContentRef content, ChunkVersion version, std::uint32_t offset,
                                                       std::span<std::byte> into) {
  ReadResult out{.bytes = 0, .version = version, .length = content->length};
  if (offset >= content->length) co_return out;
  out.bytes = static_cast<std::uint32_t>(std::min<std::uint64_t>(into.size(), content->length - offset));
  FF_CO_TRY(co_await reader_.read(std::move(content), offset, into.first(out.bytes)));
  co_return out;
}

// A checkpoint writes later content into the block that a reader may be reading: the checksum tells, and the reader
// begins again with what is committed by then. Only when nothing has changed are the bytes on the disk wrong.
Task<Result<ReadResult>> LocalChunkStore::read(ChunkId chunk, std::uint32_t offset, std::span<std::byte> into) {
  for (;;) {
    const auto it = index_.find(chunk);
    if (it == index_.end() || !it->second.committed) co_return not_there(chunk, "no such chunk");
    const CommittedRef seen = it->second.committed;
    if (seen->removed) co_return not_there(chunk, "it was removed");
    auto out = co_await read_content(seen->content, seen->version, offset, into);
    if (out || out.error().code() != Errc::kCorrupt) co_return out;
    const auto now = index_.find(chunk);
    if (now != index_.end() && now->second.committed == seen) {
      mark_bad(chunk, seen);
      co_return std::unexpected(std::move(out).error().context(fmt::format("chunk {}", to_text(chunk))));
    }
  }
}

Task<Result<ReadResult>> LocalChunkStore::read_pending(ChunkId chunk, std::uint32_t offset, std::span<std::byte> into) {
  for (;;) {
    const auto it = index_.find(chunk);
    if (it == index_.end() || !it->second.pending) co_return not_there(chunk, "nothing is pending");
    const ContentRef seen = it->second.pending->content;
    auto out = co_await read_content(seen, it->second.pending->version, offset, into);
    if (out || out.error().code() != Errc::kCorrupt) co_return out;
    const auto now = index_.find(chunk);
    if (now != index_.end() && now->second.pending && now->second.pending->content == seen) {
      co_return std::unexpected(std::move(out).error().context(fmt::format("chunk {}, pending", to_text(chunk))));
    }
  }
}

void LocalChunkStore::mark_bad(ChunkId chunk, const CommittedRef& seen) {
  const auto it = index_.find(chunk);
  if (it == index_.end() || !it->second.committed || it->second.committed->bad ||
      it->second.committed->version != seen->version) {
    return;
  }
  auto bad = std::make_shared<CommittedState>(*it->second.committed);
  bad->bad = true;
  count(it->second.committed.get(), -1);
  count(bad.get(), 1);
  it->second.committed = std::move(bad);
  changed(chunk);
  // A store that takes no more updates still says so until it is opened again.
  if (usable()) enqueue(encode_bad(chunk, seen->version), false);
}

// Every byte of what was seen has been read since.
Task<Result<>> LocalChunkStore::clear_bad(ChunkId chunk, CommittedRef seen) {
  const std::uint64_t bytes = state_bytes_max(seen->content->crcs.size(), 0, superblock_.options.checksum_bytes);
  FF_CO_TRY_ASSIGN(auto permit, co_await queue_room_.acquire(bytes));
  const auto it = index_.find(chunk);
  if (!usable() || it == index_.end() || it->second.committed != seen || it->second.pending) co_return {};
  auto good = std::make_shared<CommittedState>(*seen);
  good->bad = false;
  count(seen.get(), -1);
  count(good.get(), 1);
  it->second.committed = std::move(good);
  changed(chunk);
  queue_.permits.push_back(std::move(permit));
  enqueue(encode_state(chunk, it->second.committed.get(), nullptr), false);
  co_return {};
}

Task<Result<>> LocalChunkStore::verify(ChunkId chunk) {
  const auto it = index_.find(chunk);
  if (it == index_.end() || !it->second.committed) co_return not_there(chunk, "no such chunk");
  const CommittedRef seen = it->second.committed;
  if (seen->removed) co_return {};
  FF_CO_TRY_ASSIGN(auto buffer, env_.disk().buffer(kVerifyBytes));
  for (std::uint32_t at = 0;; at += kVerifyBytes) {
    auto part = co_await read(chunk, at, buffer.span());
    if (!part && part.error().code() == Errc::kNotFound) co_return {};  // removed meanwhile
    FF_CO_TRY(part);
    if (part->bytes < kVerifyBytes) break;
  }
  if (seen->bad) FF_CO_TRY(co_await clear_bad(chunk, seen));
  co_return {};
}

// Block by block: a block is what can be told good from bad.
Task<Result<DamagedContent>> LocalChunkStore::read_damaged(ChunkId chunk, bool pending, std::span<std::byte> into) {
  const auto it = index_.find(chunk);
  const bool there = it != index_.end() && (pending ? it->second.pending != nullptr : it->second.committed != nullptr);
  if (!there) co_return not_there(chunk, pending ? "nothing is pending" : "no such chunk");
  if (!pending && it->second.committed->removed) co_return not_there(chunk, "it was removed");
  const ContentRef content = pending ? it->second.pending->content : it->second.committed->content;
  DamagedContent out{.version = pending ? it->second.pending->version : it->second.committed->version,
                     .length = content->length,
                     .crcs = content->crcs};
  if (into.size() < out.length) {
    co_return fail(Errc::kInvalidArgument,
                   fmt::format("chunk {}: {} bytes of room for {}", to_text(chunk), into.size(), out.length));
  }
  const std::uint32_t unit = superblock_.options.checksum_bytes;
  FF_CO_TRY_ASSIGN(auto buffer, env_.disk().buffer(unit));
  for (std::uint32_t i = 0; i < out.crcs.size(); ++i) {
    const auto part = into.subspan(std::size_t{i} * unit, std::min(unit, out.length - i * unit));
    const Result<> read = co_await reader_.read_blocks(content, i, 1, buffer.span());
    if (!read && read.error().code() != Errc::kCorrupt) co_return fail(read.error());
    if (read) std::ranges::copy(buffer.span().first(part.size()), part.begin());
    if (!read) std::ranges::fill(part, std::byte{0});
  }
  co_return out;
}

}  // namespace ff::ffs
