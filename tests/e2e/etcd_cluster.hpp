// A real etcd cluster on loopback for tests: tests/bench/etcd_cluster.py, driven through its standard input. It goes,
// with all its members, when this object goes or the test process dies.
#pragma once

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "libcommon/base/assert.hpp"
#include "libcommon/base/error.hpp"
#include "libcommon/base/unique_fd.hpp"

extern char** environ;

namespace ff::tests {

class EtcdCluster {
 public:
  static bool installed() { return std::system("command -v etcd >/dev/null 2>&1") == 0; }

  // `script`: tests/bench/etcd_cluster.py, where it lies.
  EtcdCluster(const std::string& script, int members) {
    std::array<int, 2> in{}, out{};
    FF_ASSERT(::pipe2(in.data(), O_CLOEXEC) == 0 && ::pipe2(out.data(), O_CLOEXEC) == 0);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in[0], STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
    std::vector<std::string> words{"python3", "-B", script, "--members", std::to_string(members)};
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    FF_ASSERT(::posix_spawnp(&pid_, "python3", &actions, nullptr, argv.data(), environ) == 0);
    posix_spawn_file_actions_destroy(&actions);
    ::close(in[0]);
    ::close(out[1]);
    to_ = UniqueFd(in[1]);
    from_ = ::fdopen(out[0], "r");
    const std::string first = answer();
    // "endpoints": ["127.0.0.1:1", ...]
    for (auto at = first.find("127."); at != std::string::npos; at = first.find("127.", at + 1)) {
      endpoints_.push_back(first.substr(at, first.find('"', at) - at));
    }
    FF_ASSERT(endpoints_.size() == static_cast<std::size_t>(members), first);
  }
  ~EtcdCluster() {
    to_.reset();
    std::fclose(from_);
    ::waitpid(pid_, nullptr, 0);
  }
  EtcdCluster(const EtcdCluster&) = delete;
  EtcdCluster& operator=(const EtcdCluster&) = delete;

  const std::vector<std::string>& endpoints() const { return endpoints_; }
  // "kill 0", "start 0", "wait_healthy 30". Blocks; the members are up to date with it afterwards.
  void command(std::string line) {
    line += '\n';
    FF_ASSERT(::write(to_.get(), line.data(), line.size()) == static_cast<ssize_t>(line.size()));
    const std::string got = answer();
    FF_ASSERT(got.find("\"ok\": true") != std::string::npos, line, got);
  }

 private:
  std::string answer() {
    std::array<char, 4096> line{};
    if (std::fgets(line.data(), line.size(), from_) == nullptr) return "no answer";
    return line.data();
  }

  pid_t pid_ = -1;
  UniqueFd to_;
  std::FILE* from_ = nullptr;
  std::vector<std::string> endpoints_;
};

}  // namespace ff::tests
