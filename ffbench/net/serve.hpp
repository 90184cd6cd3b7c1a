// The process of an agent: a RealEnv, a TCP network with the cluster's key, and the service of agent.hpp on it.
//
//   ffbench net serve            listens until SIGINT or SIGTERM; with `once` until its first controller has gone
//   ... --stdio                  started by a controller, directly or through ssh: reads the key (a line of a key file,
//                                or "insecure") from standard input, says where it listens in one line on standard
//                                output, and ends when standard input does. So no agent survives its controller.
//
// The line  "ffbench-net-agent 1 PORT ADDRESS,ADDRESS...": this machine's addresses as others reach it; "-" for none.
// Threads   Call it once, from main's thread.
#pragma once

#include <string>
#include <vector>

#include "libcommon/base/result.hpp"

namespace ff::bench {

inline constexpr const char* kReadyWord = "ffbench-net-agent";
inline constexpr const char* kReadyVersion = "1";
inline constexpr std::uint16_t kNetPort = 7471;

struct ServeOptions {
  std::string listen = {};   // address; empty: every interface, kNetPort (with `stdio`: a free port)
  std::string control = {};  // listens here too, for the controller alone: a Unix socket
  std::string key_file = {};
  bool insecure = false;
  bool once = false;
  bool stdio = false;
};

// The exit code. Errors: the key, the address.
Result<int> serve_net(const ServeOptions& options);

}  // namespace ff::bench
