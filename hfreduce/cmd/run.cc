// `hfreduce run`: the options of the launcher; and the hidden `hfreduce agent`.
#include <fmt/core.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <sstream>

#include "hfreduce/cmd/commands.hpp"
#include "hfreduce/cmd/tuned_file.hpp"
#include "hfreduce/run/agent.hpp"
#include "hfreduce/run/launcher.hpp"
#include "hfreduce/run/netns.hpp"
#include "hfreduce/run/start_spec.hpp"
#include "libcommon/base/file.hpp"

namespace ff::hfreduce::cmd {
namespace {

constexpr std::size_t kTunedBytesMax = 64 << 10;

struct Options {
  std::int64_t ranks = 0;
  std::string hosts;
  std::int64_t netns = 0;
  cli::Duration timeout{0};
  cli::Duration grace = std::chrono::seconds(5);
  cli::Duration connect_timeout = std::chrono::seconds(60);
  std::string prefix = "[{rank}] ";
  bool no_prefix = false;
  std::string bind = "auto";
  std::string log_dir;
  std::vector<std::string> env;
  std::string tuned;
  std::string chdir;
  std::string master_address;
  std::int64_t master_port = 0;
  std::string ssh;
  std::string remote_path;
  std::vector<std::string> command;
};

Result<std::vector<run::Block>> blocks_of(const Options& options) {
  const int ranks = static_cast<int>(options.ranks);
  if (options.netns > 0) {
    if (!options.hosts.empty()) return fail(Errc::kInvalidArgument, "run: --netns and --hosts exclude each other");
    const int hosts = static_cast<int>(options.netns);
    const int total = ranks > 0 ? ranks : hosts;
    if (total < hosts)
      return fail(Errc::kInvalidArgument, fmt::format("run: {} ranks do not fill {} hosts (--netns)", total, hosts));
    std::vector<std::string> names;
    for (int i = 0; i < hosts; ++i) names.push_back(run::netns_address(i));
    return run::spread_evenly(names, total);
  }
  if (options.hosts.empty()) return std::vector<run::Block>{{"localhost", 0, ranks > 0 ? ranks : 1}};
  FF_TRY_ASSIGN(const std::vector<run::HostRequest> hosts, run::parse_hosts(options.hosts));
  return run::place_ranks(hosts, ranks);
}

// "K=V" as it is; "K" takes this process's value.
Result<std::vector<std::string>> environment_of(const Options& options) {
  std::vector<std::string> env;
  if (!options.tuned.empty()) {
    FF_TRY_ASSIGN(const std::string text, read_file(options.tuned, kTunedBytesMax));
    auto values = parse_tuned(text);
    if (!values) return fail(std::move(values).error().context(fmt::format("'{}'", options.tuned)));
    for (const auto& [key, value] : *values)
      if (std::getenv(key.c_str()) == nullptr) env.push_back(key + "=" + value);
  }
  if (!options.hosts.empty()) {
    // ssh starts from a bare environment; what steers the library and the tools must be the same on all hosts.
    for (char** entry = environ; *entry != nullptr; ++entry) {
      const std::string_view text = *entry;
      const bool ours = text.starts_with("HFR_") || text.starts_with("FF_");
      if (ours && !text.starts_with("HFR_TOKEN=") && !text.starts_with("HFR_LISTEN_FD=")) env.emplace_back(text);
    }
  }
  for (const std::string& entry : options.env) {
    const auto equals = entry.find('=');
    if (entry.empty() || equals == 0)
      return fail(Errc::kInvalidArgument, fmt::format("run: --env '{}': not KEY=VALUE", entry));
    if (equals != std::string::npos) {
      env.push_back(entry);
    } else if (const char* value = std::getenv(entry.c_str()); value != nullptr) {
      env.push_back(entry + "=" + value);
    } else {
      return fail(Errc::kInvalidArgument, fmt::format("run: --env {}: not set here (write {}=VALUE)", entry, entry));
    }
  }
  return env;
}

Result<run::LaunchOptions> launch_options(const Options& options) {
  run::LaunchOptions launch;
  if (options.command.empty())
    return fail(Errc::kInvalidArgument, "run: no command (write it after --: hfreduce run -n 4 -- CMD ARG...)");
  FF_TRY_ASSIGN(launch.blocks, blocks_of(options));
  FF_TRY_ASSIGN(launch.env, environment_of(options));
  launch.netns = options.netns > 0;
  launch.ssh_always = !options.ssh.empty();
  if (!options.ssh.empty()) {
    std::istringstream words(options.ssh);
    launch.ssh.clear();
    for (std::string word; words >> word;) launch.ssh.push_back(word);
    if (launch.ssh.empty()) return fail(Errc::kInvalidArgument, "run: --ssh: an empty command");
  }
  launch.remote_path = options.remote_path;
  launch.command = options.command;
  launch.folder = options.chdir;
  if (launch.folder.empty() && !options.hosts.empty()) {
    char* here = ::getcwd(nullptr, 0);
    if (here == nullptr) return fail(errno_error("working folder"));
    launch.folder = here;
    std::free(here);
  }
  launch.timeout = options.timeout;
  launch.grace = options.grace;
  launch.connect_timeout = options.connect_timeout;
  launch.master_address = options.master_address;
  launch.master_port = static_cast<int>(options.master_port);
  launch.prefix = options.prefix;
  launch.prefix_stdout = launch.prefix_stderr = !options.no_prefix;
  launch.log_folder = options.log_dir;
  launch.bind = options.bind == "auto";
  return launch;
}

}  // namespace

cli::Command run_command() {
  auto options = std::make_shared<Options>();
  Options& o = *options;
  cli::Command command;
  command.name = "run";
  command.summary = "Start a command as several ranks, here or on other hosts";
  command.description =
      "Each rank finds RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE, MASTER_ADDR, MASTER_PORT and HFR_TOKEN in its "
      "environment. The first rank that fails ends all others and its exit code is the result; no rank outlives the "
      "launcher. Output comes in whole lines, prefixed by the rank.";
  command.options = {
      {.names = "-n,--ranks",
       .target = &o.ranks,
       .help = "Number of ranks; 0: one, or as many as the hosts have slots",
       .value_name = "N",
       .min = 0,
       .max = run::kRanksMax},
      {.names = "--hosts",
       .target = &o.hosts,
       .help = "Hosts and their ranks: h1:2,h2:2; started through ssh",
       .value_name = "LIST",
       .complete = "host"},
      {.names = "--netns",
       .target = &o.netns,
       .help = "Spread the ranks over K network namespaces, as if K hosts; 0: none",
       .value_name = "K",
       .min = 0,
       .max = run::kNetnsMax},
      {.names = "--timeout", .target = &o.timeout, .help = "End the run after this time, exit code 124; 0: no limit"},
      {.names = "--grace",
       .target = &o.grace,
       .help = "Time between a polite signal and SIGKILL",
       .max = 7 * 24 * 3600},
      {.names = "--output-prefix",
       .target = &o.prefix,
       .help = "Text before each line; {rank} and {host} are replaced",
       .value_name = "TEXT"},
      {.names = "--no-prefix", .target = &o.no_prefix, .help = "Lines of output as the ranks wrote them"},
      {.names = "--bind",
       .target = &o.bind,
       .help = "auto: a block of cores for each rank where a host has enough; none: the kernel decides",
       .choices = {"auto", "none"}},
      {.names = "--log-dir",
       .target = &o.log_dir,
       .help = "Also write each rank's output to DIR/rank-R.out and .err",
       .value_name = "DIR",
       .complete = "dir"},
      {.names = "-x,--env",
       .target = &o.env,
       .help = "Variable for the ranks: K=V, or K to pass this shell's value",
       .value_name = "K=V"},
      {.names = "--tuned",
       .target = &o.tuned,
       .help = "Settings for the ranks, written by hfreduce tune",
       .value_name = "FILE",
       .complete = "file"},
      {.names = "-C,--chdir",
       .target = &o.chdir,
       .help = "Working folder of the ranks; empty: this one",
       .value_name = "DIR",
       .complete = "dir"},
      {.names = "--master-address",
       .target = &o.master_address,
       .help = "Address of rank 0 for the others; empty: found out",
       .value_name = "ADDR"},
      {.names = "--master-port",
       .target = &o.master_port,
       .help = "Port for rank 0, left unbound for programs that bind it (torch); 0: a bound one",
       .value_name = "PORT",
       .min = 0,
       .max = 65535},
      {.names = "--ssh",
       .target = &o.ssh,
       .help = "Command that reaches a host; empty: ssh, never asking, watching the link",
       .value_name = "CMD"},
      {.names = "--remote-path",
       .target = &o.remote_path,
       .help = "Path of hfreduce on the hosts; empty: as here",
       .value_name = "PATH"},
      {.names = "--connect-timeout", .target = &o.connect_timeout, .help = "Time for all hosts to answer"},
  };
  command.examples = {{"hfreduce run -n 4 -- hfreduce perf", "four ranks on this machine"},
                      {"hfreduce run --hosts a:8,b:8 -- ./train --steps 100", "sixteen ranks on two hosts"},
                      {"hfreduce run -n 4 --netns 2 -- hfreduce perf", "try the TCP path without a second machine"}};
  command.exit_codes = {{124, "--timeout passed"},
                        {126, "the command may not be executed"},
                        {127, "the command was not found"},
                        {128, "plus N: a rank was killed by signal N"}};
  command.trailing = &o.command;
  command.trailing_name = "CMD [ARG...]";
  command.run = [options]() -> Result<int> {
    FF_TRY_ASSIGN(const run::LaunchOptions launch, launch_options(*options));
    return run::launch(launch);
  };
  return command;
}

cli::Command agent_command() {
  cli::Command command;
  command.name = "agent";
  command.summary = "Start ranks for a launcher that speaks on standard input and output";
  command.hidden = true;
  command.run = []() -> Result<int> { return run::serve_agent(STDIN_FILENO, STDOUT_FILENO); };
  return command;
}

}  // namespace ff::hfreduce::cmd
