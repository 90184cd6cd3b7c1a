// Every vector path equals the scalar path bit for bit: all types, operations and numbers of inputs, lengths around the
// line, unaligned buffers, several outputs, in place, non-temporal. (That the scalar path is right: reduce_test.cc.)
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "hfreduce/cpu/float_formats.hpp"
#include "hfreduce/cpu/reduce.hpp"

namespace ff::hfreduce::cpu {
namespace {

constexpr int kNotInPlace = -1;
constexpr std::size_t kSlack = 192;  // room for a misaligned start and for guard bytes at the end
constexpr std::size_t kInputCounts[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 16, 17, 33};
constexpr std::size_t kOutputCounts[] = {1, 2, 3, 8};

struct Case {
  DType dtype;
  ReduceOp op;
  std::size_t k;
  std::size_t count;
  std::size_t m = 1;
  std::size_t in_offset = 0;   // bytes past a 64-byte boundary; input i starts i elements further
  std::size_t out_offset = 0;  // the same for all outputs, unless `scattered`
  bool scattered = false;
  bool non_temporal = false;
  int in_place = kNotInPlace;
  std::uint64_t divisor = 3;
};

std::string describe(Isa isa, const Case& c) {
  return std::string(isa_name(isa)) + " " + std::string(dtype_name(c.dtype)) + " " + std::string(op_name(c.op)) +
         " k=" + std::to_string(c.k) + " count=" + std::to_string(c.count) + " m=" + std::to_string(c.m) + " in+" +
         std::to_string(c.in_offset) + " out+" + std::to_string(c.out_offset) +
         " nt=" + std::to_string(c.non_temporal) + " in_place=" + std::to_string(c.in_place) +
         " divisor=" + std::to_string(c.divisor);
}

// 64-byte aligned storage whose first byte of use is `offset` further.
class Buffer {
 public:
  Buffer(std::size_t bytes, std::size_t offset) : storage_(bytes + offset + kSlack, 0xa5) {
    const auto address = reinterpret_cast<std::uintptr_t>(storage_.data());
    start_ = storage_.data() + (64 - address % 64) % 64 + offset;
    end_ = start_ + bytes;
  }
  std::uint8_t* data() { return start_; }
  bool guards_intact() const {
    const auto is_guard = [](std::uint8_t byte) { return byte == 0xa5; };
    return std::all_of(storage_.data(), static_cast<const std::uint8_t*>(start_), is_guard) &&
           std::all_of(static_cast<const std::uint8_t*>(end_), storage_.data() + storage_.size(), is_guard);
  }

