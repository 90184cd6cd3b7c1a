// share: whose jobs go first where users of the same priority compete.
#include <fmt/core.h>

#include <memory>

#include "ffctl/cmd/commands.hpp"
#include "ffctl/cmd/master_session.hpp"
#include "ffctl/cmd/text.hpp"

namespace ff::ctl {

using report::Cell;
using report::Format;
using runtime::Task;

namespace {

struct Options {
  MasterChoice master;
  cli::OutputOptions output;
  std::string user;
  double weight = 1;
};

Task<Result<int>> list(MasterSession& master, const Options&, Format format) {
  FF_CO_TRY_ASSIGN(const ListSharesReply reply, co_await master.ask(&MasterClient::list_shares, ListSharesRequest()));
  report::Table table("ff.share/1", {{.key = "user", .title = "USER"},
                                     {.key = "weight", .title = "WEIGHT", .decimals = 2},
                                     {.key = "due", .title = "DUE-%", .decimals = 1},
                                     {.key = "had", .title = "HAD-%", .decimals = 1},
                                     {.key = "node_hours", .title = "NODE-HOURS", .decimals = 1},
                                     {.key = "nodes", .title = "NODES"},
                                     {.key = "set", .title = "SET", .wide_only = true}});
  double weights = 0, hours = 0;
  for (const Share& one : reply.shares()) {
    weights += one.weight();
    hours += one.node_hours();
  }
  for (const Share& one : reply.shares())
    table.add_row({one.user(), one.weight(), 100 * one.weight() / weights,
                   hours > 0 ? Cell(100 * one.node_hours() / hours) : Cell(), one.node_hours(), count_cell(one.nodes()),
                   one.set()});
  FF_CO_TRY(print(table.render(format)));
  co_return cli::kExitOk;
}

Task<Result<int>> change(MasterSession& master, const Options& o, bool remove) {
  SetShareRequest request;
  request.set_user(o.user);
  request.set_weight(o.weight);
  request.set_remove(remove);
  FF_CO_TRY(co_await master.ask(&MasterClient::set_share, std::move(request)));
  co_return cli::kExitOk;
}

Task<Result<int>> set(MasterSession& master, const Options& o) { co_return co_await change(master, o, false); }
Task<Result<int>> remove(MasterSession& master, const Options& o) { co_return co_await change(master, o, true); }

cli::Option user_option(Options& o) {
  return {.names = "user", .target = &o.user, .help = "whose", .value_name = "USER", .required = true};
}

}  // namespace

cli::Command share_command() {
  cli::Command ls;
  const auto listed = std::make_shared<Options>();
  ls.name = "ls";
  ls.summary = "List what users are due and what they had";
  ls.description =
      "DUE is a user's weight over the sum of the weights of those listed; HAD his part of the node hours of all, in "
      "which those of a day ago count half.";
  ls.examples = {{"ffctl share ls", "who had more than he is due"}};
  reports(ls, listed, list);

  cli::Command put;
  const auto wanted = std::make_shared<Options>();
  put.name = "set";
  put.summary = "Give a user's jobs a weight";
  put.description =
      "Within a priority, jobs of users who had more than they are due come after those of the others. 1 is what "
      "everybody has of whom nothing else was said. Only administrators may.";
  put.options = {
      user_option(*wanted),
      {.names = "weight", .target = &wanted->weight, .help = "0.01 to 1000", .value_name = "WEIGHT", .required = true}};
  put.examples = {{"ffctl share set ann 2", "twice that of the others"}};
  asks(put, wanted, set);

  cli::Command rm;
  const auto gone = std::make_shared<Options>();
  rm.name = "rm";
  rm.summary = "Take a user's weight back to 1";
  rm.options = {user_option(*gone)};
  rm.examples = {{"ffctl share rm ann", "as everybody"}};
  asks(rm, gone, remove);

  cli::Command command;
  command.name = "share";
  command.summary = "Show and change whose jobs go first where users compete";
  command.examples = {{"ffctl share ls", "what users are due and what they had"}};
  command.commands = {std::move(ls), std::move(put), std::move(rm)};
  return command;
}

}  // namespace ff::ctl
