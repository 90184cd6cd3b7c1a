// MetaWorkload: the phases of `ffbench meta` on one folder, by the method of mdtest.
//
// Phases   mkdir, create (and write), stat, read, readdir, rename, unlink, rmdir, in this order; each task does its
// part of
//          a phase, and all tasks wait for each other before the next one begins.
// Rate     Operations of all tasks / (end of the last task - begin of the first). A task that is late makes the phase
//          slower, as in mdtest.
// Shift    stat and read of task t take the files of task t + shift, so that what a client cached of its own files does
//          not answer (mdtest's -N). With --random they go through the files in a random order (mdtest's -R).
// Safety   Everything lies in a folder of its own, made under the target by mkdtemp(3); nothing else is touched. What
// was
//          made is removed when the object goes, whatever happened, and only that.
// Errors   name the operation and the path. A phase whose predecessor failed or was stopped fails with
// kInvalidArgument. Threads  One call at a time; each makes its own threads and joins them.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <stop_token>
#include <string>
#include <string_view>

#include "ffbench/measure/session.hpp"
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

class MetaWorkload {
 public:
  // Makes the folder under `target`. kNotFound, kPermission (read-only file systems too), kInvalidArgument.
  static Result<std::unique_ptr<MetaWorkload>> make(const std::string& target, const MetaOptions& options);
  MetaWorkload(const MetaWorkload&) = delete;
  MetaWorkload& operator=(const MetaWorkload&) = delete;
  ~MetaWorkload();

  // Operations of all tasks in a phase, as the tree's arithmetic has it.
  std::int64_t operations(MetaPhase phase) const noexcept;
  // values: operations a second, operations done; latencies: one operation. kCancelled after a stop.
  Result<Reading> run(MetaPhase phase, std::stop_token stop);
  // The folder that holds everything.
  const std::string& folder() const noexcept { return folder_; }

 private:
  struct Part;
  MetaWorkload(std::string folder, NameTree tree, const MetaOptions& options);
  Result<> run_task(MetaPhase phase, std::int64_t task, std::stop_token stop, Part& part) const;
  Result<> one(MetaPhase phase, std::int64_t task, std::int64_t index, std::string& scratch) const;
  std::int64_t operations_of_task(MetaPhase phase, std::int64_t task) const noexcept;
  void remove_all() noexcept;

  std::string folder_;
  NameTree tree_;
  MetaOptions options_;
  std::size_t next_ = 0;  // the phase that may run
  bool broken_ = false;   // the last phase did not finish: only a new mkdir may follow
};

}  // namespace ff::bench
