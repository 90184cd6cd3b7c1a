#include "tools/fftrain/generate.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <vector>

#include "libcommon/base/rng.hpp"

namespace ff::fftrain {
namespace {

std::uint8_t draw(std::span<const float> logits, double temperature, Rng& rng) {
  const auto best = std::max_element(logits.begin(), logits.end());
  if (temperature <= 0.0) return static_cast<std::uint8_t>(best - logits.begin());
  std::array<double, kVocab> weights;
  double total = 0.0;
  for (std::size_t i = 0; i < weights.size(); ++i)
    total += weights[i] = std::exp((static_cast<double>(logits[i]) - static_cast<double>(*best)) / temperature);
  double left = rng.uniform() * total;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    left -= weights[i];
    if (left < 0.0) return static_cast<std::uint8_t>(i);
  }
  return static_cast<std::uint8_t>(best - logits.begin());  // rounding left a crumb
}

}  // namespace

std::string generate(Model& model, const GenerateOptions& options) {
  Rng rng(options.seed);
  const auto ctx = static_cast<std::size_t>(model.config().ctx);
  std::vector<std::uint8_t> seen = {'\n'};
  std::string text;
  for (std::int64_t i = 0; i < options.bytes; ++i) {
    const std::uint8_t byte = draw(model.next_logits(seen), options.temperature, rng);
    text.push_back(static_cast<char>(byte));
    if (seen.size() == ctx) seen.erase(seen.begin(), seen.begin() + static_cast<std::ptrdiff_t>((ctx + 1) / 2));
    seen.push_back(byte);
  }
  return text;
}

}  // namespace ff::fftrain
