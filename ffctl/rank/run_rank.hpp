// ffrank: the small process beside each rank. It starts the rank, writes its log, keeps its exit status in
// a file, and stays when the agent is killed, which then finds it again by its socket and its lock.
//
// Files in the attempt's folder, N the rank's number on this node
//   rank-N.start   RankStart, written by the agent
//   rank-N.sock    where it listens; the agent made it, so it can be reached from the first moment
//   rank-N.lock    locked (flock) as long as this process lives; inherited from the agent, so there is no gap
//   rank-N.status  a line as in "ended" or "failed" below; appears whole, when the rank has ended
//
// Lines to the agent, all of them again for an agent that connects
//   started PID                            ended CODE SIGNAL OUT_OF_MEMORY UNIX_MS
//   failed REASON                          output BYTES UNIX_MS
//   clean                                  unclean REASON
// Lines from it
//   signal N    to the rank's own process   kill    SIGKILL to it and all that descend from it
//   clean       kill, verify, clear /dev/shm of what they had there, finish the log, end
//
// Whatever a rank starts stays below this process, also daemons (PR_SET_CHILD_SUBREAPER). A rank dies with it.
#pragma once

#include <string>

namespace ff::ctl {

// Descriptor 3 listens at rank-N.sock, 4 holds rank-N.lock. Returns the exit code of the process.
int run_rank(const std::string& folder, const std::string& number);

}  // namespace ff::ctl
