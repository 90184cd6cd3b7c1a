// Starts one child process the way a rank must be started: in a process group of its own, dead when its parent dies.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <string>
#include <vector>

#include "libcommon/base/result.hpp"
#include "libcommon/base/unique_fd.hpp"

namespace ff::hfreduce::run {

struct SpawnSpec {
  std::vector<std::string> command;   // command[0] is looked up in PATH
  std::vector<std::string> env = {};  // complete
  std::string folder = {};            // empty: the parent's
  int stdin_fd = -1;                  // become 0, 1, 2 of the child; -1: the parent's own
  int stdout_fd = -1;
  int stderr_fd = -1;
  std::vector<int> cores = {};  // to which the child is bound; empty: all the parent's
  int keep_fd = -1;             // stays open in the child under the same number
};

struct Child {
  pid_t pid = -1;
  UniqueFd pidfd;  // readable when the child has ended
};

// The child dies by SIGKILL when the calling thread does. Its signal mask is empty and SIGPIPE is at its default.
// kNotFound, kPermission: the command; kIo: anything else, its folder too. Nothing of the child is left.
Result<Child> spawn(const SpawnSpec& spec);

// Asks that this process dies with its parent; false if the parent `expected` is already gone. For forked helpers.
bool die_with_parent(pid_t expected) noexcept;

// Undoes what the launcher does to its signals, between fork and exec (or in a forked helper). Async-signal-safe.
void reset_signals() noexcept;

// The environment of this process with `changes` (KEY=VALUE) laid over it; later entries win.
std::vector<std::string> merged_environment(const std::vector<std::string>& changes);

// A pipe or socket pair, both ends close-on-exec.
struct FdPair {
  UniqueFd first;   // of a pipe: the end to read
  UniqueFd second;  // of a pipe: the end to write
};
Result<FdPair> make_pipe();
Result<FdPair> make_socket_pair();
void set_nonblocking(int fd) noexcept;

// Path of the running executable.
Result<std::string> own_executable();

// "SIGTERM", "signal 99".
std::string signal_name(int signo);

}  // namespace ff::hfreduce::run
