// Sending when the connection's queue may be full.
#pragma once

#include "libcommon/net/network.hpp"

namespace ff::rpc {

// False when the peer reads too slowly to queue this now; `message` is still whole then, for after writable(). A closed
// connection takes everything: its on_closed() tells who needs to know.
bool send_or_keep(net::Connection& connection, net::Message& message);

}  // namespace ff::rpc
