#include "ffctl/slurm/job_list.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <set>

#include "ffctl/slurm/errors.hpp"
#include "ffctl/slurm/jobs.hpp"

namespace ff::ctl {

using namespace std::chrono_literals;
using runtime::Task;

namespace {

constexpr auto kFresh = 250ms;
// Of more, all are asked for: Slurm answers that about as fast.
constexpr std::size_t kNamedMax = 1000;

std::string joined(const std::vector<std::uint64_t>& ids) {
  std::string out;
  for (const std::uint64_t id : ids) out += (out.empty() ? "" : ",") + std::to_string(id);
  return out;
}

}  // namespace

Task<Result<std::vector<Job>>> JobList::ask_queue(const std::vector<std::uint64_t>& ids) {
  std::vector<std::string> words = {"squeue", "--noheader", "--states=all"};
  if (!ids.empty()) words.push_back("--jobs=" + joined(ids));
  const auto now = std::chrono::duration_cast<std::chrono::milliseconds>(env_.wall_now().time_since_epoch()).count();
  auto rows = co_await commands_.rows(std::move(words), job_fields());
  if (!rows) {
    // None of them is known.
    if (rows.error().code() == Errc::kNotFound && !ids.empty()) co_return std::vector<Job>();
    co_return fail(std::move(rows).error());
  }
  auto jobs = read_jobs(rows->text, rows->separator, static_cast<std::uint64_t>(now));
  if (!jobs) co_return fail(std::move(jobs).error().context("squeue"));
  co_return std::move(*jobs);
}

Task<Result<std::vector<Job>>> JobList::ask_accounting(const std::vector<std::uint64_t>& ids) {
  const std::string separator = [&] {
    std::string text = "~";
    for (int i = 0; i < 2; ++i) text += fmt::format("{:016x}", env_.rng().next());
    return text + "~";
  }();
  std::string fields;
  for (const std::string& field : ended_job_fields()) fields += (fields.empty() ? "" : ",") + field;
  FF_CO_TRY_ASSIGN(const ChildEnd end, co_await commands_.run({"sacct", "--noheader", "--allocations", "--parsable",
                                                               "--starttime=1970-01-02", "--delimiter=" + separator,
                                                               "--format=" + fields, "--jobs=" + joined(ids)}));
  // Many sites keep no accounts.
  if (end.code != 0) co_return std::vector<Job>();
  auto jobs = read_ended_jobs(end.output, separator);
  if (!jobs) co_return fail(std::move(jobs).error().context("sacct"));
  co_return std::move(*jobs);
}

Task<Result<std::vector<Job>>> JobList::get(std::vector<std::uint64_t> ids) {
  // Slurm's numbers have 32 bits, and it takes larger ones for others.
  std::erase_if(ids, [](std::uint64_t id) { return id == 0 || id > UINT32_MAX; });
  const std::set<std::uint64_t> wanted(ids.begin(), ids.end());
  const bool named = !wanted.empty() && wanted.size() <= kNamedMax;
  FF_CO_TRY_ASSIGN(std::vector<Job> jobs, co_await ask_queue(named ? ids : std::vector<std::uint64_t>()));
  if (wanted.empty()) co_return jobs;
  std::erase_if(jobs, [&](const Job& job) { return !wanted.contains(job.id()); });
  std::set<std::uint64_t> left = wanted;
  for (const Job& job : jobs) left.erase(job.id());
  if (left.empty() || left.size() > kNamedMax) co_return jobs;
  FF_CO_TRY_ASSIGN(std::vector<Job> ended, co_await ask_accounting({left.begin(), left.end()}));
  for (Job& job : ended)
    if (left.erase(job.id()) != 0) jobs.push_back(std::move(job));
  co_return jobs;
}

Task<Result<Job>> JobList::look(std::uint64_t id) {
  const runtime::Time now = env_.now();
  if (last_.id() == id && id != 0 && now - last_at_ < kFresh) co_return last_;
  FF_CO_TRY_ASSIGN(const std::vector<Job> jobs, co_await get({id}));
  if (id == 0 || jobs.empty()) co_return fail(Errc::kNotFound, fmt::format("job {}: is not known to Slurm", id));
  last_ = jobs.front();
  last_at_ = now;
  co_return last_;
}

}  // namespace ff::ctl
