#include "ffs/cmd/walk.hpp"

#include <algorithm>
#include <cerrno>
#include <vector>

#include "ffs/cmd/text.hpp"

namespace ff::ffs {

using runtime::Task;

Error no_attributes() {
  return {Errc::kPermission, "its attributes may not be read (the folder that it is in may not be searched)", EACCES};
}

// Depth first with a stack of its own: a tree may be deeper than the machine's stack.
Task<Result<>> walk_visiting(FileSystem& fs, std::string path, SlowVisit& visit, WalkTrouble trouble) {
  FF_CO_TRY_ASSIGN(path, clean_path(path));
  FF_CO_TRY_ASSIGN(Attributes first, co_await fs.stat(path, false));
  first.clear_inline_data();
  std::vector<Found> waiting;
  waiting.push_back({.path = path, .depth = 0, .attributes = std::move(first)});
  while (!waiting.empty()) {
    const Found found = std::move(waiting.back());
    waiting.pop_back();
    FF_CO_TRY_ASSIGN(const bool deeper, co_await visit.visit(found));
    if (!deeper || found.attributes.type() != DIRECTORY) continue;
    std::vector<Found> below;
    const Result<> listed = co_await fs.list(found.path, true, [&](const Entry& entry) {
      std::string name = join_path(found.path, entry.name());
      if (!entry.has_attributes()) {
        trouble(name, no_attributes());
        return true;
      }
      below.push_back({.path = std::move(name), .depth = found.depth + 1, .attributes = entry.attributes()});
      below.back().attributes.clear_inline_data();
      return true;
    });
    if (!listed) trouble(found.path, listed.error());
    std::ranges::reverse(below);
    std::ranges::move(below, std::back_inserter(waiting));
  }
  co_return {};
}

Task<Result<>> walk(FileSystem& fs, std::string path, std::function<bool(const Found&)> visit, WalkTrouble trouble) {
  co_return co_await walk_slowly(
      fs, std::move(path), [&](const Found& found) -> Task<Result<bool>> { co_return visit(found); },
      std::move(trouble));
}

}  // namespace ff::ffs
