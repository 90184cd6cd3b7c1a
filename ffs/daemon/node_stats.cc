#include "ffs/daemon/node_stats.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <type_traits>
#include <variant>

namespace ff::ffs {

namespace {

void put_value(const metrics::Series& from, StatsSeries& to) {
  std::visit(
      [&](const auto& value) {
        if constexpr (std::is_same_v<std::decay_t<decltype(value)>, metrics::Histogram>) {
          to.set_histogram(value.encode());
        } else {
          to.set_value(static_cast<double>(value));
        }
      },
      from.value);
}

}  // namespace

NodeStats::NodeStats(const metrics::Registry& registry, NodeId node, std::function<std::uint64_t()> sample)
    : registry_(registry), node_(node), sample_(std::move(sample)) {}

runtime::Task<Result<StatsReply>> NodeStats::snapshot(rpc::ServerCall&, const StatsRequest& request) {
  StatsReply reply;
  reply.set_node(number(node_));
  reply.set_incarnation(sample_());
  std::size_t bytes = 0;
  for (const metrics::Family& family : registry_.collect()) {
    const auto& wanted = request.families();
    if (!wanted.empty() && std::ranges::find(wanted, family.name) == wanted.end()) continue;
    for (const metrics::Series& series : family.series) {
      StatsSeries& out = *reply.add_series();
      out.set_name(family.name);
      for (const auto& [name, value] : series.labels) {
        StatsLabel& label = *out.add_labels();
        label.set_name(name);
        label.set_value(value);
      }
      put_value(series, out);
      bytes += out.ByteSizeLong();
      if (bytes > kStatsBytesMax) {
        co_return fail(Errc::kExhausted, fmt::format("metrics of node {}: more than {} bytes (ask for fewer families)",
                                                     number(node_), kStatsBytesMax));
      }
    }
  }
  co_return reply;
}

}  // namespace ff::ffs
