#include "libcommon/base/byte_size.hpp"

#include <gtest/gtest.h>

#include <random>

namespace ff {
namespace {

TEST(ParseByteSize, ReadsPlainBinaryAndDecimalUnits) {
  const std::pair<const char*, std::uint64_t> cases[] = {
      {"0", 0},
      {"4096", 4096},
      {"7B", 7},
      {"64K", 65536},
      {"64KiB", 65536},
      {"64kib", 65536},
      {"64Ki", 65536},
      {"64KB", 64000},
      {"1.5GiB", 1610612736},
      {"2T", 2199023255552},
      {"0.5K", 512},
      {"18446744073709551615", UINT64_MAX},
      {"15EiB", 17293822569102704640U},
  };
  for (const auto& [text, bytes] : cases) EXPECT_EQ(parse_byte_size(text).value_or(12345), bytes) << text;
}

TEST(ParseByteSize, RefusesWhatIsNoWholeNumberOfBytes) {
  for (const char* text : {"", "-1", "+1", " 1", "1 ", "K", "1.", ".5K", "1.0000000000001K", "0.3", "1.0001K", "1Q",
                           "1KiBs", "18446744073709551616", "16EiB", "1e3", "0x10", "1..5K", "1KK"}) {
    const auto result = parse_byte_size(text);
    ASSERT_FALSE(result) << text;
    EXPECT_EQ(result.error().code(), Errc::kInvalidArgument) << text;
  }
}

TEST(FormatByteSize, IsExactInIecUnitsElseThreeDigits) {
  EXPECT_EQ(format_byte_size(0), "0B");
  EXPECT_EQ(format_byte_size(1023), "1023B");
  EXPECT_EQ(format_byte_size(1024), "1KiB");
  EXPECT_EQ(format_byte_size(64 * kMiB), "64MiB");
  EXPECT_EQ(format_byte_size(1536), "1.50KiB");
  EXPECT_EQ(format_byte_size(1567641600), "1.46GiB");
}

TEST(FormatByteSize, NeverShowsAThousandOfAUnit) {
  EXPECT_EQ(format_byte_size(kMiB - 1), "1.00MiB");
  EXPECT_EQ(format_byte_size(kGiB - 1), "1.00GiB");
}

// What is printed exactly must read back to the same number; what is rounded, to within the digits shown.
TEST(FormatByteSize, ReadsBack) {
  std::mt19937_64 random(1);
  for (int i = 0; i < 20000; ++i) {
    const int shift = static_cast<int>(random() % 6) * 10;
    const std::uint64_t exact = (1 + random() % 1023) << shift;
    EXPECT_EQ(parse_byte_size(format_byte_size(exact)).value_or(0), exact);

    const std::uint64_t any = random() >> (random() % 64);
    const std::string text = format_byte_size(any);
    const double number = std::stod(text);
    const double unit =
        static_cast<double>(parse_byte_size("1" + text.substr(text.find_first_not_of("0123456789."))).value_or(0));
    EXPECT_NEAR(number * unit, static_cast<double>(any), static_cast<double>(any) * 0.0051) << text;
  }
}

TEST(FormatByteRate, UsesDecimalUnits) {
  EXPECT_EQ(format_byte_rate(0), "0.00B/s");
  EXPECT_EQ(format_byte_rate(12.5e9), "12.5GB/s");
  EXPECT_EQ(format_byte_rate(1e6), "1.00MB/s");
  EXPECT_EQ(format_byte_rate(250e9), "250GB/s");
}

TEST(ExactByteSize, ReadsBackAsTheSameNumber) {
  EXPECT_EQ(exact_byte_size(64 * kMiB), "64MiB");
  EXPECT_EQ(exact_byte_size(1'234'567), "1234567");  // 1.18MiB would be another number
}

}  // namespace
}  // namespace ff
