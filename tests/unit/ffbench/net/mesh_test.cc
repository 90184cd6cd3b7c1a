#include "ffbench/net/mesh.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "ffbench/net/cases.hpp"

namespace ff::bench {
namespace {

// All pairs alike but for one part in a hundred.
Matrix even(std::size_t hosts, double value) {
  Matrix matrix(hosts, std::vector<std::optional<double>>(hosts));
  for (const auto& [from, to] : all_pairs(hosts))
    matrix[from][to] = value * (1 + 0.01 * static_cast<double>((from + to) % 2));
  return matrix;
}

const std::vector<std::string> kNames = {"a", "b", "c", "d"};

TEST(Mesh, FindsNothingWhereAllAreAlike) {
  EXPECT_TRUE(judge_mesh(even(4, 1e9), Better::kHigher).clean());
  EXPECT_TRUE(judge_mesh(even(4, 1e4), Better::kLower).clean());
  EXPECT_TRUE(describe_mesh(judge_mesh(even(4, 1e9), Better::kHigher), even(4, 1e9), kNames, "bandwidth").empty());
}

TEST(Mesh, NamesTheOnePairThatIsSlow) {
  for (const std::size_t hosts : {3, 4, 8}) {
    Matrix matrix = even(hosts, 1e9);
    matrix[1][2] = 2.5e8;
    const MeshVerdict verdict = judge_mesh(matrix, Better::kHigher);
    EXPECT_EQ(verdict.slow_pairs, (std::vector<Pair>{{1, 2}})) << hosts;
    EXPECT_TRUE(verdict.slow_senders.empty() && verdict.slow_receivers.empty()) << hosts;
  }
}

TEST(Mesh, NamesAHostInsteadOfItsPairs) {
  Matrix matrix = even(4, 1e9);
  for (std::size_t other = 0; other < 4; ++other) {
    if (other == 3) continue;
    matrix[3][other] = 2e8;
    matrix[other][3] = 2e8;
  }
  const MeshVerdict verdict = judge_mesh(matrix, Better::kHigher);
  EXPECT_EQ(verdict.slow_senders, (std::vector<std::size_t>{3}));
  EXPECT_EQ(verdict.slow_receivers, (std::vector<std::size_t>{3}));
  EXPECT_TRUE(verdict.slow_pairs.empty());
  const auto text = describe_mesh(verdict, matrix, kNames, "bandwidth");
  ASSERT_EQ(text.size(), 1u);
  EXPECT_TRUE(text[0].starts_with("host d is slow: sends and receives at 0.")) << text[0];
}

TEST(Mesh, TellsASlowSenderFromASlowReceiver) {
  Matrix matrix = even(5, 1e9);
  for (std::size_t other = 1; other < 5; ++other) matrix[other][0] = 3e8;
  const MeshVerdict verdict = judge_mesh(matrix, Better::kHigher);
  EXPECT_TRUE(verdict.slow_senders.empty());
  EXPECT_EQ(verdict.slow_receivers, (std::vector<std::size_t>{0}));
  EXPECT_TRUE(verdict.slow_pairs.empty());
}

TEST(Mesh, JudgesLatenciesTheOtherWayRound) {
  Matrix matrix = even(4, 10e3);
  matrix[0][1] = 40e3;
  matrix[2][3] = 1e3;  // quicker than the others is no fault
  EXPECT_EQ(judge_mesh(matrix, Better::kLower).slow_pairs, (std::vector<Pair>{{0, 1}}));
}

TEST(Mesh, JudgesNobodyAmongTwoAndBearsHoles) {
  Matrix two = even(2, 1e9);
  two[0][1] = 1;
  EXPECT_TRUE(judge_mesh(two, Better::kHigher).clean());
  Matrix holes(4, std::vector<std::optional<double>>(4));
  EXPECT_TRUE(judge_mesh(holes, Better::kHigher).clean());
  holes[0][1] = 1e9;
  EXPECT_TRUE(judge_mesh(holes, Better::kHigher).clean());
}

TEST(Mesh, APairThatWasNotMeasuredIsAFinding) {
  Matrix matrix = even(4, 1e9);
  matrix[2][3] = std::nullopt;
  EXPECT_EQ(describe_mesh(judge_mesh(matrix, Better::kHigher), matrix, kNames, "bandwidth"),
            std::vector<std::string>{"pair c -> d was not measured: bandwidth unknown"});
}

TEST(Mesh, TheMapHasARowForEachHostAndStarsTheSlow) {
  Matrix matrix = even(4, 1e9);
  matrix[1][2] = 2.5e8;
  const MeshVerdict verdict = judge_mesh(matrix, Better::kHigher);
  const std::string plain = heat_map(matrix, verdict, kNames, Better::kHigher, "B/s", "bandwidth", false);
  EXPECT_EQ(std::ranges::count(plain, '\n'), 5);
  EXPECT_EQ(std::ranges::count(plain, '*'), 1);
  EXPECT_EQ(plain.find('\x1b'), std::string::npos);
  const std::string coloured = heat_map(matrix, verdict, kNames, Better::kHigher, "B/s", "bandwidth", true);
  EXPECT_NE(coloured.find("\x1b[30;48;5;160m"), std::string::npos);  // a quarter of the median: the worst colour
}

TEST(Mesh, MatrixTakesTheMediansOfRowsByName) {
  Row row;
  row.name = "mesh a -> b";
  row.parameters = {{"from", std::string("a")}, {"to", std::string("b")}};
  row.metrics = {{.name = "bandwidth", .unit = "B/s", .samples = {3, 1, 2}}};
  Row empty = row;
  empty.parameters = {{"from", std::string("b")}, {"to", std::string("a")}};
  empty.metrics[0].samples.clear();
  const Matrix matrix = mesh_matrix({row, empty, Row{}}, {"a", "b"}, "bandwidth");
  EXPECT_EQ(matrix[0][1], 2.0);
  EXPECT_EQ(matrix[1][0], std::nullopt);
}

}  // namespace
}  // namespace ff::bench
