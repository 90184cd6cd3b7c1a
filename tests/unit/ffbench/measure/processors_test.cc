#include "ffbench/measure/processors.hpp"

#include <gtest/gtest.h>

#include <thread>

namespace ff::bench {
namespace {

using List = std::vector<int>;

TEST(ParseProcessors, ReadsLists) {
  EXPECT_EQ(*parse_processors("0-3,8"), (List{0, 1, 2, 3, 8}));
  EXPECT_EQ(*parse_processors("5"), List{5});
  EXPECT_EQ(*parse_processors("8,0-1,1"), (List{0, 1, 8}));
  EXPECT_EQ(*parse_processors("1023"), List{1023});
}

TEST(ParseProcessors, RefusesOtherTexts) {
  for (const char* text :
       {"", ",", "1,", ",1", "3-1", "-1", "+1", "1-", "a", "1 2", "1024", "99999999999", "0-3;5", "1--2", " 1"}) {
    const auto parsed = parse_processors(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().code(), Errc::kInvalidArgument);
  }
  std::string many = "0-1023";
  for (int i = 0; i < 10; ++i) many += ",0-1023";
  EXPECT_FALSE(parse_processors(many));
}

TEST(FormatProcessors, IsTheShortestList) {
  EXPECT_EQ(format_processors(List{0, 1, 2, 3, 8}), "0-3,8");
  EXPECT_EQ(format_processors(List{0, 2, 4}), "0,2,4");
  EXPECT_EQ(format_processors(List{6, 7}), "6-7");
  EXPECT_EQ(format_processors(List{}), "");
}

TEST(PinThisThread, BindsItAndNotOthers) {
  const auto before = allowed_processors();
  ASSERT_TRUE(before);
  ASSERT_FALSE(before->empty());
  List inside;
  std::thread([&] {
    ASSERT_TRUE(pin_this_thread(List{before->back()}));
    inside = *allowed_processors();
  }).join();
  EXPECT_EQ(inside, List{before->back()});
  EXPECT_EQ(*allowed_processors(), *before);
}

TEST(CheckProcessors, NamesTheOneThatIsNotAllowed) {
  const auto refused = check_processors(List{1023});
  if (refused) GTEST_SKIP() << "this machine has 1024 processors";
  EXPECT_EQ(refused.error().code(), Errc::kInvalidArgument);
  EXPECT_EQ(refused.error().message().rfind("processor 1023: not available to this process", 0), 0u);
}

}  // namespace
}  // namespace ff::bench
