#include "ffs/store/chunk_store.hpp"

#include <fmt/core.h>

#include "ffs/store/journal.hpp"
#include "ffs/store/local_store.hpp"

namespace ff::ffs {

using runtime::Disk;
using runtime::Task;

namespace {

std::string parent_of(const std::string& folder) {
  const std::size_t end = folder.find_last_not_of('/');
  const std::size_t slash = end == std::string::npos ? end : folder.rfind('/', end);
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : folder.substr(0, slash);
}

Task<Result<>> make_empty_folder(Disk& disk, std::string folder) {
  Result<> made = co_await disk.make_folder(folder);
  if (!made && made.error().code() != Errc::kAlreadyExists) co_return made;
  FF_CO_TRY_ASSIGN(const auto names, co_await disk.list(folder));
  for (const std::string& name : names) {
    if (name == "lost+found") continue;
    co_return fail(Errc::kAlreadyExists,
                   fmt::format("{}: not empty, has '{}' (remove it, or give another folder)", folder, name));
  }
  co_return co_await disk.sync_folder(parent_of(folder));
}

Task<Result<>> write_superblock(Disk& disk, std::string folder, StoreSuperblock superblock) {
  FF_CO_TRY_ASSIGN(auto file, co_await disk.open(store_path(folder, "superblock"),
                                                 {.write = true, .create = true, .exclusive = true}));
  const std::vector<std::byte> bytes = encode_superblock(superblock);
  FF_CO_TRY(co_await file->write(0, bytes));
  FF_CO_TRY(co_await file->sync());
  co_return co_await file->close();
}

Result<> check_owner(const StoreIdentity& found, const StoreOwner& wanted) {
  if (found.cluster != wanted.cluster) {
    return fail(Errc::kInvalidArgument, "this store belongs to another cluster (is the right disk mounted here?)");
  }
  if (found.target != wanted.target) {
    return fail(Errc::kInvalidArgument,
                fmt::format("this store belongs to target {}, not {} (is the right disk mounted here?)",
                            number(found.target), number(wanted.target)));
  }
  return {};
}

}  // namespace

// The superblock comes last: without it there is no store.
Task<Result<>> ChunkStore::format(runtime::Env& env, std::string folder, StoreIdentity identity, StoreOptions options) {
  FF_CO_TRY(check_options(options));
  Disk& disk = env.disk();
  FF_CO_TRY(co_await make_empty_folder(disk, folder));
  FF_CO_TRY(co_await Journal::create(disk, store_path(folder, "journal"), options.journal_bytes, identity.generation));
  FF_CO_TRY(co_await StoreFiles::create(disk, folder));
  FF_CO_TRY(co_await disk.sync_folder(folder));
  FF_CO_TRY(co_await write_superblock(disk, folder, {identity, options}));
  co_return co_await disk.sync_folder(folder);
}

Task<Result<std::unique_ptr<ChunkStore>>> ChunkStore::open(runtime::Env& env, std::string folder,
                                                           std::optional<StoreOwner> owner) {
  FF_CO_TRY_ASSIGN(const StoreSuperblock superblock, co_await StoreFiles::read_superblock(env.disk(), folder));
  if (owner) FF_CO_TRY_CTX(check_owner(superblock.identity, *owner), folder);
  FF_CO_TRY_ASSIGN(auto files, co_await StoreFiles::open(env.disk(), folder, superblock.options.direct));
  if (files->journal().alignment() > kJournalUnit) {
    co_return fail(Errc::kUnsupported, fmt::format("{}: the disk's unit of {} bytes exceeds {}", folder,
                                                   files->journal().alignment(), kJournalUnit));
  }
  auto store = std::make_unique<LocalChunkStore>(env, folder, superblock, std::move(files));
  FF_CO_TRY(co_await store->recover());
  co_return std::unique_ptr<ChunkStore>(std::move(store));
}

}  // namespace ff::ffs
