#include "hfreduce/run/rendezvous.hpp"

#include <fmt/core.h>

#include <cstdio>
#include <cstdlib>
#include <vector>

#include "libcommon/net/socket.hpp"

namespace ff::hfreduce::run {
namespace {

net::Address any_port(const std::string& host) { return net::Address::tcp(host, 0); }

std::vector<std::string> addresses_of(const std::string& host, bool wide) {
  std::vector<std::string> out;
  const auto resolved = net::resolve(any_port(host), net::ResolveFor::kListen);
  if (!resolved) return out;
  for (const net::SocketAddress& entry : *resolved)
    if (const auto address = entry.address(); address && !(wide && entry.is_loopback())) out.push_back(address->host);
  return out;
}

// Where others reach this machine, best guess first: the address that the ssh client used, then those of the
// interfaces.
std::vector<std::string> reachable_addresses() {
  std::vector<std::string> out;
  if (const char* connection = std::getenv("SSH_CONNECTION"); connection != nullptr) {
    char client[128], client_port[16], server[128];
    if (std::sscanf(connection, "%127s %15s %127s", client, client_port, server) == 3) out.push_back(server);
  }
  for (std::string& address : net::interface_addresses()) out.push_back(std::move(address));
  return out;
}

Result<Rendezvous> bind_numeric(const std::string& address) {
  FF_TRY_ASSIGN(const net::SocketAddress at, net::resolve_numeric(any_port(address), net::ResolveFor::kListen));
  Rendezvous out;
  out.address = address;
  FF_TRY_ASSIGN(out.listener, net::listen_on(at));
  FF_TRY_ASSIGN(const net::Address bound, net::local_address(out.listener.get()));
  out.port = bound.port;
  return out;
}

bool is_numeric(const std::string& host) {
  return !host.empty() && net::resolve_numeric(any_port(host), net::ResolveFor::kListen).has_value();
}

}  // namespace

Result<Rendezvous> bind_rendezvous(const std::string& host, bool wide) {
  if (is_numeric(host)) return bind_numeric(host);  // said exactly: anything else would surprise
  std::vector<std::string> candidates;
  if (!host.empty()) candidates = addresses_of(host, wide);
  if (wide) {
    for (std::string& address : reachable_addresses()) candidates.push_back(std::move(address));
  } else {
    candidates.push_back("127.0.0.1");
  }
  for (const std::string& address : candidates)
    if (auto bound = bind_numeric(address)) return bound;
  return fail(Errc::kUnavailable, fmt::format("rendezvous of '{}': no address of this machine that others could reach "
                                              "(name one with --master-address)",
                                              host));
}

}  // namespace ff::hfreduce::run
