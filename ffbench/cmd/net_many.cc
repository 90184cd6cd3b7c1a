// `ffbench net all2all` and `ffbench net incast`: many hosts at once.
#include <fmt/core.h>

#include <algorithm>
#include <memory>

#include "ffbench/cmd/net_options.hpp"
#include "libcommon/base/byte_size.hpp"

namespace ff::bench {

cli::Command net_all_to_all_command(const Arguments& arguments) {
  struct Options : StreamOptions {
    bool gbits = false;
  };
  const auto options = std::make_shared<Options>();
  cli::Command command;
  command.name = "all2all";
  command.summary = "Measure bandwidth while every host sends to every other";
  command.description = "All ordered pairs at once: the sum, each pair, and fairness (the slowest pair / the fastest).";
  options->where.add_to(command, false);
  options->how.add_to(command);
  options->sizes.add_to(command, kStreamSizes);
  options->add_depth_to(command);
  command.options.push_back({.names = "--report-gbits", .target = &options->gbits, .help = "Text also tells Gb/s"});
  options->measure.add_to(command);
  command.examples = {{"ffbench net all2all --local 4", "four processes of this machine"},
                      {"ffbench net all2all --hosts a,b,c,d --json", "four hosts, as JSON"}};
  command.exit_codes = kNetExitCodes;
  command.run = [options, arguments]() -> Result<int> {
    FF_TRY_ASSIGN(ClusterOptions cluster, options->where.options(false, 2));
    FF_TRY_ASSIGN(const NetPlan plan, options->plan(cluster));
    return run_net_session(
        "net all2all", options->measure, arguments, cluster, [&](Cluster& c) { return all_to_all_cases(c, plan); },
        [&](const Document& document, const auto&, bool text) { print_gbits(document, text && options->gbits); });
  };
  return command;
}

cli::Command net_incast_command(const Arguments& arguments) {
  struct Options {
    NetWhere where;
    NetSizes sizes;
    MeasureOptions measure;
    std::int64_t streams = 4;
    double rate = 2000;
    std::string traffic_class = "storage", bystander_class = "metadata";
  };
  const auto options = std::make_shared<Options>();
  cli::Command command;
  command.name = "incast";
  command.summary = "Measure many senders to one receiver, with and without request-to-send";
  command.description =
      "The first agent fetches from all others at once over our rpc. A bystander, small calls at a steady rate between "
      "the "
      "last agent and the receiver, shares the way in; with three agents or more it sends nothing else. Its call that "
      "fails counts as one that waited for --timeout; unanswered is the share of those. Rows: without "
      "request-to-send, with it, and the ratio of the two.";
  options->measure.leave_unbound();
  options->where.add_to(command, false);
  options->sizes.add_to(command, "1MiB");
  command.options.push_back({.names = "-q,--streams",
                             .target = &options->streams,
                             .help = "Fetches under way from each sender",
                             .value_name = "N",
                             .min = 1,
                             .max = 256});
  command.options.push_back({.names = "--rate",
                             .target = &options->rate,
                             .help = "Calls of the bystander a second, sent whether answered or not",
                             .value_name = "R",
                             .min = 1,
                             .max = 1e6});
  command.options.push_back({.names = "--class",
                             .target = &options->traffic_class,
                             .help = "Traffic class of the senders' data",
                             .value_name = "CLASS",
                             .choices = traffic_class_names()});
  command.options.push_back({.names = "--bystander-class",
                             .target = &options->bystander_class,
                             .help = "Traffic class of the bystander",
                             .value_name = "CLASS",
                             .choices = traffic_class_names()});
  options->measure.add_to(command);
  // The agents' services answer here, which are not bound.
  std::erase_if(command.options,
                [](const cli::Option& each) { return each.names == "--cpus" || each.names == "--peer-cpus"; });
  command.examples = {{"ffbench net incast --hosts a,b,c,d,e,f", "four senders and a bystander into a"},
                      {"ffbench net incast --local 4 -s 256K,4M", "how the size of the pieces matters"}};
  command.exit_codes = kNetExitCodes;
  command.run = [options, arguments]() -> Result<int> {
    FF_TRY_ASSIGN(const ClusterOptions cluster, options->where.options(false, 2));
    IncastPlan plan;
    FF_TRY_ASSIGN(plan.sizes, options->sizes.sizes(kMiB, 256 * kMiB));
    plan.spec.streams = static_cast<std::uint32_t>(options->streams);
    plan.spec.bystander_rate = options->rate;
    plan.spec.traffic_class = options->traffic_class;
    plan.spec.bystander_class = options->bystander_class;
    return run_net_session("net incast", options->measure, arguments, cluster, [&](Cluster& c) {
      const std::size_t agents = c.controller().agents().size();
      plan.spec.bystander = agents - 1;
      for (std::size_t sender = 1; sender < std::max<std::size_t>(agents - 1, 2); ++sender)
        plan.spec.senders.push_back(sender);
      plan.parameters = {{"senders", static_cast<std::int64_t>(plan.spec.senders.size())},
                         {"streams", options->streams},
                         {"class", options->traffic_class},
                         {"bystander_class", options->bystander_class},
                         {"rate", options->rate}};
      return incast_cases(c, plan);
    });
  };
  return command;
}

}  // namespace ff::bench
