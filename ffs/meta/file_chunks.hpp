// FileChunks: what the namespace needs of chunk storage. The daemon implements it with a StorageClient, tests with a
// map.
//
// Repetition  Every call may be repeated, also long after it was answered, by another process; what it did twice must
// be
//             what it did once. So cut() and store() must leave alone what was written under `epoch` or a later one:
//             nobody is told of the epoch before the first cut() under it has succeeded.
// Errors      Anything; the caller tries again later. Waits are bounded by the implementation.
#pragma once

#include <cstdint>
#include <string>

#include "ffs/format/layout.hpp"
#include "libcommon/runtime/task.hpp"

namespace ff::ffs {

class FileChunks {
 public:
  virtual ~FileChunks() = default;
  // Nothing of the file at or beyond `size` is left, and reads as zeros if it grows again; chunks take no writes of
  // epochs before `epoch` any more where they were cut.
  virtual runtime::Task<Result<>> cut(InodeId inode, Layout layout, std::uint64_t size, std::uint64_t epoch) = 0;
  // No chunk of the file is left, on any chain of its layout.
  virtual runtime::Task<Result<>> remove_all(InodeId inode, Layout layout, std::uint64_t epoch) = 0;
  // Where the file ends by what the chains hold, every acknowledged write counted; 0: no chunks.
  virtual runtime::Task<Result<std::uint64_t>> length(InodeId inode, Layout layout) = 0;
  // Writes `data` (at most kInlineDataBytesMax) at the start of the file.
  virtual runtime::Task<Result<>> store(InodeId inode, Layout layout, std::uint64_t epoch, std::string data) = 0;

 protected:
  FileChunks() = default;
};

}  // namespace ff::ffs
