#include "ffctl/job/goodput.hpp"

#include <algorithm>

namespace ff::ctl {

namespace {

std::uint64_t between(std::uint64_t from, std::uint64_t to) { return to > from ? to - from : 0; }

// The first of them that is known, or now.
std::uint64_t first_known(std::initializer_list<std::uint64_t> times, std::uint64_t now) {
  const auto* const known = std::ranges::find_if(times, [](std::uint64_t time) { return time != 0; });
  return known == times.end() ? now : *known;
}

}  // namespace

Spent& Spent::operator+=(const Spent& other) noexcept {
  starting_ms += other.starting_ms;
  useful_ms += other.useful_ms;
  lost_ms += other.lost_ms;
  leaving_ms += other.leaving_ms;
  return *this;
}

Spent spent(const Attempt& attempt, std::uint64_t now_ms) {
  const auto nodes = static_cast<std::uint64_t>(attempt.nodes_size());
  const std::uint64_t closed = first_known({attempt.closed_ms()}, now_ms);
  const std::uint64_t told = std::min(first_known({attempt.drain_ms(), attempt.closed_ms()}, now_ms), closed);
  const std::uint64_t started = std::min(first_known({attempt.started_ms()}, told), told);
  const std::uint64_t ran = between(started, told);
  std::uint64_t useful = ran;
  if (attempt.closed_ms() != 0 && attempt.cause() != EXITED)
    useful = std::min(ran, attempt.saved_ms() == 0 ? 0 : between(started, attempt.saved_ms()));
  return {.starting_ms = nodes * between(attempt.created_ms(), started),
          .useful_ms = nodes * useful,
          .lost_ms = nodes * (ran - useful),
          .leaving_ms = nodes * between(told, closed)};
}

Spent spent(const Job& job, std::uint64_t now_ms) {
  Spent sum;
  for (const Attempt& attempt : job.attempts()) sum += spent(attempt, now_ms);
  return sum;
}

std::uint64_t waited_ms(const Job& job, int index) {
  const Attempt& attempt = job.attempts(index);
  // The attempts before it may have been forgotten.
  if (index == 0) return attempt.number() == 1 ? between(job.submitted_ms(), attempt.created_ms()) : 0;
  return between(job.attempts(index - 1).closed_ms(), attempt.created_ms());
}

double goodput_percent(const Spent& spent) noexcept {
  return spent.total_ms() == 0 ? 100
                               : 100 * static_cast<double>(spent.useful_ms) / static_cast<double>(spent.total_ms());
}

}  // namespace ff::ctl
