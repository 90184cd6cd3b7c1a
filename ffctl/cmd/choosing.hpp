// What the words that name jobs on a command line (job/selector.hpp) stand for.
//
// A name stands for the caller's job that is not done, or else for the newest that is; of several that are not done it
// is refused with their numbers. Words for several jobs mean those that are not done,
// but for state: with a result.
#pragma once

#include <string>
#include <vector>

#include "ffctl/cmd/master_session.hpp"

namespace ff::ctl {

// How much of each: what job_cells() shows; with all of its description but variables and script; all of it.
enum class Detail : std::uint8_t { kRow, kBrief, kAll };
// Jobs of the filter, newest first, however many replies that takes. `limit` 0: all.
runtime::Task<Result<std::vector<Job>>> list_jobs(MasterSession& master, JobFilter filter, Detail detail,
                                                  std::uint32_t limit = 0);

struct ChosenJob {
  Job job;  // brief
  std::uint32_t attempt = 0;
};
// kNotFound: a word that stands for none. No job twice; in the order of the words.
runtime::Task<Result<std::vector<ChosenJob>>> choose_jobs(MasterSession& master, std::vector<std::string> words);
// The one job of a word.
runtime::Task<Result<ChosenJob>> choose_job(MasterSession& master, std::string word);

// The same with all that is known of it: attempts, and what it runs, where the caller may see that.
runtime::Task<Result<Job>> whole_job(MasterSession& master, std::string word);

}  // namespace ff::ctl
