#include "ffs/daemon/chain_file_chunks.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "libcommon/runtime/scope.hpp"

namespace ff::ffs {

using runtime::Task;

namespace {

Task<Result<>> one_update(StorageClient& storage, ChunkUpdateOp op) {
  auto results = co_await storage.update({op});
  if (!results[0]) co_return fail(std::move(results[0]).error());
  co_return {};
}

}  // namespace

Result<std::vector<ChainId>> ChainFileChunks::table(const Layout& layout) const {
  const auto view = routing_.current();
  const auto chains = view == nullptr ? std::span<const ChainId>() : view->table(layout.table, layout.table_version);
  if (chains.empty()) {
    return fail(Errc::kUnavailable, fmt::format("chain table {} version {}: not known to the manager",
                                                number(layout.table), layout.table_version));
  }
  return std::vector<ChainId>(chains.begin(), chains.end());
}

Result<std::vector<ChainId>> ChainFileChunks::chains_of(InodeId inode, const Layout& layout) const {
  FF_TRY_ASSIGN(const std::vector<ChainId> all, table(layout));
  std::vector<ChainId> chains;
  const std::uint64_t stripe = std::min<std::uint64_t>(layout.stripe, all.size());
  for (std::uint64_t i = 0; i < stripe; ++i) chains.push_back(chain_of(layout, inode, i, all));
  return chains;
}

Task<Result<>> ChainFileChunks::remove_from(InodeId inode, Layout layout, std::uint64_t from, std::uint64_t epoch,
                                            bool older_only) {
  FF_CO_TRY_ASSIGN(const std::vector<ChainId> chains, chains_of(inode, layout));
  std::vector<Task<Result<std::uint64_t>>> removals;
  for (const ChainId chain : chains) removals.push_back(storage_.remove_chunks(chain, inode, from, epoch, older_only));
  for (const auto& removed : co_await runtime::when_all(std::move(removals))) {
    if (!removed) co_return fail(removed.error());
  }
  co_return {};
}

Task<Result<>> ChainFileChunks::remove_all(InodeId inode, Layout layout, std::uint64_t epoch) {
  co_return co_await remove_from(inode, layout, 0, epoch, false);
}

// Whole chunks go first: a reader that finds the last one cut finds nothing behind it. The last one is told of the
// epoch even when it is short enough, so that it takes no late writes of earlier ones.
Task<Result<>> ChainFileChunks::cut(InodeId inode, Layout layout, std::uint64_t size, std::uint64_t epoch) {
  FF_CO_TRY_ASSIGN(const std::vector<ChainId> all, table(layout));
  const std::uint64_t last = size / layout.chunk_bytes;
  const auto rest = static_cast<std::uint32_t>(size % layout.chunk_bytes);
  FF_CO_TRY(co_await remove_from(inode, layout, rest == 0 ? last : last + 1, epoch, true));
  if (rest == 0) co_return {};
  co_return co_await one_update(storage_, {.chain = chain_of(layout, inode, last, all),
                                           .chunk = {inode, last},
                                           .kind = UpdateKind::kTruncate,
                                           .length = rest,
                                           .chunk_bytes = layout.chunk_bytes,
                                           .truncate_epoch = epoch,
                                           .older_only = true});
}

Task<Result<std::uint64_t>> ChainFileChunks::length(InodeId inode, Layout layout) {
  FF_CO_TRY_ASSIGN(const std::vector<ChainId> chains, chains_of(inode, layout));
  std::vector<Task<Result<FileOnChain>>> questions;
  for (const ChainId chain : chains) questions.push_back(storage_.last_chunk(chain, inode));
  std::uint64_t end = 0;
  for (const auto& found : co_await runtime::when_all(std::move(questions))) {
    if (!found) co_return fail(found.error());
    if (found->found) end = std::max(end, found->index * layout.chunk_bytes + found->length);
  }
  co_return end;
}

Task<Result<>> ChainFileChunks::store(InodeId inode, Layout layout, std::uint64_t epoch, std::string data) {
  if (data.empty()) co_return {};
  FF_CO_TRY_ASSIGN(const std::vector<ChainId> all, table(layout));
  // Smaller than the smallest chunk.
  co_return co_await one_update(storage_, {.chain = chain_of(layout, inode, 0, all),
                                           .chunk = {inode, 0},
                                           .kind = UpdateKind::kWrite,
                                           .data = std::as_bytes(std::span(data)),
                                           .chunk_bytes = layout.chunk_bytes,
                                           .truncate_epoch = epoch,
                                           .older_only = true});
}

}  // namespace ff::ffs
