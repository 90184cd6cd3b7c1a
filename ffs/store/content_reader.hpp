// ContentReader: the bytes of a StoredContent from the disk, each checksum block verified.
#pragma once

#include "ffs/store/chunk_state.hpp"
#include "ffs/store/store_files.hpp"

namespace ff::ffs {

class ContentReader {
 public:
  ContentReader(runtime::Disk& disk, StoreFiles& files, std::uint32_t checksum_bytes) noexcept
      : disk_(disk), files_(files), checksum_bytes_(checksum_bytes) {}

  // Checksum blocks [first, first + count), whole; beyond the length: zeros. kCorrupt names the place. REQUIRES: they
  // exist; `into` is as long and suits the file's alignment.
  runtime::Task<Result<>> read_blocks(ContentRef content, std::uint32_t first, std::uint32_t count,
                                      std::span<std::byte> into);
  // REQUIRES: the bytes are within the length.
  runtime::Task<Result<>> read(ContentRef content, std::uint32_t offset, std::span<std::byte> into);

 private:
  runtime::Disk& disk_;
  StoreFiles& files_;
  std::uint32_t checksum_bytes_;
};

}  // namespace ff::ffs
