// The sets of legal images are small enough here to be written down by hand.
#include "libcommon/testing/crash_images.hpp"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace ff::testing {
namespace {

constexpr std::uint32_t kSector = 4;

std::vector<std::byte> bytes(const std::string& text) {
  std::vector<std::byte> out;
  for (const char c : text) out.push_back(static_cast<std::byte>(c));
  return out;
}
std::string text(const SparseBytes& file) {
  std::string out;
  for (const std::byte b : file.bytes()) out += b == std::byte{0} ? '.' : static_cast<char>(b);
  return out;
}
DiskOp write(std::uint64_t offset, const std::string& data) {
  return {.kind = DiskOp::Kind::kWrite, .file = 0, .offset = offset, .bytes = data.size(), .data = bytes(data)};
}
DiskOp truncate(std::uint64_t size) { return {.kind = DiskOp::Kind::kTruncate, .bytes = size}; }
DiskOp sync(std::uint64_t count = 0) { return {.kind = DiskOp::Kind::kSync, .bytes = count}; }

// Images of a cut after all operations.
std::set<std::string> final_images(const std::string& initial, const std::vector<DiskOp>& ops,
                                   CrashImageOptions options = {}) {
  options.sector_bytes = kSector;
  std::vector<SparseBytes> files;
  files.push_back(SparseBytes::of(bytes(initial)));
  std::set<std::string> out;
  for_each_crash_image(files, ops, options, [&](const CrashImage& image) {
    if (image.operations == ops.size()) out.insert(text(image.files[0]));
    return true;
  });
  return out;
}

TEST(CrashImages, SectorsOfAWriteArriveIndependently) {
  EXPECT_EQ(final_images("aaaabbbb", {write(0, "AAAABBBB")}),
            (std::set<std::string>{"aaaabbbb", "AAAAbbbb", "aaaaBBBB", "AAAABBBB"}));
}

TEST(CrashImages, OneSectorIsNeverTorn) {
  EXPECT_EQ(final_images("aaaa", {write(1, "XY")}), (std::set<std::string>{"aaaa", "aXYa"}));
}

TEST(CrashImages, VersionsOfASectorAreCumulative) {
  // Never "a2aa": the second write went into a cached sector that held the first already.
  EXPECT_EQ(final_images("aaaa", {write(0, "1"), write(1, "2")}), (std::set<std::string>{"aaaa", "1aaa", "12aa"}));
}

TEST(CrashImages, SyncedWritesStay) {
  EXPECT_EQ(final_images("aaaa", {write(0, "BBBB"), sync(), write(0, "CCCC")}),
            (std::set<std::string>{"BBBB", "CCCC"}));
}

TEST(CrashImages, SyncCoversOnlyWhatItCounts) {
  EXPECT_EQ(final_images("aaaabbbb", {write(0, "A"), write(4, "B"), sync(1)}),
            (std::set<std::string>{"Aaaabbbb", "AaaaBbbb"}));
}

TEST(CrashImages, GrowthMayComeWithoutItsData) {
  EXPECT_EQ(final_images("aaaa", {write(4, "BB")}), (std::set<std::string>{"aaaa", "aaaaBB", "aaaa.."}));
}

TEST(CrashImages, TruncationMayComeOrNot) {
  EXPECT_EQ(final_images("aaaabbbb", {truncate(4)}), (std::set<std::string>{"aaaabbbb", "aaaa....", "aaaa"}));
}

TEST(CrashImages, BoundsAreKeptAndTold) {
  std::vector<SparseBytes> files;
  files.push_back(SparseBytes::of(bytes(std::string(400, 'a'))));
  const std::vector<DiskOp> ops{write(0, std::string(400, 'b'))};  // 2^100 images
  std::uint64_t visited = 0;
  const auto count =
      for_each_crash_image(files, ops, {.sector_bytes = kSector, .images_max = 5000, .images_per_point = 500},
                           [&](const CrashImage&) { return ++visited > 0; });
  EXPECT_FALSE(count.exhaustive);
  EXPECT_EQ(count.images, visited);
  EXPECT_GE(visited, 201u) << "the extremes: all, none, each alone, each missing";
  EXPECT_LE(visited, 5000u);
}

TEST(CrashImages, SmallHistoriesAreExhaustive) {
  std::vector<SparseBytes> files;
  files.push_back(SparseBytes::of(bytes("aaaabbbb")));
  const std::vector<DiskOp> ops{write(0, "AAAABBBB")};
  const auto count =
      for_each_crash_image(files, ops, {.sector_bytes = kSector}, [](const CrashImage&) { return true; });
  EXPECT_TRUE(count.exhaustive);
  EXPECT_EQ(count.images, 1u + 4u) << "one before the write, four after it";
}

}  // namespace
}  // namespace ff::testing
