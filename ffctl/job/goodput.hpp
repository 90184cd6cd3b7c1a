// What became of the time that a job had nodes: what counted, and what was lost.
//
//   created ── starting ── started ── running ── told to end ── leaving ── closed
//
// Useful     Of the running: all of it, where all ranks ended with 0; otherwise up to the last checkpoint that was
//            reported (libffjob); what runs now, until it is known better. The rest is lost: it is computed again, or
//            nobody has use for it. A program that saves and reports nothing loses more here than it does.
// Units      Node milliseconds, but of `waited_ms`.
// Threads    Pure.
#pragma once

#include <cstdint>

#include "ffctl/proto/job.pb.h"

namespace ff::ctl {

struct Spent {
  std::uint64_t starting_ms = 0, useful_ms = 0, lost_ms = 0, leaving_ms = 0;

  std::uint64_t total_ms() const noexcept { return starting_ms + useful_ms + lost_ms + leaving_ms; }
  Spent& operator+=(const Spent& other) noexcept;
  bool operator==(const Spent&) const = default;
};

// Times that are out of order, as after a step of the wall clock, count as none between them.
Spent spent(const Attempt& attempt, std::uint64_t now_ms);
// Of all attempts that are kept.
Spent spent(const Job& job, std::uint64_t now_ms);
// In the queue before the attempt at this place among the job's, since it was submitted or since the one before it.
std::uint64_t waited_ms(const Job& job, int index);
// Of 100; of nothing, 100.
double goodput_percent(const Spent& spent) noexcept;

}  // namespace ff::ctl
