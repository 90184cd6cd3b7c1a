#include "ffbench/net/traffic.hpp"

#include <fmt/core.h>

#include <cmath>
#include <set>

namespace ff::bench {
namespace {

constexpr std::uint64_t kHourNs = 3'600'000'000'000;

std::unexpected<Error> refuse(std::string_view field, std::string reason) {
  return fail(Errc::kInvalidArgument, fmt::format("test: {}: {}", field, reason));
}

Result<> check_range(std::string_view field, std::uint64_t value, std::uint64_t min, std::uint64_t max) {
  if (value >= min && value <= max) return {};
  return refuse(field, fmt::format("{} is out of range (give {} to {})", value, min, max));
}

Result<> check_rate(std::string_view field, double rate) {
  if (std::isfinite(rate) && rate >= 0 && rate <= 1e8) return {};
  return refuse(field, "is out of range (give 0 to 1e8 requests a second)");
}

Result<> check_class(std::string_view field, const std::string& name) {
  if (name.empty()) return {};
  if (auto known = net::parse_traffic_class(name); !known)
    return std::unexpected(std::move(known).error().context(field));
  return {};
}

Result<> check_flows(const NetTest& test) {
  if (test.flows().empty()) return refuse("flows", "none (give at least one)");
  std::set<std::pair<std::uint32_t, bool>> seen;
  std::uint64_t connections = 0;
  for (const NetFlow& flow : test.flows()) {
    FF_TRY(check_range("connections", flow.connections(), 1, kTestConnectionsMax));
    connections += flow.connections();
    if (!seen.insert({flow.id(), flow.connects()}).second)
      return refuse("flows", fmt::format("{} is there twice", flow.id()));
  }
  FF_TRY(check_range("connections of all flows", connections, 1, kTestConnectionsMax));
  const std::uint64_t each = test.message_bytes() * std::max(1u, test.depth());
  if (each > kTestMemoryBytesMax / connections)
    return refuse("size",
                  fmt::format("{} connections with {} messages of {} bytes need more than {} bytes of memory "
                              "(make one of them smaller)",
                              connections, std::max(1u, test.depth()), test.message_bytes(), kTestMemoryBytesMax));
  return {};
}

}  // namespace

Result<> check_test(const NetTest& test) {
  FF_TRY(check_range("token bytes", test.token().size(), kTestTokenBytes, kTestTokenBytes));
  if (!NetPattern_IsValid(test.pattern()))
    return refuse("pattern", fmt::format("unknown number {}", int{test.pattern()}));
  if (!NetTransport_IsValid(test.transport()))
    return refuse("transport", fmt::format("unknown number {}", int{test.transport()}));
  FF_TRY(check_range("size", test.message_bytes(), 1, kTestMessageBytesMax));
  FF_TRY(check_range("depth", test.depth(), 1, 1024));
  FF_TRY(check_range("lanes", test.lanes(), 1, 64));
  FF_TRY(check_range("iterations", test.iterations(), 0, std::uint64_t{1} << 40));
  FF_TRY(check_range("timeout", test.timeout_ns(), 1'000'000, kHourNs));
  FF_TRY(check_rate("rate", test.rate()));
  FF_TRY(check_class("class", test.traffic_class()));
  FF_TRY(check_range("processors", test.processors_size(), 0, 4096));
  const bool ff = test.transport() == NET_FF;
  const bool latency = test.pattern() == NET_LATENCY;
  if (!latency && test.rate() > 0) return refuse("rate", "is for latency only");
  if (test.rate() > 0 && test.iterations() > 0) return refuse("rate", "goes with a duration, not with a count");
  if (!ff && (test.tls() || test.checksum())) return refuse("tls, checksum", "are of the transport ff only");
  if (ff && latency && test.message_bytes() > net::kMessageBytesMax)
    return refuse("size", fmt::format("{} is larger than a message of the transport ff can be ({})",
                                      test.message_bytes(), net::kMessageBytesMax));
  if (test.congestion().size() > 15) return refuse("cc", "longer than any name of the kernel's");
  if (!test.congestion().empty() && test.transport() != NET_TCP) return refuse("cc", "is of the transport tcp only");
  return check_flows(test);
}

Result<> check_schedule(const NetTest& test, const NetSchedule& schedule) {
  FF_TRY(check_range("lead", schedule.lead_ns(), 0, kHourNs));
  FF_TRY(check_range("tail", schedule.tail_ns(), 0, kHourNs));
  if (test.iterations() > 0) return check_range("duration", schedule.window_ns(), 0, 0);
  return check_range("duration", schedule.window_ns(), 1'000'000, 24 * kHourNs);
}

Result<> check_incast(const NetIncast& incast) {
  FF_TRY(check_range("senders", incast.senders_size(), 1, 4096));
  FF_TRY(check_range("size", incast.piece_bytes(), 1, std::uint64_t{256} << 20));
  FF_TRY(check_range("streams", incast.streams(), 1, 256));
  const auto streams = static_cast<std::uint64_t>(incast.senders_size()) * incast.streams();
  if (incast.piece_bytes() > kTestMemoryBytesMax / streams)
    return refuse("size", fmt::format("{} pieces of {} bytes need more than {} bytes of memory (make it smaller)",
                                      streams, incast.piece_bytes(), kTestMemoryBytesMax));
  FF_TRY(check_rate("rate", incast.bystander_rate()));
  FF_TRY(check_class("class", incast.traffic_class()));
  FF_TRY(check_class("bystander-class", incast.bystander_class()));
  FF_TRY(check_range("lead", incast.lead_ns(), 0, kHourNs));
  FF_TRY(check_range("timeout", incast.timeout_ns(), 1'000'000, kHourNs));
  return check_range("duration", incast.window_ns(), 1'000'000, 24 * kHourNs);
}

Result<std::vector<net::PeerAddress>> peers_of(const NetTest& test, const NetPeers& peers) {
  std::vector<net::PeerAddress> out;
  for (const NetFlow& flow : test.flows()) {
    out.emplace_back();
    if (!flow.connects()) continue;
    for (const NetFlow& given : peers.flows()) {
      if (given.id() != flow.id() || !given.connects()) continue;
      FF_TRY_ASSIGN(out.back(), net::parse_peer_address(given.peer()));
    }
    if (out.back().planes.empty()) return refuse("peers", fmt::format("flow {} has none", flow.id()));
  }
  return out;
}

}  // namespace ff::bench
