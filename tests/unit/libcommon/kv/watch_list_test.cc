#include "libcommon/kv/watch_list.hpp"

#include <gtest/gtest.h>

#include "tests/support/virtual_env.hpp"

namespace ff::kv {
namespace {

using namespace std::chrono_literals;
using runtime::Task;

// What the watch tells within a while; 0: nothing.
Version told(Watch& watch) {
  tests::VirtualEnv env;
  const auto main = [](tests::VirtualEnv& e, Watch& w) -> Task<Version> {
    const auto version = co_await runtime::with_timeout(1s, "watch", w.changed());
    e.post([] {});
    co_return version ? *version : 0;
  };
  return env.run(main(env, watch));
}

TEST(WatchList, TellsOfChangesInTheRangeOnly) {
  WatchList list;
  const auto watch = list.add({"b", "d"}, false, 0);
  list.wrote("a", 1);
  list.wrote("d", 2);
  list.wrote(KeyRange{"d", ""}, 3);
  EXPECT_EQ(told(*watch), 0U);
  list.wrote("b", 4);
  EXPECT_EQ(told(*watch), 4U);
  EXPECT_EQ(told(*watch), 0U) << "told once";
  list.wrote(KeyRange{"", "b1"}, 5);
  list.wrote("c", 6);
  EXPECT_EQ(told(*watch), 6U) << "several changes as one";
}

TEST(WatchList, TellsOfEveryKindOfWrite) {
  WatchList list;
  const auto watch = list.add({"k", "l"}, true, 7);
  EXPECT_EQ(told(*watch), 7U);
  WriteSet writes;
  writes.stamp("k", "", "v");
  list.wrote(writes, 8);
  EXPECT_EQ(told(*watch), 8U);
  WriteSet clears;
  clears.clear_range({"a", ""});
  list.wrote(clears, 9);
  EXPECT_EQ(told(*watch), 9U);
}

TEST(WatchList, WhatItHasToldOrKnewIsNotToldAgain) {
  WatchList list;
  const auto watch = list.add({"", ""}, false, 7);
  list.wrote("k", 7);
  EXPECT_EQ(told(*watch), 0U);
  list.wrote("k", 9);
  list.wrote("k", 8);
  EXPECT_EQ(told(*watch), 9U);
  list.wrote("k", 9);
  EXPECT_EQ(told(*watch), 0U);
}

TEST(WatchList, AFailureEndsAllWaits) {
  WatchList list;
  const auto watch = list.add({"", ""}, false, 0);
  list.fail_all(Error(Errc::kIo, "the disk is gone"));
  tests::VirtualEnv env;
  const auto main = [](tests::VirtualEnv& e, Watch& w) -> Task<Result<>> {
    const auto version = co_await w.changed();
    e.post([] {});
    if (!version) co_return std::unexpected(version.error());
    co_return {};
  };
  const auto result = env.run(main(env, *watch));
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().message(), "the disk is gone");
}

}  // namespace
}  // namespace ff::kv
