#include "ffs/cmd/walk.hpp"

#include <algorithm>
#include <vector>

#include "ffs/cmd/text.hpp"

namespace ff::ffs {

using runtime::Task;

// Depth first with a stack of its own: a tree may be deeper than the machine's stack.
Task<Result<>> walk(FileSystem& fs, std::string path, std::function<bool(const Found&)> visit,
                    std::function<void(const std::string&, const Error&)> trouble) {
  FF_CO_TRY_ASSIGN(path, clean_path(path));
  FF_CO_TRY_ASSIGN(Attributes first, co_await fs.stat(path, false));
  std::vector<Found> waiting;
  waiting.push_back({.path = path, .depth = 0, .attributes = std::move(first)});
  while (!waiting.empty()) {
    const Found found = std::move(waiting.back());
    waiting.pop_back();
    if (!visit(found) || found.attributes.type() != DIRECTORY) continue;
    std::vector<Found> below;
    const Result<> listed = co_await fs.list(found.path, true, [&](const Entry& entry) {
      below.push_back(
          {.path = join_path(found.path, entry.name()), .depth = found.depth + 1, .attributes = entry.attributes()});
      return true;
    });
    if (!listed) trouble(found.path, listed.error());
    std::ranges::reverse(below);
    std::ranges::move(below, std::back_inserter(waiting));
  }
  co_return {};
}

}  // namespace ff::ffs
