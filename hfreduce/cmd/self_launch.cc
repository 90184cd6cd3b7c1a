#include "hfreduce/cmd/self_launch.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cstdlib>

#include "hfreduce/run/launcher.hpp"
#include "hfreduce/run/spawn.hpp"
#include "libcommon/machine/machine.hpp"

namespace ff::hfreduce::cmd {

bool under_launcher() { return std::getenv("RANK") != nullptr && std::getenv("WORLD_SIZE") != nullptr; }

int default_ranks() { return std::clamp(machine::allowed_cores(), 2, 8); }

Result<int> self_launch(const Arguments& arguments, int ranks) {
  run::LaunchOptions launch;
  FF_TRY_ASSIGN(std::string self, run::own_executable());
  launch.blocks = {{"localhost", 0, ranks}};
  launch.command.push_back(std::move(self));
  launch.command.insert(launch.command.end(), arguments.begin(), arguments.end());
  launch.prefix_stdout = false;  // rank 0 alone prints the report
  return run::launch(launch);
}

Result<> check_ranks(int ranks) {
  const int given = std::atoi(std::getenv("WORLD_SIZE"));
  if (ranks == 0 || ranks == given) return {};
  return fail(Errc::kInvalidArgument,
              fmt::format("--ranks {}: the launcher started {} (leave --ranks out)", ranks, given));
}

}  // namespace ff::hfreduce::cmd
