// What reduce means, against references that share nothing with it: the recursive definition of the order, exact
// integer arithmetic, error bounds against double, and the rules for NaN and the sign of zero. (Vector paths:
// reduce_isa_test.cc.)
#include "hfreduce/cpu/reduce.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "hfreduce/cpu/float_formats.hpp"

namespace ff::hfreduce::cpu {
namespace {

constexpr Isa kIsas[] = {Isa::kScalar, Isa::kAvx2, Isa::kAvx512};

template <class T>
std::vector<T> reduced(Isa isa, DType dtype, ReduceOp op, const std::vector<std::vector<T>>& inputs,
                       std::uint64_t divisor = 1) {
  std::vector<const void*> in;
  for (const auto& input : inputs) in.push_back(input.data());
  std::vector<T> result(inputs[0].size());
  void* const out[] = {result.data()};
  reduce_on(isa, {.dtype = dtype, .op = op, .count = result.size(), .divisor = divisor}, in, out);
  return result;
}

template <class Body>
void on_each_isa(Body body) {
  for (const Isa isa : kIsas) {
    if (!isa_available(isa)) continue;
    SCOPED_TRACE(isa_name(isa));
    body(isa);
  }
}

std::uint32_t bits_of(float value) { return std::bit_cast<std::uint32_t>(value); }

// types.hpp, word for word.
float pairwise(const std::vector<std::vector<float>>& inputs, std::size_t lo, std::size_t n, std::size_t i) {
  if (n == 1) return inputs[lo][i];
  std::size_t m = 1;
  while (m * 2 < n) m *= 2;
  return pairwise(inputs, lo, m, i) + pairwise(inputs, lo + m, n - m, i);
}

std::vector<std::vector<float>> random_floats(std::size_t k, std::size_t count) {
  std::mt19937 random(static_cast<unsigned>(k));
  std::normal_distribution<float> normal;
  std::vector<std::vector<float>> inputs(k, std::vector<float>(count));
  for (auto& input : inputs) std::generate(input.begin(), input.end(), [&] { return normal(random); });
  return inputs;
}

TEST(Reduce, SumsInThePairwiseOrderAndWithinItsErrorBound) {
  on_each_isa([](Isa isa) {
    for (std::size_t k = 1; k <= 70; ++k) {
      const auto inputs = random_floats(k, 100);
      const auto sums = reduced(isa, DType::kFloat32, ReduceOp::kSum, inputs);
      for (std::size_t i = 0; i < sums.size(); ++i) {
        ASSERT_EQ(bits_of(sums[i]), bits_of(pairwise(inputs, 0, k, i))) << k;
        double exact = 0;
        double magnitudes = 0;
        for (const auto& input : inputs) exact += input[i], magnitudes += std::abs(input[i]);
        const double levels = std::ceil(std::log2(static_cast<double>(k)));
        ASSERT_LE(std::abs(sums[i] - exact), levels * 0x1p-24 * magnitudes * (1 + 1e-6)) << k;
      }
    }
  });
}

TEST(Reduce, LowTypesRoundOnceAfterAddingInFloat) {
  // 1 + 2^-8 three times stays 1 in bf16 if rounded at each step.
  on_each_isa([](Isa isa) {
    const std::vector<std::vector<std::uint16_t>> inputs{
        std::vector<std::uint16_t>(40, 0x3f80), std::vector<std::uint16_t>(40, 0x3b80),
        std::vector<std::uint16_t>(40, 0x3b80), std::vector<std::uint16_t>(40, 0x3b80)};
    // The sum is 1.01171875, midway between 1.0078125 (0x3f81) and 1.015625 (0x3f82): ties to even.
    for (const std::uint16_t code : reduced(isa, DType::kBfloat16, ReduceOp::kSum, inputs)) ASSERT_EQ(code, 0x3f82);
  });
}

TEST(Reduce, IntegerSumsWrapExactly) {
  on_each_isa([](Isa isa) {
    std::mt19937_64 random(7);
    std::vector<std::vector<std::int8_t>> bytes(37, std::vector<std::int8_t>(150));
    for (auto& input : bytes)
      std::generate(input.begin(), input.end(), [&] { return static_cast<std::int8_t>(random()); });
    const auto sums = reduced(isa, DType::kInt8, ReduceOp::kSum, bytes);
    const auto averages = reduced(isa, DType::kInt8, ReduceOp::kAvg, bytes, 37);
    for (std::size_t i = 0; i < sums.size(); ++i) {
      int exact = 0;
      for (const auto& input : bytes) exact += input[i];
      const int wrapped = ((exact % 256) + 384) % 256 - 128;
      ASSERT_EQ(sums[i], wrapped);
      ASSERT_EQ(averages[i], wrapped / 37) << "truncates toward zero";
    }
    constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max();
    const std::vector<std::vector<std::int64_t>> wide{std::vector<std::int64_t>(9, kMost),
                                                      std::vector<std::int64_t>(9, 2)};
    EXPECT_EQ(reduced(isa, DType::kInt64, ReduceOp::kSum, wide)[8], std::numeric_limits<std::int64_t>::min() + 1);
    EXPECT_EQ(reduced(isa, DType::kInt64, ReduceOp::kProd, wide)[8], -2);
    EXPECT_EQ(reduced(isa, DType::kInt64, ReduceOp::kMax, wide)[8], kMost);
  });
}

TEST(Reduce, AverageDividesFloatsTruly) {
  on_each_isa([](Isa isa) {
    const std::vector<std::vector<float>> one{std::vector<float>(20, 1.0f)};
    for (const float third : reduced(isa, DType::kFloat32, ReduceOp::kAvg, one, 3)) ASSERT_EQ(third, 1.0f / 3.0f);
    const std::vector<std::vector<float>> three{one[0], one[0], std::vector<float>(20, 5.0f)};
    for (const float mean : reduced(isa, DType::kFloat32, ReduceOp::kAvg, three, 3)) ASSERT_EQ(mean, 7.0f / 3.0f);
  });
}

TEST(Reduce, MinAndMaxDoNotDependOnTheOrderOfInputs) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const float inf = std::numeric_limits<float>::infinity();
  const std::vector<float> values{-0.0f, 0.0f, nan, -nan, inf, -inf, 1e-45f, -1e-45f, 1.0f};
  on_each_isa([&](Isa isa) {
    // Column i holds the i-th choice of three values; rows are permuted as a whole.
    std::vector<std::vector<float>> inputs(3);
    for (const float a : values) {
      for (const float b : values) {
        for (const float c : values) inputs[0].push_back(a), inputs[1].push_back(b), inputs[2].push_back(c);
      }
    }
    for (const ReduceOp op : {ReduceOp::kMin, ReduceOp::kMax}) {
      const auto first = reduced(isa, DType::kFloat32, op, inputs);
      std::vector<std::size_t> order{0, 1, 2};
      while (std::next_permutation(order.begin(), order.end())) {
        const auto again =
            reduced<float>(isa, DType::kFloat32, op, {inputs[order[0]], inputs[order[1]], inputs[order[2]]});
        ASSERT_EQ(std::memcmp(first.data(), again.data(), first.size() * sizeof(float)), 0);
      }
      for (std::size_t i = 0; i < first.size(); ++i) {
        if (std::isnan(inputs[0][i]) || std::isnan(inputs[1][i]) || std::isnan(inputs[2][i])) {
          ASSERT_EQ(bits_of(first[i]), 0x7fc00000u);
        } else {
          ASSERT_FALSE(std::isnan(first[i]));
        }
      }
    }
    const std::vector<std::vector<float>> zeros{{0.0f}, {-0.0f}};
    EXPECT_TRUE(std::signbit(reduced(isa, DType::kFloat32, ReduceOp::kMin, zeros)[0]));
    EXPECT_FALSE(std::signbit(reduced(isa, DType::kFloat32, ReduceOp::kMax, zeros)[0]));
  });
}

TEST(Reduce, OneInputIsCopiedBitForBit) {
  on_each_isa([](Isa isa) {
    const std::vector<std::vector<std::uint32_t>> input{{0xffc12345, 0x7f800001, 0x80000000, 1}};
    EXPECT_EQ(reduced(isa, DType::kFloat32, ReduceOp::kSum, input), input[0]);
  });
}

TEST(Reduce, CopyFillsEveryOutput) {
  std::vector<std::uint8_t> source(100001);
  std::mt19937 random(1);
  std::generate(source.begin(), source.end(), [&] { return static_cast<std::uint8_t>(random()); });
  for (const bool non_temporal : {false, true}) {
    for (const std::size_t bytes : {0, 1, 63, 64, 65, 4096, 100001}) {
      std::vector<std::vector<std::uint8_t>> copies(3, std::vector<std::uint8_t>(100001));
      void* const out[] = {copies[0].data(), copies[1].data(), copies[2].data()};
      copy(source.data(), out, bytes, non_temporal);
      for (const auto& one : copies) {
        ASSERT_EQ(std::memcmp(one.data(), source.data(), bytes), 0);
        ASSERT_TRUE(
            std::all_of(one.begin() + static_cast<std::ptrdiff_t>(bytes), one.end(), [](auto b) { return b == 0; }));
      }
    }
  }
}

// Every code, from every start within a vector, so that tails are met too.
template <class Code>
void expect_conversions(Isa isa, DType dtype, float (*decode)(Code) noexcept, Code (*encode)(float) noexcept) {
  std::vector<Code> codes(std::numeric_limits<Code>::max() + 1u);
  for (std::size_t i = 0; i < codes.size(); ++i) codes[i] = static_cast<Code>(i);
  for (std::size_t start = 0; start < 17; ++start) {
    std::vector<float> wide(codes.size() - start);
    widen_on(isa, dtype, codes.data() + start, wide.data(), wide.size());
    std::vector<float> values;
    for (std::size_t i = 0; i < wide.size(); ++i) {
      ASSERT_EQ(bits_of(wide[i]), bits_of(decode(codes[i + start]))) << i + start;
      values.insert(values.end(),
                    {wide[i], std::nextafter(wide[i], 0.0f), std::nextafter(wide[i], 1e38f), wide[i] * 1.0625f,
                     wide[i] * 1.125f, wide[i] * 1.00048828125f, wide[i] * 0.96875f, -wide[i] * 1.1875f});
    }
    std::vector<Code> narrowed(values.size() - start);
    narrow_on(isa, dtype, values.data() + start, narrowed.data(), narrowed.size());
    for (std::size_t i = 0; i < narrowed.size(); ++i)
      ASSERT_EQ(narrowed[i], encode(values[i + start])) << values[i + start];
    if (sizeof(Code) == 2) start += 4;
  }
}

TEST(Reduce, WidenAndNarrowAreTheScalarCodecs) {
  on_each_isa([](Isa isa) {
    expect_conversions(isa, DType::kFloat16, fp16_to_float, float_to_fp16);
    expect_conversions(isa, DType::kBfloat16, bf16_to_float, float_to_bf16);
    expect_conversions(isa, DType::kFloat8E4M3, e4m3_to_float, float_to_e4m3);
    expect_conversions(isa, DType::kFloat8E5M2, e5m2_to_float, float_to_e5m2);
  });
}

TEST(Reduce, TheChosenPathIsAvailable) { EXPECT_TRUE(isa_available(best_isa())); }

}  // namespace
}  // namespace ff::hfreduce::cpu
