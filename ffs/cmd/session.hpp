// What every command that talks to a file system begins with: which one, as whom, and a reactor to run on.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "ffs/blocking/cluster_access.hpp"
#include "libcommon/cli/output.hpp"

namespace ff::ffs {

// The options --cluster, --token and --timeout; must outlive run().
class ClusterOptions {
 public:
  ClusterOptions() = default;
  ClusterOptions(const ClusterOptions&) = delete;
  ClusterOptions& operator=(const ClusterOptions&) = delete;
  void add_to(cli::Command& command);
  // Of find_cluster_file().
  Result<ClusterFile> load() const { return find_cluster_file(cluster_); }
  runtime::Duration timeout() const noexcept { return timeout_; }
  const std::string& token() const noexcept { return token_; }

 private:
  std::string cluster_;
  std::string token_;
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

// What Ctrl-C must not stop, and what must be done although it came: removing what is half made, saying goodbye. Runs
// `task` whatever has become of the caller's context, for some seconds at most. A second Ctrl-C still ends the process.
runtime::Task<void> in_any_case(runtime::Env& env, runtime::Task<Result<>> task);

inline const cli::ExitCode kStoppedCode = {130, "stopped by Ctrl-C (143: by SIGTERM)"};

template <class Options>
using FsCall = runtime::Task<Result<int>> (*)(FileSystem&, const Options&);
template <class Options>
using FsReport = runtime::Task<Result<int>> (*)(FileSystem&, const Options&, report::Format);

// What ends the description of a command: the options that all have, the exit codes of signals, and what it runs.
// `Options` has a member ClusterOptions cluster, and for reports(), cli::OutputOptions output. `what` is the whole of
// the command, where its name is not: "node list".
template <class Options>
void runs(cli::Command& command, const std::shared_ptr<Options>& options, FsCall<Options> body, std::string what = {}) {
  options->cluster.add_to(command);
  command.exit_codes.push_back(kStoppedCode);
  command.run = [options, body, what = "ffs " + (what.empty() ? command.name : what)]() -> Result<int> {
    return with_file_system(options->cluster, what,
                            [&] [[clang::coro_wrapper]] (FileSystem & fs) { return body(fs, *options); });
  };
}

template <class Options>
void reports(cli::Command& command, const std::shared_ptr<Options>& options, FsReport<Options> body,
             std::string what = {}) {
  options->output.add_to(command);
  options->cluster.add_to(command);
  command.exit_codes.push_back(kStoppedCode);
  command.run = [options, body, what = "ffs " + (what.empty() ? command.name : what)]() -> Result<int> {
    FF_TRY_ASSIGN(const report::Format format, options->output.format());
    return with_file_system(options->cluster, what,
                            [&] [[clang::coro_wrapper]] (FileSystem & fs) { return body(fs, *options, format); });
  };
}

// The rest of the words: paths.
inline cli::Option paths_option(std::vector<std::string>& paths, std::string help, bool required = true) {
  return {.names = "path", .target = &paths, .help = std::move(help), .value_name = "PATH", .required = required};
}

// To standard output, whole. kIo.
Result<> print(std::string_view text);

}  // namespace ff::ffs
