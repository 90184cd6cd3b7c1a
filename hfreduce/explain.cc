// explain(): the plan of a call in words and in JSON. Pure in the communicator's state; sends nothing.
#include <fmt/format.h>

#include <iterator>

#include "hfreduce/communicator_impl.hpp"
#include "hfreduce/cpu/reduce.hpp"
#include "hfreduce/tree/double_binary_tree.hpp"
#include "libcommon/base/byte_size.hpp"
#include "libcommon/report/json.hpp"

namespace ff::hfreduce {
namespace {

// Collects lines for people and fields for programs at once.
class PlanWriter {
 public:
  PlanWriter() { json_.begin_object().field("schema", "ff.plan/1"); }

  template <class T>
  void fact(std::string_view key, const T& value, std::string_view words) {
    fmt::format_to(std::back_inserter(text_), "{:<22}{}\n", std::string(key) + ":", words);
    json_.field(key, value);
  }
  void line(std::string_view words) { text_.append(words).append("\n"); }
  report::JsonWriter& json() { return json_; }
  Communicator::Plan take() {
    json_.end_object();
    return {std::move(text_), json_.take()};
  }

 private:
  std::string text_;
  report::JsonWriter json_;
};

void write_tree(PlanWriter& plan, int nodes, const std::vector<std::vector<int>>& hosts) {
  plan.json().key("trees").begin_array();
  for (int tree = 0; tree < 2; ++tree) {
    plan.line(fmt::format("tree {} ({} chunks):", tree, tree == 0 ? "even" : "odd"));
    plan.json().begin_array();
    for (int node = 0; node < nodes; ++node) {
      const TreeNode n = double_binary_tree(nodes, node, tree);
      std::string children;
      for (const int c : n.children)
        if (c >= 0) children += fmt::format(" {}", c);
      plan.line(fmt::format("  {:>4} (rank {}): parent {}, children{}, depth {}", node,
                            hosts[static_cast<std::size_t>(node)].front(),
                            n.parent < 0 ? std::string("none (root)") : std::to_string(n.parent),
                            children.empty() ? " none" : children, n.depth));
      plan.json().begin_object().field("node", node).field("parent", n.parent).field("depth", n.depth);
      plan.json().key("children").begin_array();
      for (const int c : n.children)
        if (c >= 0) plan.json().value(c);
      plan.json().end_array().end_object();
    }
    plan.json().end_array();
  }
  plan.json().end_array();
}

void write_network(PlanWriter& plan, const NetEngine& engine, Collective kind, DType dtype, std::uint64_t bytes,
                   const std::vector<std::vector<int>>& nodes) {
  const NetAlgorithm algorithm = engine.algorithm_for(kind, dtype, bytes);
  const std::uint64_t chunk = engine.chunk_for(algorithm, bytes);
  plan.fact("network_algorithm", net_algorithm_name(algorithm),
            fmt::format("{} over TCP between {} nodes", net_algorithm_name(algorithm), nodes.size()));
  plan.fact("network_chunk_bytes", chunk, format_byte_size(chunk));
  if (algorithm == NetAlgorithm::kTree) write_tree(plan, static_cast<int>(nodes.size()), nodes);
}

}  // namespace

Communicator::Plan CommunicatorImpl::explain(Collective kind, DType dtype, std::uint64_t count) const {
  const std::uint64_t bytes = count * dtype_size(dtype);
  PlanWriter plan;
  plan.fact("collective", collective_name(kind), collective_name(kind));
  plan.fact("dtype", dtype_name(dtype), dtype_name(dtype));
  plan.fact("bytes", bytes, format_byte_size(bytes));
  plan.fact("ranks", size_, fmt::format("{} on {} host(s)", size_, groups_.hosts.size()));
  plan.fact("hosts", static_cast<std::int64_t>(groups_.hosts.size()), fmt::format("{}", groups_.hosts.size()));
  plan.fact("isa", cpu::isa_name(cpu::best_isa()), fmt::format("{} kernels", cpu::isa_name(cpu::best_isa())));
  if (shape_ == Shape::kAlone) plan.line("one rank: a copy");
  if (shm_) {
    const ShmEngine::Facts facts = shm_->facts();
    const auto words = [&](bool windows) { return std::string(shm_path_name(shm_->path_for(kind, bytes, windows))); };
    plan.fact("window_path", words(true), fmt::format("{} (buffers from alloc)", words(true)));
    plan.fact("ordinary_path", words(false),
              fmt::format("{} (other buffers; probe: staged {:.1f} GB/s, cma {:.1f} GB/s)", words(false),
                          facts.staged_gbs, facts.cma_gbs));
    plan.fact("shm_chunk_bytes", facts.chunk_bytes, format_byte_size(facts.chunk_bytes));
    plan.fact("huge_pages", facts.huge_pages,
              facts.huge_pages ? "windows have huge pages" : "windows have small pages");
  }
  const bool by_hierarchy =
      shape_ == Shape::kHierarchical &&
      (kind == Collective::kAllReduce || kind == Collective::kBroadcast || kind == Collective::kBarrier);
  if (by_hierarchy) {
    plan.line("hierarchical: inside each host first, one node a host between them, then inside again, overlapped");
    if (leaders_) {
      write_network(plan, *leaders_, kind, dtype, bytes, groups_.hosts);
    } else {
      plan.line("network:              carried by this host's leader");
    }
  } else if (net_) {
    std::vector<std::vector<int>> nodes;
    for (int r = 0; r < size_; ++r) nodes.push_back({r});
    write_network(plan, *net_, kind, dtype, bytes, nodes);
  }
  return plan.take();
}

}  // namespace ff::hfreduce
