// The .npy header: what NumPy writes is read, what it would read is written, and anything else is refused by name.
#include "hfreduce/npy/npy.hpp"

#include <gtest/gtest.h>

namespace ff::hfreduce::npy {
namespace {

std::string file(int major, const std::string& dictionary) {
  std::string out(kMagic);
  out += static_cast<char>(major);
  out += '\0';
  const auto n = dictionary.size();
  for (int i = 0; i < (major == 1 ? 2 : 4); ++i) out += static_cast<char>(n >> (8 * i) & 0xff);
  return out + dictionary;
}

TEST(Npy, ReadsWhatNumpyWrites) {
  const auto header = parse(file(1, "{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }          \n"));
  ASSERT_TRUE(header) << header.error().message();
  EXPECT_EQ(header->descr, "<f4");
  EXPECT_FALSE(header->fortran_order);
  EXPECT_EQ(header->shape, (std::vector<std::uint64_t>{3, 4}));
  EXPECT_EQ(header->elements().value(), 12u);
}

TEST(Npy, ReadsOneScalarAndVersionTwoAndThree) {
  EXPECT_EQ(parse(file(2, "{'descr': '|V2', 'fortran_order': True, 'shape': (5,)}\n"))->shape,
            (std::vector<std::uint64_t>{5}));
  EXPECT_EQ(parse(file(3, "{\"shape\": (), \"descr\": \"<i8\", \"fortran_order\": False}\n"))->elements().value(), 1u);
  EXPECT_EQ(parse(file(1, "{'descr': '<f8', 'fortran_order': False, 'shape': (0, 7)}\n"))->elements().value(), 0u);
}

TEST(Npy, WritesWhatItReads) {
  for (const std::vector<std::uint64_t>& shape :
       {std::vector<std::uint64_t>{}, {1}, {7, 1, 9}, std::vector<std::uint64_t>(64, 1)}) {
    const Header header{"|V1", true, shape};
    const std::string bytes = format(header);
    EXPECT_EQ(bytes.size() % 64, 0u);
    EXPECT_EQ(bytes.back(), '\n');
    const auto again = parse(bytes);
    ASSERT_TRUE(again) << again.error().message();
    EXPECT_EQ(again->shape, shape);
    EXPECT_TRUE(again->fortran_order);
  }
  EXPECT_NE(format({"<f4", false, {5}}).find("(5,)"), std::string::npos);
  EXPECT_NE(format({"<f4", false, {5, 6}}).find("(5, 6)"), std::string::npos);
}

TEST(Npy, RefusesWhatIsNoHeader) {
  const std::string good = "{'descr': '<f4', 'fortran_order': False, 'shape': (3,)}\n";
  EXPECT_FALSE(parse("not a npy file at all"));
  EXPECT_FALSE(parse(file(9, good)));
  EXPECT_FALSE(parse(file(1, good).substr(0, 30)));
  EXPECT_FALSE(parse(std::string(kMagic)));
  for (const char* bad : {"{'descr': '<f4', 'fortran_order': False}                \n",
                          "{'descr': '<f4', 'fortran_order': Maybe, 'shape': (3,)}\n",
                          "{'descr': '<f4', 'fortran_order': False, 'shape': (3 4)}\n",
                          "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}\n",
                          "{'descr': '<f4', 'fortran_order': False, 'shape': (3,)} x\n",
                          "{'descr': '<f4, 'fortran_order': False, 'shape': (3,)}\n",
                          "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (3,)}\n",
                          "{'other': 1, 'descr': '<f4', 'fortran_order': False, 'shape': (3,)}\n",
                          "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (3,)}\n"})
    EXPECT_FALSE(parse(file(1, bad))) << bad;
}

TEST(Npy, RefusesAShapeThatDoesNotFit) {
  EXPECT_FALSE(parse(file(1, "{'descr': '<f8', 'fortran_order': False, 'shape': (4294967296, 4294967296)}\n")));
  EXPECT_FALSE(parse(file(1, "{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999999999999,)}\n")));
}

TEST(ElementType, TakesItFromTheFileWhereNumpyHasAName) {
  EXPECT_EQ(element_type("<f2", std::nullopt).value(), DType::kFloat16);
  EXPECT_EQ(element_type("|u1", std::nullopt).value(), DType::kUint8);
  EXPECT_EQ(element_type("<i8", DType::kInt64).value(), DType::kInt64);
  EXPECT_FALSE(element_type("<f4", DType::kFloat64));
  EXPECT_FALSE(element_type(">f4", std::nullopt));
  EXPECT_FALSE(element_type("<c8", std::nullopt));
  EXPECT_FALSE(element_type("<i2", std::nullopt));
}

TEST(ElementType, RawBytesNeedAWordAndItMustFit) {
  EXPECT_EQ(element_type("|V2", DType::kBfloat16).value(), DType::kBfloat16);
  EXPECT_EQ(element_type("<u2", DType::kBfloat16).value(), DType::kBfloat16);
  EXPECT_EQ(element_type("|u1", DType::kFloat8E4M3).value(), DType::kFloat8E4M3);
  EXPECT_FALSE(element_type("|V2", std::nullopt));
  EXPECT_FALSE(element_type("|V1", DType::kBfloat16));
  EXPECT_FALSE(element_type("|V4", DType::kFloat32));
}

}  // namespace
}  // namespace ff::hfreduce::npy
