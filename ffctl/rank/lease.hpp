// Until when ranks may run without an answer of a master (ReportReply of agent.proto says how long that is).
//
// Who keeps it  The process beside each rank, so that a dead or stopped agent changes nothing: at `leave` the attempt
//               is fenced, which is not taken back; the agent, if it lives, gives the order to suspend; half way to
//               `stop` the rank is sent SIGTERM, at `stop` everything is killed.
// Clock         CLOCK_BOOTTIME of this machine, in milliseconds: it counts while the machine sleeps.
#pragma once

#include <ctime>

#include <cstdint>

namespace ff::ctl {

struct RankLease {
  std::uint64_t leave = 0;  // 0: without end
  std::uint64_t stop = 0;

  bool operator==(const RankLease&) const = default;
};

inline std::uint64_t lease_clock_ms() noexcept {
  timespec now{};
  ::clock_gettime(CLOCK_BOOTTIME, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1000 + static_cast<std::uint64_t>(now.tv_nsec) / 1'000'000;
}

}  // namespace ff::ctl
