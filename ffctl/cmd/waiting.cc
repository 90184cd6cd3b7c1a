#include "ffctl/cmd/waiting.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>

#include "ffctl/cmd/text.hpp"
#include "libcommon/runtime/scope.hpp"
#include "libcommon/runtime/sleep.hpp"

namespace ff::ctl {

using namespace std::chrono_literals;
using runtime::Task;

namespace {

constexpr auto kLongPoll = 20s;
constexpr auto kPause = 100ms;
constexpr std::uint32_t kReadBytes = 256u << 10;
constexpr std::uint32_t kTailBytes = 1u << 20;
constexpr std::size_t kLineMax = 64u << 10;

std::uint32_t milliseconds(runtime::Duration wait) {
  return static_cast<std::uint32_t>(std::chrono::duration_cast<std::chrono::milliseconds>(wait).count());
}

// The output of one rank, from attempt to attempt.
class RankLog {
 public:
  RankLog(MasterSession& master, const LogWish& wish, std::uint32_t rank)
      : master_(master), wish_(wish), prefix_(wish.ranks.size() > 1 ? fmt::format("[{}] ", rank) : "") {
    read_.set_job(wish.job);
    read_.set_attempt(wish.attempt);
    read_.set_rank(rank);
    read_.set_bytes(kReadBytes);
  }

  Task<Result<>> run() {
    for (;;) {
      FF_CO_TRY_ASSIGN(const bool found, co_await choose_attempt());
      if (found) FF_CO_TRY(co_await show_attempt());
      if (!wish_.follow || wish_.attempt != 0 || over_) co_return {};
      // Another attempt may follow.
      if (!found) FF_CO_TRY(co_await runtime::sleep(kPause));
    }
  }

 private:
  // False: there is no attempt yet that was not shown.
  Task<Result<bool>> choose_attempt() {
    JobFilter filter;
    filter.add_ids(wish_.job);
    ListJobsRequest request;
    *request.mutable_filter() = filter;
    FF_CO_TRY_ASSIGN(const ListJobsReply reply, co_await master_.ask(&MasterClient::list_jobs, request));
    if (reply.jobs().empty()) co_return fail(Errc::kNotFound, fmt::format("job {}: is not known", wish_.job));
    const Job& job = reply.jobs(0);
    const Attempt* next = nullptr;
    for (const Attempt& attempt : job.attempts()) {
      if (wish_.attempt != 0 ? attempt.number() == wish_.attempt : attempt.number() > shown_) {
        // To follow is to see all from here on; else the last is wanted.
        if (next == nullptr || shown_ == 0) next = &attempt;
      }
    }
    over_ = job.phase() == DONE && (next == nullptr || next->number() == last_number(job));
    if (next == nullptr) {
      if (wish_.attempt != 0)
        co_return fail(Errc::kNotFound, fmt::format("job {}: has no attempt {}", wish_.job, wish_.attempt));
      if (!wish_.follow && shown_ == 0)
        co_return fail(Errc::kNotFound, fmt::format("job {}: is {}, and has not run yet (-f waits for it)", wish_.job,
                                                    phase_text(job.phase())));
      co_return false;
    }
    closed_ = next->phase() == CLOSED;
    shown_ = next->number();
    read_.set_attempt(next->number());
    co_return true;
  }
  static std::uint32_t last_number(const Job& job) {
    return job.attempts().empty() ? 0 : job.attempts(job.attempts_size() - 1).number();
  }

  Task<Result<>> show_attempt() {
    read_.set_offset(0);
    if (wish_.lines >= 0) FF_CO_TRY(co_await skip_to_tail());
    for (;;) {
      LogRequest request;
      *request.mutable_read() = read_;
      if (wish_.follow) request.mutable_read()->set_wait_ms(milliseconds(kLongPoll));
      auto reply = co_await master_.ask(&MasterClient::read_job_log, std::move(request),
                                        wish_.follow ? runtime::Duration(kLongPoll) : runtime::Duration(0));
      if (!reply) {
        // Not launched there yet, or ended before it was.
        const bool absent = reply.error().code() == Errc::kNotFound;
        if (!absent || !wish_.follow) co_return fail(std::move(reply).error());
        if (closed_) co_return {};
        FF_CO_TRY(co_await runtime::sleep(kPause));
        FF_CO_TRY(co_await look_again());
        continue;
      }
      if (reply->offset() > read_.offset())
        fmt::print(stderr, "ffctl: logs: rank {}: {} bytes are not kept any more\n", read_.rank(),
                   reply->offset() - read_.offset());
      FF_CO_TRY(show(reply->data()));
      read_.set_offset(reply->offset() + reply->data().size());
      const bool at_end = read_.offset() >= reply->end();
      if (at_end && (reply->complete() || !wish_.follow)) co_return end_line();
    }
  }

  // Whether the attempt has closed meanwhile.
  Task<Result<>> look_again() {
    ListJobsRequest request;
    request.mutable_filter()->add_ids(wish_.job);
    FF_CO_TRY_ASSIGN(const ListJobsReply reply, co_await master_.ask(&MasterClient::list_jobs, request));
    for (const Job& job : reply.jobs())
      for (const Attempt& attempt : job.attempts())
        if (attempt.number() == read_.attempt()) closed_ = attempt.phase() == CLOSED;
    co_return {};
  }

