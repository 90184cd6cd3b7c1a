// MetaPlan: what the tasks of `ffbench meta` do in each phase, by the method of mdtest. Pure: whoever carries it out
// (threads with system calls, coroutines over libffs) does the same operations in the same order.
//
// Phases   mkdir, create (and write), stat, read, readdir, rename, unlink, rmdir, in this order; each task does its
//          part of a phase, and all tasks wait for each other before the next one begins.
// Shift    stat and read of task t take the files of task t + shift, so that what a client cached of its own files does
//          not answer (mdtest's -N). With --random they go through the files in a random order (mdtest's -R).
// Threads  Immutable after construction.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "ffbench/meta/tree.hpp"

namespace ff::bench {

enum class MetaPhase : std::uint8_t { kMkdir, kCreate, kStat, kRead, kReaddir, kRename, kUnlink, kRmdir };
inline constexpr std::array kMetaPhases = {MetaPhase::kMkdir,  MetaPhase::kCreate,  MetaPhase::kStat,
                                           MetaPhase::kRead,   MetaPhase::kReaddir, MetaPhase::kRename,
                                           MetaPhase::kUnlink, MetaPhase::kRmdir};
std::string_view name_of(MetaPhase phase) noexcept;

struct MetaOptions {
  TreeShape shape;
  std::uint64_t file_bytes = 0;  // written at create, read back (and compared in length) at read
  bool sync = false;             // fsync of each created file
  std::int64_t shift = 0;
  bool random = false;
  std::uint64_t seed = 1;
};

// One operation.
struct MetaStep {
  MetaPhase phase{};
  std::string path;
  std::string to = {};      // kRename
  std::uint64_t bytes = 0;  // kCreate: to write; kStat and kRead: expected
  bool sync = false;        // kCreate
  std::int64_t least = 0;   // kReaddir: entries expected
};

class MetaPlan {
 public:
  // kInvalidArgument: a tree that nobody can mean.
  static Result<MetaPlan> make(const MetaOptions& options, const std::string& root);

  std::int64_t tasks() const noexcept { return tree_.shape().tasks; }
  // Of one task, and of all.
  std::int64_t operations(MetaPhase phase, std::int64_t task) const noexcept;
  std::int64_t operations(MetaPhase phase) const noexcept;

 private:
  friend class MetaWalk;
  MetaPlan(NameTree tree, const MetaOptions& options) : tree_(std::move(tree)), options_(options) {}
  NameTree tree_;
  MetaOptions options_;
};

// The steps of one task in one phase, in order. The plan outlives it.
class MetaWalk {
 public:
  MetaWalk(const MetaPlan& plan, MetaPhase phase, std::int64_t task);
  std::uint64_t count() const noexcept { return count_; }
  // REQUIRES: i < count().
  MetaStep step(std::uint64_t i) const;

 private:
  const MetaPlan& plan_;
  const MetaPhase phase_;
  const std::int64_t owner_;  // whose files
  const std::uint64_t count_;
  // Index i comes as (factor i + offset) mod count: a walk through all, in an order that needs no memory, with long
  // strides, which is what defeats caches of neighbours.
  std::uint64_t factor_ = 1, offset_ = 0;
};

}  // namespace ff::bench
