#include "libcommon/machine/facts.hpp"

#include <gtest/gtest.h>

namespace ff::machine {
namespace {

TEST(Facts, FieldOfReadsBothForms) {
  const std::string text = "model\t\t: 17\nmodel name\t: Fast One\nMemTotal:     2048 kB\nempty:\n";
  EXPECT_EQ(field_of(text, "model"), "17");
  EXPECT_EQ(field_of(text, "model name"), "Fast One");
  EXPECT_EQ(field_of(text, "MemTotal"), "2048 kB");
  EXPECT_EQ(field_of(text, "empty"), "");
  EXPECT_EQ(field_of(text, "Mem"), "");
}

TEST(Facts, AbsentFilesAreEmpty) {
  EXPECT_EQ(text_of("/nonexistent/file"), "");
  EXPECT_TRUE(entries_of("/nonexistent").empty());
  EXPECT_EQ(link_name("/nonexistent/link"), "");
  EXPECT_FALSE(link_name("/proc/self").empty());
}

TEST(Facts, SmallForms) {
  EXPECT_EQ(chosen_of("none [mq-deadline] kyber"), "mq-deadline");
  EXPECT_EQ(chosen_of("]x["), "");
  EXPECT_EQ(index_after("cpu12", "cpu"), 12);
  EXPECT_FALSE(index_after("cpufreq", "cpu"));
  EXPECT_FALSE(index_after("cpu", "cpu"));
  EXPECT_EQ(number_of<int>("42 kB"), 42);
  EXPECT_FALSE(number_of<int>("x"));
}

}  // namespace
}  // namespace ff::machine
