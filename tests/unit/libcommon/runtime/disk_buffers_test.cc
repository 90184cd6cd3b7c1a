#include "libcommon/runtime/disk_buffers.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <set>

namespace ff::runtime {
namespace {

constexpr std::size_t kSlab = DiskBuffers::kSlabBytes;

struct Kernel {
  std::vector<std::span<std::byte>> slots;
  bool refuses = false;
  DiskBuffers::Register registrar() {
    return [this](std::uint32_t slot, std::span<std::byte> memory) -> Result<> {
      EXPECT_EQ(slot, slots.size());
      if (refuses) return fail(Errc::kExhausted, "locked memory");
      slots.push_back(memory);
      return {};
    };
  }
};

bool all_zero(std::span<const std::byte> memory) {
  return std::ranges::all_of(memory, [](std::byte b) { return b == std::byte{0}; });
}

TEST(DiskBuffers, AreAlignedZeroedAndDisjoint) {
  Kernel kernel;
  DiskBuffers buffers(4 * kSlab, kernel.registrar());
  EXPECT_TRUE(kernel.slots.empty());  // nothing is pinned before somebody needs it
  std::vector<DiskBuffer> held;
  for (const std::size_t bytes : {1ul, 4096ul, 5000ul, 65536ul, 1ul << 20}) {
    held.push_back(*buffers.allocate(bytes));
    EXPECT_EQ(held.back().size(), bytes);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(held.back().data()) % DiskBuffers::kAlignment, 0u);
    EXPECT_TRUE(all_zero(held.back().span()));
    std::memset(held.back().data(), static_cast<int>(held.size()), bytes);
  }
  for (std::size_t i = 0; i < held.size(); ++i) {
    EXPECT_TRUE(std::ranges::all_of(held[i].span(), [&](std::byte b) { return b == std::byte(i + 1); }));
    EXPECT_EQ(buffers.slot_of(held[i].span()), 0);
  }
  EXPECT_EQ(kernel.slots.size(), 1u);
}

TEST(DiskBuffers, AreZeroedWhenReusedAndJoinWhenGivenBack) {
  Kernel kernel;
  DiskBuffers buffers(kSlab, kernel.registrar());
  for (int round = 0; round < 3; ++round) {
    std::vector<DiskBuffer> held;
    for (std::size_t i = 0; i < kSlab / 4096; ++i) {
      held.push_back(*buffers.allocate(4096));
      ASSERT_TRUE(buffers.slot_of(held.back().span())) << i;
      ASSERT_TRUE(all_zero(held.back().span()));
      std::memset(held.back().data(), 0xff, 4096);
    }
    // Given back in an order that joins left, right and both.
    for (std::size_t step : {3u, 2u, 1u}) {
      for (std::size_t i = 0; i < held.size(); i += step) held[i] = DiskBuffer();
    }
    auto whole = buffers.allocate(kSlab);
    ASSERT_TRUE(buffers.slot_of(whole->span())) << "the pieces were not joined";
  }
  EXPECT_EQ(kernel.slots.size(), 1u);
}

TEST(DiskBuffers, BeyondTheBudgetArePlainMemory) {
  Kernel kernel;
  DiskBuffers buffers(2 * kSlab, kernel.registrar());
  auto large = buffers.allocate(3 * kSlab);
  EXPECT_FALSE(buffers.slot_of(large->span()));
  auto a = buffers.allocate(kSlab), b = buffers.allocate(kSlab), c = buffers.allocate(4096);
  EXPECT_NE(buffers.slot_of(a->span()), buffers.slot_of(b->span()));
  EXPECT_FALSE(buffers.slot_of(c->span()));
  EXPECT_TRUE(all_zero(c->span()));
  *a = DiskBuffer();
  EXPECT_TRUE(buffers.slot_of(buffers.allocate(4096)->span()));
}

TEST(DiskBuffers, ALargeBufferHasASlabOfItsOwn) {
  Kernel kernel;
  DiskBuffers buffers(8 * kSlab, kernel.registrar());
  auto large = buffers.allocate(3 * kSlab - 5000);
  ASSERT_TRUE(buffers.slot_of(large->span()));
  EXPECT_EQ(kernel.slots.at(0).size(), 3 * kSlab);
}

TEST(DiskBuffers, ARefusalOfTheKernelIsNotAskedForAgain) {
  Kernel kernel;
  kernel.refuses = true;
  DiskBuffers buffers(2 * kSlab, kernel.registrar());
  auto a = buffers.allocate(4096);
  ASSERT_TRUE(a);
  EXPECT_FALSE(buffers.slot_of(a->span()));
  kernel.refuses = false;
  EXPECT_FALSE(buffers.slot_of(buffers.allocate(4096)->span()));
  EXPECT_TRUE(kernel.slots.empty());
}

TEST(DiskBuffers, ASpanThatIsNotWhollyInsideHasNoSlot) {
  Kernel kernel;
  DiskBuffers buffers(2 * kSlab, kernel.registrar());
  auto a = buffers.allocate(kSlab);
  const std::byte* begin = a->data();
  EXPECT_TRUE(buffers.slot_of({begin + 1, kSlab - 1}));
  EXPECT_FALSE(buffers.slot_of({begin, kSlab + 1}));
  EXPECT_FALSE(buffers.slot_of({begin + kSlab, 1}));
  EXPECT_FALSE(buffers.slot_of({begin - 1, 2}));
}

TEST(DiskBuffers, MayOutliveTheirMaker) {
  Kernel kernel;
  DiskBuffer buffer;
  {
    DiskBuffers buffers(kSlab, kernel.registrar());
    buffer = *buffers.allocate(100);
  }
  std::memset(buffer.data(), 1, buffer.size());
}

TEST(DiskBuffers, RefusesNothingAndTooMuch) {
  DiskBuffers buffers(0, nullptr);
  EXPECT_EQ(buffers.allocate(0).error().code(), Errc::kInvalidArgument);
  EXPECT_EQ(buffers.allocate(SIZE_MAX).error().code(), Errc::kExhausted);
  EXPECT_EQ(buffers.allocate(std::size_t{1} << 60).error().code(), Errc::kExhausted);
  EXPECT_TRUE(buffers.allocate(1));
}

}  // namespace
}  // namespace ff::runtime
