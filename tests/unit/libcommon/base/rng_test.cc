// Against the two published algorithms, written here a second time after their papers.
#include "libcommon/base/rng.hpp"

#include <gtest/gtest.h>

namespace ff {
namespace {

// Steele, Lea, Flood 2014, in the constants of Vigna's splitmix64.c.
struct SplitMix {
  std::uint64_t x;
  std::uint64_t operator()() {
    x += 0x9e3779b97f4a7c15;
    std::uint64_t z = x;
    z ^= z >> 30;
    z *= 0xbf58476d1ce4e5b9;
    z ^= z >> 27;
    z *= 0x94d049bb133111eb;
    z ^= z >> 31;
    return z;
  }
};

std::uint64_t rotate(std::uint64_t v, int by) { return (v << by) | (v >> (64 - by)); }

struct Xoshiro {
  std::uint64_t a, b, c, d;
  std::uint64_t operator()() {
    const std::uint64_t result = rotate(b * 5, 7) * 9;
    const std::uint64_t shifted = b << 17;
    c ^= a;
    d ^= b;
    b ^= c;
    a ^= d;
    c ^= shifted;
    d = rotate(d, 45);
    return result;
  }
};

// The first outputs of splitmix64 from seed 1234567, widely published (Rosetta Code, "Pseudo-random
// numbers/Splitmix64").
TEST(SplitMixReference, GivesThePublishedValues) {
  SplitMix reference{1234567};
  EXPECT_EQ(reference(), 6457827717110365317U);
  EXPECT_EQ(reference(), 3203168211198807973U);
  EXPECT_EQ(reference(), 9817491932198370423U);
}

TEST(Rng, FollowsTheReferences) {
  for (const std::uint64_t seed : {0ULL, 1ULL, 42ULL, 0xffffffffffffffffULL}) {
    SplitMix seeds{seed};
    Xoshiro reference{};
    reference.a = seeds();
    reference.b = seeds();
    reference.c = seeds();
    reference.d = seeds();
    Rng rng(seed);
    for (int i = 0; i < 1000; ++i) ASSERT_EQ(rng.next(), reference()) << seed << " " << i;
  }
}

// With state {1, 2, 3, 4} the first output is rotl(2 * 5, 7) * 9 = 1280 * 9, by hand.
TEST(Rng, StartsFromAGivenState) {
  Rng rng(0);
  rng.set_state({1, 2, 3, 4});
  EXPECT_EQ(rng.next(), 11520U);
  EXPECT_EQ(rng.next(), 0U);
  EXPECT_EQ(rng.next(), 1509978240U);
}

TEST(Rng, StateRestoresTheStream) {
  Rng first(7);
  first.next();
  Rng second(8);
  second.set_state(first.state());
  for (int i = 0; i < 100; ++i) ASSERT_EQ(first.next(), second.next());
}

TEST(Rng, BelowStaysBelowAndReachesAll) {
  Rng rng(5);
  int seen[7] = {};
  for (int i = 0; i < 7000; ++i) {
    const auto value = rng.below(7);
    ASSERT_LT(value, 7U);
    ++seen[value];
  }
  for (const int count : seen) EXPECT_NEAR(count, 1000, 200);
}

TEST(Rng, UniformAndNormalHaveTheirMoments) {
  Rng rng(6);
  constexpr int kDraws = 100000;
  double uniform = 0, normal = 0, square = 0;
  for (int i = 0; i < kDraws; ++i) {
    const double u = rng.uniform();
    ASSERT_GE(u, 0.0);
    ASSERT_LT(u, 1.0);
    uniform += u;
    const double n = rng.normal();
    normal += n;
    square += n * n;
  }
  // Five standard errors of each mean.
  EXPECT_NEAR(uniform / kDraws, 0.5, 5 * 0.289 / 316);
  EXPECT_NEAR(normal / kDraws, 0.0, 5 * 1.0 / 316);
  EXPECT_NEAR(square / kDraws, 1.0, 5 * 1.42 / 316);
}

}  // namespace
}  // namespace ff
