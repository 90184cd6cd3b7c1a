// Runs one program to its end: the commands of Slurm are short, and are asked through their output.
//
// Blocks: over a reactor it runs in Env::offload(). Every run has a deadline, after which the program is killed.
// The program is found in PATH of `environment`'s caller or by its path; no shell is between. It stays in the caller's
// process group, so that Ctrl-C ends it too. What it prints beyond `output_max` is read and thrown away.
#pragma once

#include <chrono>
#include <string>
#include <vector>

#include "libcommon/base/result.hpp"

namespace ff::ctl {

struct ChildStart {
  std::vector<std::string> words;        // argv, not empty
  std::vector<std::string> environment;  // "NAME=VALUE", all of it
  std::string input;                     // its standard input
  std::chrono::milliseconds deadline{30'000};
  std::size_t output_max = 256u << 20;
};

struct ChildEnd {
  int code = 0;  // 128 + N: of signal N
  std::string output, errors;
  bool cut = false;  // output was longer than output_max
};

// kNotFound: there is no such program. kTimeout. kIo.
Result<ChildEnd> run_child(const ChildStart& start);

}  // namespace ff::ctl
