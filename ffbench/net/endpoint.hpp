// Env and network of a process that takes part in network tests: agent or controller.
#pragma once

#include <memory>

#include "ffbench/net/traffic.hpp"
#include "libcommon/net/cluster_key.hpp"
#include "libcommon/net/tcp_network.hpp"

namespace ff::bench {

using SharedKey = std::shared_ptr<const net::ClusterKey>;  // null: insecure, said on purpose

// "net-agent" or "net-controller".
net::TcpOptions net_options(const char* role, SharedKey key);
// What `text` (a key file's line, or "insecure") says; and the line for a key. The line is a secret.
Result<SharedKey> parse_key_line(const std::string& text);
std::string key_line(const SharedKey& key);
// --key FILE or --insecure: exactly one. kInvalidArgument says so.
Result<SharedKey> load_key(const std::string& file, bool insecure);

// What an agent is told of this machine. `env` outlives it.
TrafficHost real_traffic_host(runtime::RealEnv& env, SharedKey key);

}  // namespace ff::bench
