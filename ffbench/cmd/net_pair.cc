// `ffbench net bw` and `ffbench net lat`: between two hosts.
#include <fmt/core.h>

#include <memory>

#include "ffbench/cmd/net_options.hpp"

namespace ff::bench {

cli::Command net_bandwidth_command(const Arguments& arguments) {
  struct Options : StreamOptions {
    bool bidirectional = false, gbits = false;
    std::int64_t iterations = 0;
  };
  const auto options = std::make_shared<Options>();
  cli::Command command;
  command.name = "bw";
  command.summary = "Measure bandwidth between two hosts";
  command.description =
      "The first agent (this machine, where one HOST is given) sends to the second. Bandwidth is what the receiver "
      "counted "
      "in the window over its length; with several flows the sum. Processor time is that of the agents' processes, "
      "user and "
      "kernel, for each byte.";
  options->where.add_to(command, true);
  options->how.add_to(command);
  options->sizes.add_to(command, kStreamSizes);
  command.options.push_back({.names = "--bidi", .target = &options->bidirectional, .help = "Both directions at once"});
  options->add_depth_to(command);
  command.options.push_back({.names = "-n,--iters",
                             .target = &options->iterations,
                             .help = "Messages of each connection, within 10m; 0: for --duration",
                             .value_name = "N",
                             .min = 0,
                             .max = 1e12});
  command.options.push_back({.names = "--report-gbits", .target = &options->gbits, .help = "Text also tells Gb/s"});
  options->measure.add_to(command);
  command.examples = {{"ffbench net bw --local", "TCP between two processes of this machine"},
                      {"ffbench net bw node7 --key cluster.key -q 4 --bidi", "four connections each way to an agent"},
                      {"ffbench net bw --hosts a,b --transport ff -b 64K -e 16M", "our transport, a sweep of sizes"}};
  command.exit_codes = kNetExitCodes;
  command.run = [options, arguments]() -> Result<int> {
    FF_TRY_ASSIGN(ClusterOptions cluster, options->where.options(true, 2));
    FF_TRY_ASSIGN(NetPlan plan, options->plan(cluster));
    plan.test.set_iterations(static_cast<std::uint64_t>(options->iterations));
    plan.bidirectional = options->bidirectional;
    if (plan.test.transport() == NET_FF) {
      plan.traits += fmt::format(" depth={}", options->depth);
      plan.parameters.emplace_back("depth", options->depth);
    }
    if (options->iterations > 0) plan.traits += fmt::format(" n={}", options->iterations);
    if (plan.bidirectional) plan.traits += " bidi";
    plan.parameters.emplace_back("bidirectional", plan.bidirectional);
    return run_net_session(
        "net bw", options->measure, arguments, cluster, [&](Cluster& c) { return bandwidth_cases(c, plan); },
        [&](const Document& document, const auto&, bool text) { print_gbits(document, text && options->gbits); });
  };
  return command;
}

cli::Command net_latency_command(const Arguments& arguments) {
  struct Options : NetOptions {
    double rate = 0;
    std::int64_t iterations = 0;
    std::string poll = "block";
  };
  const auto options = std::make_shared<Options>();
  cli::Command command;
  command.name = "lat";
  command.summary = "Measure latency between two hosts";
  command.description =
      "The first agent (this machine, where one HOST is given) asks and the second answers with as many bytes. latency "
      "is "
      "half of the round trip, as perftest has it. With --rate a request counts from when it was due, answered or not: "
      "a "
      "stall costs every request that was due in it (no coordinated omission), and unanswered is the share of those "
      "due "
      "that had no answer at the end.";
  options->where.add_to(command, true);
  options->how.add_to(command);
  options->sizes.add_to(command, "64B");
  command.options.push_back(
      {.names = "--rate",
       .target = &options->rate,
       .help = "Requests a second of each connection, sent whether answered or not; 0: one at a time",
       .value_name = "R",
       .min = 0,
       .max = 1e8});
  command.options.push_back({.names = "-n,--iters",
                             .target = &options->iterations,
                             .help = "Requests of each connection, within 10m; 0: for --duration",
                             .value_name = "N",
                             .min = 0,
                             .max = 1e12});
  command.options.push_back({.names = "--poll",
                             .target = &options->poll,
                             .help = "How the ends wait for a message: in the kernel, or asking again and again",
                             .value_name = "HOW",
                             .choices = {"block", "spin"}});
  options->measure.add_to(command);
  command.examples = {
      {"ffbench net lat --local --poll spin", "the least that two processes of this machine can have"},
      {"ffbench net lat node7 --key cluster.key --rate 10000", "under a steady load of 10000 requests a second"}};
  command.exit_codes = kNetExitCodes;
  command.run = [options, arguments]() -> Result<int> {
    FF_TRY_ASSIGN(ClusterOptions cluster, options->where.options(true, 2));
    FF_TRY_ASSIGN(NetPlan plan, options->how.plan());
    const bool ff = plan.test.transport() == NET_FF;
    FF_TRY_ASSIGN(plan.sizes, options->sizes.sizes(64, ff ? net::kMessageBytesMax : kTestMessageBytesMax));
    if (options->rate > 0 && options->iterations > 0)
      return fail(Errc::kInvalidArgument, "--rate, --iters: a rate goes with a duration, not with a count");
    cluster.planes = options->how.planes;
    plan.test.set_rate(options->rate);
    plan.test.set_iterations(static_cast<std::uint64_t>(options->iterations));
    plan.test.set_spin(options->poll == "spin");
    if (options->rate > 0) plan.traits += fmt::format(" rate={:g}", options->rate);
    if (options->iterations > 0) plan.traits += fmt::format(" n={}", options->iterations);
    if (options->poll == "spin") plan.traits += " spin";
    plan.parameters.emplace_back("rate", options->rate);
    plan.parameters.emplace_back("poll", options->poll);
    return run_net_session("net lat", options->measure, arguments, cluster,
                           [&](Cluster& c) { return latency_cases(c, plan); });
  };
  return command;
}

}  // namespace ff::bench
