// RankLink: the agent's view of one rank, kept by the process beside it (run_rank.hpp).
//
// Ownership  The rank does not end with the link: destroying it only lets go.
// Threads    Those of the Env, except launch(), which blocks and may run anywhere.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "ffctl/rank/lease.hpp"
#include "ffctl/rank/rank.pb.h"
#include "libcommon/runtime/real_env.hpp"

namespace ff::ctl {

struct RankStatus {
  enum class State : std::uint8_t { kStarting, kRunning, kEnded, kFailed };
  State state = State::kStarting;
  pid_t pid = 0;
  int exit_code = 0;
  bool out_of_memory = false;
  bool fenced = false;  // it lived when its lease ran out
  std::uint64_t ended_ms = 0;
  std::string reason;    // of kFailed
  bool clean = false;    // nothing of it is left, and its supervisor has ended
  bool vouched = false;  // its supervisor said so, at its end: it was below all that the rank ever started
  std::string unclean;   // what is left
  std::uint64_t log_bytes = 0;
  std::uint64_t output_ms = 0;

  bool over() const noexcept { return state == State::kEnded || state == State::kFailed; }
};

class RankLink {
 public:
  // `changed` runs whenever status() has changed.
  RankLink(runtime::RealEnv& env, std::string folder, std::uint32_t number, std::function<void()> changed);
  ~RankLink();
  RankLink(const RankLink&) = delete;
  RankLink& operator=(const RankLink&) = delete;

  // Writes rank-N.start and starts the supervisor. `program`: ffrank.
  Result<> launch(const RankStart& start, const std::string& program);
  // Listens to the supervisor until it has ended, or the task is cancelled. A supervisor that is not there any more
  // leaves its status file; without one the rank counts as killed.
  runtime::Task<void> follow();

  // What cannot be said is lost: who has ended needs no signal.
  void signal(int signo) { say("signal " + std::to_string(signo)); }
  void kill() { say("kill"); }
  void clean() { say("clean"); }
  void fence() { say("fence"); }
  // Said again whenever the supervisor is reached anew.
  void lease(const RankLease& lease);
  const RankStatus& status() const noexcept { return status_; }
  bool followed() const noexcept { return socket_ != nullptr; }

 private:
  std::string file(const char* what) const;
  void say(const std::string& line);
  void say_lease();
  void hear(std::string_view line);
  bool supervisor_lives() const;
  Result<UniqueFd> connect() const;
  void read_status_file();

  runtime::RealEnv& env_;
  const std::string folder_;
  const std::uint32_t number_;
  const std::function<void()> changed_;
  std::unique_ptr<runtime::Socket> socket_;
  pid_t supervisor_ = 0;  // our child, to be reaped
  RankLease lease_;
  RankStatus status_;
};

}  // namespace ff::ctl
