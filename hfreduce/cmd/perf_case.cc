#include "hfreduce/cmd/perf_case.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace ff::hfreduce::cmd {
namespace {

struct Name {
  const char* name;
  Collective kind;
};
constexpr Name kNames[] = {
    {"all_reduce", Collective::kAllReduce}, {"reduce", Collective::kReduce},
    {"broadcast", Collective::kBroadcast},  {"reduce_scatter", Collective::kReduceScatter},
    {"all_gather", Collective::kAllGather}, {"all_to_all", Collective::kAllToAll},
    {"gather", Collective::kGather},        {"scatter", Collective::kScatter},
    {"sendrecv", Collective::kSendRecv},
};

}  // namespace

const std::vector<std::string>& perf_collective_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> out;
    for (const Name& entry : kNames) out.emplace_back(entry.name);
    return out;
  }();
  return names;
}

Result<Collective> parse_perf_collective(std::string_view text) {
  for (const Name& entry : kNames)
    if (text == entry.name) return entry.kind;
  return fail(Errc::kInvalidArgument,
              fmt::format("collective '{}': unknown (one of {})", text, fmt::join(perf_collective_names(), ", ")));
}

std::string_view perf_collective_name(Collective kind) {
  for (const Name& entry : kNames)
    if (kind == entry.kind) return entry.name;
  return "?";
}

PerfCase perf_case(Collective kind, int ranks, DType dtype, std::uint64_t bytes) {
  const auto n = static_cast<std::uint64_t>(ranks);
  const std::uint64_t element = dtype_size(dtype);
  const std::uint64_t whole = std::max<std::uint64_t>(bytes / element, 1);
  const double share = static_cast<double>(n - 1) / static_cast<double>(n);
  // Parts begin at multiples of 16 bytes where they are long enough, as nccl-tests cuts them.
  std::uint64_t part = std::max<std::uint64_t>(bytes / element / n, 1);
  if (const std::uint64_t grain = std::max<std::uint64_t>(16 / element, 1); part >= grain) part -= part % grain;

  PerfCase c;
  c.count = whole;
  c.send_bytes = c.recv_bytes = c.size = whole * element;
  switch (kind) {
    case Collective::kAllReduce:
      c.factor = 2 * share;
      c.can_be_in_place = c.reduces = true;
      return c;
    case Collective::kReduce: c.can_be_in_place = c.reduces = c.has_root = true; return c;
    case Collective::kBroadcast: c.can_be_in_place = c.has_root = true; return c;
    case Collective::kSendRecv: return c;
    default: break;
  }
  c.count = part;
  c.size = part * n * element;
  c.send_bytes = c.recv_bytes = c.size;
  c.factor = share;
  switch (kind) {
    case Collective::kReduceScatter:
      c.recv_bytes = part * element;
      c.can_be_in_place = c.reduces = true;
      break;
    case Collective::kAllGather:
      c.send_bytes = part * element;
      c.can_be_in_place = true;
      break;
    case Collective::kGather:
      c.send_bytes = part * element;
      c.has_root = true;
      break;
    case Collective::kScatter:
      c.recv_bytes = part * element;
      c.has_root = true;
      break;
    default: break;
  }
  return c;
}

std::vector<std::uint64_t> perf_sizes(std::uint64_t begin, std::uint64_t end, std::uint64_t factor,
                                      std::uint64_t step) {
  std::vector<std::uint64_t> sizes;
  for (std::uint64_t size = begin; size <= end;) {
    sizes.push_back(size);
    const std::uint64_t next = step > 0 ? size + step : size * factor;
    if (next <= size) break;  // zero, or past 2^64
    size = next;
  }
  return sizes;
}

}  // namespace ff::hfreduce::cmd
