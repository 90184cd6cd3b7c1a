// Text from a trained model, byte after byte.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "tools/fftrain/model.hpp"

namespace ff::fftrain {

struct GenerateOptions {
  std::int64_t bytes = 200;
  double temperature = 0.8;  // logits are divided by it; 0 always takes the most likely byte
  std::uint64_t seed = 1;
};

// Begins as after a line break. The model sees at most its ctx last bytes; when they are full, it forgets the older
// half.
std::string generate(Model& model, const GenerateOptions& options);

}  // namespace ff::fftrain
