#include "ffs/store/store_files.hpp"

#include <fmt/core.h>

namespace ff::ffs {

using runtime::Disk;
using runtime::File;
using runtime::Task;

namespace {

std::string class_name(unsigned size_class) {
  const std::uint64_t kib = class_bytes(size_class) >> 10;
  if (kib == 0) return "0";
  return kib < 1024 ? fmt::format("{}KiB", kib) : fmt::format("{}MiB", kib >> 10);
}

Task<Result<>> make_empty(Disk& disk, std::string path) {
  FF_CO_TRY_ASSIGN(auto file, co_await disk.open(path, {.write = true, .create = true, .exclusive = true}));
  FF_CO_TRY(co_await file->sync());
  co_return co_await file->close();
}

}  // namespace

std::string StoreFiles::blocks_name(unsigned size_class) { return "blocks." + class_name(size_class); }
std::string StoreFiles::table_name(unsigned size_class) { return "table." + class_name(size_class); }

Task<Result<>> StoreFiles::create(Disk& disk, std::string folder) {
  for (unsigned c = 0; c < kSizeClasses; ++c) {
    FF_CO_TRY(co_await make_empty(disk, store_path(folder, table_name(c))));
    if (c > 0) FF_CO_TRY(co_await make_empty(disk, store_path(folder, blocks_name(c))));
  }
  co_return {};
}

Task<Result<StoreSuperblock>> StoreFiles::read_superblock(Disk& disk, std::string folder) {
  const std::string path = store_path(folder, "superblock");
  FF_CO_TRY_ASSIGN(auto file, co_await disk.open(path, {}));
  std::vector<std::byte> bytes(kSuperblockBytes);
  std::optional<Error> unread;
  std::size_t total = 0;
  for (const std::size_t at : {std::size_t{0}, kSuperblockCopyBytes}) {
    auto got = co_await file->read(at, std::span(bytes).subspan(at, kSuperblockCopyBytes));
    if (got) total += *got;
    if (!got) unread = std::move(got).error();
  }
  FF_CO_TRY(co_await file->close());
  if (unread && total == 0) co_return std::unexpected(std::move(*unread));
  if (!unread) bytes.resize(total);
  auto superblock = decode_superblock(bytes);
  if (!superblock) co_return std::unexpected(std::move(superblock).error().context(path));
  co_return superblock;
}

Task<Result<std::unique_ptr<StoreFiles>>> StoreFiles::open(Disk& disk, std::string folder, bool direct) {
  auto files = std::make_unique<StoreFiles>();
  const runtime::OpenOptions data{.write = true, .direct = direct};
  FF_CO_TRY_ASSIGN(files->journal_, co_await disk.open(store_path(folder, "journal"), data));
  for (unsigned c = 0; c < kSizeClasses; ++c) {
    FF_CO_TRY_ASSIGN(files->tables_[c], co_await disk.open(store_path(folder, table_name(c)), {.write = true}));
    if (c > 0) {
      FF_CO_TRY_ASSIGN(files->blocks_[c], co_await disk.open(store_path(folder, blocks_name(c)), data));
    }
  }
  co_return files;
}

Task<Result<>> StoreFiles::close() {
  Result<> result;
  const auto close_one = [&result](Result<> closed) {
    if (result && !closed) result = std::move(closed);
  };
  close_one(co_await journal_->close());
  for (unsigned c = 0; c < kSizeClasses; ++c) {
    close_one(co_await tables_[c]->close());
    if (c > 0) close_one(co_await blocks_[c]->close());
  }
  co_return result;
}

}  // namespace ff::ffs
