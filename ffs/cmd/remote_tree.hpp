// RemoteTree: folders and links made in the file system, as the copy of a tree needs them: what is there from an
// earlier, interrupted copy is used again, and a link that stands where a folder is wanted is never followed.
//
// Paths   clean. Errors  name the path. Ownership  the FileSystem outlives it.
#pragma once

#include <string>
#include <vector>

#include "ffs/client/file_system.hpp"

namespace ff::ffs {

class RemoteTree {
 public:
  explicit RemoteTree(FileSystem& fs) : fs_(fs) {}

  // With the permissions of `mode`; a folder that is there already keeps its own. What its owner could not fill while
  // it has that mode gets it in finish(). The folder's inode.
  runtime::Task<Result<std::uint64_t>> make_folder(std::string path, std::uint32_t mode);
  // Replaces a link or a file.
  runtime::Task<Result<>> make_link(std::string path, std::string target);
  // After everything.
  runtime::Task<Result<>> finish();

 private:
  struct Late {
    std::string path;
    std::uint64_t inode = 0;
    std::uint32_t mode = 0;
  };
  runtime::Task<Result<>> set_mode(std::uint64_t inode, std::uint32_t mode);

  FileSystem& fs_;
  std::vector<Late> late_;
};

}  // namespace ff::ffs
