// FfsClients: several clients of one file system in this process, each with a reactor on a thread of its own and its
// own connections; and what a run has made there, which goes when it ends.
//
// Threads    Calls from any thread; bodies run on the client's reactor.
// Stopping   call() ends soon after a stop (until_stopped.hpp), also when nobody answers.
#pragma once

#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "ffbench/ffs/until_stopped.hpp"
#include "ffs/blocking/blocking_file_system.hpp"

namespace ff::bench {

class FfsClients {
 public:
  // kUnavailable, kTimeout: nobody answered within `timeout`, which is that of each operation, too.
  static Result<FfsClients> connect(const ffs::ClusterFile& cluster, std::size_t count, runtime::Duration timeout);

  std::size_t size() const noexcept { return clients_.size(); }

  // Runs `body` (Task<Result<T>>(FileSystem&)) on client `index` and waits for it.
  template <class F>
  auto call(std::size_t index, std::stop_token stop, F body) {
    return clients_[index]->call(
        [&body, &stop] [[clang::coro_wrapper]] (ffs::FileSystem & fs) { return until_stopped(stop, body(fs)); });
  }
  // `body` (Task<Result<>>(index, FileSystem&, stop)) on the first `count` clients at the same time, until all have
  // ended. The first failure is returned, and stops the others.
  template <class F>
  Result<> call_each(std::size_t count, std::stop_token stop, F body) {
    return side_by_side(count, std::move(stop), [this, &body](std::size_t i, std::stop_token end) {
      return call(i, end, [&] [[clang::coro_wrapper]] (ffs::FileSystem & fs) { return body(i, fs, end); });
    });
  }

 private:
  FfsClients() = default;
  using Part = std::function<Result<>(std::size_t index, std::stop_token stop)>;
  static Result<> side_by_side(std::size_t count, std::stop_token stop, const Part& part);

  std::vector<std::unique_ptr<ffs::BlockingFileSystem>> clients_;
};

// A folder with a name of its own in `parent`: "PARENT/PREFIX.1f00a5c8d2e94b36". The path, with the prefix ffs:.
Result<std::string> make_ffs_folder(FfsClients& clients, const std::string& parent, const std::string& prefix);
// With all that is in it; for some seconds at most. What could not be removed is said, with its path, on standard
// error.
void remove_ffs_tree(FfsClients& clients, const std::string& path) noexcept;

// Removes files and folders when it goes, whatever has become of the run, for some seconds at most, through the first
// client. Ownership: the clients outlive it.
class FfsRemains {
 public:
  explicit FfsRemains(FfsClients& clients) : clients_(clients) {}
  FfsRemains(const FfsRemains&) = delete;
  FfsRemains& operator=(const FfsRemains&) = delete;
  ~FfsRemains() { remove(); }

  // As make_ffs_folder().
  Result<std::string> make_folder(const std::string& parent, const std::string& prefix);
  // An empty file, there or in a folder made here. kAlreadyExists: somebody else's, which stays.
  Result<> make_file(const std::string& path);
  // They stay.
  void keep() noexcept;
  // Now. What could not be removed is said, with its path, on standard error.
  void remove() noexcept;

 private:
  FfsClients& clients_;
  std::vector<std::string> files_, folders_;
};

}  // namespace ff::bench
