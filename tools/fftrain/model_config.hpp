// ModelConfig: the shape of the byte-level GPT, and what is allowed. Everything else about the model follows from it.
#pragma once

#include <cstdint>

#include "libcommon/base/result.hpp"

namespace ff::fftrain {

inline constexpr int kVocab = 256;  // a token is a byte

struct ModelConfig {
  std::int64_t layers = 4;
  std::int64_t heads = 4;
  std::int64_t dim = 128;  // width of the residual stream
  std::int64_t ctx = 64;   // bytes in a sequence

  std::int64_t head_dim() const noexcept { return dim / heads; }
  friend bool operator==(const ModelConfig&, const ModelConfig&) = default;
};

// Bounds of one number; the command line shows and checks the same.
struct Range {
  std::int64_t min;
  std::int64_t max;
};
inline constexpr Range kLayersRange{1, 128};
inline constexpr Range kHeadsRange{1, 128};
inline constexpr Range kDimRange{1, 8192};
inline constexpr Range kCtxRange{1, 8192};

// kInvalidArgument names the option that is wrong.
Result<> check(const ModelConfig& config);

}  // namespace ff::fftrain
