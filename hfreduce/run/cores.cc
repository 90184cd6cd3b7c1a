#include "hfreduce/run/cores.hpp"

namespace ff::hfreduce::run {

std::vector<int> allowed_cores() {
  std::vector<int> cores;
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (::sched_getaffinity(0, sizeof allowed, &allowed) != 0) return cores;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
    if (CPU_ISSET(static_cast<unsigned>(cpu), &allowed)) cores.push_back(cpu);
  return cores;
}

std::vector<int> core_block(const std::vector<int>& cores, int index, int ranks) {
  const auto count = static_cast<std::ptrdiff_t>(cores.size());
  if (ranks <= 1 || count < ranks) return {};
  return {cores.begin() + count * index / ranks, cores.begin() + count * (index + 1) / ranks};
}

}  // namespace ff::hfreduce::run
