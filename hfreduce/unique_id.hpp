// Listening sockets of ids made in this process, until rank 0 takes them. Internal.
#pragma once

#include <string>

#include "hfreduce/communicator.hpp"
#include "libcommon/base/unique_fd.hpp"

namespace ff::hfreduce {

// The socket that create_id() bound for this id, or an empty one if it was made elsewhere or taken already.
UniqueFd take_listener_of(const UniqueId& id);

// 32 hex digits from the kernel's random source.
Result<std::string> random_token();
// Another token that everyone who knows `token` computes alike (SHA-256 of both, cut): for a shrunk communicator.
std::string derive_token(const std::string& token, const std::string& label);

}  // namespace ff::hfreduce
