// The process of one agent, as its controller sees it: started here, through ssh, or in a network namespace; told the
// key; known to listen. It ends when this object does: its standard input closes, and after kEndWait it is killed.
//
// Threads  Main's (the kernel kills local agents when the thread that started them ends).
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "hfreduce/run/agent_link.hpp"
#include "hfreduce/run/spawn.hpp"
#include "libcommon/base/deadline.hpp"

namespace ff::bench {

inline constexpr auto kEndWait = std::chrono::seconds(3);

struct AgentReady {
  std::uint16_t port = 0;
  std::vector<std::string> addresses;  // of its machine
};

// "ffbench-net-agent 1 4711 10.0.0.1,10.1.0.1"; nothing for another line. kUnsupported: another version.
Result<std::optional<AgentReady>> parse_ready_line(const std::string& line);

class AgentProcess {
 public:
  // `command` runs `ffbench net serve --stdio`, here or elsewhere.
  static Result<AgentProcess> start(std::string name, std::vector<std::string> command);
  // In the namespace whose hfreduce agent is at the other end of `socket`.
  static AgentProcess adopt(std::string name, UniqueFd socket, std::vector<std::string> command);
  AgentProcess(AgentProcess&&) noexcept = default;
  AgentProcess& operator=(AgentProcess&&) = delete;
  ~AgentProcess();

  // To be called before wait_until_ready(), which hands over the key where it cannot be sent at once.
  void send_key(const std::string& key_line) noexcept;
  // Waits. kTimeout, kUnavailable (it has ended; what it said is on standard error), kCancelled.
  Result<AgentReady> wait_until_ready(const std::string& key_line, const Deadline& deadline,
                                      const std::stop_token& stop);
  const std::string& name() const noexcept { return name_; }
  // Ends all of them, with one deadline: kEndWait after their inputs were closed, who is still there is killed.
  static void end(std::span<AgentProcess> processes) noexcept;

 private:
  explicit AgentProcess(std::string name) : name_(std::move(name)) {}
  void release() noexcept;
  Result<std::string> read_some();
  Result<std::string> read_from_link(const std::string& key_line);

  std::string name_;
  std::vector<std::string> command_;
  hfreduce::run::Child child_;
  UniqueFd to_, from_;
  std::optional<hfreduce::run::AgentLink> link_;
};

}  // namespace ff::bench
