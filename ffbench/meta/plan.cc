#include "ffbench/meta/plan.hpp"

#include <numeric>

#include "libcommon/base/rng.hpp"

namespace ff::bench {
namespace {

bool goes_elsewhere(MetaPhase phase) { return phase == MetaPhase::kStat || phase == MetaPhase::kRead; }

}  // namespace

std::string_view name_of(MetaPhase phase) noexcept {
  constexpr std::array<std::string_view, kMetaPhases.size()> names = {"mkdir",   "create", "stat",   "read",
                                                                      "readdir", "rename", "unlink", "rmdir"};
  return names[static_cast<std::size_t>(phase)];
}

Result<MetaPlan> MetaPlan::make(const MetaOptions& options, const std::string& root) {
  FF_TRY_ASSIGN(NameTree tree, NameTree::make(options.shape, root));
  return MetaPlan(std::move(tree), options);
}

std::int64_t MetaPlan::operations(MetaPhase phase, std::int64_t task) const noexcept {
  switch (phase) {
    case MetaPhase::kMkdir:
    case MetaPhase::kRmdir: return tree_.shape().unique || task == 0 ? tree_.folders_per_tree() : 0;
    case MetaPhase::kReaddir: return tree_.folders_per_tree();
    default: return tree_.files_per_task();
  }
}

std::int64_t MetaPlan::operations(MetaPhase phase) const noexcept {
  std::int64_t all = 0;
  for (std::int64_t task = 0; task < tasks(); ++task) all += operations(phase, task);
  return all;
}

MetaWalk::MetaWalk(const MetaPlan& plan, MetaPhase phase, std::int64_t task)
    : plan_(plan),
      phase_(phase),
      owner_(goes_elsewhere(phase) ? (task + plan.options_.shift) % plan.tasks() : task),
      count_(static_cast<std::uint64_t>(plan.operations(phase, task))) {
  if (!goes_elsewhere(phase) || !plan.options_.random || count_ < 3) return;
  Rng rng(plan.options_.seed + static_cast<std::uint64_t>(task));
  do factor_ = 1 + rng.below(count_ - 1);
  while (std::gcd(factor_, count_) != 1);
  offset_ = rng.below(count_);
}

MetaStep MetaWalk::step(std::uint64_t i) const {
  const auto index = static_cast<std::int64_t>((static_cast<unsigned __int128>(factor_) * i + offset_) % count_);
  const NameTree& tree = plan_.tree_;
  const MetaOptions& options = plan_.options_;
  MetaStep step{.phase = phase_};
  switch (phase_) {
    case MetaPhase::kMkdir: step.path = tree.folder(owner_, index); break;
    case MetaPhase::kCreate: step.sync = options.sync; [[fallthrough]];
    case MetaPhase::kStat:
    case MetaPhase::kRead:
      step.path = tree.file(owner_, index, false);
      step.bytes = options.file_bytes;
      break;
    case MetaPhase::kReaddir:
      step.path = tree.folder(owner_, index);
      step.least = tree.shape().files * (tree.shape().unique ? 1 : tree.shape().tasks);
      break;
    case MetaPhase::kRename:
      step.path = tree.file(owner_, index, false);
      step.to = tree.file(owner_, index, true);
      break;
    case MetaPhase::kUnlink: step.path = tree.file(owner_, index, true); break;
    case MetaPhase::kRmdir:  // children before parents
      step.path = tree.folder(owner_, tree.folders_per_tree() - 1 - index);
      break;
  }
  return step;
}

}  // namespace ff::bench
