#include "hfreduce/net/partial.hpp"

#include <algorithm>
#include <array>

#include "hfreduce/cpu/reduce.hpp"
#include "libcommon/base/assert.hpp"

namespace ff::hfreduce::net {
namespace {

constexpr std::uint64_t kBlock = 2048;  // elements; three blocks of fp32 and the result stay in the first cache

// Low types: widen block by block, combine in fp32, and keep or round.
void combine_low(DType dtype, const cpu::ReduceArgs& wide, std::span<const Part> parts, std::uint64_t count,
                 bool narrow, std::byte* out) noexcept {
  alignas(64) std::array<std::array<float, kBlock>, kPartsMax + 1> blocks;
  const std::uint64_t low = dtype_size(dtype);
  for (std::uint64_t at = 0; at < count; at += kBlock) {
    const std::uint64_t n = std::min(kBlock, count - at);
    std::array<const void*, kPartsMax> in{};
    for (std::size_t i = 0; i < parts.size(); ++i) {
      const auto* data = static_cast<const std::byte*>(parts[i].data);
      in[i] = data + at * sizeof(float);
      if (!parts[i].raw) continue;
      cpu::widen(dtype, data + at * low, blocks[i].data(), n);
      in[i] = blocks[i].data();
    }
    void* to = narrow ? static_cast<void*>(blocks[kPartsMax].data()) : out + at * sizeof(float);
    cpu::ReduceArgs args = wide;
    args.count = n;
    cpu::reduce(args, {in.data(), parts.size()}, {&to, 1});
    if (narrow) cpu::narrow(dtype, blocks[kPartsMax].data(), out + at * low, n);
  }
}

void combine_same(const cpu::ReduceArgs& args, std::span<const Part> parts, void* out) noexcept {
  std::array<const void*, kPartsMax> in{};
  for (std::size_t i = 0; i < parts.size(); ++i) in[i] = parts[i].data;
  cpu::reduce(args, {in.data(), parts.size()}, {&out, 1});
}

}  // namespace

std::uint64_t partial_size(DType dtype) noexcept { return is_low_type(dtype) ? sizeof(float) : dtype_size(dtype); }

void combine_partial(DType dtype, ReduceOp op, std::span<const Part> parts, std::uint64_t count, void* out) noexcept {
  FF_ASSERT(!parts.empty() && parts.size() <= kPartsMax, parts.size());
  const ReduceOp inner = op == ReduceOp::kAvg ? ReduceOp::kSum : op;
  if (is_low_type(dtype))
    combine_low(dtype, {.dtype = DType::kFloat32, .op = inner}, parts, count, false, static_cast<std::byte*>(out));
  else
    combine_same({.dtype = dtype, .op = inner, .count = count}, parts, out);
}

void combine_final(DType dtype, ReduceOp op, std::uint64_t divisor, std::span<const Part> parts, std::uint64_t count,
                   void* out) noexcept {
  FF_ASSERT(!parts.empty() && parts.size() <= kPartsMax, parts.size());
  const bool all_raw = std::all_of(parts.begin(), parts.end(), [](const Part& p) { return p.raw; });
  if (is_low_type(dtype) && !all_raw)
    combine_low(dtype, {.dtype = DType::kFloat32, .op = op, .divisor = divisor}, parts, count, true,
                static_cast<std::byte*>(out));
  else
    combine_same({.dtype = dtype, .op = op, .count = count, .divisor = divisor}, parts, out);
}

}  // namespace ff::hfreduce::net
