#include "ffbench/view/gnuplot.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "libcommon/testing/temp_folder.hpp"
#include "tests/unit/ffbench/result/sample_document.hpp"

namespace ff::bench {
namespace {

bool have_gnuplot() { return std::filesystem::exists("/usr/bin/gnuplot"); }

std::vector<Figure> hostile_figures(const ff::testing::TempFolder& folder) {
  Document document = sample_document();
  const std::string attack = "%s%d x'; system('touch " + folder.file("owned") + "') ; `touch " + folder.file("owned") +
                             "` @x \"\nEOD\nsystem('touch " + folder.file("owned") + "')\n";
  document.command = attack;
  for (Row& row : document.rows) {
    row.name += attack;
    row.parameters.push_back({attack, attack + row.name});
    for (Metric& metric : row.metrics) metric.name += attack, metric.unit += attack;
  }
  document.rows.push_back({.name = "a",
                           .parameters = {{"from", attack}, {"to", attack}},
                           .metrics = {{"m", attack, Better::kLower, "", {1, 2, 3}}}});
  return figures_of(std::span(&document, 1), {});
}

TEST(QuoteGnuplot, LeavesNothingThatEndsAString) {
  EXPECT_EQ(quote_gnuplot("plain µ"), "'plain µ'");
  EXPECT_EQ(quote_gnuplot("a'b`c"), "'a\"b\"c'");
  EXPECT_EQ(quote_gnuplot("a\nb"), "'a\\nb'");
}

TEST(GnuplotScript, NamesStayInsideTheirStrings) {
  const ff::testing::TempFolder folder;
  const std::string script = gnuplot_script(hostile_figures(folder), PictureFormat::kSvg);
  EXPECT_EQ(script.find('`'), std::string::npos);
  std::size_t from = 0;
  for (std::size_t end = script.find('\n'); end != std::string::npos; from = end + 1, end = script.find('\n', from)) {
    const std::string line = script.substr(from, end - from);
    EXPECT_EQ(std::count(line.begin(), line.end(), '\'') % 2, 0) << line;
    EXPECT_NE(line.rfind("system", 0), 0u) << line;
  }
}

TEST(RunGnuplot, DrawsAndRunsNothingElse) {
  if (!have_gnuplot()) GTEST_SKIP() << "gnuplot is not installed";
  const ff::testing::TempFolder folder;
  const auto picture = run_gnuplot(gnuplot_script(hostile_figures(folder), PictureFormat::kSvg));
  ASSERT_TRUE(picture) << picture.error().message();
  EXPECT_NE(picture->find("<svg"), std::string::npos);
  EXPECT_FALSE(std::filesystem::exists(folder.file("owned")));
  const Document document = sample_document();
  const auto png = run_gnuplot(gnuplot_script(figures_of(std::span(&document, 1), {}), PictureFormat::kPng));
  ASSERT_TRUE(png) << png.error().message();
  EXPECT_EQ(png->substr(1, 3), "PNG");
}

TEST(RunGnuplot, SaysWhatIsMissingWrongOrSlow) {
  const auto missing = run_gnuplot("plot x", "no-such-gnuplot");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code(), Errc::kUnsupported);
  EXPECT_EQ(missing.error().message(),
            "no-such-gnuplot: not installed (install gnuplot, or print the script with --script)");

  const ff::testing::TempFolder folder;
  const auto program = [&](const std::string& body) {
    std::ofstream(folder.file("fake")) << "#!/bin/sh\n" << body << '\n';
    ::chmod(folder.file("fake").c_str(), 0755);
    return folder.file("fake");
  };
  const auto broken = run_gnuplot("", program("echo 'line 1: no' >&2; exit 3"));
  EXPECT_NE(broken.error().message().find("line 1: no"), std::string::npos);
  EXPECT_EQ(run_gnuplot("", program("exit 0")).error().code(), Errc::kIo);
  EXPECT_EQ(run_gnuplot("", program("exec sleep 60"), std::chrono::milliseconds(100)).error().code(), Errc::kTimeout);
  EXPECT_EQ(*run_gnuplot("the script", program("cat")), "the script");
}

}  // namespace
}  // namespace ff::bench
