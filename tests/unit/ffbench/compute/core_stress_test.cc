#include "ffbench/compute/core_stress.hpp"

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <string>

#include "ffbench/compute/sha256.hpp"

namespace ff::bench {
namespace {

std::string digest_of(std::string_view text) {
  Sha256 hash;
  hash.update({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()});
  std::string hex;
  for (const std::uint8_t byte : hash.finish()) hex += fmt::format("{:02x}", byte);
  return hex;
}

// FIPS 180-2, appendix B, and the empty text.
TEST(Sha256, GivesThePublishedVectors) {
  EXPECT_EQ(digest_of(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(digest_of("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(digest_of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
}

TEST(CoreWork, IsRightAndNoticesAFlippedBit) {
  for (int w = 0; w < kCoreWorkCount; ++w) {
    const auto work = static_cast<CoreWork>(w);
    EXPECT_TRUE(run_core_work(work, false)) << core_work_name(work);
    EXPECT_FALSE(run_core_work(work, true)) << core_work_name(work);
  }
}

TEST(StressCores, CountsTheWrongRoundOfTheRightProcessor) {
  const auto clean = stress_cores({}, std::chrono::milliseconds(1), {});
  ASSERT_TRUE(clean) << clean.error().message();
  EXPECT_EQ(clean->wrong_rounds, 0u);
  EXPECT_GE(clean->rounds, clean->cpus.size() * kCoreWorkCount);
  const std::size_t last = clean->cpus.size() - 1;
  const auto bad = stress_cores({.inject = CoreInjection{CoreWork::kSha256, last}}, std::chrono::milliseconds(1), {});
  ASSERT_TRUE(bad);
  EXPECT_EQ(bad->wrong_rounds, 1u);
  EXPECT_EQ(bad->wrong[1][last], 1u);
}

}  // namespace
}  // namespace ff::bench
