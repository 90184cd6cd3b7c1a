#include "ffs/store/overlay.hpp"

#include <gtest/gtest.h>

#include <map>

#include "libcommon/base/rng.hpp"

namespace ff::ffs {
namespace {

Overlay::Bytes bytes(int value) { return std::make_shared<const std::vector<std::byte>>(1, std::byte(value)); }

TEST(Overlay, HoldsWhatAMapWould) {
  Rng rng(7);
  for (int round = 0; round < 200; ++round) {
    Overlay overlay;
    std::map<std::uint32_t, Overlay::Bytes> model;
    for (int i = 0; i < 100; ++i) {
      const auto index = static_cast<std::uint32_t>(rng.below(40));
      const auto value = bytes(i);
      overlay.set(index, value);
      model[index] = value;
      if (rng.below(10) == 0) {
        const auto from = static_cast<std::uint32_t>(rng.below(40));
        overlay.erase_if([&](const Overlay::Entry& entry) { return entry.first >= from; });
        model.erase(model.lower_bound(from), model.end());
      }
      const auto ask = static_cast<std::uint32_t>(rng.below(42));
      const auto found = overlay.find(ask);
      const auto expected = model.find(ask);
      ASSERT_EQ(found == overlay.end(), expected == model.end());
      if (expected != model.end()) ASSERT_EQ(found->second, expected->second);
      const Overlay low(overlay.begin(), overlay.lower_bound(ask));
      ASSERT_EQ(low.size(), static_cast<std::size_t>(std::distance(model.begin(), model.lower_bound(ask))));
    }
    ASSERT_EQ(overlay.size(), model.size());
    ASSERT_EQ(overlay.empty(), model.empty());
    ASSERT_TRUE(std::ranges::equal(
        overlay, model, [](const auto& a, const auto& b) { return a.first == b.first && a.second == b.second; }));
    if (!model.empty()) ASSERT_EQ(overlay.back().first, model.rbegin()->first);
  }
}

}  // namespace
}  // namespace ff::ffs
