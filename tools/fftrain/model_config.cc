#include "tools/fftrain/model_config.hpp"

#include <fmt/core.h>

namespace ff::fftrain {
namespace {

Result<> check_range(const char* option, std::int64_t value, Range range) {
  if (value >= range.min && value <= range.max) return {};
  return fail(Errc::kInvalidArgument, fmt::format("{}: {} is outside {}..{}", option, value, range.min, range.max));
}

}  // namespace

Result<> check(const ModelConfig& config) {
  FF_TRY(check_range("--layers", config.layers, kLayersRange));
  FF_TRY(check_range("--heads", config.heads, kHeadsRange));
  FF_TRY(check_range("--dim", config.dim, kDimRange));
  FF_TRY(check_range("--ctx", config.ctx, kCtxRange));
  if (config.dim % config.heads != 0)
    return fail(
        Errc::kInvalidArgument,
        fmt::format("--dim: {} is not divisible by {} heads (choose a multiple of --heads)", config.dim, config.heads));
  return {};
}

}  // namespace ff::fftrain
