#include "ffbench/faults/log_files.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace ff::bench {
namespace {

TEST(LogFiles, APackedLogIsRefusedAndNotCountedAsEmpty) {
  const std::filesystem::path folder = ::testing::TempDir();
  const auto packed = (folder / "ffbench-kern.log.2.gz").string(), plain = (folder / "ffbench-kern.log").string();
  std::ofstream(packed) << "\x1f\x8b\x08 and so on\n";
  std::ofstream(plain) << "one line\n";
  const auto sink = [](const FaultEvent&) -> Result<> { return {}; };
  const auto refused = read_log_file(packed, {}, sink);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Errc::kUnsupported);
  EXPECT_NE(refused.error().message().find("zcat"), std::string::npos) << refused.error().message();
  const auto read = read_log_file(plain, {}, sink);
  ASSERT_TRUE(read) << read.error().message();
  EXPECT_EQ(read->lines, 1u);
  std::filesystem::remove(packed);
  std::filesystem::remove(plain);
}

}  // namespace
}  // namespace ff::bench
