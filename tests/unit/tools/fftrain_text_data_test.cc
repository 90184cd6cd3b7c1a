#include "tools/fftrain/text_data.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>

#include "tests/unit/tools/fftrain_testing.hpp"

namespace ff::fftrain {
namespace {

void write_text(const std::string& path, std::string_view text) { std::ofstream(path) << text; }

TEST(TextData, UnigramEntropyOfKnownTexts) {
  EXPECT_DOUBLE_EQ(TextData("aaaa").unigram_bits(), 0.0);
  EXPECT_DOUBLE_EQ(TextData("abababab").unigram_bits(), 1.0);
  // 1/2, 1/4, 1/8, 1/8: 1/2 + 2/4 + 3/8 + 3/8.
  EXPECT_DOUBLE_EQ(TextData("aaaabbcd").unigram_bits(), 1.75);
  std::string all;
  for (int b = 0; b < 256; ++b) all.push_back(static_cast<char>(b));
  EXPECT_DOUBLE_EQ(TextData(all).unigram_bits(), 8.0);
  EXPECT_DOUBLE_EQ(TextData("").unigram_bits(), 0.0);
}

TEST(TextData, ListsRegularFilesByNameAndLinkedFilesOnce) {
  testing::TemporaryFolder folder;
  const std::string& root = folder.path();
  write_text(root + "/b", "B");
  write_text(root + "/a", "A");
  std::filesystem::create_symlink("b", root + "/c");  // under a later name: passed over
  std::filesystem::create_symlink("gone", root + "/dangling");
  std::filesystem::create_directory(root + "/folder");
  const auto files = list_text_files(root);
  ASSERT_TRUE(files);
  EXPECT_EQ(*files, (std::vector<std::string>{root + "/a", root + "/b"}));
  const auto text = TextData::load(*files);
  ASSERT_TRUE(text);
  EXPECT_EQ(text->bytes().size(), 2u);
  EXPECT_EQ(text->bytes()[0], 'A');
}

TEST(TextData, NamesTheFileThatCannotBeRead) {
  const auto text = TextData::load({"/nonexistent/text"});
  ASSERT_FALSE(text);
  EXPECT_EQ(text.error().code(), Errc::kNotFound);
  EXPECT_NE(text.error().message().find("/nonexistent/text"), std::string::npos);
}

TEST(TextData, TargetsAreTheTokensOneByteLater) {
  const TextData text(testing::sample_text(300));
  Batch batch;
  fill_batch(batch, text, {.sequences = 4, .length = 10, .seed = 3}, 2, 0, 1);
  ASSERT_EQ(batch.tokens.size(), 40u);
  ASSERT_EQ(batch.targets.size(), 40u);
  for (std::size_t s = 0; s < 4; ++s) {
    const auto start = sequence_start({.sequences = 4, .length = 10, .seed = 3}, 2, static_cast<std::int64_t>(s), 300);
    for (std::size_t t = 0; t < 10; ++t) {
      EXPECT_EQ(batch.tokens[s * 10 + t], text.bytes()[start + t]);
      EXPECT_EQ(batch.targets[s * 10 + t], text.bytes()[start + t + 1]);
    }
  }
}

TEST(TextData, RanksTogetherSeeTheBatchThatOneRankSees) {
  const TextData text(testing::sample_text(5000));
  const BatchShape shape{.sequences = 8, .length = 12, .seed = 9};
  for (std::int64_t step = 0; step < 5; ++step) {
    Batch whole;
    fill_batch(whole, text, shape, step, 0, 1);
    for (const int world : {2, 4, 8})
      for (int rank = 0; rank < world; ++rank) {
        Batch part;
        fill_batch(part, text, shape, step, rank, world);
        ASSERT_EQ(part.tokens.size(), whole.tokens.size() / static_cast<std::size_t>(world));
        for (std::size_t k = 0; k * 12 < part.tokens.size(); ++k) {
          const std::size_t global = (static_cast<std::size_t>(rank) + k * static_cast<std::size_t>(world)) * 12;
          EXPECT_TRUE(std::equal(part.tokens.begin() + static_cast<std::ptrdiff_t>(k * 12),
                                 part.tokens.begin() + static_cast<std::ptrdiff_t>(k * 12 + 12),
                                 whole.tokens.begin() + static_cast<std::ptrdiff_t>(global)));
          EXPECT_TRUE(std::equal(part.targets.begin() + static_cast<std::ptrdiff_t>(k * 12),
                                 part.targets.begin() + static_cast<std::ptrdiff_t>(k * 12 + 12),
                                 whole.targets.begin() + static_cast<std::ptrdiff_t>(global)));
        }
      }
  }
}

TEST(TextData, StartsSpreadOverTheWholeTextAndDependOnTheSeed) {
  const BatchShape shape{.sequences = 100, .length = 8, .seed = 1};
  std::set<std::uint64_t> starts;
  std::uint64_t highest = 0;
  for (std::int64_t step = 0; step < 20; ++step)
    for (std::int64_t i = 0; i < 100; ++i) {
      const auto start = sequence_start(shape, step, i, 108);
      highest = std::max(highest, start);
      starts.insert(start);
    }
  // 100 places, 2000 draws: missing one at random has probability e^-20 each.
  EXPECT_EQ(starts.size(), 100u);
  EXPECT_EQ(highest, 99u);
  int equal = 0;
  for (std::int64_t i = 0; i < 100; ++i)
    equal += sequence_start(shape, 0, i, 1 << 20) ==
             sequence_start({.sequences = 100, .length = 8, .seed = 2}, 0, i, 1 << 20);
  EXPECT_LT(equal, 3);
}

TEST(TextData, TheShortestAllowedTextHasOneStart) {
  const TextData text("0123456789");
  Batch batch;
  fill_batch(batch, text, {.sequences = 3, .length = 9, .seed = 4}, 0, 0, 1);
  EXPECT_EQ(batch.tokens[0], '0');
  EXPECT_EQ(batch.targets[8], '9');
}

}  // namespace
}  // namespace ff::fftrain