  // To where the last lines begin: within the last kTailBytes.
  Task<Result<>> skip_to_tail() {
    LogRequest request;
    *request.mutable_read() = read_;
    request.mutable_read()->set_bytes(kTailBytes);
    request.mutable_read()->set_offset(kTailBytes);
    request.mutable_read()->set_from_end(true);
    auto reply = co_await master_.ask(&MasterClient::read_job_log, std::move(request));
    if (!reply) {
      if (reply.error().code() == Errc::kNotFound) co_return {};
      co_return fail(std::move(reply).error());
    }
    const std::string& data = reply->data();
    std::size_t at = data.size();
    // A last line without its break counts.
    std::int64_t left = wish_.lines + (data.ends_with('\n') ? 1 : 0);
    while (at > 0 && left > 0) {
      if (data[at - 1] == '\n' && --left == 0) break;
      --at;
    }
    read_.set_offset(reply->offset() + at);
    co_return {};
  }

  Result<> show(const std::string& data) {
    if (prefix_.empty()) return print(data);
    std::string out;
    for (const char c : data) {
      if (line_.empty()) line_ = prefix_;
      line_ += c;
      if (c != '\n' && line_.size() < kLineMax) continue;
      if (c != '\n') line_ += '\n';
      out += std::exchange(line_, {});
    }
    return print(out);
  }
  Result<> end_line() {
    if (line_.empty()) return {};
    return print(std::exchange(line_, {}) + '\n');
  }

  MasterSession& master_;
  const LogWish& wish_;
  const std::string prefix_;
  ReadLogRequest read_;
  std::uint32_t shown_ = 0;  // number of the attempt that is or was shown
  bool closed_ = false;      // that attempt
  bool over_ = false;        // the job is done, and that was its last attempt
  std::string line_;
};

}  // namespace

Task<Result<std::vector<Job>>> wait_for_jobs(MasterSession& master, WaitWish wish) {
  const bool bounded = wish.within > 0ns;
  const runtime::Time until = bounded ? runtime::saturating_add(master.env().now(), wish.within) : runtime::kNever;
  for (;;) {
    const runtime::Duration left = until - master.env().now();
    const runtime::Duration wait =
        bounded ? std::clamp<runtime::Duration>(left, 1ms, kLongPoll) : runtime::Duration(kLongPoll);
    WaitJobsRequest request;
    for (const std::uint64_t job : wish.jobs) request.add_jobs(job);
    for (const JobPhase phase : wish.until) request.add_until(phase);
    request.set_any(wish.any);
    request.set_wait_ms(milliseconds(wait));
    FF_CO_TRY_ASSIGN(WaitJobsReply reply, co_await master.ask(&MasterClient::wait_jobs, std::move(request), wait));
    if (reply.reached()) co_return std::vector<Job>(reply.jobs().begin(), reply.jobs().end());
    if (bounded && master.env().now() >= until)
      co_return fail(Errc::kTimeout, fmt::format("wait: {} jobs: not there yet", wish.jobs.size()));
  }
}

int exit_code_of(const std::vector<Job>& jobs) {
  for (const Job& job : jobs) {
    if (job.phase() != DONE || job.result() == SUCCEEDED) continue;
    return job.exit_code() != 0 ? job.exit_code() : cli::kExitFailed;
  }
  return cli::kExitOk;
}

Task<Result<>> show_log(MasterSession& master, LogWish wish) {
  if (!wish.follow) {
    for (const std::uint32_t rank : wish.ranks) {
      RankLog log(master, wish, rank);
      FF_CO_TRY(co_await log.run());
    }
    co_return {};
  }
  std::vector<std::unique_ptr<RankLog>> logs;
  runtime::Scope scope(co_await runtime::current_context());
  for (const std::uint32_t rank : wish.ranks) {
    logs.push_back(std::make_unique<RankLog>(master, wish, rank));
    scope.spawn(logs.back()->run());
  }
  co_return co_await scope.join();
}

Result<std::vector<std::uint32_t>> parse_ranks(const std::string& text, std::uint32_t count) {
  std::vector<std::uint32_t> ranks;
  if (text == "all") {
    for (std::uint32_t rank = 0; rank < count; ++rank) ranks.push_back(rank);
    return ranks;
  }
  const auto wrong = [&](const char* why) {
    return fail(Errc::kInvalidArgument, fmt::format("--rank: '{}': {} (as 0,3-5, or all)", text, why));
  };
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t comma = std::min(text.find(',', at), text.size());
    const char* const end = text.data() + comma;
    std::uint32_t first = 0, last = 0;
    auto [stopped, error] = std::from_chars(text.data() + at, end, first);
    last = first;
    if (error == std::errc() && stopped != end && *stopped == '-') {
      const auto second = std::from_chars(stopped + 1, end, last);
      stopped = second.ptr;
      error = second.ec;
    }
    if (error != std::errc() || stopped != end || last < first) return wrong("is no list of ranks");
    if (last >= count) return wrong(count == 1 ? "the job has rank 0 alone" : "the job has not so many ranks");
    for (std::uint32_t rank = first; rank <= last; ++rank)
      if (std::ranges::find(ranks, rank) == ranks.end()) ranks.push_back(rank);
    at = comma + 1;
  }
  return ranks;
}

}  // namespace ff::ctl
