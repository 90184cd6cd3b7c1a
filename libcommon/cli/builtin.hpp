// The parts that run() adds to every program's tree, each made from the tree itself.
#pragma once

#include <string>

#include "libcommon/cli/app.hpp"
#include "libcommon/cli/parser.hpp"

namespace ff::cli {

inline constexpr std::size_t kHelpColumnsMax = 100;

// --help for the last command of the path; at most kHelpColumnsMax columns.
std::string help_text(const CommandPath& path);
// What a command that only groups others says when it is called alone: usage and commands.
std::string short_help_text(const CommandPath& path);

// --dump-cli: the whole tree as JSON, schema ff.cli/1. Bounds are numbers in bytes or seconds; defaults are of the
// option's type, sizes in bytes and durations in nanoseconds.
std::string dump_text(const Command& root);

// `tool completion SHELL`: a script for bash, zsh or fish. kInvalidArgument for another shell.
Result<std::string> completion_text(const Command& root, const std::string& shell);

}  // namespace ff::cli
