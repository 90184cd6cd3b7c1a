#include "ffctl/slurm/slurm_executor.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <set>

#include "ffctl/slurm/batch.hpp"
#include "ffctl/slurm/errors.hpp"
#include "ffctl/slurm/job_list.hpp"
#include "ffctl/slurm/jobs.hpp"
#include "ffctl/slurm/nodes.hpp"
#include "ffctl/slurm/orders.hpp"
#include "ffctl/slurm/rank_output.hpp"
#include "libcommon/runtime/sleep.hpp"

namespace ff::ctl {

using namespace std::chrono_literals;
using runtime::Task;

namespace {

constexpr std::uint32_t kListMax = 100'000;
constexpr std::uint32_t kWaitMsMax = 30'000;
// Between two looks, while somebody waits: soon at first, then so that many who wait are no burden.
constexpr runtime::Duration kLookFirst = 50ms, kLookMost = 2s;
constexpr runtime::Duration kReadPause = 100ms;

class SlurmExecutor final : public Executor {
 public:
  SlurmExecutor(runtime::Env& env, SlurmSettings settings)
      : env_(env), settings_(std::move(settings)), commands_(env, settings_), jobs_(env, commands_) {}

  std::string_view name() const noexcept override { return "slurm"; }

  Task<Result<SubmitReply>> answer(const SubmitRequest& request, runtime::Time until) override;
  Task<Result<ListJobsReply>> answer(const ListJobsRequest& request, runtime::Time until) override;
  Task<Result<WaitJobsReply>> answer(const WaitJobsRequest& request, runtime::Time until) override;
  Task<Result<ControlReply>> answer(const ControlRequest& request, runtime::Time until) override;
  Task<Result<ExplainReply>> answer(const ExplainRequest& request, runtime::Time until) override;
  Task<Result<ListNodesReply>> answer(const ListNodesRequest& request, runtime::Time until) override;
  Task<Result<ControlNodeReply>> answer(const ControlNodeRequest& request, runtime::Time until) override;
  Task<Result<ReadLogReply>> answer(const LogRequest& request, runtime::Time until) override;
  Task<Result<StatusReply>> answer(const StatusRequest& request, runtime::Time until) override;

 private:
  std::uint64_t now_ms() const {
    const auto since = env_.wall_now().time_since_epoch();
    return static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(since).count());
  }
  runtime::Time end_of_wait(std::uint32_t wait_ms) const {
    return runtime::saturating_add(env_.now(), std::chrono::milliseconds(std::min(wait_ms, kWaitMsMax)));
  }

  // Whether all dependencies are there: Slurm takes a number that it does not know for one that has ended.
  Task<Result<>> check_dependencies(const SubmitRequest& request);
  // The number of the new job, or an estimate.
  Task<Result<std::string>> submit_one(const JobSpec& spec, std::uint64_t after_any, bool check_only);
  Task<void> take_back(const SubmitReply& reply);
  // Which rank failed, where the job kept it.
  Task<Result<>> add_failed_rank(Job& job);
  Task<Result<>> order(const ControlRequest& request, const Job& job);
  Task<Result<ReadLogReply>> read(const std::string& path, const ReadLogRequest& request);
  // What there is now, or kNotFound.
  Task<Result<ReadLogReply>> read_rank(const ReadLogRequest& request, const Job& job);

