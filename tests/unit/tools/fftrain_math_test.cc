// The vector loops, bfloat16, buckets, the optimizer and the schedule against values known from elsewhere.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <set>
#include <vector>

#include "libcommon/base/rng.hpp"
#include "tools/fftrain/bfloat16.hpp"
#include "tools/fftrain/buckets.hpp"
#include "tools/fftrain/layers.hpp"
#include "tools/fftrain/optimizer.hpp"
#include "tools/fftrain/vector_math.hpp"

namespace ff::fftrain {
namespace {

TEST(VectorMath, ExpIsWithinTwoUnitsInTheLastPlace) {
  for (float x = -86.9f; x < 87.9f; x += 0.0137f) {
    const double want = std::exp(static_cast<double>(x));
    EXPECT_NEAR(exp_approx(x), want, want * 0x1p-22) << x;
  }
  EXPECT_EQ(exp_approx(0.0f), 1.0f);
}

TEST(VectorMath, ExpSaturatesAndKeepsNan) {
  EXPECT_GT(exp_approx(1000.0f), 1e38f);
  EXPECT_TRUE(std::isfinite(exp_approx(std::numeric_limits<float>::infinity())));
  EXPECT_LT(exp_approx(-1000.0f), 1e-37f);
  EXPECT_TRUE(std::isnan(exp_approx(std::nanf(""))));
}

TEST(VectorMath, ReductionsTakeEveryElementOnce) {
  for (std::size_t n = 1; n < 70; ++n) {
    std::vector<float> x(n);
    for (std::size_t i = 0; i < n; ++i) x[i] = static_cast<float>(i + 1);  // small integers add without rounding
    EXPECT_EQ(lane_sum(n, [&](std::size_t i) { return x[i]; }), static_cast<float>(n * (n + 1) / 2)) << n;
    for (std::size_t top = 0; top < n; ++top) {
      std::vector<float> y(n, -3.0f);
      y[top] = 2.0f;
      EXPECT_EQ(lane_max(n, y.data()), 2.0f) << n << " " << top;
    }
  }
}

TEST(Bfloat16, RoundsToNearestEven) {
  EXPECT_EQ(to_bfloat16(1.0f), 0x3F80);
  EXPECT_EQ(to_bfloat16(-2.0f), 0xC000);
  EXPECT_EQ(to_bfloat16(1.0f + 0x1p-8f), 0x3F80);             // a tie goes to the even neighbour, below
  EXPECT_EQ(to_bfloat16(1.0f + 0x1p-7f + 0x1p-8f), 0x3F82);   // and above
  EXPECT_EQ(to_bfloat16(1.0f + 0x1p-8f + 0x1p-20f), 0x3F81);  // past the tie
  EXPECT_EQ(to_bfloat16(std::numeric_limits<float>::infinity()), 0x7F80);
  EXPECT_EQ(to_bfloat16(std::numeric_limits<float>::max()), 0x7F80);
  const std::uint16_t nan = to_bfloat16(std::bit_cast<float>(0x7F800001u));  // payload in the lost bits alone
  EXPECT_GT(nan & 0x7FFF, 0x7F80);
  float back[2];
  const std::uint16_t codes[2] = {0x3F80, 0xC000};
  widen(back, codes, 2);
  EXPECT_EQ(back[0], 1.0f);
  EXPECT_EQ(back[1], -2.0f);
}

TEST(Buckets, EveryElementHasOnePlaceInTheOrderOfBackward) {
  const ParameterLayout layout({.layers = 3, .heads = 2, .dim = 8, .ctx = 5});
  for (const std::uint64_t bytes : {4u, 100u, 1024u, 5000u, 1u << 30}) {
    const BucketPlan plan = plan_buckets(layout, bytes);
    std::set<std::pair<int, std::size_t>> taken;
    std::size_t total = 0;
    int previous = 0;
    for (std::size_t t = layout.tensors().size(); t-- > 0;) {
      const TensorPlace place = plan.places[t];
      EXPECT_GE(place.bucket, previous);  // later gradients never lie in an earlier bucket
      previous = place.bucket;
      const std::size_t size = layout.tensors()[t].size();
      EXPECT_LE(place.offset + size, plan.counts[static_cast<std::size_t>(place.bucket)]);
      for (std::size_t i = 0; i < size; ++i) EXPECT_TRUE(taken.emplace(place.bucket, place.offset + i).second);
      total += size;
    }
    EXPECT_EQ(total, layout.count());
    std::size_t counted = 0;
    for (std::size_t b = 0; b < plan.counts.size(); ++b) {
      counted += plan.counts[b];
      if (plan.tensors[b] > 1) {
        EXPECT_LE(plan.counts[b] * sizeof(float), bytes);
      }
    }
    EXPECT_EQ(counted, layout.count());
  }
  EXPECT_EQ(plan_buckets(layout, 4).counts.size(), layout.tensors().size());
  EXPECT_EQ(plan_buckets(layout, 1u << 30).counts.size(), 1u);
}

TEST(Optimizer, WarmsUpLinearlyAndDecaysByACosine) {
  const OptimizerOptions o{.lr = 1.0, .warmup = 10, .steps = 111};
  EXPECT_DOUBLE_EQ(learning_rate(o, 0), 0.1);
  EXPECT_DOUBLE_EQ(learning_rate(o, 4), 0.5);
  EXPECT_DOUBLE_EQ(learning_rate(o, 9), 1.0);
  EXPECT_DOUBLE_EQ(learning_rate(o, 10), 1.0);
  EXPECT_NEAR(learning_rate(o, 60), 0.55, 1e-12);  // half way between 1 and a tenth
  EXPECT_NEAR(learning_rate(o, 110), 0.1, 1e-12);
  EXPECT_NEAR(learning_rate(o, 5000), 0.1, 1e-12);
  EXPECT_DOUBLE_EQ(learning_rate({.lr = 2.0, .warmup = 0, .steps = 1}, 0), 2.0);
}

// AdamW from its definition, in double, for one weight.
TEST(Optimizer, FollowsTheDefinitionOfAdamW) {
  const ParameterLayout layout({.layers = 1, .heads = 1, .dim = 4, .ctx = 2});
  const OptimizerOptions o{.lr = 0.01, .weight_decay = 0.1, .clip = 1.0, .warmup = 2, .steps = 20};
  AdamW optimizer(layout);
  std::vector<float> weights(layout.count(), 0.5f);
  std::vector<std::vector<float>> data;
  std::vector<const float*> gradients;
  for (const TensorSpec& t : layout.tensors()) data.emplace_back(t.size());
  for (const auto& d : data) gradients.push_back(d.data());

  Rng rng(2);
  const std::size_t count = layout.count();
  std::vector<double> w(count, 0.5), m(count), v(count);
  for (std::int64_t step = 0; step < 20; ++step) {
    double square = 0.0;
    for (auto& d : data)
      for (float& g : d) {
        g = static_cast<float>((step % 2 == 0 ? 1.0 : 1e-3) * rng.normal());
        square += static_cast<double>(g) * static_cast<double>(g);
      }
    const double norm = gradient_norm(layout, gradients);
    EXPECT_NEAR(norm, std::sqrt(square), 1e-9 * norm);
    optimizer.update(weights, gradients, norm, o, step);

    const double t = static_cast<double>(step + 1), lr = learning_rate(o, step);
    for (std::size_t k = 0; k < data.size(); ++k) {
      const TensorSpec& spec = layout.tensors()[k];
      for (std::size_t i = 0; i < spec.size(); ++i) {
        const std::size_t at = spec.offset + i;
        const double g = data[k][i] / std::max(1.0, std::sqrt(square));
        m[at] = 0.9 * m[at] + 0.1 * g;
        v[at] = 0.95 * v[at] + 0.05 * g * g;
        const bool decays = spec.rows > 1;
        w[at] -= lr * (decays ? 0.1 * w[at] : 0.0);
        w[at] -= lr * (m[at] / (1 - std::pow(0.9, t))) / (std::sqrt(v[at] / (1 - std::pow(0.95, t))) + 1e-8);
        ASSERT_NEAR(weights[at], w[at], 2e-5) << spec.name << " step " << step;
      }
    }
  }
}

TEST(Optimizer, DecaysMatricesAndEmbeddingsOnly) {
  for (const TensorSpec& t : ParameterLayout({.layers = 2, .heads = 1, .dim = 4, .ctx = 2}).tensors()) {
    const bool matrix = t.name.ends_with("weight") || t.name.ends_with("embedding");
    EXPECT_EQ(t.decay, matrix) << t.name;
  }
}

}  // namespace
}  // namespace ff::fftrain
