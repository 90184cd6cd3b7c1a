#include "tests/cli/process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <thread>

namespace ff::testing {

Process::Process(std::vector<std::string> argv, std::string stdin_text, std::vector<std::string> env)
    : stdin_text_(std::move(stdin_text)) {
  ::signal(SIGPIPE, SIG_IGN);
  int in[2], out[2], err[2];
  if (::pipe2(in, O_CLOEXEC) != 0 || ::pipe2(out, O_CLOEXEC) != 0 || ::pipe2(err, O_CLOEXEC) != 0)
    throw std::runtime_error("pipe");
  std::vector<char*> words;
  for (std::string& word : argv) words.push_back(word.data());
  words.push_back(nullptr);
  pid_ = ::fork();
  if (pid_ < 0) throw std::runtime_error("fork");
  if (pid_ == 0) {
    ::dup2(in[0], 0);
    ::dup2(out[1], 1);
    ::dup2(err[1], 2);
    for (std::string& entry : env) ::putenv(entry.data());
    ::signal(SIGPIPE, SIG_DFL);
    ::execv(words[0], words.data());
    ::_exit(127);
  }
  ::close(in[0]);
  ::close(out[1]);
  ::close(err[1]);
  in_ = in[1];
  out_ = out[0];
  err_ = err[0];
  ::fcntl(in_, F_SETFL, O_NONBLOCK);
}

Process::~Process() {
  for (const int fd : {in_, out_, err_})
    if (fd >= 0) ::close(fd);
  if (pid_ > 0) {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
}

// One step of feeding and reading; false when both outputs have ended or the time is over.
bool Process::pump(std::chrono::steady_clock::time_point until) {
  if (in_ >= 0 && stdin_text_.empty()) {
    ::close(in_);
    in_ = -1;
  }
  if (out_ < 0 && err_ < 0) return false;
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
  if (left.count() <= 0) return false;
  pollfd fds[3] = {{in_, POLLOUT, 0}, {out_, POLLIN, 0}, {err_, POLLIN, 0}};
  if (::poll(fds, 3, static_cast<int>(left.count())) <= 0) return errno == EINTR;
  if (fds[0].revents != 0) {
    const ssize_t n = ::write(in_, stdin_text_.data(), stdin_text_.size());
    if (n > 0) stdin_text_.erase(0, static_cast<std::size_t>(n));
    if (n < 0 && errno != EAGAIN) stdin_text_.clear();
  }
  auto take = [](const pollfd& polled, int& fd, std::string& text) {
    if (polled.revents == 0) return;
    char block[65536];
    const ssize_t n = ::read(fd, block, sizeof block);
    if (n > 0) {
      text.append(block, static_cast<std::size_t>(n));
    } else {
      ::close(fd);
      fd = -1;
    }
  };
  take(fds[1], out_, outcome_.out);
  take(fds[2], err_, outcome_.err);
  return true;
}

bool Process::wait_for_output(const std::string& text, std::chrono::milliseconds limit) {
  const auto until = std::chrono::steady_clock::now() + limit;
  while (outcome_.out.find(text) == std::string::npos)
    if (!pump(until)) return outcome_.out.find(text) != std::string::npos;
  return true;
}

Outcome Process::wait(std::chrono::milliseconds limit) {
  const auto until = std::chrono::steady_clock::now() + limit;
  while (pump(until)) {
  }
  int status = 0;
  while (std::chrono::steady_clock::now() < until) {
    if (::waitpid(pid_, &status, WNOHANG) == pid_) {
      pid_ = -1;
      outcome_.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
      break;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return outcome_;
}

TempFolder::TempFolder() {
  std::string name = (std::filesystem::temp_directory_path() / "ff-cli-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp");
  path_ = name;
}

TempFolder::~TempFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string TempFolder::write(const std::string& name, const std::string& bytes) const {
  std::ofstream(path(name), std::ios::binary) << bytes;
  return path(name);
}

std::string TempFolder::read(const std::string& name) const {
  std::ostringstream text;
  text << std::ifstream(path(name), std::ios::binary).rdbuf();
  return text.str();
}

bool gone(pid_t pid, std::chrono::milliseconds limit) {
  const auto until = std::chrono::steady_clock::now() + limit;
  do {
    std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
    std::string text;
    if (!std::getline(stat, text)) return true;
    const auto close = text.rfind(')');
    if (close != std::string::npos && close + 2 < text.size() && (text[close + 2] == 'Z' || text[close + 2] == 'X'))
      return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  } while (std::chrono::steady_clock::now() < until);
  return false;
}

}  // namespace ff::testing