  runtime::Env& env_;
  const SlurmSettings settings_;
  SlurmCommands commands_;
  JobList jobs_;
};

// "sbatch: Job 2 to start at 2026-11-24T10:00:00 using 1 processors on nodes n0 in partition main"
StartEstimate estimate_of(std::string_view text, std::uint64_t now_ms) {
  StartEstimate estimate;
  const std::string_view mark = " to start at ";
  if (const std::size_t at = text.find(mark); at != std::string_view::npos)
    estimate.set_at_ms(slurm_time_ms(text.substr(at + mark.size(), 19)));
  estimate.set_now(estimate.at_ms() != 0 && estimate.at_ms() <= now_ms + 1000);
  return estimate;
}

Task<Result<>> SlurmExecutor::check_dependencies(const SubmitRequest& request) {
  std::set<std::uint64_t> wanted;
  for (const JobSpec& spec : request.jobs())
    for (const Dependency& one : spec.depends()) wanted.insert(one.job());
  if (wanted.empty()) co_return {};
  FF_CO_TRY_ASSIGN(const std::vector<Job> found, co_await jobs_.get({wanted.begin(), wanted.end()}));
  for (const Job& job : found) wanted.erase(job.id());
  if (wanted.empty()) co_return {};
  co_return fail(Errc::kNotFound, fmt::format("depends: job {}: is not known to Slurm", *wanted.begin()));
}

Task<Result<std::string>> SlurmExecutor::submit_one(const JobSpec& spec, std::uint64_t after_any, bool check_only) {
  BatchFacts facts{.now_ms = now_ms(), .script_file = {}, .after_any = after_any};
  if (!spec.run().script().empty() && !check_only) {
    const std::uint64_t random = env_.rng().next();
    FF_CO_TRY_ASSIGN(Result<std::string> file, co_await runtime::offload(env_, [&] {
                       return write_script(settings_.logs, random, spec.run().script());
                     }));
    if (!file) co_return fail(std::move(file).error());
    facts.script_file = std::move(*file);
  }
  FF_CO_TRY_ASSIGN(BatchPlan plan, batch_plan(spec, settings_, facts));
  std::vector<std::string> words = {"sbatch"};
  words.insert(words.end(), plan.words.begin(), plan.words.end());
  if (check_only) words.emplace_back("--test-only");
  FF_CO_TRY_ASSIGN(ChildEnd end, co_await commands_.run(std::move(words), std::move(plan.script)));
  if (end.code != 0) co_return fail(slurm_error("sbatch", end));
  co_return check_only ? std::move(end.errors) : std::move(end.output);
}

// All or none.
Task<void> SlurmExecutor::take_back(const SubmitReply& reply) {
  if (reply.jobs().empty()) co_return;
  std::vector<std::string> words = {"scancel"};
  for (const std::uint64_t id : reply.jobs()) words.push_back(std::to_string(id));
  (void)co_await commands_.run(std::move(words));
}

Task<Result<SubmitReply>> SlurmExecutor::answer(const SubmitRequest& request, runtime::Time) {
  if (request.jobs().empty()) co_return fail(Errc::kInvalidArgument, "submit: without a job");
  for (const JobSpec& spec : request.jobs()) FF_CO_TRY(check_carried(spec));
  FF_CO_TRY(co_await check_dependencies(request));
  FF_CO_TRY_ASSIGN(const Result<> made,
                   co_await runtime::offload(env_, [&] { return make_output_folder(settings_.logs); }));
  if (!made) co_return fail(made.error());
  SubmitReply reply;
  std::uint64_t first_of_array = 0;
  for (int i = 0; i < request.jobs_size(); ++i) {
    JobSpec spec = request.jobs(i);
    // A limit of L: each waits for the one L places before it.
    const auto limit = static_cast<int>(std::min(spec.array_limit(), kListMax));
    const std::uint64_t after = limit == 0 || i < limit || request.check_only() ? 0 : reply.jobs(i - limit);
    if (spec.array() != 0) spec.set_array(first_of_array == 0 ? 1 : first_of_array);
    const Result<std::string> said = co_await submit_one(spec, after, request.check_only());
    if (said && request.check_only()) {
      *reply.add_estimates() = estimate_of(*said, now_ms());
      continue;
    }
    // "17", or "17;cluster".
    const std::uint64_t id = said ? std::strtoull(said->c_str(), nullptr, 10) : 0;
    if (id != 0) {
      reply.add_jobs(id);
      if (first_of_array == 0) first_of_array = id;
      continue;
    }
    co_await take_back(reply);
    if (!said) co_return fail(said.error());
    co_return fail(Errc::kCorrupt, fmt::format("sbatch: '{}' is no job's number", said->substr(0, 100)));
  }
  co_return reply;
}

Task<Result<>> SlurmExecutor::add_failed_rank(Job& job) {
  if (job.result() != FAILED || job.attempts_size() == 0) co_return {};
  Attempt& last = *job.mutable_attempts(job.attempts_size() - 1);
  ReadLogRequest whole;
  whole.set_bytes(64);
  const auto text = co_await read(failed_file(settings_, job.id(), last.number()), whole);
  if (text) last.set_failed_rank(static_cast<std::uint32_t>(std::strtoul(text->data().c_str(), nullptr, 10)));
  co_return {};
}

Task<Result<ListJobsReply>> SlurmExecutor::answer(const ListJobsRequest& request, runtime::Time) {
  const JobFilter& filter = request.filter();
  std::vector<Job> jobs;
  if (filter.ids_size() == 1) {
    auto job = co_await jobs_.look(filter.ids(0));
    if (!job && job.error().code() != Errc::kNotFound) co_return fail(std::move(job).error());
    if (job) jobs.push_back(std::move(*job));
    if (!jobs.empty() && !request.brief()) FF_CO_TRY(co_await add_failed_rank(jobs.front()));
  } else {
    FF_CO_TRY_ASSIGN(jobs, co_await jobs_.get({filter.ids().begin(), filter.ids().end()}));
  }
  std::ranges::sort(jobs, std::greater<>(), &Job::id);
  const std::uint32_t limit = request.limit() == 0 ? kListMax : std::min(request.limit(), kListMax);
  ListJobsReply reply;
  std::set<std::pair<std::string, std::string>> names;
  for (Job& job : jobs) {
    if ((request.before_id() != 0 && job.id() >= request.before_id()) || !matches(job, filter)) continue;
    if (filter.latest_of_name() && !names.emplace(job.user(), job.spec().name()).second) continue;
    if (static_cast<std::uint32_t>(reply.jobs_size()) == limit) {
      reply.set_more(true);
      break;
    }
    if (request.brief() && job.attempts_size() > 1) job.mutable_attempts()->DeleteSubrange(0, job.attempts_size() - 1);
    *reply.add_jobs() = std::move(job);
  }
  co_return reply;
}

Task<Result<WaitJobsReply>> SlurmExecutor::answer(const WaitJobsRequest& request, runtime::Time) {
  const runtime::Time end = end_of_wait(request.wait_ms());
  const std::vector<std::uint64_t> ids(request.jobs().begin(), request.jobs().end());
  if (ids.empty()) co_return fail(Errc::kInvalidArgument, "wait: without a job");
  for (runtime::Duration pause = kLookFirst;; pause = std::min(pause * 2, kLookMost)) {
    FF_CO_TRY_ASSIGN(std::vector<Job> found, co_await jobs_.get(ids));
    std::map<std::uint64_t, Job> known;
    for (Job& job : found) known.insert_or_assign(job.id(), std::move(job));
    WaitJobsReply reply;
    std::size_t there = 0;
    for (const std::uint64_t id : ids) {
      const auto at = known.find(id);
      if (at == known.end()) co_return fail(Errc::kNotFound, fmt::format("job {}: is not known to Slurm", id));
      const JobPhase phase = at->second.phase();
      const bool wanted = std::ranges::find(request.until(), static_cast<int>(phase)) != request.until().end();
      there += phase == DONE || wanted ? 1 : 0;
      *reply.add_jobs() = at->second;
    }
    reply.set_reached(request.any() ? there > 0 : there == ids.size());
    if (reply.reached() || env_.now() >= end) co_return reply;
    FF_CO_TRY(co_await runtime::sleep(std::min<runtime::Duration>(pause, end - env_.now())));
  }
}

Task<Result<>> SlurmExecutor::order(const ControlRequest& request, const Job& job) {
  FF_CO_TRY_ASSIGN(const std::vector<Command> commands, order_commands(request, job, settings_));
  for (std::size_t i = 0; i < commands.size(); ++i) {
    FF_CO_TRY_ASSIGN(const ChildEnd end, co_await commands_.run(commands[i]));
    // What follows the first only hastens it, and may come too late.
    if (end.code != 0 && i == 0) {
      const Error error = slurm_error(commands[i].front(), end);
      co_return fail(error.code(), fmt::format("job {}: {}", std::uint64_t{job.id()}, error.message()));
    }
  }
  co_return {};
}

Task<Result<ControlReply>> SlurmExecutor::answer(const ControlRequest& request, runtime::Time) {
  FF_CO_TRY(check_order(request));
  const std::vector<std::uint64_t> ids(request.jobs().begin(), request.jobs().end());
  if (ids.empty()) co_return fail(Errc::kInvalidArgument, "control: without a job");
  FF_CO_TRY_ASSIGN(const std::vector<Job> before, co_await jobs_.get(ids));
  std::map<std::uint64_t, Error> errors;
  for (const std::uint64_t id : ids) {
    const auto job = std::ranges::find(before, id, &Job::id);
    if (job == before.end()) {
      errors.emplace(id, Error(Errc::kNotFound, fmt::format("job {}: is not known to Slurm", id)));
    } else if (const auto done = co_await order(request, *job); !done) {
      errors.emplace(id, done.error());
    }
  }
  FF_CO_TRY_ASSIGN(const std::vector<Job> after, co_await jobs_.get(ids));
  ControlReply reply;
  for (const std::uint64_t id : ids) {
    ControlReply::One& one = *reply.add_jobs();
    one.set_job(id);
    if (const auto job = std::ranges::find(after, id, &Job::id); job != after.end()) one.set_phase(job->phase());
    const auto error = errors.find(id);
    if (error == errors.end()) continue;
    one.set_error(error->second.message());
    one.set_code(static_cast<std::uint32_t>(error->second.code()));
  }
  co_return reply;
}

Task<Result<ExplainReply>> SlurmExecutor::answer(const ExplainRequest& request, runtime::Time) {
  if (request.at_ms() != 0)
    co_return fail(Errc::kInvalidArgument, "at: Slurm keeps no log of its decisions (leave it out)");
  FF_CO_TRY_ASSIGN(const Job job, co_await jobs_.look(request.job()));
  ExplainReply reply;
  reply.set_decided_ms(now_ms());
  const std::string phase = JobPhase_Name(job.phase());
  if (job.phase() == DONE || job.phase() == RUNNING) {
    reply.set_summary(job.phase() == RUNNING ? "it runs" : "it is done");
    co_return reply;
  }
  reply.set_summary(job.reason().empty() ? "Slurm has not looked at it yet" : job.reason());
  if (job.reason().empty()) co_return reply;
  ExplainReply::Blocker& blocker = *reply.add_blockers();
  const std::string word = job.reason().substr(std::string_view("slurm: ").size());
  const bool held = job.phase() == HELD || job.phase() == SUSPENDED;
  blocker.set_what(held                   ? "held"
                   : word == "Resources"  ? "nodes"
                   : word == "Priority"   ? "priority"
                   : word == "Dependency" ? "depends"
                   : word == "BeginTime"  ? "time"
                                          : "slurm");
  blocker.set_text("Slurm says: " + word);
  if (held) blocker.set_remedy(job.phase() == HELD ? "ffctl release" : "ffctl resume");
  co_return reply;
}

Task<Result<ListNodesReply>> SlurmExecutor::answer(const ListNodesRequest& request, runtime::Time) {
  FF_CO_TRY_ASSIGN(const SlurmCommands::Rows rows,
                   co_await commands_.rows({"sinfo", "--noheader", "--Node"}, node_fields()));
  auto nodes = read_nodes(rows.text, rows.separator);
  if (!nodes) co_return fail(std::move(nodes).error().context("sinfo"));
  FF_CO_TRY_ASSIGN(const std::vector<Job> jobs, co_await jobs_.get({}));
  std::map<std::string, std::set<std::uint64_t>> on;
  for (const Job& job : jobs)
    if (job.phase() != DONE && job.attempts_size() != 0)
      for (const std::string& node : job.attempts(job.attempts_size() - 1).nodes()) on[node].insert(job.id());
  ListNodesReply reply;
  for (NodeInfo& node : *nodes) {
    const auto& names = request.names();
    if (!names.empty() && std::ranges::find(names, node.facts().name()) == names.end()) continue;
    for (const std::uint64_t id : on[node.facts().name()]) node.add_jobs(id);
    *reply.add_nodes() = std::move(node);
  }
  for (const std::string& name : request.names())
    if (std::ranges::none_of(reply.nodes(), [&](const NodeInfo& node) { return node.facts().name() == name; }))
      co_return fail(Errc::kNotFound, fmt::format("node {}: is not known to Slurm", name));
  co_return reply;
}

Task<Result<ControlNodeReply>> SlurmExecutor::answer(const ControlNodeRequest& request, runtime::Time) {
  ControlNodeReply reply;
  for (const std::string& node : request.nodes()) {
    FF_CO_TRY_ASSIGN(const Command command, node_order(request, node));
    ControlNodeReply::One& one = *reply.add_nodes();
    one.set_node(node);
    if (const auto said = co_await commands_.output(command); !said) {
      one.set_error(fmt::format("node {}: {}", node, said.error().message()));
      one.set_code(static_cast<std::uint32_t>(said.error().code()));
    }
  }
  co_return reply;
}

Task<Result<ReadLogReply>> SlurmExecutor::read(const std::string& path, const ReadLogRequest& request) {
  FF_CO_TRY_ASSIGN(auto reply, co_await runtime::offload(env_, [&] { return read_output(path, request); }));
  co_return reply;
}

Task<Result<ReadLogReply>> SlurmExecutor::read_rank(const ReadLogRequest& request, const Job& job) {
  const std::uint32_t last = job.attempts_size() == 0 ? 0 : job.attempts(job.attempts_size() - 1).number();
  const std::uint32_t attempt = request.attempt() == 0 ? last : request.attempt();
  const bool ended = job.phase() == DONE || attempt < last || job.attempts_size() == 0 ||
                     job.attempts(job.attempts_size() - 1).phase() == CLOSED;
  auto reply = co_await read(rank_log(settings_, request.job(), attempt, request.rank()), request);
  // A job that could not be started: Slurm has said why.
  if (!reply && reply.error().code() == Errc::kNotFound && ended && request.rank() == 0)
    reply = co_await read(start_log(settings_, request.job()), request);
  if (!reply && reply.error().code() == Errc::kNotFound)
    co_return fail(Errc::kNotFound,
                   fmt::format("job {}: rank {} has printed nothing to {} (is slurm.logs a folder that nodes share?)",
                               std::uint64_t{request.job()}, request.rank(), settings_.logs));
  if (reply) reply->set_complete(ended && reply->offset() + reply->data().size() >= reply->end());
  co_return reply;
}

Task<Result<ReadLogReply>> SlurmExecutor::answer(const LogRequest& request, runtime::Time) {
  const ReadLogRequest& what = request.read();
  const runtime::Time end = end_of_wait(what.wait_ms());
  for (;;) {
    // First how the job is, then what it printed: what it printed before it ended is then in the file.
    FF_CO_TRY_ASSIGN(const Job job, co_await jobs_.look(what.job()));
    auto reply = co_await read_rank(what, job);
    const bool nothing = reply ? reply->data().empty() && !reply->complete()
                               : reply.error().code() == Errc::kNotFound && job.phase() != DONE;
    if (!nothing || env_.now() >= end) co_return reply;
    FF_CO_TRY(co_await runtime::sleep(std::min<runtime::Duration>(kReadPause, end - env_.now())));
  }
}

Task<Result<StatusReply>> SlurmExecutor::answer(const StatusRequest&, runtime::Time until) {
  const ListNodesRequest all;
  FF_CO_TRY_ASSIGN(const ListNodesReply nodes, co_await answer(all, until));
  FF_CO_TRY_ASSIGN(const std::vector<Job> jobs, co_await jobs_.get({}));
  FF_CO_TRY_ASSIGN(const std::string version, co_await commands_.output({"sbatch", "--version"}));
  StatusReply reply;
  reply.set_leader("slurm");
  reply.set_version(version.substr(0, version.find('\n')));
  const auto in = [&](auto... phases) {
    return static_cast<std::uint32_t>(
        std::ranges::count_if(jobs, [&](const Job& job) { return ((job.phase() == phases) || ...); }));
  };
  reply.set_jobs_queued(in(QUEUED, DEPENDS));
  reply.set_jobs_running(in(STARTING, RUNNING, STOPPING));
  reply.set_jobs_held(in(HELD, SUSPENDED));
  reply.set_jobs_done(in(DONE));
  const auto are = [&](NodeInfo::State state) {
    return static_cast<std::uint32_t>(
        std::ranges::count_if(nodes.nodes(), [&](const NodeInfo& node) { return node.state() == state; }));
  };
  reply.set_nodes_ready(are(NodeInfo::READY));
  reply.set_nodes_busy(are(NodeInfo::BUSY));
  reply.set_nodes_drained(are(NodeInfo::DRAINED));
  reply.set_nodes_lost(are(NodeInfo::LOST));
  co_return reply;
}

}  // namespace

std::unique_ptr<Executor> make_slurm_executor(runtime::Env& env, SlurmSettings settings) {
  return std::make_unique<SlurmExecutor>(env, std::move(settings));
}

}  // namespace ff::ctl
