#include "ffs/blocking/blocking_file_system.hpp"

#include "ffs/blocking/cluster_access.hpp"
#include "libcommon/runtime/real_env.hpp"

namespace ff::ffs {

using runtime::Task;

Result<std::unique_ptr<BlockingFileSystem>> BlockingFileSystem::connect(const ClusterFile& cluster, std::string what,
                                                                        runtime::Duration timeout,
                                                                        const std::string& token) {
  FF_TRY_ASSIGN(FileSystemOptions options, client_options(cluster, std::move(what), timeout, token));
  auto blocking = std::unique_ptr<BlockingFileSystem>(new BlockingFileSystem());
  FF_TRY_ASSIGN(blocking->env_, make_cluster_env(cluster, "client", 0));
  const auto connected = std::make_shared<std::promise<Result<>>>();
  auto answer = connected->get_future();
  blocking->thread_ = std::thread([self = blocking.get(), connected, options = std::move(options)]() mutable {
    (void)self->env_->run(self->live(std::move(options), connected));
  });
  FF_TRY(answer.get());
  return blocking;
}

BlockingFileSystem::~BlockingFileSystem() {
  if (!thread_.joinable()) return;
  env_->post([this] { disconnect_.set(); });
  thread_.join();
}

Task<Result<>> BlockingFileSystem::live(FileSystemOptions options, std::shared_ptr<std::promise<Result<>>> connected) {
  auto fs = co_await FileSystem::connect(*env_, std::move(options));
  if (fs) {
    fs_ = std::move(*fs);
    runtime::Scope scope(*env_);
    scope_ = &scope;
    connected->set_value({});
    (void)co_await disconnect_.wait();
    (void)co_await scope.join();
    co_await fs_->stop();
    fs_.reset();
  } else {
    connected->set_value(fail(std::move(fs).error()));
  }
  co_await env_->network().stop();
  co_return {};
}

void BlockingFileSystem::post(std::function<void()> work) {
  // Nobody calls after the destructor has begun, and the reactor runs until then: it is taken.
  const bool taken = env_->post(std::move(work));
  FF_ASSERT(taken);
}

}  // namespace ff::ffs
