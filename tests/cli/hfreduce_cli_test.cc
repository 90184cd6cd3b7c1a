// The commands of hfreduce through the real binary: help and errors, arithmetic on files, and that every JSON parses
// and says what it should. Expected numbers are worked out by hand.
#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <nlohmann/json.hpp>
#include <sstream>

#include "tests/cli/process.hpp"

namespace ff::testing {
namespace {

using nlohmann::json;

std::string binary() { return std::getenv("HFREDUCE"); }

Outcome hfreduce(std::vector<std::string> words, std::string stdin_text = "") {
  words.insert(words.begin(), binary());
  return run(std::move(words), std::move(stdin_text));
}

std::string floats(const std::vector<float>& values) {
  std::string bytes(values.size() * sizeof(float), '\0');
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

// Version 1.0 as NumPy writes it, padded to 64 bytes.
std::string npy(const std::string& descr, const std::string& shape, const std::string& data) {
  std::string dictionary = "{'descr': '" + descr + "', 'fortran_order': False, 'shape': " + shape + ", }";
  dictionary.resize(117, ' ');
  dictionary += '\n';
  return std::string("\x93NUMPY\x01\x00", 8) + static_cast<char>(118) + '\0' + dictionary + data;
}

TEST(Help, FitsATerminalAndHasAnExample) {
  for (const std::string name : {"run", "reduce", "allreduce", "perf", "explain", "tune", "topo"}) {
    const Outcome o = hfreduce({name, "--help"});
    EXPECT_EQ(o.code, 0) << name;
    EXPECT_NE(o.out.find("hfreduce " + name), std::string::npos) << o.out;
    std::istringstream lines(o.out);
    for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 100u) << name << ": " << line;
  }
}

TEST(Usage, WithoutArgumentsIsAnError) {
  const Outcome o = hfreduce({});
  EXPECT_EQ(o.code, 2);
  EXPECT_EQ(o.out, "");
  EXPECT_NE(o.err.find("perf"), std::string::npos);
}

TEST(Usage, SuggestsWhatWasMeant) {
  const Outcome command = hfreduce({"pref"});
  EXPECT_EQ(command.code, 2);
  EXPECT_NE(command.err.find("perf"), std::string::npos) << command.err;
  const Outcome flag = hfreduce({"perf", "--minbyte", "8"});
  EXPECT_EQ(flag.code, 2);
  EXPECT_NE(flag.err.find("--minbytes"), std::string::npos) << flag.err;
}

TEST(Usage, RunWithoutACommand) {
  const Outcome o = hfreduce({"run", "-n", "2"});
  EXPECT_EQ(o.code, 2);
  EXPECT_NE(o.err.find("--"), std::string::npos) << o.err;
}

TEST(Reduce, SumsRawFiles) {
  TempFolder f;
  const Outcome o =
      hfreduce({"reduce", "--op", "sum", "--type", "float", f.write("a", floats({1, 2, 3})),
                f.write("b", floats({10, 20, 30})), f.write("c", floats({100, 200, 300})), "-o", f.path("out")});
  EXPECT_EQ(o.code, 0) << o.err;
  EXPECT_EQ(f.read("out"), floats({111, 222, 333}));
}

TEST(Reduce, KeepsTheNpyHeaderAndTakesTheTypeFromIt) {
  TempFolder f;
  const Outcome o = hfreduce({"reduce", "--op", "max", f.write("a.npy", npy("<f4", "(2, 1)", floats({1, 5}))),
                              f.write("b.npy", npy("<f4", "(2, 1)", floats({3, 2}))), "-o", f.path("out.npy")});
  EXPECT_EQ(o.code, 0) << o.err;
  const std::string out = f.read("out.npy");
  EXPECT_NE(out.find("(2, 1)"), std::string::npos);
  ASSERT_GE(out.size(), 8u);
  EXPECT_EQ(out.substr(out.size() - 8), floats({3, 5}));
  EXPECT_EQ((out.size() - 8) % 64, 0u);
}

TEST(Reduce, Bfloat16ComesAsRawBytesInNpy) {
  TempFolder f;
  const std::string one("\x80\x3f", 2), two("\x00\x40", 2), three("\x40\x40", 2);  // bf16 1, 2, 3
  const std::string a = f.write("a.npy", npy("|V2", "(1,)", one)), b = f.write("b.npy", npy("|V2", "(1,)", two));
  const Outcome unsaid = hfreduce({"reduce", a, b, "-o", f.path("out.npy")});
  EXPECT_EQ(unsaid.code, 2);
  EXPECT_NE(unsaid.err.find("--type"), std::string::npos) << unsaid.err;
  EXPECT_EQ(hfreduce({"reduce", "--type", "bf16", a, b, "-o", f.path("out.npy")}).code, 0);
  const std::string out = f.read("out.npy");
  EXPECT_EQ(out.substr(out.size() - 2), three);
}

TEST(Reduce, ReadsAndWritesPipes) {
  TempFolder f;
  std::vector<float> large(700'000, 1.5f);  // several blocks
  const Outcome o = hfreduce({"reduce", "-d", "float", "-", f.write("b", floats(large)), "-o", "-"}, floats(large));
  EXPECT_EQ(o.code, 0) << o.err;
  EXPECT_EQ(o.out, floats(std::vector<float>(700'000, 3.0f)));
}

TEST(Reduce, DifferentSizesNameTheFile) {
  TempFolder f;
  const std::string a = f.write("long", floats({1, 2, 3})), b = f.write("short", floats({1, 2}));
  const Outcome files = hfreduce({"reduce", "-d", "float", a, b, "-o", f.path("out")});
  EXPECT_EQ(files.code, 2);
  EXPECT_NE(files.err.find("short"), std::string::npos) << files.err;
  const Outcome pipe = hfreduce({"reduce", "-d", "float", "-", a, "-o", f.path("out")}, floats({1, 2}));
  EXPECT_NE(pipe.code, 0);
  EXPECT_NE(pipe.err.find("standard input: ends after 8 bytes"), std::string::npos) << pipe.err;
  EXPECT_EQ(f.read("out"), "");  // nothing of a failed run stays
}

TEST(Reduce, DoesNotReplaceWithoutForce) {
  TempFolder f;
  const std::string a = f.write("a", floats({1})), out = f.write("out", "precious");
  const Outcome o = hfreduce({"reduce", "-d", "float", a, a, "-o", out});
  EXPECT_EQ(o.code, 1);
  EXPECT_NE(o.err.find("--force"), std::string::npos);
  EXPECT_EQ(f.read("out"), "precious");
  EXPECT_EQ(hfreduce({"reduce", "-d", "float", a, a, "-o", out, "--force"}).code, 0);
  EXPECT_EQ(f.read("out"), floats({2}));
}

TEST(AllReduce, SumsTheFilesOfRanks) {
  TempFolder f;
  f.write("in.0", floats({1, 2, 3, 4}));
  f.write("in.1", floats({10, 20, 30, 40}));
  f.write("in.2", floats({100, 200, 300, 400}));
  const Outcome o = hfreduce({"run", "-n", "3", "--", binary(), "allreduce", "-d", "float", "--piece", "64",
                              f.path("in.{rank}"), "-o", f.path("out.{rank}")});
  EXPECT_EQ(o.code, 0) << o.err;
  for (const char* name : {"out.0", "out.1", "out.2"}) EXPECT_EQ(f.read(name), floats({111, 222, 333, 444})) << name;
}

TEST(AllReduce, OneFileForAllIsWrittenOnce) {
  TempFolder f;
  f.write("in.0", npy("<f4", "(3,)", floats({1, 2, 3})));
  f.write("in.1", npy("<f4", "(3,)", floats({3, 2, 1})));
  const Outcome o = hfreduce(
      {"run", "-n", "2", "--", binary(), "allreduce", "--op", "avg", f.path("in.{rank}"), "-o", f.path("out")});
  EXPECT_EQ(o.code, 0) << o.err;
  const std::string out = f.read("out");
  ASSERT_GE(out.size(), 12u);
  EXPECT_EQ(out.substr(out.size() - 12), floats({2, 2, 2}));
}

// Asking whether a pipe can be written must not open it: the reader would see its end before the first byte.
TEST(AllReduce, WritesToANamedPipe) {
  TempFolder f;
  f.write("in.0", floats({1, 2}));
  f.write("in.1", floats({10, 20}));
  const std::string pipe = f.path("pipe");
  const Outcome o = run({"/bin/sh", "-c",
                         "mkfifo " + pipe + "; cat " + pipe + " > " + f.path("got") + " & " + binary() +
                             " run -n 2 --timeout 20s -- " + binary() + " allreduce -d float " + f.path("in.{rank}") +
                             " -o " + pipe + "; code=$?; [ $code = 0 ] && wait || kill $!; exit $code"});
  EXPECT_EQ(o.code, 0) << o.err;
  EXPECT_EQ(f.read("got"), floats({11, 22}));
}

TEST(AllReduce, AMissingFileEndsAllRanksWithItsName) {
  TempFolder f;
  f.write("in.0", floats({1}));
  const Outcome o =
      hfreduce({"run", "-n", "2", "--timeout", "30s", "--", binary(), "allreduce", "-d", "float", f.path("in.{rank}")});
  EXPECT_EQ(o.code, 1);
  EXPECT_NE(o.err.find("in.1"), std::string::npos) << o.err;
}

TEST(Perf, EveryCollectiveIsRightForEveryType) {
  for (const std::string kind : {"all_reduce", "reduce", "broadcast", "reduce_scatter", "all_gather", "all_to_all",
                                 "gather", "scatter", "sendrecv"}) {
    for (const std::string type : {"float", "bfloat16", "fp8_e5m2", "int8"}) {
      const Outcome o = hfreduce({"perf", "--collective", kind, "-d", type, "-b", "100", "-e", "100K", "-f", "32", "-n",
                                  "5", "--ranks", "3", "--json", "-T", "20s"});
      ASSERT_EQ(o.code, 0) << kind << ' ' << type << ' ' << o.err;
      const json report = json::parse(o.out);
      EXPECT_EQ(report.at("schema"), "ff.perf/1");
      EXPECT_EQ(report.at("out_of_bounds"), 0);
      EXPECT_EQ(report.at("rows").size(), 3u);
      for (const json& row : report.at("rows")) {
        EXPECT_EQ(row.at("wrong"), 0);
        EXPECT_GT(row.at("time_us").get<double>(), 0);
      }
    }
  }
}

TEST(Perf, TextHasTheColumnsOfNcclTests) {
  const Outcome o = hfreduce({"perf", "-b", "1K", "-e", "1K", "-n", "5", "--ranks", "2", "-r", "0"});
  ASSERT_EQ(o.code, 0) << o.err;
  EXPECT_NE(o.out.find("out-of-place"), std::string::npos);
  EXPECT_NE(o.out.find("# Out of bounds values : 0 OK\n"), std::string::npos) << o.out;
  EXPECT_NE(o.out.find("# Avg bus bandwidth    : "), std::string::npos);
  std::istringstream lines(o.out);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with('#')) continue;
    std::istringstream fields(line);
    std::vector<std::string> words;
    for (std::string word; fields >> word;) words.push_back(word);
    ASSERT_EQ(words.size(), 13u) << line;
    EXPECT_EQ(std::vector(words.begin(), words.begin() + 5),
              (std::vector<std::string>{"1024", "256", "float", "sum", "-1"}));
    EXPECT_EQ(words[8], "0");
  }
}

TEST(Perf, WritesATraceOfAllRanks) {
  TempFolder f;
  ASSERT_EQ(hfreduce({"perf", "-b", "64K", "-e", "64K", "-n", "5", "--ranks", "2", "--trace", f.path("t.json")}).code,
            0);
  const json trace = json::parse(f.read("t.json"));
  EXPECT_FALSE(trace.at("traceEvents").empty());
}

TEST(Perf, RunsOverTcp) {
  const Outcome o =
      hfreduce({"perf", "--transport", "tcp", "-b", "8", "-e", "1M", "-f", "64", "-n", "5", "--ranks", "3", "--json"});
  ASSERT_EQ(o.code, 0) << o.err;
  EXPECT_EQ(json::parse(o.out).at("out_of_bounds"), 0);
}

TEST(Perf, TakesItsTimeoutFromTheEnvironment) {
  const std::vector<std::string> words = {binary(), "perf", "-b", "8", "-e", "8", "-n", "5", "--ranks", "2"};
  const Outcome bad = run(words, "", {"HFR_TIMEOUT=soon"});
  EXPECT_EQ(bad.code, 2);
  EXPECT_NE(bad.err.find("HFR_TIMEOUT"), std::string::npos) << bad.err;
  std::vector<std::string> given = words;
  given.insert(given.end(), {"-T", "20s"});
  EXPECT_EQ(run(given, "", {"HFR_TIMEOUT=30s"}).code, 0);
  // Too short for anything: it must have been heard.
  EXPECT_NE(run(words, "", {"HFR_TIMEOUT=1ns"}).code, 0);
}

TEST(Formats, OnlyThoseThatWorkAreOffered) {
  for (const std::string command : {"topo", "explain"}) {
    EXPECT_EQ(hfreduce({command, "--help"}).out.find("csv"), std::string::npos) << command;
    const Outcome o = hfreduce({command, "-o", "csv"});
    EXPECT_EQ(o.code, 2);
    EXPECT_NE(o.err.find("table, json"), std::string::npos) << o.err;
  }
}

TEST(Log, LevelComesFromTheEnvironment) {
  const Outcome debug = run({binary(), "topo"}, "", {"FF_LOG=debug"});
  EXPECT_EQ(debug.code, 0);
  EXPECT_NE(debug.err.find("hfreduce"), std::string::npos);
  EXPECT_EQ(run({binary(), "topo"}).err, "");
  const Outcome bad = run({binary(), "topo"}, "", {"FF_LOG=loud"});
  EXPECT_EQ(bad.code, 2);
  EXPECT_NE(bad.err.find("FF_LOG"), std::string::npos) << bad.err;
}

TEST(Explain, PrintsThePlanAndTheTrees) {
  const Outcome plan = hfreduce({"explain", "--size", "1MiB", "--ranks", "2", "--json"});
  ASSERT_EQ(plan.code, 0) << plan.err;
  EXPECT_EQ(json::parse(plan.out).at("schema"), "ff.plan/1");
  const Outcome trees = hfreduce({"explain", "--shape", "5x8", "--json"});
  ASSERT_EQ(trees.code, 0) << trees.err;
  for (const json& tree : json::parse(trees.out).at("trees")) {
    // Every host but the root is the child of exactly one other.
    int children = 0;
    for (const json& node : tree.at("nodes")) children += static_cast<int>(node.at("children").size());
    EXPECT_EQ(children, 4);
  }
  EXPECT_EQ(hfreduce({"explain", "--shape", "0x8"}).code, 2);
}

TEST(Topo, ReadsAMachineFromAFolder) {
  const Outcome here = hfreduce({"topo", "--json"});
  ASSERT_EQ(here.code, 0) << here.err;
  EXPECT_GE(json::parse(here.out).at("cores_allowed"), 1);
  EXPECT_NE(hfreduce({"topo"}).out.find("congestion control"), std::string::npos);
}

TEST(Tune, ShowsAFitForEachSettingAndWritesOnlyKnownKeys) {
  TempFolder f;
  const Outcome o =
      hfreduce({"tune", "--ranks", "2", "-n", "5", "-e", "64KiB", "--save", f.path("new/t.yaml"), "--json"});
  ASSERT_EQ(o.code, 0) << o.err;
  const json report = json::parse(o.out);
  EXPECT_EQ(report.at("schema"), "ff.tune/1");
  EXPECT_GT(report.at("rows").size(), 10u);
  // What was written is what `run --tuned` accepts.
  EXPECT_EQ(hfreduce({"run", "--tuned", f.path("new/t.yaml"), "--", "true"}).code, 0);
}

}  // namespace
}  // namespace ff::testing
