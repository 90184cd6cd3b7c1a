// Runs a program and collects what it says: for tests of executables.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <string>
#include <vector>

namespace ff::testing {

struct Outcome {
  int code = -1;  // 128 + number when a signal ended it; -1 when it did not end in time
  std::string out, err;
};

class Process {
 public:
  // argv[0] is a path. `stdin_text` is fed to it; env entries are laid over this process's.
  Process(std::vector<std::string> argv, std::string stdin_text = "", std::vector<std::string> env = {});
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  ~Process();  // kills it

  pid_t pid() const { return pid_; }
  // Waits until the output holds the text; false at the end of the output or after the time.
  bool wait_for_output(const std::string& text, std::chrono::milliseconds limit = std::chrono::seconds(30));
  Outcome wait(std::chrono::milliseconds limit = std::chrono::seconds(60));

 private:
  bool pump(std::chrono::steady_clock::time_point until);

  pid_t pid_ = -1;
  int in_ = -1, out_ = -1, err_ = -1;
  std::string stdin_text_;
  Outcome outcome_;
};

inline Outcome run(std::vector<std::string> argv, std::string stdin_text = "", std::vector<std::string> env = {}) {
  return Process(std::move(argv), std::move(stdin_text), std::move(env)).wait();
}

// A fresh folder, removed with all its files at the end.
class TempFolder {
 public:
  TempFolder();
  ~TempFolder();
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  std::string path(const std::string& name = "") const { return name.empty() ? path_ : path_ + "/" + name; }
  std::string write(const std::string& name, const std::string& bytes) const;  // returns its path
  std::string read(const std::string& name) const;

 private:
  std::string path_;
};

// Waits until no process with this number is left (zombies count as gone).
bool gone(pid_t pid, std::chrono::milliseconds limit = std::chrono::seconds(10));

}  // namespace ff::testing
