// The words that name jobs on a command line, and what they stand for.
//
//   17            the job with that number          last          the caller's newest
//   train         the one of that name              17@2          attempt 2, where a command takes one
//   17..20        those numbers                     user:ann      ann's; state:running, label:k=v likewise
//
// A name stands for the caller's job that is not done, or else for the newest that is; of several that are not done it
// is refused with their numbers. Words for several jobs mean those that are not done.
#pragma once

#include <string>
#include <vector>

#include "ffctl/cmd/master_session.hpp"

namespace ff::ctl {

struct JobWord {
  std::uint64_t first = 0, last = 0;  // numbers; 0: not by number
  bool newest = false;
  std::string name, user, state, label;
  std::uint32_t attempt = 0;  // 0: the last one

  bool several() const noexcept { return first != last || !user.empty() || !state.empty() || !label.empty(); }
};
// kInvalidArgument. Pure.
Result<JobWord> parse_job_word(const std::string& text);

// Jobs of the filter, newest first, however many replies that takes. `limit` 0: all.
runtime::Task<Result<std::vector<Job>>> list_jobs(MasterSession& master, JobFilter filter, bool brief,
                                                  std::uint32_t limit = 0);

struct ChosenJob {
  Job job;  // brief
  std::uint32_t attempt = 0;
};
// kNotFound: a word that stands for none. No job twice; in the order of the words.
runtime::Task<Result<std::vector<ChosenJob>>> choose_jobs(MasterSession& master, std::vector<std::string> words);
// The one job of a word.
runtime::Task<Result<ChosenJob>> choose_job(MasterSession& master, std::string word);

}  // namespace ff::ctl
