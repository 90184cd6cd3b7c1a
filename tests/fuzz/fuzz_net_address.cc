// Any text is an address that prints as one that reads back equal, or an error of one readable line.
#include <algorithm>
#include <cstdint>
#include <string_view>

#include "libcommon/base/assert.hpp"
#include "libcommon/net/address.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace ff::net;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto peer = parse_peer_address(text);
  if (!peer) {
    FF_ASSERT(peer.error().code() == ff::Errc::kInvalidArgument);
    FF_ASSERT(std::ranges::all_of(peer.error().message(), [](char c) { return c >= 0x20 && c <= 0x7e; }));
    FF_ASSERT(peer.error().message().size() < 1000);
    return 0;
  }
  FF_ASSERT(!peer->planes.empty() && peer->planes.size() <= kPlanesMax);
  const auto again = parse_peer_address(peer->text());
  FF_ASSERT(again && *again == *peer, peer->text());
  for (const Address& address : peer->planes) {
    FF_ASSERT(*parse_address(address.text()) == address, address.text());
    // Numeric only: never asks a name server.
    if (const auto resolved = resolve_numeric(address, ResolveFor::kListen); resolved && address.is_unix())
      FF_ASSERT(*resolved->address() == address, address.text());
  }
  return 0;
}
