#include "libcommon/testing/free_ports.hpp"

#include "libcommon/net/socket.hpp"

namespace ff::testing {

Result<std::vector<std::uint16_t>> free_ports(std::size_t count) {
  std::vector<UniqueFd> held;  // until all are found, so that they differ
  std::vector<std::uint16_t> out;
  for (std::size_t i = 0; i < count; ++i) {
    FF_TRY_ASSIGN(held.emplace_back(), net::listen_on(net::Address::tcp("127.0.0.1", 0)));
    FF_TRY_ASSIGN(const net::Address address, net::local_address(held.back().get()));
    out.push_back(address.port);
  }
  return out;
}

}  // namespace ff::testing
