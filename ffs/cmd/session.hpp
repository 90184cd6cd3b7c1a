// What every command that talks to a file system begins with: which one, as whom, and a reactor to run on.
#pragma once

#include <memory>
#include <string>

#include "ffs/blocking/cluster_access.hpp"
#include "libcommon/cli/app.hpp"

namespace ff::ffs {

// The options --cluster and --timeout; must outlive run().
class ClusterOptions {
 public:
  ClusterOptions() = default;
  ClusterOptions(const ClusterOptions&) = delete;
  ClusterOptions& operator=(const ClusterOptions&) = delete;
  void add_to(cli::Command& command);
  // Of find_cluster_file().
  Result<ClusterFile> load() const { return find_cluster_file(cluster_); }
  runtime::Duration timeout() const noexcept { return timeout_; }

 private:
  std::string cluster_;
  runtime::Duration timeout_ = std::chrono::seconds(30);
};

// What a command does with a file system.
class FsBody {
 public:
  virtual ~FsBody() = default;
  virtual runtime::Task<Result<int>> run(FileSystem& fs) = 0;
};
Result<int> run_with_file_system(const ClusterOptions& options, std::string what, FsBody& body);

// Connects, runs `body` (Task<Result<int>>(FileSystem&)), disconnects. Ctrl-C and SIGTERM cancel it; the exit code is
// then 128 + the signal.
template <class F>
Result<int> with_file_system(const ClusterOptions& options, std::string what, F body) {
  struct Body final : FsBody {
    explicit Body(F f) : call(std::move(f)) {}
    [[clang::coro_wrapper]] runtime::Task<Result<int>> run(FileSystem& fs) override { return call(fs); }
    F call;
  } holder(std::move(body));
  return run_with_file_system(options, std::move(what), holder);
}

// To standard output, whole. kIo.
Result<> print(std::string_view text);

}  // namespace ff::ffs