 private:
  std::vector<std::uint8_t> storage_;
  std::uint8_t* start_;
  std::uint8_t* end_;
};

// Random bits, but floats mostly of like magnitude so that sums round, and specials every dozen elements or so.
void fill(DType dtype, std::uint8_t* data, std::size_t count, std::mt19937_64& random) {
  static constexpr std::uint32_t kSpecials32[] = {0x7fc00000, 0xffc00001, 0x7f800001, 0x7f800000, 0xff800000,
                                                  0x80000000, 0x00000000, 0x00000001, 0x807fffff, 0x7f7fffff};
  static constexpr std::uint64_t kSpecials64[] = {
      0x7ff8000000000000, 0xfff0000000000001, 0x7ff0000000000000, 0xfff0000000000000, 0x8000000000000000, 0, 1,
      0x7fefffffffffffff};
  for (std::size_t i = 0; i < count; ++i) {
    std::uint64_t bits = random();
    const std::uint64_t die = random() % 16;
    if (dtype == DType::kFloat32) {
      auto value = static_cast<std::uint32_t>(bits);
      if (die != 0)
        value = (value & 0x81ffffff) | 0x3e000000;
      else
        value = kSpecials32[bits % std::size(kSpecials32)];
      bits = value;
    } else if (dtype == DType::kFloat64) {
      bits = die != 0 ? (bits & 0x803fffffffffffff) | 0x3fc0000000000000 : kSpecials64[bits % std::size(kSpecials64)];
    } else if (dtype == DType::kFloat16) {
      if (die != 0) bits = (bits & 0x8fff) | 0x3000;
    } else if (dtype == DType::kBfloat16) {
      if (die != 0) bits = (bits & 0x81ff) | 0x3e00;
    } else if (is_low_type(dtype)) {
      if (die != 0) bits &= 0xdf;  // no specials: codes of middling and small magnitude
    }
    std::memcpy(data + i * dtype_size(dtype), &bits, dtype_size(dtype));
  }
}

void check(Isa isa, const Case& c, std::mt19937_64& random) {
  const std::size_t size = dtype_size(c.dtype);
  const std::size_t bytes = c.count * size;
  std::vector<Buffer> inputs;
  std::vector<const void*> in;
  for (std::size_t i = 0; i < c.k; ++i) {
    inputs.emplace_back(bytes, (c.in_offset + i * size) % 64);
    fill(c.dtype, inputs.back().data(), c.count, random);
  }
  for (Buffer& input : inputs) in.push_back(input.data());

  ReduceArgs args{.dtype = c.dtype, .op = c.op, .count = c.count, .divisor = c.divisor, .non_temporal = c.non_temporal};
  std::vector<std::uint8_t> expected(bytes + 1);
  void* const truth[] = {expected.data()};
  reduce_on(Isa::kScalar, args, in, truth);

  std::vector<Buffer> outputs;
  std::vector<void*> out;
  for (std::size_t j = 0; j < c.m; ++j) outputs.emplace_back(bytes, (c.out_offset + (c.scattered ? j * size : 0)) % 64);
  for (Buffer& output : outputs) out.push_back(output.data());
  if (c.in_place != kNotInPlace) out[0] = inputs[static_cast<std::size_t>(c.in_place)].data();
  reduce_on(isa, args, in, out);

  for (std::size_t j = 0; j < c.m; ++j) {
    ASSERT_EQ(std::memcmp(out[j], expected.data(), bytes), 0) << describe(isa, c) << " output " << j;
  }
  for (const Buffer& buffer : outputs) ASSERT_TRUE(buffer.guards_intact()) << describe(isa, c);
  for (const Buffer& buffer : inputs) ASSERT_TRUE(buffer.guards_intact()) << describe(isa, c);
}

class EveryIsa : public testing::TestWithParam<Isa> {
 protected:
  void SetUp() override {
    if (!isa_available(GetParam())) GTEST_SKIP() << "this processor has no " << isa_name(GetParam());
  }
  Isa isa() const { return GetParam(); }
  std::mt19937_64 random{20240826};

