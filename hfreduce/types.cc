#include "hfreduce/types.hpp"

#include <fmt/core.h>

#include <array>
#include <span>

namespace ff::hfreduce {
namespace {

struct DTypeFacts {
  std::string_view name;
  std::size_t size;
};
constexpr std::array<DTypeFacts, kDTypeCount> kDTypes{{{"float", 4},
                                                       {"half", 2},
                                                       {"bfloat16", 2},
                                                       {"fp8_e4m3", 1},
                                                       {"fp8_e5m2", 1},
                                                       {"double", 8},
                                                       {"int8", 1},
                                                       {"uint8", 1},
                                                       {"int32", 4},
                                                       {"int64", 8}}};

struct Alias {
  std::string_view text;
  DType dtype;
};
constexpr Alias kAliases[] = {
    {"f32", DType::kFloat32},       {"fp32", DType::kFloat32},       {"float32", DType::kFloat32},
    {"f16", DType::kFloat16},       {"fp16", DType::kFloat16},       {"float16", DType::kFloat16},
    {"bf16", DType::kBfloat16},     {"e4m3", DType::kFloat8E4M3},    {"fp8", DType::kFloat8E4M3},
    {"f8e4m3", DType::kFloat8E4M3}, {"fp8e4m3", DType::kFloat8E4M3}, {"e5m2", DType::kFloat8E5M2},
    {"f8e5m2", DType::kFloat8E5M2}, {"fp8e5m2", DType::kFloat8E5M2}, {"f64", DType::kFloat64},
    {"fp64", DType::kFloat64},      {"float64", DType::kFloat64},    {"i8", DType::kInt8},
    {"u8", DType::kUint8},          {"i32", DType::kInt32},          {"i64", DType::kInt64},
};

constexpr std::array<std::string_view, kReduceOpCount> kOps{"sum", "avg", "min", "max", "prod"};
constexpr std::array<std::string_view, kCollectiveCount> kCollectives{
    "all_reduce", "reduce",  "broadcast",        "reduce_scatter", "all_gather",   "all_to_all", "gather",
    "scatter",    "barrier", "reduce_scatter_v", "all_gather_v",   "all_to_all_v", "sendrecv"};

// The index of `text` in `names`, or an error that lists them.
Result<std::size_t> find_name(std::string_view text, std::span<const std::string_view> names, std::string_view what) {
  std::string list;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (names[i] == text) return i;
    list.append(i ? ", " : "").append(names[i]);
  }
  return fail(Errc::kInvalidArgument, fmt::format("'{}' is not {} (use one of {})", text, what, list));
}

}  // namespace

std::size_t dtype_size(DType dtype) noexcept { return kDTypes[static_cast<std::size_t>(dtype)].size; }

bool is_low_type(DType dtype) noexcept {
  return dtype == DType::kFloat16 || dtype == DType::kBfloat16 || dtype == DType::kFloat8E4M3 ||
         dtype == DType::kFloat8E5M2;
}

std::string_view dtype_name(DType dtype) noexcept { return kDTypes[static_cast<std::size_t>(dtype)].name; }

Result<DType> parse_dtype(std::string_view text) {
  for (const Alias& alias : kAliases)
    if (alias.text == text) return alias.dtype;
  std::array<std::string_view, kDTypeCount> names;
  for (std::size_t i = 0; i < names.size(); ++i) names[i] = kDTypes[i].name;
  FF_TRY_ASSIGN(const std::size_t index, find_name(text, names, "an element type"));
  return static_cast<DType>(index);
}

std::string_view op_name(ReduceOp op) noexcept { return kOps[static_cast<std::size_t>(op)]; }

Result<ReduceOp> parse_op(std::string_view text) {
  FF_TRY_ASSIGN(const std::size_t index, find_name(text, kOps, "a reduction"));
  return static_cast<ReduceOp>(index);
}

std::string_view collective_name(Collective kind) noexcept { return kCollectives[static_cast<std::size_t>(kind)]; }

Result<Collective> parse_collective(std::string_view text) {
  FF_TRY_ASSIGN(const std::size_t index, find_name(text, kCollectives, "a collective"));
  return static_cast<Collective>(index);
}

}  // namespace ff::hfreduce
