#include "libcommon/testing/linearizability.hpp"

#include <gtest/gtest.h>

namespace ff::testing {
namespace {

runtime::Time at(int t) { return runtime::Time(runtime::Duration(t)); }
RegisterOp read(int from, int to, RegisterValue value, std::string key = "k") {
  return {.kind = RegisterOpKind::kRead,
          .key = std::move(key),
          .value = std::move(value),
          .called = at(from),
          .returned = at(to)};
}
RegisterOp write(int from, int to, std::string value, std::string key = "k") {
  return {.kind = RegisterOpKind::kWrite,
          .key = std::move(key),
          .value = std::move(value),
          .called = at(from),
          .returned = at(to)};
}
RegisterOp cas(int from, int to, RegisterValue expected, std::string value, bool set) {
  return {.kind = RegisterOpKind::kCompareAndSet,
          .key = "k",
          .expected = std::move(expected),
          .value = std::move(value),
          .succeeded = set,
          .called = at(from),
          .returned = at(to)};
}
RegisterOp lost(RegisterOp op) {
  op.returned.reset();
  return op;
}
bool linearizable(const std::vector<RegisterOp>& history) { return check_linearizable(history).has_value(); }

TEST(Linearizability, SequentialHistory) {
  EXPECT_TRUE(linearizable({}));
  EXPECT_TRUE(linearizable(
      {read(0, 1, std::nullopt), write(2, 3, "a"), read(4, 5, "a"), cas(6, 7, "a", "b", true), read(8, 9, "b")}));
}

TEST(Linearizability, StaleReadIsRefused) {
  EXPECT_FALSE(linearizable({write(0, 1, "a"), write(2, 3, "b"), read(4, 5, "a")}));
  EXPECT_FALSE(linearizable({write(0, 1, "a"), read(2, 3, std::nullopt)}));
}

TEST(Linearizability, ConcurrentWriteMayComeBeforeOrAfter) {
  EXPECT_TRUE(linearizable({write(0, 10, "a"), read(1, 2, std::nullopt), read(3, 4, "a")}));
  EXPECT_TRUE(linearizable({write(0, 10, "a"), read(1, 2, "a")}));
  // But not both ways: once seen, it stays.
  EXPECT_FALSE(linearizable({write(0, 10, "a"), read(1, 2, "a"), read(3, 4, std::nullopt)}));
}

TEST(Linearizability, UnknownWriteMayHappenLateOrNever) {
  EXPECT_TRUE(linearizable({lost(write(0, 0, "a")), read(5, 6, std::nullopt)}));
  EXPECT_TRUE(linearizable({lost(write(0, 0, "a")), write(1, 2, "b"), read(3, 4, "b"), read(5, 6, "a")}));
  EXPECT_FALSE(
      linearizable({lost(write(0, 0, "a")), write(1, 2, "b"), read(3, 4, "a"), read(5, 6, "b"), read(7, 8, "a")}));
}

TEST(Linearizability, NobodyReadsWhatWasNotWrittenYet) {
  EXPECT_FALSE(linearizable({read(0, 1, "a"), write(2, 3, "a")}));
  EXPECT_FALSE(linearizable({read(0, 1, "a"), lost(write(2, 3, "a"))}));
}

TEST(Linearizability, OnlyOneCompareAndSetWins) {
  EXPECT_FALSE(linearizable({cas(0, 9, std::nullopt, "a", true), cas(0, 9, std::nullopt, "b", true)}));
  EXPECT_TRUE(linearizable({cas(0, 9, std::nullopt, "a", true), cas(0, 9, std::nullopt, "b", false)}));
  EXPECT_FALSE(linearizable({cas(0, 1, std::nullopt, "a", false)})) << "it should have been set";
  EXPECT_TRUE(linearizable({lost(cas(0, 0, std::nullopt, "a", true)), read(1, 2, "a")}));
}

TEST(Linearizability, KeysAreIndependent) {
  EXPECT_TRUE(linearizable({write(0, 1, "a", "x"), read(2, 3, std::nullopt, "y")}));
  const auto verdict =
      check_linearizable({write(0, 1, "a", "x"), read(2, 3, std::nullopt, "x"), read(2, 3, std::nullopt, "y")});
  ASSERT_FALSE(verdict);
  EXPECT_EQ(verdict.error().code(), Errc::kCorrupt);
  EXPECT_NE(verdict.error().message().find("key 'x'"), std::string::npos) << verdict.error().message();
}

TEST(Linearizability, BudgetAndBadInput) {
  std::vector<RegisterOp> many;
  for (int i = 0; i < 40; ++i) many.push_back(write(0, 100, std::to_string(i)));
  many.push_back(read(200, 201, "nobody"));
  EXPECT_EQ(check_linearizable(many, {.states_max = 1000}).error().code(), Errc::kExhausted);
  EXPECT_EQ(check_linearizable({write(5, 4, "a")}).error().code(), Errc::kInvalidArgument);
}

}  // namespace
}  // namespace ff::testing
