// ChainFileChunks: what the namespace asks of chunk storage (file_chunks.hpp), asked of the chains that a file's layout
// names.
//
// Threads    Those of the Env. Ownership: storage and routing outlive it.
#pragma once

#include <vector>

#include "ffs/meta/file_chunks.hpp"
#include "ffs/mgmt/routing.hpp"
#include "ffs/storage/storage_client.hpp"

namespace ff::ffs {

class ChainFileChunks final : public FileChunks {
 public:
  ChainFileChunks(StorageClient& storage, RoutingSource& routing) : storage_(storage), routing_(routing) {}

  runtime::Task<Result<>> cut(InodeId inode, Layout layout, std::uint64_t size, std::uint64_t epoch) override;
  runtime::Task<Result<>> remove_all(InodeId inode, Layout layout, std::uint64_t epoch) override;
  runtime::Task<Result<std::uint64_t>> length(InodeId inode, Layout layout) override;
  runtime::Task<Result<>> store(InodeId inode, Layout layout, std::uint64_t epoch, std::string data) override;

 private:
  // The chains of the layout's table; kUnavailable when the manager has not told of it yet.
  Result<std::vector<ChainId>> table(const Layout& layout) const;
  // Those that the file's chunks may lie on.
  Result<std::vector<ChainId>> chains_of(InodeId inode, const Layout& layout) const;
  runtime::Task<Result<>> remove_from(InodeId inode, Layout layout, std::uint64_t from, std::uint64_t epoch,
                                      bool older_only);

  StorageClient& storage_;
  RoutingSource& routing_;
};

}  // namespace ff::ffs
