#include "ffctl/cmd/choosing.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <set>

#include "ffctl/job/selector.hpp"

namespace ff::ctl {

using runtime::Task;

namespace {

constexpr std::size_t kNamedMax = 10;  // jobs in the message about a name that several have

bool open(const Job& job) { return job.phase() != DONE; }

Task<Result<Job>> by_name(MasterSession& master, std::string name) {
  JobFilter filter;
  filter.add_names(name);
  filter.set_done(true);
  FF_CO_TRY_ASSIGN(std::vector<Job> found, co_await list_jobs(master, std::move(filter), Detail::kBrief));
  // One's own first.
  if (std::ranges::any_of(found, [&](const Job& job) { return job.user() == master.caller().user(); }))
    std::erase_if(found, [&](const Job& job) { return job.user() != master.caller().user(); });
  if (found.empty()) co_return fail(Errc::kNotFound, fmt::format("job '{}': there is none of that name", name));
  const auto live = std::ranges::count_if(found, open);
  if (live > 1) {
    std::string numbers;
    std::size_t shown = 0;
    for (const Job& job : found) {
      if (!open(job) || shown == kNamedMax) continue;
      numbers += fmt::format("{}{}", shown++ == 0 ? "" : ", ", job.id());
    }
    co_return fail(Errc::kInvalidArgument,
                   fmt::format("job '{}': {} jobs have that name: {}{} (name one by its number)", name, live, numbers,
                               static_cast<std::size_t>(live) > shown ? ", …" : ""));
  }
  const auto chosen = live == 1 ? std::ranges::find_if(found, open) : found.begin();
  co_return std::move(*chosen);
}

Task<Result<std::vector<Job>>> jobs_of(MasterSession& master, std::string text, Selector selector) {
  using Kind = Selector::Kind;
  std::vector<Job> jobs;
  JobFilter filter;
  switch (selector.kind) {
    case Kind::kName: {
      FF_CO_TRY_ASSIGN(Job job, co_await by_name(master, selector.text));
      jobs.push_back(std::move(job));
      co_return jobs;
    }
    case Kind::kIds:
      for (std::uint64_t id = selector.first; id <= selector.last; ++id) filter.add_ids(id);
      break;
    case Kind::kLast:
      filter.add_users(master.caller().user());
      filter.set_done(true);
      break;
    case Kind::kUser: filter.add_users(selector.text); break;
    case Kind::kLabel: filter.add_labels(selector.text); break;
    case Kind::kState: filter.add_phases(selector.phase); break;
  }
  FF_CO_TRY_ASSIGN(jobs,
                   co_await list_jobs(master, std::move(filter), Detail::kBrief, selector.kind == Kind::kLast ? 1 : 0));
  if (selector.first != selector.last) std::erase_if(jobs, [](const Job& job) { return !open(job); });
  if (selector.result != RESULT_NONE)
    std::erase_if(jobs, [&](const Job& job) { return job.result() != selector.result; });
  if (jobs.empty()) co_return fail(Errc::kNotFound, fmt::format("job {}: is not known", text));
  // Oldest first: as they were submitted.
  std::ranges::reverse(jobs);
  co_return jobs;
}

}  // namespace

Task<Result<std::vector<Job>>> list_jobs(MasterSession& master, JobFilter filter, Detail detail, std::uint32_t limit) {
  ListJobsRequest request;
  *request.mutable_filter() = std::move(filter);
  request.set_brief(detail != Detail::kAll);
  request.set_row(detail == Detail::kRow);
  std::vector<Job> jobs;
  for (;;) {
    if (limit != 0) request.set_limit(limit - static_cast<std::uint32_t>(jobs.size()));
    FF_CO_TRY_ASSIGN(ListJobsReply reply, co_await master.ask(&MasterClient::list_jobs, request));
    for (Job& job : *reply.mutable_jobs()) jobs.push_back(std::move(job));
    if (!reply.more() || reply.jobs().empty() || (limit != 0 && jobs.size() >= limit)) co_return jobs;
    request.set_before_id(jobs.back().id());
  }
}

Task<Result<std::vector<ChosenJob>>> choose_jobs(MasterSession& master, std::vector<std::string> words) {
  std::vector<ChosenJob> chosen;
  std::set<std::uint64_t> seen;
  for (const std::string& text : words) {
    FF_CO_TRY_ASSIGN(const Selector word, parse_selector(text));
    FF_CO_TRY_ASSIGN(std::vector<Job> jobs, co_await jobs_of(master, text, word));
    for (Job& job : jobs)
      if (seen.insert(job.id()).second) chosen.push_back({.job = std::move(job), .attempt = word.attempt});
  }
  co_return chosen;
}

Task<Result<ChosenJob>> choose_job(MasterSession& master, std::string word) {
  FF_CO_TRY_ASSIGN(const Selector parsed, parse_selector(word));
  if (parsed.several())
    co_return fail(Errc::kInvalidArgument, fmt::format("job '{}': stands for several (name one)", word));
  FF_CO_TRY_ASSIGN(std::vector<ChosenJob> chosen, co_await choose_jobs(master, {word}));
  co_return std::move(chosen.front());
}

Task<Result<Job>> whole_job(MasterSession& master, std::string word) {
  FF_CO_TRY_ASSIGN(const ChosenJob chosen, co_await choose_job(master, word));
  JobFilter filter;
  filter.add_ids(chosen.job.id());
  FF_CO_TRY_ASSIGN(std::vector<Job> jobs, co_await list_jobs(master, std::move(filter), Detail::kAll));
  if (jobs.empty()) co_return fail(Errc::kNotFound, fmt::format("job {}: is not known", word));
  co_return std::move(jobs.front());
}

}  // namespace ff::ctl
