// Element types, reduction operations and collectives: the vocabulary of the whole library.
//
// Stability  The numbers are on the wire and in the C ABI (hfreduce.h); they are never reused.
// Numerics   fp16, bf16, fp8e4m3, fp8e5m2 ("low types") are widened to fp32, combined in fp32 and rounded once to
//            nearest even. Integers wrap at their own width, as unsigned arithmetic does, so sums are exact modulo
//            2^width; avg divides the (wrapped) sum, truncating toward zero. NaN in gives NaN out for sum, avg, prod,
//            min, max.
// Order      Inputs combine in the pairwise order of kPairwiseOrder below; equal inputs give equal bits for a given
//            number of ranks, whatever the message size, chunk, algorithm marked pairwise, or transport.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "libcommon/base/result.hpp"

namespace ff::hfreduce {

enum class DType : std::uint8_t {
  kFloat32 = 0,
  kFloat16 = 1,
  kBfloat16 = 2,
  kFloat8E4M3 = 3,  // OCP FP8: no infinities, max 448, one NaN pattern (0x7f / 0xff)
  kFloat8E5M2 = 4,  // OCP FP8: IEEE-like, max 57344
  kFloat64 = 5,
  kInt8 = 6,
  kUint8 = 7,
  kInt32 = 8,
  kInt64 = 9,
};
inline constexpr int kDTypeCount = 10;

enum class ReduceOp : std::uint8_t { kSum = 0, kAvg = 1, kMin = 2, kMax = 3, kProd = 4 };
inline constexpr int kReduceOpCount = 5;

enum class Collective : std::uint8_t {
  kAllReduce = 0,
  kReduce = 1,
  kBroadcast = 2,
  kReduceScatter = 3,
  kAllGather = 4,
  kAllToAll = 5,
  kGather = 6,
  kScatter = 7,
  kBarrier = 8,
  kReduceScatterV = 9,
  kAllGatherV = 10,
  kAllToAllV = 11,
  kSendRecv = 12,  // point to point, alone or in a group
};
inline constexpr int kCollectiveCount = 13;

std::size_t dtype_size(DType dtype) noexcept;
bool is_low_type(DType dtype) noexcept;

// "float", "half", "bfloat16", "fp8_e4m3", "fp8_e5m2", "double", "int8", "uint8", "int32", "int64" (nccl-tests' names);
// parsing also takes f32 fp32 float32 f16 fp16 float16 bf16 e4m3 fp8 e5m2 f64 fp64 float64 i8 u8 i32 i64.
std::string_view dtype_name(DType dtype) noexcept;
Result<DType> parse_dtype(std::string_view text);
std::string_view op_name(ReduceOp op) noexcept;  // "sum" "avg" "min" "max" "prod"
Result<ReduceOp> parse_op(std::string_view text);
std::string_view collective_name(Collective kind) noexcept;  // "all_reduce", "reduce", ... as nccl-tests' binaries
Result<Collective> parse_collective(std::string_view text);

// The order of combination (kPairwiseOrder): over ranks [0, n) the result is
//   T(lo, 1) = input of rank lo;  T(lo, n) = T(lo, m) op T(lo + m, n - m), m the largest power of two below n.
// It is what a binomial tree and recursive doubling compute, so latency and bandwidth algorithms agree bit for bit.

}  // namespace ff::hfreduce
