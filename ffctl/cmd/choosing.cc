#include "ffctl/cmd/choosing.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>
#include <set>

#include "ffctl/cmd/text.hpp"

namespace ff::ctl {

using runtime::Task;

namespace {

constexpr std::uint64_t kRangeMax = 100'000;
constexpr std::size_t kNamedMax = 10;  // jobs in the message about a name that several have

bool is_number(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

Result<std::uint64_t> number_of(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || value == 0)
    return fail(Errc::kInvalidArgument, fmt::format("job '{}': is no job's number", text));
  return value;
}

bool open(const Job& job) { return job.phase() != DONE; }

Task<Result<Job>> by_name(MasterSession& master, std::string name) {
  JobFilter filter;
  filter.add_names(name);
  filter.set_done(true);
  FF_CO_TRY_ASSIGN(std::vector<Job> found, co_await list_jobs(master, std::move(filter), true));
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

Task<Result<std::vector<Job>>> jobs_of(MasterSession& master, std::string text, JobWord word) {
  std::vector<Job> jobs;
  if (!word.name.empty()) {
    FF_CO_TRY_ASSIGN(Job job, co_await by_name(master, word.name));
    jobs.push_back(std::move(job));
    co_return jobs;
  }
  JobFilter filter;
  if (word.first != 0) {
    for (std::uint64_t id = word.first; id <= word.last; ++id) filter.add_ids(id);
  } else if (word.newest) {
    filter.add_users(master.caller().user());
    filter.set_done(true);
  } else if (!word.user.empty()) {
    filter.add_users(word.user);
  } else if (!word.label.empty()) {
    filter.add_labels(word.label);
  } else {
    FF_CO_TRY_ASSIGN(const JobPhase phase, parse_phase(word.state));
    filter.add_phases(phase);
  }
  FF_CO_TRY_ASSIGN(jobs, co_await list_jobs(master, std::move(filter), true, word.newest ? 1 : 0));
  if (word.first != word.last) std::erase_if(jobs, [](const Job& job) { return !open(job); });
  if (jobs.empty()) co_return fail(Errc::kNotFound, fmt::format("job {}: is not known", text));
  // Oldest first: as they were submitted.
  std::ranges::reverse(jobs);
  co_return jobs;
}

}  // namespace

Result<JobWord> parse_job_word(const std::string& text) {
  JobWord word;
  if (text.empty()) return fail(Errc::kInvalidArgument, "job: the word is empty (give a number, a name, or last)");
  for (auto [prefix, field] :
       {std::pair("user:", &word.user), std::pair("state:", &word.state), std::pair("label:", &word.label)}) {
    if (!text.starts_with(prefix)) continue;
    *field = text.substr(std::string_view(prefix).size());
    if (field->empty()) return fail(Errc::kInvalidArgument, fmt::format("job '{}': says nothing after it", text));
    if (field == &word.state) FF_TRY(parse_phase(word.state));
    return word;
  }
  if (const auto dots = text.find(".."); dots != std::string::npos && is_number(text.substr(0, dots)) &&
                                         is_number(std::string_view(text).substr(dots + 2))) {
    FF_TRY_ASSIGN(word.first, number_of(std::string_view(text).substr(0, dots)));
    FF_TRY_ASSIGN(word.last, number_of(std::string_view(text).substr(dots + 2)));
    if (word.last < word.first || word.last - word.first >= kRangeMax)
      return fail(Errc::kInvalidArgument,
                  fmt::format("job '{}': is no range of 1 to {} jobs, from low to high", text, kRangeMax));
    return word;
  }
  std::string_view name = text;
  if (const auto at = name.rfind('@'); at != std::string_view::npos) {
    FF_TRY_ASSIGN(const std::uint64_t attempt, number_of(name.substr(at + 1)));
    if (attempt > UINT32_MAX) return fail(Errc::kInvalidArgument, fmt::format("job '{}': has no such attempt", text));
    word.attempt = static_cast<std::uint32_t>(attempt);
    name = name.substr(0, at);
  }
  if (is_number(name)) {
    FF_TRY_ASSIGN(word.first, number_of(name));
    word.last = word.first;
  } else if (name == "last") {
    word.newest = true;
  } else if (name.empty()) {
    return fail(Errc::kInvalidArgument, fmt::format("job '{}': names no job", text));
  } else {
    word.name = name;
  }
  return word;
}

Task<Result<std::vector<Job>>> list_jobs(MasterSession& master, JobFilter filter, bool brief, std::uint32_t limit) {
  ListJobsRequest request;
  *request.mutable_filter() = std::move(filter);
  request.set_brief(brief);
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
    FF_CO_TRY_ASSIGN(const JobWord word, parse_job_word(text));
    FF_CO_TRY_ASSIGN(std::vector<Job> jobs, co_await jobs_of(master, text, word));
    for (Job& job : jobs)
      if (seen.insert(job.id()).second) chosen.push_back({.job = std::move(job), .attempt = word.attempt});
  }
  co_return chosen;
}

Task<Result<ChosenJob>> choose_job(MasterSession& master, std::string word) {
  FF_CO_TRY_ASSIGN(const JobWord parsed, parse_job_word(word));
  if (parsed.several())
    co_return fail(Errc::kInvalidArgument, fmt::format("job '{}': stands for several (name one)", word));
  FF_CO_TRY_ASSIGN(std::vector<ChosenJob> chosen, co_await choose_jobs(master, {word}));
  co_return std::move(chosen.front());
}

}  // namespace ff::ctl
