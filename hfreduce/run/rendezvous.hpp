// The socket at which the ranks meet: bound by the agent of rank 0 before any rank runs, so that there is no moment at
// which somebody else can take the port, and inherited by rank 0.
#pragma once

#include <cstdint>
#include <string>

#include "libcommon/base/result.hpp"
#include "libcommon/base/unique_fd.hpp"

namespace ff::hfreduce::run {

struct Rendezvous {
  UniqueFd listener;    // bound and listening
  std::string address;  // numeric; what the other ranks connect to
  std::uint16_t port = 0;
};

// `host` is this machine's name or address as the user gave it; empty: chosen. `wide`: ranks on other machines must
// reach it, so loopback addresses are passed over (Debian gives a machine's own name 127.0.1.1).
Result<Rendezvous> bind_rendezvous(const std::string& host, bool wide);

}  // namespace ff::hfreduce::run
