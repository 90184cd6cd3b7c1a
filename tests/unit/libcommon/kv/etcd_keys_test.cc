#include "libcommon/kv/etcd_keys.hpp"

#include <gtest/gtest.h>

namespace ff::kv {
namespace {

using namespace std::string_literals;

TEST(EtcdKeys, KeepOrderAndComeBack) {
  const EtcdKeys keys("app");
  EXPECT_EQ(keys.data("x"), "app\0kx"s);
  EXPECT_EQ(keys.logical(keys.data("x\0y"s)), "x\0y"s);
  EXPECT_LT(keys.data("a"), keys.data("a\0"s));
  EXPECT_LT(keys.data("a\xff"), keys.data("b"));
}

TEST(EtcdKeys, RangesWithoutAnEndStopAtTheLastKeyOfData) {
  const EtcdKeys keys("app");
  EXPECT_EQ(keys.data(KeyRange{"a", "b"}), (EtcdRange{"app\0ka"s, "app\0kb"s}));
  const EtcdRange all = keys.data(KeyRange{"", ""});
  EXPECT_EQ(all, (EtcdRange{"app\0k"s, "app\0l"s}));
  EXPECT_GE(keys.lease("name"), all.range_end);
  EXPECT_LT(keys.data(std::string(20, '\xff')), all.range_end);
}

TEST(EtcdKeys, OneStoresKeysLieOutsideAnothers) {
  const EtcdKeys outer("ff");
  const EtcdKeys inner("ff/k");
  const EtcdKeys beside("ffk");
  const EtcdRange all = outer.data(KeyRange{"", ""});
  for (const EtcdKeys& other : {inner, beside}) {
    for (const std::string& key : {other.data("x"), other.lease("x"), other.stamps(), other.wide_marker()}) {
      EXPECT_TRUE(key < all.key || key >= all.range_end);
    }
  }
}

// The marker that a removal puts is among those that a range read compares, whenever the key is in the range.
TEST(EtcdKeys, MarkersOfARangeContainThoseOfItsKeys) {
  const EtcdKeys keys("p");
  const std::vector<std::string> samples{"\0"s, "\0\0"s,  "a",  "a\0"s, "a\xff", "ab",
                                         "abc", "ab\xff", "ac", "b",    "\xff",  "\xff\xff\xff"};
  std::vector<std::string> bounds = samples;
  bounds.push_back("");
  for (const std::string& begin : bounds) {
    for (const std::string& end : bounds) {
      if (!end.empty() && begin >= end) continue;
      const EtcdRange markers = keys.markers_of({begin, end});
      for (const std::string& key : samples) {
        if (key < begin || (!end.empty() && key >= end)) continue;
        const std::string marker = keys.marker_of(key);
        EXPECT_TRUE(marker >= markers.key && marker < markers.range_end) << key << " in " << begin << " to " << end;
      }
    }
  }
}

TEST(EtcdKeys, ClearedRangesUseTheMarkerOfTheirCommonBeginning) {
  const EtcdKeys keys("p");
  const std::string ab = keys.marker_of("ab");
  EXPECT_EQ(keys.marker_of(KeyRange{"abc", "abd"}), ab);
  EXPECT_EQ(keys.marker_of(KeyRange{"ab", "ac"}), ab);
  EXPECT_EQ(keys.marker_of(KeyRange{"\xff\xff", ""}), keys.marker_of("\xff\xff"));
  for (const KeyRange& wide : {KeyRange{"ab", "acx"}, KeyRange{"a", "b"}, KeyRange{"", ""}, KeyRange{"ab", ""}}) {
    EXPECT_EQ(keys.marker_of(wide), keys.wide_marker());
  }
}

}  // namespace
}  // namespace ff::kv
