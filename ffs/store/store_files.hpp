// StoreFiles: the files of one chunk store, open.
#pragma once

#include <array>
#include <memory>
#include <string>

#include "ffs/store/block_space.hpp"
#include "ffs/store/superblock.hpp"

namespace ff::ffs {

class StoreFiles {
 public:
  // "blocks.64KiB", "table.64KiB"; class 0 has a table only: "table.0".
  static std::string blocks_name(unsigned size_class);
  static std::string table_name(unsigned size_class);

  // Empty files for all classes.
  static runtime::Task<Result<>> create(runtime::Disk& disk, std::string folder);
  // One good copy is enough.
  static runtime::Task<Result<StoreSuperblock>> read_superblock(runtime::Disk& disk, std::string folder);
  static runtime::Task<Result<std::unique_ptr<StoreFiles>>> open(runtime::Disk& disk, std::string folder, bool direct);

  // REQUIRES: size_class > 0.
  runtime::File& blocks(unsigned size_class) noexcept { return *blocks_[size_class]; }
  runtime::File& table(unsigned size_class) noexcept { return *tables_[size_class]; }
  runtime::File& journal() noexcept { return *journal_; }
  runtime::Task<Result<>> close();

 private:
  std::array<std::unique_ptr<runtime::File>, kSizeClasses> blocks_, tables_;
  std::unique_ptr<runtime::File> journal_;
};

inline std::string store_path(const std::string& folder, const std::string& name) { return folder + "/" + name; }

}  // namespace ff::ffs
