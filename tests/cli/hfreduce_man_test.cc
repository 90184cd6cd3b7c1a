// The page and the program say the same: every command and option of --dump-cli is in man/hfreduce.1, and every option
// that the page has under a command exists there.
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "tests/cli/process.hpp"

namespace ff::testing {
namespace {

using nlohmann::json;
using Names = std::set<std::string>;

// Command -> names of its options. Options that every command has are left out.
std::map<std::string, Names> options_of_program() {
  const Outcome o = run({std::getenv("HFREDUCE"), "--dump-cli"});
  std::map<std::string, Names> all;
  const json dump = json::parse(o.out);
  const json& root = dump.contains("command") ? dump.at("command") : dump.contains("root") ? dump.at("root") : dump;
  for (const json& command : root.at("commands")) {
    const std::string name = command.at("name");
    if (command.value("hidden", false) || name == "completion" || name == "version" || name == "help") continue;
    Names& names = all[name];
    for (const json& option : command.at("options")) {
      if (option.value("hidden", false)) continue;
      for (const json& text : option.at("names"))
        if (text != "-h" && text != "--help") names.insert(text.get<std::string>());
    }
  }
  return all;
}

// The same from the page: sections "## hfreduce NAME", entries that begin a line with *...*.
std::map<std::string, Names> options_of_page() {
  std::map<std::string, Names> all;
  std::ifstream page(std::getenv("HFREDUCE_MAN"));
  std::string command;
  for (std::string line; std::getline(page, line);) {
    if (line.starts_with("## hfreduce ")) {
      command = line.substr(12);
      all[command];
    } else if (line.starts_with("# ")) {
      command.clear();
    } else if (!command.empty() && line.starts_with("*")) {
      // "*-n*, *--ranks* _N_": names are what stands in stars at the front, joined by commas.
      std::size_t at = 0;
      while (at < line.size() && line[at] == '*') {
        const auto end = line.find('*', at + 1);
        all[command].insert(line.substr(at + 1, end - at - 1));
        at = line.compare(end + 1, 2, ", ") == 0 ? end + 3 : line.size();
      }
    }
  }
  return all;
}

TEST(ManPage, HasEveryCommandAndOptionAndNoOther) {
  const auto program = options_of_program();
  ASSERT_EQ(program.size(), 7u);
  EXPECT_TRUE(program.at("run").contains("--hosts"));
  EXPECT_EQ(options_of_page(), program);
}

}  // namespace
}  // namespace ff::testing
