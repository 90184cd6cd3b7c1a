// The calls of service Agent.
#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>

#include "ffctl/node/agent.hpp"
#include "ffctl/node/check.hpp"
#include "ffctl/rank/process_tree.hpp"
#include "ffctl/rank/rank_log.hpp"
#include "libcommon/base/defer.hpp"
#include "libcommon/report/utf8.hpp"

namespace ff::ctl {

using namespace std::chrono_literals;
using runtime::Task;

namespace {

constexpr std::uint32_t kReadMax = 1u << 20;
constexpr std::uint32_t kWaitMaxMs = 30'000;
constexpr auto kLogPoll = 50ms;
constexpr runtime::Duration kCheckQuick = 5min,
                            kCheckFull = 6h;  // ffbench's own bounds; the caller's deadline counts as well
constexpr auto kAnswerTime = 500ms;           // of a call, for its answer to travel

}  // namespace

Task<Result<ApplyReply>> Agent::apply(rpc::ServerCall& call, const ApplyRequest& request) {
  (void)call;
  FF_CO_TRY(see_epoch(request.master_epoch()));
  // What was long on its way may have been given to others since: it is told again with a lease.
  if (answered_ && !leased())
    co_return fail(Errc::kUnavailable, fmt::format("node '{}': its lease has run out", options_.name));
  const bool stale = voided(request.master_epoch(), request.sequence()) ||
                     (request.master_epoch() == applied_epoch_ && request.sequence() <= applied_sequence_);
  if (!stale) {
    applied_epoch_ = request.master_epoch();
    applied_sequence_ = request.sequence();
    drop_unwanted(request);
    for (const DesiredAttempt& desired : request.attempts()) apply_one(desired);
    tick();  // so that the answer is of now: a fence holds or does not
  }
  ApplyReply reply;
  *reply.mutable_report() = report();
  co_return reply;
}

Task<Result<ReadLogReply>> Agent::read_log(rpc::ServerCall& call, const ReadLogRequest& request) {
  const std::string folder =
      fmt::format("{}/rank-{}", host_.log_folder(attempt_name(request.job(), request.attempt())), request.rank());
  const std::size_t bytes = std::clamp<std::uint32_t>(request.bytes(), 1, kReadMax);
  const auto patience = std::chrono::milliseconds(std::min(request.wait_ms(), kWaitMaxMs));
  const runtime::Time until =
      std::min(runtime::saturating_add(env_.now(), patience),
               call.deadline() == runtime::kNever ? runtime::kNever : call.deadline() - kAnswerTime);
  for (;;) {
    // Asked before the log is read: what comes after it cannot be missed.
    NodeAttempt* const attempt = find(request.job(), request.attempt());
    const bool complete = attempt == nullptr || attempt->log_complete(request.rank());
    FF_CO_TRY_ASSIGN(auto read, co_await runtime::offload(env_, [&] {
                       return ctl::read_log(folder, request.offset(), bytes, request.from_end());
                     }));
    if (!read && attempt != nullptr && !complete) read = LogPart{};  // is being prepared
    if (!read) {
      co_return fail(Errc::kNotFound, fmt::format("log of job {} attempt {} rank {}: is not on node '{}'",
                                                  request.job(), request.attempt(), request.rank(), options_.name));
    }
    if (!read->data.empty() || complete || env_.now() >= until || request.from_end()) {
      ReadLogReply reply;
      reply.set_offset(read->offset);
      reply.set_end(read->end);
      reply.set_complete(complete && read->offset + read->data.size() >= read->end);
      reply.set_data(std::move(read->data));
      co_return reply;
    }
    FF_CO_TRY(co_await runtime::sleep(kLogPoll));
  }
}

Task<Result<RunCheckReply>> Agent::run_check(rpc::ServerCall& call, const RunCheckRequest& request) {
  if (checking_) co_return fail(Errc::kAlreadyExists, fmt::format("node '{}': a check runs already", options_.name));
  checking_ = true;
  const Defer done([this] { checking_ = false; });
  auto patience =
      std::chrono::duration_cast<std::chrono::milliseconds>(request.level() == "full" ? kCheckFull : kCheckQuick);
  if (call.deadline() != runtime::kNever) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(call.deadline() - kAnswerTime - env_.now());
    patience = std::max(std::min(patience, left), std::chrono::milliseconds(1));
  }
  const std::string program = options_.ffbench.empty() ? ffbench_beside(options_.executable) : options_.ffbench;
  FF_CO_TRY_ASSIGN(auto outcome,
                   co_await runtime::offload(env_, [&] { return run_node_check(program, request.level(), patience); }));
  if (!outcome) co_return fail(outcome.error());
  RunCheckReply reply;
  reply.set_exit_code(outcome->exit_code);
  reply.set_json(outcome->json);
  reply.set_summary(outcome->exit_code == 0 ? fmt::format("{}: passed", request.level())
                                            : fmt::format("{}: exit code {}", request.level(), outcome->exit_code));
  co_return reply;
}

Task<Result<ListProcessesReply>> Agent::list_processes(rpc::ServerCall& call, const ListProcessesRequest& request) {
  (void)call;
  std::vector<std::pair<std::uint32_t, pid_t>> roots;
  for (const auto& [key, attempt] : attempts_)
    if (key.first == request.job()) std::ranges::copy(attempt->rank_processes(), std::back_inserter(roots));
  FF_CO_TRY_ASSIGN(const auto all, co_await runtime::offload(env_, [] { return processes(true); }));
  const double ticks = static_cast<double>(::sysconf(_SC_CLK_TCK));
  ListProcessesReply reply;
  for (const auto& [rank, pid] : roots) {
    const auto own = all.find(pid);
    if (own == all.end()) continue;
    // From the process beside the rank: that is where its daemons hang.
    for (const pid_t below : descendants(all, own->second.parent)) {
      const ProcessInfo& info = all.at(below);
      auto& process = *reply.add_processes();
      process.set_pid(info.pid);
      process.set_parent(info.parent);
      process.set_rank(rank);
      process.set_memory_bytes(info.memory_bytes);
      process.set_cpu_seconds(static_cast<double>(info.cpu_ticks) / ticks);
      process.set_command(report::printable(info.command));
    }
  }
  co_return reply;
}

Task<Result<SignalReply>> Agent::signal(rpc::ServerCall& call, const SignalRequest& request) {
  (void)call;
  if (request.signal() < 1 || request.signal() >= NSIG)
    co_return fail(Errc::kInvalidArgument, fmt::format("signal {}: no such signal", request.signal()));
  NodeAttempt* const attempt = find(request.job(), request.attempt());
  if (attempt == nullptr) {
    co_return fail(Errc::kNotFound, fmt::format("job {} attempt {}: is not on node '{}'", request.job(),
                                                request.attempt(), options_.name));
  }
  SignalReply reply;
  reply.set_signalled(attempt->send_signal(request.signal(), {request.ranks().begin(), request.ranks().end()}));
  co_return reply;
}

}  // namespace ff::ctl
