// Tables of chains: what must hold for each, and small cases whose exact answer is known.
#include "ffs/mgmt/placement.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace ff::ffs {
namespace {

std::vector<PlacementDisk> disks(std::uint32_t hosts, std::uint32_t each, std::uint32_t slots) {
  std::vector<PlacementDisk> out;
  for (std::uint32_t host = 0; host < hosts; ++host)
    for (std::uint32_t i = 0; i < each; ++i) out.push_back({.host = host, .slots = slots});
  return out;
}

void expect_valid(const PlacementRequest& request, const Placement& placement, bool hosts_apart = true) {
  std::vector<std::uint32_t> used(request.disks.size());
  for (const PlacedChain& chain : request.old)
    for (const auto disk : chain) ++used[disk];
  for (const PlacedChain& chain : placement.chains) {
    EXPECT_EQ(chain.size(), request.replicas);
    std::set<std::uint32_t> hosts;
    for (const auto disk : chain) {
      ++used[disk];
      hosts.insert(hosts_apart ? request.disks[disk].host : disk);
    }
    EXPECT_EQ(hosts.size(), chain.size());
  }
  for (std::size_t disk = 0; disk < used.size(); ++disk) EXPECT_LE(used[disk], request.disks[disk].slots);
}

// Seven disks, three targets each, chains of three: the Fano plane, where each pair meets exactly once.
TEST(Placement, FindsTheFanoPlane) {
  const PlacementRequest request{.disks = disks(7, 1, 3)};
  const auto placement = place(request);
  ASSERT_TRUE(placement.has_value()) << placement.error().message();
  expect_valid(request, *placement);
  EXPECT_EQ(placement->chains.size(), 7u);
  EXPECT_EQ(placement->quality.pairs_max, 1u);
  EXPECT_DOUBLE_EQ(placement->quality.max, 1.0 / 6);
  EXPECT_DOUBLE_EQ(placement->quality.ideal, 1.0 / 6);
}

TEST(Placement, UsesEveryTargetWhenItCan) {
  for (std::uint32_t hosts = 3; hosts <= 12; ++hosts)
    for (std::uint32_t each = 1; each <= 4; ++each) {
      const PlacementRequest request{.disks = disks(hosts, each, 6)};
      const auto placement = place(request);
      ASSERT_TRUE(placement.has_value()) << placement.error().message();
      expect_valid(request, *placement);
      EXPECT_EQ(placement->chains.size(), hosts * each * 2);
    }
}

TEST(Placement, UnevenHostsAreUsedAsFarAsTheyHaveCompany) {
  // One host of 10 targets beside two of 2: a chain of three needs all hosts, so 2 chains.
  const PlacementRequest request{.disks = {{0, 10}, {1, 2}, {2, 2}}};
  const auto placement = place(request);
  ASSERT_TRUE(placement.has_value());
  expect_valid(request, *placement);
  EXPECT_EQ(placement->chains.size(), 2u);
}

TEST(Placement, RefusesWhatIsImpossibleAndSaysWhatIsMissing) {
  const auto two = place({.disks = disks(2, 4, 3)});
  ASSERT_FALSE(two.has_value());
  EXPECT_EQ(two.error().code(), Errc::kExhausted);
  EXPECT_NE(two.error().message().find("machines"), std::string::npos);
  const PlacementRequest shared{.disks = disks(1, 3, 2), .share_hosts = true};
  const auto one = place(shared);
  ASSERT_TRUE(one.has_value());
  expect_valid(shared, *one, false);
  EXPECT_EQ(one->chains.size(), 2u);
  EXPECT_EQ(place({.disks = disks(1, 2, 9), .share_hosts = true}).error().code(), Errc::kExhausted);
}

TEST(Placement, GrowthKeepsOldChainsAndCountsThem) {
  PlacementRequest request{.disks = disks(6, 1, 3)};
  auto first = place(request);
  ASSERT_TRUE(first.has_value());
  request.old = first->chains;
  for (const auto& disk : disks(6, 1, 3)) request.disks.push_back({.host = disk.host + 6, .slots = disk.slots});
  const auto second = place(request);
  ASSERT_TRUE(second.has_value());
  expect_valid(request, *second);
  EXPECT_EQ(second->chains.size(), 6u);
}

TEST(Placement, IsTheSameEachTime) {
  const PlacementRequest request{.disks = disks(9, 2, 4)};
  EXPECT_EQ(place(request)->chains, place(request)->chains);
}

TEST(Placement, HeadsAreSpread) {
  const auto placement = place({.disks = disks(10, 1, 9)});
  ASSERT_TRUE(placement.has_value());
  std::vector<int> heads(10);
  for (const PlacedChain& chain : placement->chains) ++heads[chain.front()];
  EXPECT_LE(*std::ranges::max_element(heads), 4);
  EXPECT_GE(*std::ranges::min_element(heads), 2);
}

}  // namespace
}  // namespace ff::ffs
