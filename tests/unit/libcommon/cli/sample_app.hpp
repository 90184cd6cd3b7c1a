// A tool with one of everything, run in this process with its streams captured.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "libcommon/cli/app.hpp"
#include "libcommon/cli/output.hpp"

namespace ff::cli {

struct Outcome {
  int code = -1;
  std::string out;
  std::string err;
};

struct SampleTool {
  std::int64_t ranks = 8;
  double ratio = 0.5;
  ByteSize size{1 << 20};
  Duration timeout = std::chrono::seconds(90);
  std::string algorithm = "tree";
  std::string file;
  std::vector<std::string> hosts, labels, trailing, names;
  bool verbose = false;
  std::string secret;
  OutputOptions output;
  std::string ran;  // the command whose run function was called
  Result<int> result = kExitOk;

  App app() {
    const auto runs = [this](const char* name) {
      return [this, name]() -> Result<int> {
        ran = name;
        return result;
      };
    };
    Command bench{
        .name = "bench",
        .summary = "Measure an allreduce over the processes of this machine",
        .description =
            "The first paragraph is long enough that it has to be broken somewhere before the hundredth "
            "column of the screen, at a space.\n\nThe second is short.",
        .options =
            {{.names = "-n,--ranks",
              .target = &ranks,
              .help = "number of ranks",
              .min = 1,
              .max = 1024,
              .environment = "FF_TEST_RANKS"},
             {.names = "--ratio", .target = &ratio, .help = "share of ranks that reduce", .min = 0, .max = 1},
             {.names = "--size", .target = &size, .help = "bytes for each rank", .min = 4},
             {.names = "--timeout", .target = &timeout, .help = "give up after", .min = 0.001},
             {.names = "--algorithm", .target = &algorithm, .help = "how to reduce", .choices = {"tree", "ring"}},
             {.names = "--label", .target = &labels, .help = "label of this run", .environment = "FF_TEST_LABELS"},
             {.names = "--secret", .target = &secret, .help = "test hook", .hidden = true},
             {.names = "file", .target = &file, .help = "input", .required = true, .complete = "file"},
             {.names = "hosts", .target = &hosts, .help = "where to run", .complete = "host"}},
        .examples = {{"tool bench data.bin --ranks 8 --label a-rather-long-label --label another-rather-long-label "
                      "--timeout 30s node1 node2",
                      "eight ranks"}},
        .exit_codes = {{kExitPartial, "some ranks failed"}},
        .run = runs("bench"),
        .trailing = &trailing,
        .trailing_name = "CMD [ARG...]"};
    output.add_to(bench);
    Command show{.name = "show",
                 .summary = "Show it",
                 .options = {{.names = "names", .target = &names, .help = "what to show"}},
                 .run = runs("show")};
    return {.root = {.name = "tool",
                     .summary = "A tool for tests",
                     .options = {{.names = "-v,--verbose", .target = &verbose, .help = "say more"}},
                     .commands = {bench, {.name = "topo", .summary = "Look at the topology", .commands = {show}}}}};
  }

  Outcome call(std::vector<std::string> words) {
    words.insert(words.begin(), "tool");
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    const int code = run(app(), static_cast<int>(argv.size()), argv.data());
    std::string out = testing::internal::GetCapturedStdout();
    return {code, std::move(out), testing::internal::GetCapturedStderr()};
  }
};

inline Outcome call(std::vector<std::string> words) { return SampleTool().call(std::move(words)); }

}  // namespace ff::cli
