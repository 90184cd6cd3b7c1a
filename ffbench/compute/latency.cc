#include "ffbench/compute/latency.hpp"

#include <fmt/core.h>

#include <vector>

#include "ffbench/compute/big_memory.hpp"
#include "ffbench/compute/cpu_team.hpp"
#include "libcommon/base/byte_size.hpp"
#include "libcommon/base/rng.hpp"

namespace ff::bench {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::uint64_t kLine = 64;
constexpr std::size_t kBatch = 4096;  // loads between two looks at the clock: some 10 us and more
constexpr std::uint64_t kSeed = 0x6c6174656e6379;

struct alignas(kLine) Node {
  Node* next;
};

// One cycle through all nodes, each equally likely (Sattolo's algorithm): a permutation of one cycle is what leaves no
// short loop that a cache could hold.
void link_cycle(Node* nodes, std::size_t count) {
  Rng rng(kSeed);
  for (std::size_t i = 0; i < count; ++i) nodes[i].next = &nodes[i];
  for (std::size_t i = count - 1; i > 0; --i) std::swap(nodes[i].next, nodes[rng.below(i)].next);
}

// Every load needs the one before; eight a turn hide the loop itself.
Node* chase(Node* at, std::size_t loads) {
  for (std::size_t i = 0; i < loads; i += 8) {
    at = at->next->next->next->next;
    at = at->next->next->next->next;
  }
  asm volatile("" : "+r"(at));
  return at;
}

}  // namespace

Result<double> measure_memory_latency(std::uint64_t bytes, int cpu, std::chrono::nanoseconds duration,
                                      std::stop_token stop) {
  if (bytes < 2 * kLine)
    return fail(Errc::kInvalidArgument,
                fmt::format("latency over {}: less than two cache lines (give 128 or more)", format_byte_size(bytes)));
  FF_TRY_ASSIGN(const std::vector<int> cpus, usable_cpus({cpu}));
  FF_TRY_ASSIGN(const BigMemory memory, BigMemory::map(bytes));
  double ns_per_load = 0;
  bool stopped = false;
  FF_TRY(run_on_cpus(cpus, [&](std::size_t) {
    Node* at = memory.as<Node>();
    const std::size_t count = bytes / kLine;
    link_cycle(at, count);
    // Round once: what fits a cache is in it before the clock runs. Larger cycles gain nothing by a second round.
    for (std::size_t done = 0; done < count && !stop.stop_requested(); done += kBatch) at = chase(at, kBatch);
    const auto begin = Clock::now();
    auto now = begin;
    std::uint64_t loads = 0;
    do {
      at = chase(at, kBatch);
      loads += kBatch;
      now = Clock::now();
      stopped = stop.stop_requested();
    } while (now - begin < duration && !stopped);
    ns_per_load = static_cast<double>((now - begin).count()) / static_cast<double>(loads);
  }));
  if (stopped) return fail(Errc::kCancelled, "latency: stopped");
  return ns_per_load;
}

}  // namespace ff::bench
