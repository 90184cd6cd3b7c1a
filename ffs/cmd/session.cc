#include "ffs/cmd/session.hpp"

#include <cstdio>

#include "libcommon/runtime/real_env.hpp"
#include "libcommon/runtime/scope.hpp"
#include "libcommon/runtime/stop_signal.hpp"

namespace ff::ffs {

using runtime::Task;

namespace {

constexpr auto kLastWords = std::chrono::seconds(5);

Task<Result<>> say_goodbye(FileSystem& fs) {
  co_await fs.stop();
  co_return {};
}

Task<Result<int>> connect_and_run(runtime::RealEnv& env, FileSystemOptions options, FsBody& body) {
  Result<int> result = 0;
  {
    auto fs = co_await FileSystem::connect(env, std::move(options));
    if (fs) {
      result = co_await body.run(**fs);
      // Without its farewell the manager keeps this client's session, and the files that it held, for a minute.
      co_await in_any_case(env, say_goodbye(**fs));
    } else {
      result = fail(std::move(fs).error());
    }
  }
  co_await env.network().stop();
  co_return result;
}

}  // namespace

Task<void> in_any_case(runtime::Env& env, Task<Result<>> task) {
  runtime::Scope scope(env);
  scope.spawn(runtime::with_timeout(kLastWords, "tidying up", std::move(task)));
  (void)co_await scope.join();
}

void ClusterOptions::add_to(cli::Command& command) {
  command.options.push_back({.names = "--cluster",
                             .target = &cluster_,
                             .help = "description of the file system, or the folder that holds it as cluster.yaml",
                             .value_name = "FILE",
                             .environment = "FF_CLUSTER",
                             .complete = "file"});
  command.options.push_back({.names = "--token",
                             .target = &token_,
                             .help = "file with the user token to show; its mode is 0600",
                             .value_name = "FILE",
                             .environment = "FF_FFS_TOKEN_FILE",
                             .complete = "file"});
  command.options.push_back({.names = "--timeout",
                             .target = &timeout_,
                             .help = "most that one operation may take with all its retries",
                             .min = 0.1,
                             .max = 86400});
}

Result<int> run_with_file_system(const ClusterOptions& options, std::string what, FsBody& body) {
  FF_TRY_ASSIGN(const ClusterFile cluster, options.load());
  FF_TRY_ASSIGN(FileSystemOptions client, client_options(cluster, std::move(what), options.timeout(), options.token()));
  FF_TRY_ASSIGN(const auto env, make_cluster_env(cluster, "client", 0));
  const runtime::StopOnSignals signals(*env);
  Result<int> result = env->run(connect_and_run(*env, std::move(client), body));
  if (signals.caught() != 0) return 128 + signals.caught();
  return result;
}

Result<> print(std::string_view text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size()) return fail(errno_error("standard output"));
  return {};
}

}  // namespace ff::ffs
