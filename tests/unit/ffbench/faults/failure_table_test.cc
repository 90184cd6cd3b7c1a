#include "ffbench/faults/failure_table.hpp"

#include <gtest/gtest.h>

namespace ff::bench {
namespace {

Result<std::vector<Failure>> read(std::string_view text) {
  std::vector<Failure> failures;
  FailureReader reader("t.csv", failures);
  while (!text.empty()) {
    const auto newline = text.find('\n');
    FF_TRY(reader.add_line(text.substr(0, newline)));
    text = newline == std::string_view::npos ? std::string_view{} : text.substr(newline + 1);
  }
  FF_TRY(reader.finish());
  return failures;
}

TEST(FailureTable, TakesColumnsByName) {
  const auto rows =
      read("Node;Class;When;Date;Count\ng1;\"a \"\"b\"\"; c\";x;2023-04-19;7\n# note\n\ng2;;x;2023-04;0\n");
  ASSERT_TRUE(rows.has_value()) << rows.error().message();
  ASSERT_EQ(rows->size(), 2u);
  EXPECT_EQ((*rows)[0].node, "g1");
  EXPECT_EQ((*rows)[0].fault_class, "a \"b\"; c");
  EXPECT_EQ((*rows)[0].count, 7u);
  EXPECT_EQ((*rows)[0].precision, TimePrecision::kDay);
  EXPECT_EQ((*rows)[1].precision, TimePrecision::kMonth);
}

TEST(FailureTable, CountsOneWithoutACountColumn) { EXPECT_EQ((*read("time\n2023-04-19T01:02:03Z\n"))[0].count, 1u); }

TEST(FailureTable, NamesTheLineOfAnError) {
  const auto expect = [](std::string_view text, std::string_view words) {
    const auto rows = read(text);
    ASSERT_FALSE(rows.has_value()) << text;
    EXPECT_NE(rows.error().message().find(words), std::string::npos) << rows.error().message();
  };
  expect("", "is empty");
  expect("count\n1\n", "t.csv:1: no column says when");
  expect("date,count\n2023-04-19,1\nyesterday,1\n", "t.csv:3: 'yesterday' is no date");
  expect("date,count\n2023-04-19,-1\n", "'-1' is no count");
  expect("date,count\n2023-04-19,\n", "'' is no count");
  expect("date,count\n\"2023-04-19,1\n", "a quote is not closed");
  expect("timestamp\n\"\"\n", "--boot");
}

}  // namespace
}  // namespace ff::bench
