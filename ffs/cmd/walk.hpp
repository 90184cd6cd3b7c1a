// walk(): a tree of the file system, folder by folder. No more is held at a time than the entries of the folders that
// lead to where it is.
#pragma once

#include <functional>
#include <string>

#include "ffs/client/file_system.hpp"

namespace ff::ffs {

struct Found {
  std::string path;
  std::size_t depth = 0;  // of what the walk began with: 0
  Attributes attributes;  // without the content of small files
};

using WalkTrouble = std::function<void(const std::string&, const Error&)>;

// Calls `visit` for `path` and everything below it, in the order of paths' names (a folder before what is in it).
// Symbolic links are not followed. What cannot be read, or whose attributes may not be, is told to `trouble` and left
// out; the walk goes on. `visit` returns false to leave out what is below.
runtime::Task<Result<>> walk(FileSystem& fs, std::string path, std::function<bool(const Found&)> visit,
                             WalkTrouble trouble);

// The same for visits that take their time; an error of one ends the walk and is what it returns.
class SlowVisit {
 public:
  virtual ~SlowVisit() = default;
  virtual runtime::Task<Result<bool>> visit(const Found& found) = 0;
};
// `visit` outlives the task.
runtime::Task<Result<>> walk_visiting(FileSystem& fs, std::string path, SlowVisit& visit, WalkTrouble trouble);

// `visit`: Task<Result<bool>>(const Found&).
template <class F>
runtime::Task<Result<>> walk_slowly(FileSystem& fs, std::string path, F visit, WalkTrouble trouble) {
  struct Holder final : SlowVisit {
    explicit Holder(F f) : call(std::move(f)) {}
    [[clang::coro_wrapper]] runtime::Task<Result<bool>> visit(const Found& found) override { return call(found); }
    F call;
  } holder(std::move(visit));
  co_return co_await walk_visiting(fs, std::move(path), holder, std::move(trouble));
}

// For an entry that a listing gives without attributes.
Error no_attributes();

}  // namespace ff::ffs
