#include "libcommon/runtime/list.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

namespace ff::runtime {
namespace {

struct Item : ListHook<> {
  explicit Item(int n) : value(n) {}
  int value;
};

std::vector<int> values(IntrusiveList<Item>& list) {
  std::vector<int> out;
  list.for_each([&](Item& item) { out.push_back(item.value); });
  return out;
}

TEST(IntrusiveList, KeepsTheOrderOfPushing) {
  Item a(1), b(2), c(3);
  IntrusiveList<Item> list;
  list.push_back(a);
  list.push_back(b);
  list.push_front(c);
  EXPECT_EQ(values(list), (std::vector{3, 1, 2}));
  EXPECT_EQ(list.size(), 3u);
  EXPECT_EQ(&list.front(), &c);
  EXPECT_EQ(&list.back(), &b);
  EXPECT_EQ(list.at(1).value, 1);
  EXPECT_EQ(list.pop_front(), &c);
  EXPECT_FALSE(c.linked());
  EXPECT_EQ(values(list), (std::vector{1, 2}));
}

TEST(IntrusiveList, PopOfAnEmptyListGivesNull) {
  IntrusiveList<Item> list;
  EXPECT_TRUE(list.empty());
  EXPECT_EQ(list.pop_front(), nullptr);
}

TEST(IntrusiveList, ADestroyedElementLeaves) {
  IntrusiveList<Item> list;
  Item a(1);
  auto b = std::make_unique<Item>(2);
  Item c(3);
  for (Item* item : {&a, b.get(), &c}) list.push_back(*item);
  b.reset();
  EXPECT_EQ(values(list), (std::vector{1, 3}));
}

TEST(IntrusiveList, ADestroyedListLetsItsElementsGo) {
  Item a(1), b(2);
  {
    IntrusiveList<Item> list;
    list.push_back(a);
    list.push_back(b);
  }
  EXPECT_FALSE(a.linked());
  EXPECT_FALSE(b.linked());
  IntrusiveList<Item> other;
  other.push_back(a);
  EXPECT_EQ(values(other), std::vector{1});
}

TEST(IntrusiveList, SpliceAppendsAllAndEmptiesTheOther) {
  Item a(1), b(2), c(3), d(4);
  IntrusiveList<Item> list, other, empty;
  list.push_back(a);
  other.push_back(b);
  other.push_back(c);
  list.splice_back(other);
  list.splice_back(empty);
  EXPECT_TRUE(other.empty());
  EXPECT_EQ(values(list), (std::vector{1, 2, 3}));
  list.push_back(d);
  empty.splice_back(list);
  EXPECT_EQ(values(empty), (std::vector{1, 2, 3, 4}));
}

TEST(IntrusiveList, TagsKeepTheLinksOfAnObjectApart) {
  struct Red;
  struct Blue;
  struct Both : ListHook<Red>, ListHook<Blue> {
  } both;
  IntrusiveList<Both, Red> red;
  IntrusiveList<Both, Blue> blue;
  red.push_back(both);
  blue.push_back(both);
  red.pop_front();
  EXPECT_TRUE(red.empty());
  EXPECT_FALSE(blue.empty());
}

}  // namespace
}  // namespace ff::runtime
