// The anomalies are Adya's examples.
#include "libcommon/testing/serializability.hpp"

#include <gtest/gtest.h>

namespace ff::testing {
namespace {

using Accesses = std::vector<TxnRecord::Access>;

TxnRecord txn(std::string name, Accesses reads, Accesses writes, std::optional<std::uint64_t> version = std::nullopt) {
  TxnRecord out;
  out.name = std::move(name);
  out.reads = std::move(reads);
  out.writes = std::move(writes);
  out.version = version;
  return out;
}
TxnRecord with(TxnRecord record, TxnOutcome outcome) {
  record.outcome = outcome;
  return record;
}
TxnRecord during(TxnRecord record, int from, int to) {
  record.began = runtime::Time(runtime::Duration(from));
  record.ended = runtime::Time(runtime::Duration(to));
  return record;
}
std::string verdict(const std::vector<TxnRecord>& history, bool real_time = false) {
  const auto result = check_serializable(history, {.real_time = real_time, .initial = {}});
  return result ? "serializable" : result.error().message();
}
void expect_verdict(const std::vector<TxnRecord>& history, const char* part, bool real_time = false) {
  const std::string text = verdict(history, real_time);
  EXPECT_NE(text.find(part), std::string::npos) << text;
}

TEST(Serializability, SerialHistoryPasses) {
  EXPECT_EQ(verdict({}), "serializable");
  EXPECT_EQ(verdict({txn("a", {{"x", std::nullopt}}, {{"x", "1"}}), txn("b", {{"x", "1"}}, {{"x", "2"}, {"y", "3"}}),
                     txn("c", {{"x", "2"}, {"y", "3"}}, {})}),
            "serializable");
}

TEST(Serializability, LostUpdate) {
  const Accesses absent{{"x", std::nullopt}};
  expect_verdict({txn("a", absent, {{"x", "1"}}, 1), txn("b", absent, {{"x", "2"}}, 2)}, "G-single");
  expect_verdict({txn("a", absent, {{"x", "1"}}), txn("b", absent, {{"x", "2"}})}, "not serializable");
}

TEST(Serializability, ReadSkew) {
  expect_verdict({txn("a", {}, {{"x", "1"}, {"y", "1"}}, 1), txn("b", {}, {{"x", "2"}, {"y", "2"}}, 2),
                  txn("r", {{"x", "1"}, {"y", "2"}}, {})},
                 "G-single");
}

TEST(Serializability, WriteSkew) {
  expect_verdict({txn("a", {{"x", std::nullopt}, {"y", std::nullopt}}, {{"x", "1"}}),
                  txn("b", {{"x", std::nullopt}, {"y", std::nullopt}}, {{"y", "1"}})},
                 "G2-item");
}

TEST(Serializability, DirtyWriteIsG0) {
  // x: a then b; y: b then a. Known from the transactions that read one version and wrote the next.
  expect_verdict({txn("a", {{"y", "b"}}, {{"x", "a"}, {"y", "a"}}), txn("b", {{"x", "a"}}, {{"x", "b"}, {"y", "b"}})},
                 "G0");
}

TEST(Serializability, CircularReadsAreG1c) {
  expect_verdict({txn("a", {{"y", "1"}}, {{"x", "1"}}), txn("b", {{"x", "1"}}, {{"y", "1"}})}, "G1c");
}

TEST(Serializability, AbortedAndGarbageReads) {
  expect_verdict({with(txn("a", {}, {{"x", "1"}}), TxnOutcome::kAborted), txn("b", {{"x", "1"}}, {})}, "G1a");
  expect_verdict({txn("b", {{"x", "7"}}, {})}, "garbage read");
}

TEST(Serializability, UnknownCountsOnlyWhenSeen) {
  const TxnRecord maybe = with(txn("m", {{"x", std::nullopt}}, {{"x", "1"}}), TxnOutcome::kUnknown);
  EXPECT_EQ(verdict({maybe, txn("b", {{"x", std::nullopt}}, {{"x", "2"}})}), "serializable");
  expect_verdict({maybe, txn("b", {{"x", std::nullopt}}, {{"x", "2"}}), txn("r", {{"x", "1"}}, {})},
                 "not serializable");
}

TEST(Serializability, RealTimeMakesStaleReadsVisible) {
  const std::vector<TxnRecord> history{during(txn("w", {}, {{"x", "1"}}), 0, 1),
                                       during(txn("r", {{"x", std::nullopt}}, {}), 5, 6)};
  EXPECT_EQ(verdict(history, false), "serializable");
  expect_verdict(history, "not strict", true);
  EXPECT_EQ(
      verdict({during(txn("w", {}, {{"x", "1"}}), 0, 9), during(txn("r", {{"x", std::nullopt}}, {}), 5, 6)}, true),
      "serializable");
}

TEST(Serializability, DeletionMakesAbsenceAmbiguousNotWrong) {
  EXPECT_EQ(verdict({txn("a", {}, {{"x", "1"}}, 1), txn("d", {{"x", "1"}}, {{"x", std::nullopt}}, 2),
                     txn("r", {{"x", std::nullopt}}, {})}),
            "serializable");
}

TEST(Serializability, ValuesMustBeUnique) {
  const auto result = check_serializable({txn("a", {}, {{"x", "1"}}), txn("b", {}, {{"x", "1"}})});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code(), Errc::kInvalidArgument);
}

}  // namespace
}  // namespace ff::testing
