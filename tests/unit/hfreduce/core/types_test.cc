#include "hfreduce/types.hpp"

#include <gtest/gtest.h>

#include <set>

namespace ff::hfreduce {
namespace {

TEST(Types, NamesParseBackToTheirType) {
  for (int i = 0; i < kDTypeCount; ++i) {
    const auto dtype = static_cast<DType>(i);
    const auto parsed = parse_dtype(dtype_name(dtype));
    ASSERT_TRUE(parsed.has_value());
    EXPECT_EQ(*parsed, dtype);
  }
  for (int i = 0; i < kReduceOpCount; ++i)
    EXPECT_EQ(*parse_op(op_name(static_cast<ReduceOp>(i))), static_cast<ReduceOp>(i));
  for (int i = 0; i < kCollectiveCount; ++i)
    EXPECT_EQ(*parse_collective(collective_name(static_cast<Collective>(i))), static_cast<Collective>(i));
}

TEST(Types, AliasesOfOtherToolsAreTaken) {
  EXPECT_EQ(*parse_dtype("bf16"), DType::kBfloat16);
  EXPECT_EQ(*parse_dtype("fp8"), DType::kFloat8E4M3);
  EXPECT_EQ(*parse_dtype("float32"), DType::kFloat32);
  EXPECT_EQ(*parse_dtype("i64"), DType::kInt64);
}

TEST(Types, AnUnknownNameIsRefusedWithTheList) {
  const auto r = parse_dtype("float31");
  ASSERT_FALSE(r.has_value());
  EXPECT_EQ(r.error().code(), Errc::kInvalidArgument);
  EXPECT_NE(r.error().message().find("bfloat16"), std::string::npos);
  EXPECT_FALSE(parse_op("xor").has_value());
  EXPECT_FALSE(parse_collective("").has_value());
}

TEST(Types, SizesAreThoseOfTheFormats) {
  const std::size_t want[kDTypeCount] = {4, 2, 2, 1, 1, 8, 1, 1, 4, 8};
  for (int i = 0; i < kDTypeCount; ++i) EXPECT_EQ(dtype_size(static_cast<DType>(i)), want[i]);
  std::set<int> low;
  for (int i = 0; i < kDTypeCount; ++i)
    if (is_low_type(static_cast<DType>(i))) low.insert(i);
  EXPECT_EQ(low, (std::set<int>{1, 2, 3, 4}));
}

}  // namespace
}  // namespace ff::hfreduce
