// walk(): a tree of the file system, folder by folder.
#pragma once

#include <functional>
#include <string>

#include "ffs/client/file_system.hpp"

namespace ff::ffs {

struct Found {
  std::string path;
  std::size_t depth = 0;  // of what the walk began with: 0
  Attributes attributes;
};

// Calls `visit` for `path` and everything below it, in the order of paths' names (a folder before what is in it).
// Symbolic links are not followed. What cannot be read is told to `trouble` and left out; the walk goes on. `visit`
// returns false to leave out what is below.
runtime::Task<Result<>> walk(FileSystem& fs, std::string path, std::function<bool(const Found&)> visit,
                             std::function<void(const std::string&, const Error&)> trouble);

}  // namespace ff::ffs
