#include "ffbench/meta/tree.hpp"

#include <fmt/core.h>

namespace ff::bench {
namespace {

constexpr std::int64_t kFoldersMax = 10'000'000;

Result<> check_least(const char* what, std::int64_t value, std::int64_t least) {
  if (value < least) return fail(Errc::kInvalidArgument, fmt::format("{}: {} is less than {}", what, value, least));
  return {};
}

// Folders of one tree, or nothing above kFoldersMax.
Result<std::int64_t> count_folders(const TreeShape& shape) {
  std::int64_t all = 1, level = 1;
  for (std::int64_t i = 0; i < shape.depth; ++i) {
    level *= shape.branch;
    all += level;
    if (all > kFoldersMax)
      return fail(Errc::kInvalidArgument,
                  fmt::format("--depth {} with --branch {}: more than {} folders (give less of either)", shape.depth,
                              shape.branch, kFoldersMax));
  }
  return all;
}

}  // namespace

Result<NameTree> NameTree::make(TreeShape shape, const std::string& root) {
  FF_TRY(check_least("--tasks", shape.tasks, 1));
  FF_TRY(check_least("--depth", shape.depth, 0));
  FF_TRY(check_least("--branch", shape.branch, 1));
  FF_TRY(check_least("--files", shape.files, 1));
  FF_TRY_ASSIGN(const std::int64_t count, count_folders(shape));
  if (shape.files > kTreeFilesMax / count || shape.tasks > kTreeFilesMax / (count * shape.files))
    return fail(Errc::kInvalidArgument, fmt::format("--files {} of {} tasks in {} folders: more than {} files",
                                                    shape.files, shape.tasks, count, kTreeFilesMax));
  // Breadth first: the children of folder i follow those of folder i - 1.
  std::vector<std::string> folders = {""};
  folders.reserve(static_cast<std::size_t>(count));
  for (std::size_t parent = 0; static_cast<std::int64_t>(folders.size()) < count; ++parent)
    for (std::int64_t child = 0; child < shape.branch; ++child)
      folders.push_back(fmt::format("{}/d.{}", folders[parent], child));
  return NameTree(shape, root, std::move(folders));
}

std::string NameTree::folder(std::int64_t task, std::int64_t index) const {
  const std::string tree = shape_.unique ? fmt::format("task.{}", task) : "shared";
  return fmt::format("{}/{}{}", root_, tree, folders_[static_cast<std::size_t>(index)]);
}

std::string NameTree::file(std::int64_t task, std::int64_t index, bool renamed) const {
  const std::int64_t folders = folders_per_tree();
  return fmt::format("{}/{}.{}.{}", folder(task, index % folders), renamed ? 'r' : 'f', task, index / folders);
}

}  // namespace ff::bench
