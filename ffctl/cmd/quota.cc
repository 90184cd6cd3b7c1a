// quota: how many nodes users may have at once.
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
  std::string user, queue = "*", priority;
  std::int64_t nodes = 0;
};

Task<Result<int>> list(MasterSession& master, const Options& o, Format format) {
  FF_CO_TRY_ASSIGN(const ListQuotasReply reply, co_await master.ask(&MasterClient::list_quotas, ListQuotasRequest()));
  report::Table table("ff.quota/1", {{.key = "user", .title = "USER"},
                                     {.key = "queue", .title = "QUEUE"},
                                     {.key = "priority", .title = "PRIORITY"},
                                     {.key = "nodes", .title = "NODES"},
                                     {.key = "used", .title = "USED"}});
  for (const Quota& quota : reply.quotas()) {
    if (!o.user.empty() && quota.user() != o.user) continue;
    table.add_row({quota.user(), quota.queue(),
                   quota.priority() == PRIORITY_NONE ? Cell("*") : Cell(priority_text(quota.priority())),
                   count_cell(quota.nodes()), count_cell(quota.used())});
  }
  FF_CO_TRY(print(table.render(format)));
  co_return cli::kExitOk;
}

Task<Result<int>> change(MasterSession& master, const Options& o, bool remove) {
  SetQuotaRequest request;
  Quota& quota = *request.mutable_quota();
  quota.set_user(o.user);
  quota.set_queue(o.queue);
  quota.set_nodes(static_cast<std::uint32_t>(o.nodes));
  if (!o.priority.empty()) {
    FF_CO_TRY_ASSIGN(const Priority priority, parse_priority(o.priority));
    quota.set_priority(priority);
  }
  request.set_remove(remove);
  FF_CO_TRY(co_await master.ask(&MasterClient::set_quota, std::move(request)));
  co_return cli::kExitOk;
}

Task<Result<int>> set(MasterSession& master, const Options& o) { co_return co_await change(master, o, false); }
Task<Result<int>> remove(MasterSession& master, const Options& o) { co_return co_await change(master, o, true); }

// Which of them is meant.
void add_key(cli::Command& command, Options& o) {
  command.options.push_back({.names = "user",
                             .target = &o.user,
                             .help = "of this user; '*': of each that has none of his own",
                             .value_name = "USER",
                             .required = true});
  command.options.push_back({.names = "-q,--queue",
                             .target = &o.queue,
                             .help = "of his jobs in this queue; '*': in all",
                             .value_name = "QUEUE"});
  command.options.push_back({.names = "-p,--priority",
                             .target = &o.priority,
                             .help = "of those of this priority and above; not given: of all",
                             .choices = priority_words()});
}

}  // namespace

cli::Command quota_command() {
  cli::Command ls;
  const auto listed = std::make_shared<Options>();
  ls.name = "ls";
  ls.summary = "List quotas, and what is used of them now";
  ls.options = {{.names = "user", .target = &listed->user, .help = "of this user alone", .value_name = "USER"}};
  ls.examples = {{"ffctl quota ls", "all of them"}};
  reports(ls, listed, list);

  cli::Command put;
  const auto wanted = std::make_shared<Options>();
  put.name = "set";
  put.summary = "Give a quota: so many nodes may be used at once";
  put.description =
      "Jobs that would go over it wait; one that is larger than it alone is refused. What runs already goes on. Each "
      "user is counted by himself, also where the quota is everybody's. Only administrators may.";
  add_key(put, *wanted);
  put.options.insert(put.options.begin() + 1, {.names = "nodes",
                                               .target = &wanted->nodes,
                                               .help = "that may be used at once",
                                               .value_name = "NODES",
                                               .min = 0,
                                               .max = 1'000'000,
                                               .required = true});
  put.examples = {{"ffctl quota set '*' 16 -p above-normal", "nobody has more than 16 nodes at high priorities"},
                  {"ffctl quota set ann 64", "but for ann: 64 of all priorities"}};
  asks(put, wanted, set);

  cli::Command rm;
  const auto gone = std::make_shared<Options>();
  rm.name = "rm";
  rm.summary = "Take a quota away";
  add_key(rm, *gone);
  rm.examples = {{"ffctl quota rm ann", "everybody's is hers again"}};
  asks(rm, gone, remove);

  cli::Command command;
  command.name = "quota";
  command.summary = "Show and change how many nodes users may have";
  command.examples = {{"ffctl quota ls", "what there is, and what is used"}};
  command.commands = {std::move(ls), std::move(put), std::move(rm)};
  return command;
}

}  // namespace ff::ctl
