// The seam to CLI11: the only place that turns argument texts into a chosen command and its option values.
// CLI11 splits the words; meaning, ranges, defaults and messages are ours. Nothing of CLI11 shows here.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "libcommon/cli/app.hpp"

namespace ff::cli {

// From the root to the command that the arguments name. Pointers into the tree that was parsed.
using CommandPath = std::vector<const Command*>;

// "hfreduce bench" from a path.
std::string path_text(const CommandPath& path);

// Two steps, so that --help works however incomplete the rest is: parse() finds the command and the words that belong
// to each option, store() checks them and fills the targets.
class Parser {
 public:
  // REQUIRES: the tree outlives the parser, has no option twice in a command and no name twice among commands.
  explicit Parser(const Command& root) : root_(root), path_{&root} {}

  // `arguments` without the program's name. kInvalidArgument: an unknown word, an option without its value. path()
  // is then the part that was understood, for the hint at the right --help.
  Result<> parse(const std::vector<std::string>& arguments);
  const CommandPath& path() const noexcept { return path_; }
  // Whether the option (by one of its names) was among the arguments.
  bool given(std::string_view name) const;
  // kInvalidArgument names the option or the environment variable.
  Result<> store() const;

 private:
  struct Seen {
    const Option* option;
    std::vector<std::string> texts;  // one for each time the option was given
  };
  Result<> split_words(const std::vector<std::string>& words);
  std::unexpected<Error> unknown_word(const std::string& word) const;

  const Command& root_;
  CommandPath path_;
  std::vector<Seen> seen_;  // every option of the path, in order of definition; no texts when it was not given
  std::vector<std::string> trailing_;
};

}  // namespace ff::cli
