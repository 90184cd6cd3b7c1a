// queue: what waits, in the order in which it is asked whether it may start.
#include <fmt/core.h>

#include <map>
#include <memory>

#include "ffctl/cmd/commands.hpp"
#include "ffctl/cmd/master_session.hpp"
#include "ffctl/cmd/text.hpp"

namespace ff::ctl {

using report::Format;
using report::Unit;
using runtime::Task;

namespace {

struct Options {
  MasterChoice master;
  cli::OutputOptions output;
  std::string user, queue;
  std::int64_t limit = 0;
  bool summary = false;
};

// All of them, or `limit`, however many replies that takes.
Task<Result<std::vector<QueuedJob>>> waiting(MasterSession& master, const Options& o) {
  ListQueueRequest request;
  request.set_user(o.user == "me" ? master.caller().user() : o.user);
  request.set_queue(o.queue);
  const auto limit = static_cast<std::size_t>(o.limit);
  std::vector<QueuedJob> jobs;
  for (;;) {
    request.set_skip(static_cast<std::uint32_t>(jobs.size()));
    if (limit != 0) request.set_limit(static_cast<std::uint32_t>(limit - jobs.size()));
    FF_CO_TRY_ASSIGN(ListQueueReply reply, co_await master.ask(&MasterClient::list_queue, request));
    for (QueuedJob& job : *reply.mutable_jobs()) jobs.push_back(std::move(job));
    if (!reply.more() || reply.jobs().empty() || (limit != 0 && jobs.size() >= limit)) co_return jobs;
  }
}

// By priority, the highest first, and user.
report::Table sums(const std::vector<QueuedJob>& jobs, std::uint64_t now) {
  struct Sum {
    std::uint64_t jobs = 0, nodes = 0, longest_ms = 0;
  };
  std::map<std::pair<int, std::string>, Sum> by;
  for (const QueuedJob& job : jobs) {
    Sum& sum = by[{-static_cast<int>(job.priority()), job.user()}];
    ++sum.jobs;
    sum.nodes += job.nodes();
    sum.longest_ms = std::max(sum.longest_ms, queued_ms(job, now));
  }
  report::Table table("ff.queue-sums/1", {{.key = "priority", .title = "PRIORITY"},
                                          {.key = "user", .title = "USER"},
                                          {.key = "jobs", .title = "JOBS"},
                                          {.key = "nodes", .title = "NODES"},
                                          {.key = "longest_ns", .title = "LONGEST", .unit = Unit::kNanoseconds}});
  for (const auto& [key, sum] : by)
    table.add_row({priority_text(static_cast<Priority>(-key.first)), key.second, count_cell(sum.jobs),
                   count_cell(sum.nodes), duration_cell(sum.longest_ms)});
  return table;
}

Task<Result<int>> show(MasterSession& master, const Options& o, Format format) {
  FF_CO_TRY_ASSIGN(const std::vector<QueuedJob> jobs, co_await waiting(master, o));
  const std::uint64_t now = wall_ms(master.env());
  if (o.summary) {
    FF_CO_TRY(print(sums(jobs, now).render(format)));
    co_return cli::kExitOk;
  }
  report::Table table = queue_table();
  for (const QueuedJob& job : jobs) table.add_row(queue_cells(job, now));
  FF_CO_TRY(print(table.render(format)));
  co_return cli::kExitOk;
}

}  // namespace

cli::Command queue_command() {
  const auto options = std::make_shared<Options>();
  cli::Command command;
  command.name = "queue";
  command.summary = "Show what waits, in the order in which it comes, and what it waits for";
  command.description =
      "As of the scheduler's last pass. START is there for jobs that nodes are kept free for. Jobs that are held, "
      "suspended or wait for others are not in the queue (`ffctl ls --state held`).";
  command.options = {
      {.names = "-u,--user", .target = &options->user, .help = "of this user; me: the caller's", .value_name = "USER"},
      {.names = "-q,--queue", .target = &options->queue, .help = "of this queue", .value_name = "QUEUE"},
      {.names = "--limit", .target = &options->limit, .help = "at most so many; 0: all", .min = 0, .max = 100000},
      {.names = "-s,--summary", .target = &options->summary, .help = "sums by priority and user"}};
  command.examples = {
      {"ffctl queue", "who is next, and why not now"},
      {"ffctl queue -s", "how much waits, and for how long"},
      {"ffctl queue -o jsonl | jq -r 'select(.what == \"quota\") | .user' | sort -u", "whose quota is used up"}};
  reports(command, options, show);
  return command;
}

}  // namespace ff::ctl
