// Space: where free blocks come from.
#include <fmt/core.h>

#include <algorithm>

#include "ffs/store/local_store.hpp"

namespace ff::ffs {

using runtime::Task;

namespace {

constexpr std::uint32_t kGroupBlocks = 256;
// Places without bytes kept beyond one for each block, for updates under way.
constexpr std::uint32_t kSparePlaces = 64;

// A class grows by as much as it has, from a few blocks to a whole group.
std::uint32_t growth(unsigned size_class, std::uint32_t blocks) {
  const std::uint32_t least = class_bytes(size_class) >= (8u << 20) ? 1 : 4;
  return std::clamp(blocks, least, kGroupBlocks);
}

}  // namespace

Task<Result<>> LocalChunkStore::find_capacity() {
  capacity_bytes_ = superblock_.options.capacity_bytes;
  if (capacity_bytes_ > 0) co_return {};
  FF_CO_TRY_ASSIGN(const auto space, co_await env_.disk().space(folder_));
  const std::uint64_t ours = space.free_bytes + blocks_->grown_bytes();
  capacity_bytes_ = ours - std::min(ours, space.total_bytes / 20);
  co_return {};
}

// A place without bytes is kept for every block, so that chunks can be removed on a full disk: what takes one asks for
// more while there are some left.
Task<Result<BlockRef>> LocalChunkStore::take_block(unsigned size_class) {
  for (int attempt = 0;; ++attempt) {
    if (size_class == 0 && blocks_->free(0) > 0 && blocks_->free(0) <= blocks_->data_blocks_used()) {
      FF_CO_TRY_ASSIGN(const auto lock, co_await growing_.lock());
      Result<> more = co_await grow_files(0, kSparePlaces);
      if (!more && more.error().code() != Errc::kExhausted) co_return std::unexpected(std::move(more).error());
    }
    if (BlockRef block = blocks_->take(size_class)) co_return block;
    Result<> grown = co_await grow(size_class);
    if (grown) continue;
    if (grown.error().code() != Errc::kExhausted) co_return std::unexpected(std::move(grown).error());
    // What larger chunks have left serves as well.
    for (unsigned larger = size_class + 1; size_class > 0 && larger < kSizeClasses; ++larger) {
      if (BlockRef block = blocks_->take(larger)) co_return block;
    }
    if (attempt > 0) co_return std::unexpected(std::move(grown).error());
    FF_CO_TRY(co_await free_what_ended());
  }
}

// What is over keeps its blocks until the batch that says so is durable, and the checkpoint that writes them has ended.
Task<Result<>> LocalChunkStore::free_what_ended() {
  FF_CO_TRY(co_await sync());
  while (checkpoint_runs_) {
    FF_CO_TRY(usable());
    FF_CO_TRY(co_await checkpoint_ended_.wait());
  }
  co_return {};
}

Task<Result<>> LocalChunkStore::grow(unsigned size_class) {
  FF_CO_TRY_ASSIGN(const auto lock, co_await growing_.lock());
  if (blocks_->free(size_class) > 0) co_return {};
  if (size_class == 0) co_return co_await grow_files(0, kSparePlaces);
  const std::uint64_t size = class_bytes(size_class), grown = blocks_->grown_bytes();
  const std::uint64_t left = (capacity_bytes_ - std::min(capacity_bytes_, grown)) / size;
  auto blocks =
      static_cast<std::uint32_t>(std::min<std::uint64_t>(left, growth(size_class, blocks_->blocks(size_class))));
  Result<> result = fail(Errc::kExhausted, fmt::format("{}: no free block of {} bytes ({} of {} bytes given to blocks)",
                                                       folder_, size, grown, capacity_bytes_));
  for (; blocks > 0 && !result; blocks /= 2) {
    const std::uint64_t places = blocks_->used(0) + blocks_->data_blocks() + blocks + kSparePlaces;
    if (places > blocks_->blocks(0)) {
      result = co_await grow_files(0, static_cast<std::uint32_t>(places - blocks_->blocks(0)));
      if (!result && result.error().code() == Errc::kExhausted) continue;
      FF_CO_TRY(result);
    }
    result = co_await grow_files(size_class, blocks);
    if (!result && result.error().code() != Errc::kExhausted) break;
  }
  co_return result;
}

// The new sizes are durable before a record can name the new blocks.
Task<Result<>> LocalChunkStore::grow_files(unsigned size_class, std::uint32_t blocks) {
  const std::uint64_t old = blocks_->blocks(size_class);
  const std::uint64_t record = table_record_bytes(size_class, superblock_.options.checksum_bytes);
  const auto grow_file = [](runtime::File& file, std::uint64_t offset, std::uint64_t bytes) -> Task<Result<>> {
    FF_CO_TRY(co_await file.allocate(offset, bytes));
    co_return co_await file.sync();
  };
  Result<> result = co_await grow_file(files_->table(size_class), old * record, blocks * record);
  if (result && size_class > 0) {
    const std::uint64_t size = class_bytes(size_class);
    result = co_await grow_file(files_->blocks(size_class), old * size, blocks * size);
  }
  if (result) {
    blocks_->grow(size_class, blocks);
  } else if (result.error().code() != Errc::kExhausted && !(co_await runtime::current_context()).cancelled()) {
    fail_store(result.error());
  }
  co_return result;
}

}  // namespace ff::ffs
