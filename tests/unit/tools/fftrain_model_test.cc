// Forward and backward against the double-precision reference: the loss directly, the gradient of every tensor by
// central differences of the reference.
#include "tools/fftrain/model.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "libcommon/base/rng.hpp"
#include "libcommon/blas/blas.hpp"
#include "tests/unit/tools/fftrain_reference.hpp"

namespace ff::fftrain {
namespace {

constexpr ModelConfig kTiny{.layers = 2, .heads = 2, .dim = 6, .ctx = 7};

struct Fixture {
  Model model;
  testing::ReferenceModel reference;
  std::vector<std::uint8_t> tokens, targets;
  std::int64_t batch, length;

  Fixture(const ModelConfig& config, std::int64_t batch_, std::int64_t length_)
      : model(config, batch_), reference(config), batch(batch_), length(length_) {
    blas::use_one_thread();
    // Far from the start of training: gains, biases and attention all matter.
    Rng rng(11);
    for (float& w : model.weights()) w = static_cast<float>(0.5 * rng.normal());
    std::copy(model.weights().begin(), model.weights().end(), reference.weights().begin());
    for (std::int64_t i = 0; i < batch * length; ++i) {
      tokens.push_back(static_cast<std::uint8_t>(rng.below(256)));
      targets.push_back(static_cast<std::uint8_t>(rng.below(256)));
    }
    // A byte that occurs twice, so that the lookup's gradients add up.
    tokens.back() = tokens.front();
  }
  double forward() { return model.forward(tokens, targets, batch, length); }
  double reference_loss() { return reference.loss(tokens, targets, batch, length); }
};

struct Gradients {
  std::vector<std::vector<float>> data;
  std::vector<float*> pointers;
  explicit Gradients(const ParameterLayout& layout) {
    // NaN everywhere: what backward fails to overwrite shows.
    for (const TensorSpec& t : layout.tensors()) data.emplace_back(t.size(), std::nanf(""));
    for (auto& d : data) pointers.push_back(d.data());
  }
};

void check_gradients(Fixture& f, std::size_t samples_a_tensor) {
  Gradients gradients(f.model.layout());
  f.forward();
  f.model.backward(1.0f, gradients.pointers, [](int) {});
  Rng rng(3);
  for (std::size_t t = 0; t < gradients.data.size(); ++t) {
    const TensorSpec& spec = f.model.layout().tensors()[t];
    const auto& got = gradients.data[t];
    // fp32 sums of a few dozen terms err by their size times 2^-24 each; relative to the tensor's largest entry 2e-4
    // leaves room for two layers of that, and is far below any wrong term.
    double largest = 0.0;
    for (const float g : got) {
      ASSERT_TRUE(std::isfinite(g)) << spec.name;
      largest = std::max(largest, std::abs(static_cast<double>(g)));
    }
    ASSERT_GT(largest, 0.0) << spec.name;
    std::vector<std::size_t> at(std::min(samples_a_tensor, spec.size()));
    if (at.size() == spec.size())
      std::iota(at.begin(), at.end(), std::size_t{0});
    else
      std::generate(at.begin(), at.end(), [&] { return rng.below(spec.size()); });
    // Rows of bytes that occur have both parts of the tied gradient.
    if (t == 0) at.push_back(f.tokens.front() * static_cast<std::size_t>(f.model.config().dim));
    for (const std::size_t i : at) {
      constexpr double kStep = 1e-5;
      double& w = f.reference.weights()[spec.offset + i];
      const double kept = w;
      w = kept + kStep;
      const double above = f.reference_loss();
      w = kept - kStep;
      const double below = f.reference_loss();
      w = kept;
      const double want = (above - below) / (2 * kStep);
      EXPECT_NEAR(got[i], want, 2e-4 * largest + 1e-6) << spec.name << "[" << i << "]";
    }
  }
}

TEST(Model, LossMatchesTheDoublePrecisionReference) {
  Fixture f(kTiny, 3, kTiny.ctx);
  const double want = f.reference_loss();
  EXPECT_NEAR(f.forward(), want, 1e-5 * want);
}

TEST(Model, GradientOfEveryTensorMatchesFiniteDifferences) {
  Fixture f(kTiny, 3, kTiny.ctx);
  check_gradients(f, 48);
}

TEST(Model, GradientIsRightForSequencesShorterThanTheContextAndWideVectors) {
  // dim 40 is not a multiple of the lanes of the vector loops; 33 positions are two lanes and a rest.
  Fixture f({.layers = 1, .heads = 4, .dim = 40, .ctx = 35}, 1, 33);
  check_gradients(f, 4);
}

TEST(Model, BackwardScalesItsGradient) {
  Fixture f(kTiny, 2, kTiny.ctx);
  Gradients one(f.model.layout()), half(f.model.layout());
  f.forward();
  f.model.backward(1.0f, one.pointers, [](int) {});
  f.forward();
  f.model.backward(0.5f, half.pointers, [](int) {});
  // A power of two: every product and sum scales without rounding.
  for (std::size_t t = 0; t < one.data.size(); ++t)
    for (std::size_t i = 0; i < one.data[t].size(); ++i) ASSERT_EQ(half.data[t][i] * 2.0f, one.data[t][i]);
}

TEST(Model, BackwardCompletesEachTensorOnceInReverseOrder) {
  Fixture f(kTiny, 1, kTiny.ctx);
  Gradients gradients(f.model.layout());
  std::vector<int> order;
  std::vector<std::vector<float>> as_announced(gradients.data.size());
  f.forward();
  f.model.backward(1.0f, gradients.pointers, [&](int t) {
    order.push_back(t);
    as_announced[static_cast<std::size_t>(t)] = gradients.data[static_cast<std::size_t>(t)];
  });
  std::vector<int> want(gradients.data.size());
  std::iota(want.rbegin(), want.rend(), 0);
  EXPECT_EQ(order, want);
  // Nothing is written after the announcement: a transfer could already be reading it.
  EXPECT_EQ(as_announced, gradients.data);
}

TEST(Model, LaterBytesDoNotChangeEarlierPredictions) {
  Fixture f(kTiny, 1, kTiny.ctx);
  const auto short_logits = f.model.next_logits(std::span(f.tokens).first(4));
  const std::vector<float> alone(short_logits.begin(), short_logits.end());
  // The loss of the first four positions is the same inside a longer sequence.
  const double four = f.model.forward(std::span(f.tokens).first(4), std::span(f.targets).first(4), 1, 4);
  std::vector<std::uint8_t> other = f.tokens;
  other[5] ^= 0x55;
  const double a = f.model.forward(f.tokens, f.targets, 1, 7), b = f.model.forward(other, f.targets, 1, 7);
  EXPECT_NE(a, b);
  EXPECT_NEAR(four, f.reference.loss(std::span(f.tokens).first(4), std::span(f.targets).first(4), 1, 4), 1e-5 * four);
  const auto again = f.model.next_logits(std::span(other).first(4));
  EXPECT_TRUE(std::equal(again.begin(), again.end(), alone.begin()));
}

TEST(Model, SameSeedGivesSameWeightsAndAnotherSeedOthers) {
  Model a(kTiny, 1), b(kTiny, 1), c(kTiny, 1);
  a.initialise(5);
  b.initialise(5);
  c.initialise(6);
  EXPECT_TRUE(std::ranges::equal(a.weights(), b.weights()));
  EXPECT_FALSE(std::ranges::equal(a.weights(), c.weights()));
}

TEST(Model, StartsNearTheUniformLoss) {
  Fixture f(kTiny, 2, kTiny.ctx);
  f.model.initialise(1);
  EXPECT_NEAR(f.forward() / 14.0, std::log(256.0), 0.05);
}

TEST(ParameterLayout, CountsTheParametersOfTheFormula) {
  // 256 d + ctx d + layers (12 d^2 + 13 d) + 2 d, for d = 128, ctx = 64, layers = 4.
  EXPECT_EQ(ParameterLayout({.layers = 4, .heads = 4, .dim = 128, .ctx = 64}).count(),
            256u * 128 + 64 * 128 + 4 * (12 * 128 * 128 + 13 * 128) + 2 * 128);
}

TEST(ModelConfig, RefusesWidthsThatHeadsDoNotDivide) {
  EXPECT_TRUE(check({.layers = 1, .heads = 3, .dim = 12, .ctx = 8}));
  const auto refused = check({.layers = 1, .heads = 5, .dim = 12, .ctx = 8});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Errc::kInvalidArgument);
  EXPECT_FALSE(check({.layers = 0, .heads = 1, .dim = 8, .ctx = 8}));
  EXPECT_FALSE(check({.layers = 1, .heads = 1, .dim = 8, .ctx = kCtxRange.max + 1}));
}

}  // namespace
}  // namespace ff::fftrain
