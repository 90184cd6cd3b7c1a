// The launcher's end of one agent: its process (a forked agent here, an ssh to a remote one), the two descriptors, and
// what is on its way in both directions.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "hfreduce/run/hosts.hpp"
#include "hfreduce/run/message.hpp"
#include "hfreduce/run/spawn.hpp"
#include "libcommon/base/result.hpp"
#include "libcommon/base/unique_fd.hpp"

namespace ff::hfreduce::run {

class AgentLink {
 public:
  enum class State { kConnecting, kReady, kRunning, kEnded, kLost };

  // An agent forked from this process. It has this process's standard input; it ends when its socket does.
  static Result<AgentLink> local(Block block);
  // `ssh` HOST 'PATH' agent.
  static Result<AgentLink> remote(Block block, const std::vector<std::string>& ssh, const std::string& remote_path);
  // An agent that somebody else started, at the other end of `socket`.
  static AgentLink adopt(Block block, UniqueFd socket);

  AgentLink(AgentLink&&) = default;
  AgentLink& operator=(AgentLink&&) = default;
  ~AgentLink() { end({this, 1}); }

  // Closes the links, upon which the agents kill their ranks, and waits for the agents' processes: SIGKILL for those
  // that are there after five seconds, which is one deadline for all.
  static void end(std::span<AgentLink> links);

  void send(const Message& message) { pending_ += encode_message(message); }
  bool wants_write() const noexcept { return !pending_.empty() && to_; }
  // Both are called after poll. read_some gives the messages that are complete; at the end of file or on nonsense the
  // state becomes kLost (unless it has ended) and lost_reason() says why.
  void write_some();
  std::vector<Message> read_some();
  void lose(std::string reason);

  const Block& block() const noexcept { return block_; }
  bool is_remote() const noexcept { return remote_; }
  int read_fd() const noexcept { return from_.get(); }
  int write_fd() const noexcept { return to_ ? to_.get() : from_.get(); }
  State state() const noexcept { return state_; }
  void set_state(State state) noexcept { state_ = state; }
  bool over() const noexcept { return state_ == State::kEnded || state_ == State::kLost; }
  const std::string& lost_reason() const noexcept { return lost_reason_; }

 private:
  AgentLink(Block block, Child process, UniqueFd from, UniqueFd to, bool remote);

  Block block_;
  Child process_;
  UniqueFd from_, to_;
  bool remote_ = false;
  State state_ = State::kConnecting;
  MessageReader reader_;
  std::string pending_;
  std::string lost_reason_;
};

}  // namespace ff::hfreduce::run
