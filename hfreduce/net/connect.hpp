// Makes the links of a call that are not there yet, all at once: the lower rank of a pair connects, the higher one
// takes the connection from its listener. Both ends prove that they know the token (preamble and answer).
#pragma once

#include <expected>
#include <span>
#include <string>

#include "hfreduce/net/algorithm.hpp"
#include "hfreduce/net/listener.hpp"

namespace ff::hfreduce::net {

struct ConnectTrouble {
  Trouble::Kind kind = Trouble::Kind::kLinkLost;
  int peer = -1;  // rank of the group
  std::string what;
};

// Looks at options.failure and the deadline every few milliseconds; what is half made is closed on error.
std::expected<void, ConnectTrouble> make_links(const NetOptions& options, TcpListener& listener, int channel,
                                               std::span<const LinkId> needs, LinkTable& links,
                                               const Deadline& deadline);

}  // namespace ff::hfreduce::net
