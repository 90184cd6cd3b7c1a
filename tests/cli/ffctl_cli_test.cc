// The commands of ffctl through the real binary where no cluster is: help, usage, exit codes, errors as text and as
// JSON.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "tests/cli/process.hpp"

namespace ff::testing {
namespace {

using nlohmann::json;

Outcome ffctl(std::vector<std::string> words, std::string stdin_text = "") {
  words.insert(words.begin(), std::getenv("FFCTL"));
  // Nobody is there, whatever this user runs.
  return run(std::move(words), std::move(stdin_text),
             {"FF_LOCAL_DIR=/nonexistent/ffctl", "FF_MASTER=", "FF_KEY=", "FF_EXECUTOR=", "FF_LOG="});
}

using Words = std::vector<std::string>;

// Every command that does something, by its words, with what --dump-cli says of it.
std::vector<std::pair<Words, json>> commands() {
  std::vector<std::pair<Words, json>> out;
  const Outcome dump = ffctl({"--dump-cli"});
  EXPECT_EQ(dump.code, 0);
  const std::function<void(const json&, const Words&)> walk = [&](const json& command, const Words& path) {
    if (command.at("hidden").get<bool>()) return;
    if (!path.empty() && command.at("commands").empty()) out.emplace_back(path, command);
    for (const json& nested : command.at("commands")) {
      Words deeper = path;
      deeper.push_back(nested.at("name").get<std::string>());
      walk(nested, deeper);
    }
  };
  walk(json::parse(dump.out), {});
  return out;
}

bool built_in(const Words& path) { return path.front() == "completion" || path.front() == "version"; }

std::string text_of(const Words& path) {
  std::string text = "ffctl";
  for (const std::string& word : path) text += " " + word;
  return text;
}

// One line that begins with the tool's name.
void expect_one_line(const Outcome& o, const std::string& what) {
  EXPECT_EQ(o.out, "") << what;
  EXPECT_TRUE(o.err.starts_with("ffctl: ")) << what << ": " << o.err;
  EXPECT_EQ(std::ranges::count(o.err, '\n'), 1) << what << ": " << o.err;
}

TEST(FfctlHelp, OfEveryCommandFitsATerminalAndHasAnExample) {
  const auto all = commands();
  EXPECT_GT(all.size(), 20u);
  for (const auto& [path, command] : all) {
    if (built_in(path)) continue;
    Words words = path;
    words.emplace_back("--help");
    const Outcome o = ffctl(words);
    EXPECT_EQ(o.code, 0) << text_of(path);
    EXPECT_TRUE(o.out.starts_with(text_of(path) + " - ")) << o.out;
    EXPECT_NE(o.out.find("\nExamples:\n"), std::string::npos) << text_of(path);
    std::istringstream lines(o.out);
    for (std::string line; std::getline(lines, line);) {
      const auto columns = std::ranges::count_if(line, [](char c) { return (c & 0xc0) != 0x80; });
      EXPECT_LE(columns, 100) << text_of(path) << ": " << line;
    }
  }
}

TEST(FfctlUsage, EveryCommandRefusesAnUnknownOption) {
  for (const auto& [path, command] : commands()) {
    Words words = path;
    words.emplace_back("--no-such-option");
    const Outcome o = ffctl(words);
    EXPECT_EQ(o.code, 2) << text_of(path);
    EXPECT_NE(o.err.find("'--no-such-option'"), std::string::npos) << text_of(path) << ": " << o.err;
  }
}

TEST(FfctlUsage, SaysWhatIsWrong) {
  struct Case {
    Words words;
    std::string error;
  };
  const std::vector<Case> cases = {
      {{"submit"}, "ffctl: command: is missing (write it after --, as in: -- python train.py; or name a job file)\n"},
      {{"run"}, "ffctl: command: is missing (write it after --, as in: -- python train.py; or name a job file)\n"},
      {{"submit", "-J", "a b", "--", "x"}, "ffctl: option '--name': is not [A-Za-z0-9._-]{1,255}\n"},
      {{"submit", "-d", "17", "--", "x"},
       "ffctl: option '--depends': '17' is no dependency (write after-ok:17; after-not-ok, after-any and after-start "
       "are "
       "there too)\n"},
      {{"submit", "--begin", "soon", "--", "x"},
       "ffctl: option '--begin': 'soon' is no time (write 2026-12-31T08:00:00Z, or +2h for two hours from now)\n"},
      {{"submit", "-t", "1h", "--estimate", "2h", "--", "x"},
       "ffctl: option '--estimate': is longer than time.limit\n"},
      {{"submit", "--launcher", "per-node", "-R", "2", "--", "x"},
       "ffctl: option '--ranks-per-node': more than one need run.launcher: per-rank or torchrun\n"},
      {{"submit", "-N", "2", "--only", "n1", "--", "x"},
       "ffctl: option '--only': names 1 nodes, and the job asks for 2\n"},
      {{"submit", "-e", "NOT_SET_ANYWHERE", "--", "x"},
       "ffctl: option '--env': NOT_SET_ANYWHERE: is not set here (write NOT_SET_ANYWHERE=VALUE)\n"},
      {{"submit", "--set", "resources.node=2", "--", "x"},
       "ffctl: --set: unknown key 'resources.node' (did you mean 'resources.nodes'?)\n"},
      {{"submit", "-a", "3-1", "--", "x"},
       "ffctl: option '--array': array: '3-1' has a range that ends before it begins (write 0-9, 1,3,5, 0-100:10 or "
       "0-99%8)\n"},
      {{"submit", "--sweep", "lr=1,2", "--", "x"},
       "ffctl: option '--sweep': sweep: lr: the command does not mention it (write {lr} where it belongs)\n"},
  };
  for (const Case& one : cases) {
    const Outcome o = ffctl(one.words);
    EXPECT_EQ(o.code, 2) << text_of(one.words);
    EXPECT_EQ(o.err, one.error);
  }
  for (const Words& words :
       {Words{"submit", "-p", "hihg", "--", "x"}, {"submit", "--nodse", "2", "--", "x"}, {"sumbit"}}) {
    const Outcome o = ffctl(words);
    EXPECT_EQ(o.code, 2) << text_of(words);
    EXPECT_NE(o.err.find("did you mean"), std::string::npos) << o.err;
  }
}

TEST(FfctlExit, IsFiveWhereNoMasterIs) {
  for (const Words& words : {Words{"ls"},
                             {"status"},
                             {"node", "ls"},
                             {"events"},
                             {"show", "1"},
                             {"wait", "last"},
                             {"stop", "train"},
                             {"logs", "1"},
                             {"explain", "1"},
                             {"submit", "--", "true"},
                             {"run", "--", "true"}}) {
    const Outcome o = ffctl(words);
    EXPECT_EQ(o.code, 5) << text_of(words) << ": " << o.err;
    expect_one_line(o, text_of(words));
    EXPECT_NE(o.err.find("`ffctl up --local`"), std::string::npos) << o.err;
  }
}

TEST(FfctlExit, ErrorsAreJsonWhereThatIsAskedFor) {
  for (const Words& words : {Words{"ls", "--json"}, {"submit", "--json", "--", "true"}, {"submit", "--json"}}) {
    const Outcome o = ffctl(words);
    const json error = json::parse(o.err, nullptr, false);
    ASSERT_TRUE(error.is_object()) << o.err;
    EXPECT_EQ(error.at("schema"), "ff.error/1");
    EXPECT_EQ(error.at("tool"), "ffctl");
    EXPECT_NE(o.code, 0);
  }
}

TEST(FfctlExit, CodesAreInTheHelpOfWhatEndsWithThem) {
  for (const auto& [path, command] : commands()) {
    std::set<int> codes;
    for (const json& one : command.at("exit_codes")) codes.insert(one.at("code").get<int>());
    if (path.front() == "submit" || path.front() == "run")
      for (const int code : {3, 4, 5, 7, 8, 20, 21, 22, 23, 24}) EXPECT_TRUE(codes.contains(code)) << code;
    if (path.front() == "import") EXPECT_TRUE(codes.contains(9));
    const auto& options = command.at("options");
    const bool asks = std::ranges::any_of(options, [](const json& one) {
      const auto& names = one.at("names");
      return std::ranges::find(names, json("--master")) != names.end();
    });
    if (asks) EXPECT_TRUE(codes.contains(5)) << text_of(path);
  }
}

TEST(FfctlImport, PrintsAJobFileAndTellsWhatIsLost) {
  const Outcome o = ffctl({"import", "slurm", "-"}, "#!/bin/sh\n#SBATCH -J eval --mail-user=a\n./evaluate\n");
  EXPECT_EQ(o.code, 9);
  EXPECT_EQ(o.out,
            "ffjob: 1\nname: eval\nrun:\n  command:\n    - script\n  script: |\n    #!/bin/sh\n    ./evaluate\n");
  EXPECT_EQ(o.err, "ffctl: standard input:2: --mail-user: no mail is sent\n");
  const Outcome all = ffctl({"import", "slurm", "-"}, "#!/bin/sh\n#SBATCH -J eval\n./evaluate\n");
  EXPECT_EQ(all.code, 0);
  EXPECT_EQ(all.err, "");
  const Outcome none = ffctl({"import", "hai", "-"}, "version: 3\n");
  EXPECT_EQ(none.code, 2);
  EXPECT_EQ(none.err, "ffctl: standard input:1: version: is not 2\n");
}

}  // namespace
}  // namespace ff::testing
