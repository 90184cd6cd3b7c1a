// BlockingFileSystem: libffs for programs that have no reactor of their own. It runs one on a thread beside them.
//
//   FF_TRY_ASSIGN(auto fs, BlockingFileSystem::connect(cluster, "fftrain", 30s));
//   auto attributes = fs->call([](FileSystem& on) { return on.stat("/data/a"); });
//
// Threads    Any number may call at the same time.
// Waits      A call lasts as long as the operations that it awaits: each has the deadline given to connect().
// Forks      A child that calls exec is fine; one that goes on must connect anew.
#pragma once

#include <functional>
#include <future>
#include <memory>
#include <thread>
#include <type_traits>

#include "ffs/client/file_system.hpp"
#include "ffs/cluster/cluster_file.hpp"
#include "libcommon/runtime/scope.hpp"

namespace ff::runtime {
class RealEnv;
}

namespace ff::ffs {

class BlockingFileSystem {
 public:
  // `token`: as client_options() takes it. Errors: those of FileSystem::connect(), of the key file and the token, and
  // of a machine without the means for a reactor.
  static Result<std::unique_ptr<BlockingFileSystem>> connect(const ClusterFile& cluster, std::string what,
                                                             runtime::Duration timeout, const std::string& token = {});
  // Disconnects. Nothing calls any more, and every File is closed.
  ~BlockingFileSystem();
  BlockingFileSystem(const BlockingFileSystem&) = delete;
  BlockingFileSystem& operator=(const BlockingFileSystem&) = delete;

  // Runs `body` (Task<Result<T>>(FileSystem&), which may be a coroutine with captures) there, and waits for it.
  template <class F>
  auto call(F body) {
    using Answer = typename std::invoke_result_t<F&, FileSystem&>::value_type;
    const auto promise = std::make_shared<std::promise<Answer>>();
    post([&] { scope_->spawn(deliver(body, *fs_, promise)); });
    return promise->get_future().get();
  }

 private:
  BlockingFileSystem() = default;
  template <class F, class Answer>
  static runtime::Task<void> deliver(F& body, FileSystem& fs, std::shared_ptr<std::promise<Answer>> promise) {
    promise->set_value(co_await body(fs));
  }
  // To the reactor's thread.
  void post(std::function<void()> work);
  runtime::Task<Result<>> live(FileSystemOptions options, std::shared_ptr<std::promise<Result<>>> connected);

  std::unique_ptr<runtime::RealEnv> env_;
  std::unique_ptr<FileSystem> fs_;   // of the reactor's thread
  runtime::Scope* scope_ = nullptr;  // likewise: what is called now
  runtime::Event disconnect_;        // likewise
  std::thread thread_;
};

}  // namespace ff::ffs
