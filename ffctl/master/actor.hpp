// Who asks. Over a Unix socket without the cluster key the kernel's word counts: uid and gid must be the caller's, and
// the name is the one that this machine's database has for the uid. Root and the daemon's user may name anybody, as may
// who holds the key.
//
// Errors   kPermission: says that it is somebody else; kInvalidArgument: a name with control characters.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "ffctl/master/engine.hpp"
#include "libcommon/net/peer.hpp"

namespace ff::ctl {

using UserNames = std::function<std::string(std::uint32_t uid)>;

Result<Actor> actor_of(const net::PeerIdentity& peer, const Caller& caller, std::uint32_t own_uid,
                       const UserNames& names);

// The system's, or the number where it knows none. Remembers those that were found: the database may be far away.
UserNames system_user_names();

}  // namespace ff::ctl