  template <class Body>
  void for_types_and_ops(Body body) {
    for (int dtype = 0; dtype < kDTypeCount; ++dtype) {
      for (int op = 0; op < kReduceOpCount; ++op) {
        body(static_cast<DType>(dtype), static_cast<ReduceOp>(op));
        if (testing::Test::HasFatalFailure()) return;
      }
    }
  }
};

INSTANTIATE_TEST_SUITE_P(Cpu, EveryIsa, testing::Values(Isa::kScalar, Isa::kAvx2, Isa::kAvx512),
                         [](const auto& info) { return std::string(isa_name(info.param)); });

// Alignment, outputs and stores vary along with the length, each on its own period.
TEST_P(EveryIsa, EqualsScalarForEveryTypeOpInputsAndLength) {
  for_types_and_ops([&](DType dtype, ReduceOp op) {
    for (const std::size_t k : kInputCounts) {
      for (std::size_t count = 0; count <= 200; ++count) {
        const std::size_t size = dtype_size(dtype);
        ASSERT_NO_FATAL_FAILURE(check(isa(),
                                      {.dtype = dtype,
                                       .op = op,
                                       .k = k,
                                       .count = count,
                                       .m = kOutputCounts[count / 3 % 4],
                                       .in_offset = count % 7 * size % 64,
                                       .out_offset = count % 5 * size % 64,
                                       .scattered = count % 11 == 0,
                                       .non_temporal = count % 2 == 1,
                                       .divisor = 1 + count % 9},
                                      random));
      }
    }
  });
}

TEST_P(EveryIsa, EqualsScalarInPlaceOnEachInput) {
  for_types_and_ops([&](DType dtype, ReduceOp op) {
    for (const std::size_t k : kInputCounts) {
      for (std::size_t position = 0; position < k; ++position) {
        for (const bool non_temporal : {false, true}) {
          ASSERT_NO_FATAL_FAILURE(check(isa(),
                                        {.dtype = dtype,
                                         .op = op,
                                         .k = k,
                                         .count = 131,
                                         .m = 1 + position % 2,
                                         .non_temporal = non_temporal,
                                         .in_place = static_cast<int>(position)},
                                        random));
        }
      }
    }
  });
}

TEST_P(EveryIsa, EqualsScalarForOutputsStoresAndAlignments) {
  for_types_and_ops([&](DType dtype, ReduceOp op) {
    for (const std::size_t m : kOutputCounts) {
      for (const bool non_temporal : {false, true}) {
        for (const bool scattered : {false, true}) {
          for (const std::size_t offset : {0, 8, 16, 56}) {
            ASSERT_NO_FATAL_FAILURE(check(isa(),
                                          {.dtype = dtype,
                                           .op = op,
                                           .k = 2 + m,
                                           .count = 257,
                                           .m = m,
                                           .in_offset = 64 - 8,
                                           .out_offset = offset,
                                           .scattered = scattered,
                                           .non_temporal = non_temporal},
                                          random));
          }
        }
      }
    }
  });
}

// Longer than the blocks that keep partial results in L1, and than one block of the scalar path.
TEST_P(EveryIsa, EqualsScalarAcrossBlocks) {
  for_types_and_ops([&](DType dtype, ReduceOp op) {
    for (const std::size_t k : {2, 7, 12, 21, 64}) {
      ASSERT_NO_FATAL_FAILURE(check(
          isa(), {.dtype = dtype, .op = op, .k = k, .count = 9001, .m = 2, .non_temporal = k % 2 == 1, .divisor = k},
          random));
    }
  });
}

TEST_P(EveryIsa, EqualsScalarForTheMostInputs) {
  for (const std::size_t k : {255, 256, 257, 4095, 4096}) {
    for (const DType dtype : {DType::kFloat32, DType::kBfloat16, DType::kInt8}) {
      ASSERT_NO_FATAL_FAILURE(check(isa(), {.dtype = dtype, .op = ReduceOp::kSum, .k = k, .count = 70}, random));
    }
  }
}

TEST_P(EveryIsa, EqualsScalarForExtremeDivisors) {
  for (int dtype = 0; dtype < kDTypeCount; ++dtype) {
    for (const std::uint64_t divisor : {1ull, 2ull, 127ull, 128ull, 255ull, 256ull, 4096ull, 65537ull, 1ull << 31,
                                        (1ull << 31) + 1, 1ull << 32, 1ull << 63, ~0ull}) {
      for (const std::size_t k : {1, 2}) {
        ASSERT_NO_FATAL_FAILURE(check(
            isa(), {.dtype = static_cast<DType>(dtype), .op = ReduceOp::kAvg, .k = k, .count = 300, .divisor = divisor},
            random));
      }
    }
  }
}

// Every pair of codes, which meets every rounding, saturation and special that two 8-bit inputs can.
TEST_P(EveryIsa, EqualsScalarForAllPairsOfFp8Codes) {
  std::vector<std::uint8_t> a(65536);
  std::vector<std::uint8_t> b(65536);
  for (std::size_t i = 0; i < a.size(); ++i) {
    a[i] = static_cast<std::uint8_t>(i);
    b[i] = static_cast<std::uint8_t>(i >> 8);
  }
  const void* const in[] = {a.data(), b.data()};
  for (const DType dtype : {DType::kFloat8E4M3, DType::kFloat8E5M2}) {
    for (int op = 0; op < kReduceOpCount; ++op) {
      for (const std::uint64_t divisor : {2, 3, 7, 1000}) {
        const ReduceArgs args{.dtype = dtype, .op = static_cast<ReduceOp>(op), .count = a.size(), .divisor = divisor};
        std::vector<std::uint8_t> expected(a.size());
        std::vector<std::uint8_t> actual(a.size());
        void* const truth[] = {expected.data()};
        void* const out[] = {actual.data()};
        reduce_on(Isa::kScalar, args, in, truth);
        reduce_on(isa(), args, in, out);
        const auto differs = std::mismatch(expected.begin(), expected.end(), actual.begin()).first - expected.begin();
        ASSERT_EQ(differs, 65536) << dtype_name(dtype) << " " << op_name(args.op) << " of codes " << (differs & 255)
                                  << ", " << (differs >> 8);
      }
    }
  }
}

}  // namespace
}  // namespace ff::hfreduce::cpu
