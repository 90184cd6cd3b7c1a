// NodeStats: the service of stats.proto: the node's Registry, over the node's own address, for `ffs top` and for who
// has no way to its metrics page.
//
// Ownership  What it refers to outlives it. Threads: the Env's.
#pragma once

#include <functional>

#include "ffs/daemon/stats.ff.hpp"
#include "ffs/format/types.hpp"
#include "libcommon/metrics/registry.hpp"

namespace ff::ffs {

// Most that one answer holds; a request for more is refused with kExhausted.
inline constexpr std::size_t kStatsBytesMax = 2u << 20;

class NodeStats final : public StatsService {
 public:
  // `sample` brings the Registry up to date, and gives the number of this process (0: not known yet).
  NodeStats(const metrics::Registry& registry, NodeId node, std::function<std::uint64_t()> sample);
  runtime::Task<Result<StatsReply>> snapshot(rpc::ServerCall& call, const StatsRequest& request) override;

 private:
  const metrics::Registry& registry_;
  const NodeId node_;
  const std::function<std::uint64_t()> sample_;
};

}  // namespace ff::ffs
