// What people ask of the agents of a job: its processes, signals for them, what its ranks have printed.
#include <fmt/core.h>

#include <algorithm>

#include "ffctl/master/master.hpp"

namespace ff::ctl {

using namespace std::chrono_literals;
using runtime::Task;

namespace {

constexpr std::uint32_t kLogWaitMsMax = 30'000;
constexpr runtime::Duration kAgentPatience = 5s;
constexpr std::size_t kAgentsAtOnce = 64;
// Of a reply, and of the time for it: then the caller asks again for the other nodes.
constexpr std::size_t kProcessBytesMax = 2u << 20;
constexpr runtime::Duration kProcessTimeMax = 10s;

std::uint32_t ranks_on_each(const JobSpec& spec) {
  return spec.run().launcher() == PER_RANK ? std::max(1U, spec.run().ranks_per_node()) : 1;
}

NodeFailure failure_of(const std::string& node, const Error& error) {
  NodeFailure out;
  out.set_node(node);
  out.set_error(error.message());
  out.set_code(static_cast<std::uint32_t>(error.code()));
  return out;
}

// One agent, and what it answered.
template <class Request, class Reply>
struct Question {
  std::string node;
  std::shared_ptr<rpc::Client> client;
  Request request;
  Result<Reply> reply = fail(Errc::kUnavailable, "was not asked");
};

template <class Request, class Reply>
using AgentMethod = Task<Result<Reply>> (AgentClient::*)(const Request&, rpc::CallOptions) const;

template <class Request, class Reply>
Task<void> ask(Question<Request, Reply>& question, AgentMethod<Request, Reply> method) {
  const AgentClient agent(*question.client);
  question.reply = co_await (agent.*method)(question.request, {.timeout = kAgentPatience, .attempts = 1});
}

// All at once.
template <class Request, class Reply>
Task<Result<>> ask_all(std::vector<Question<Request, Reply>>& questions, AgentMethod<Request, Reply> method) {
  runtime::Scope scope(co_await runtime::current_context());
  for (auto& question : questions)
    if (question.client != nullptr) scope.spawn(ask(question, method));
  co_return co_await scope.join();
}

}  // namespace

Result<const JobEntry*> Master::own_job(const rpc::ServerCall& call, const Caller& caller, std::uint64_t id) const {
  FF_TRY(check_leads());
  FF_TRY_ASSIGN(const Actor actor, actor_of(call, caller));
  FF_TRY_ASSIGN(const JobEntry* const entry, find_job(id));
  FF_TRY(Engine::check_owner(*entry, actor));
  return entry;
}

Task<Result<ReadLogReply>> Master::read_job_log(rpc::ServerCall& call, const LogRequest& request) {
  const std::uint64_t id = request.read().job();
  FF_CO_TRY_ASSIGN(const JobEntry* const entry, own_job(call, request.caller(), id));
  const Attempt* attempt = nullptr;
  for (const Attempt& one : entry->job().attempts())
    if (request.read().attempt() == 0 || one.number() == request.read().attempt()) attempt = &one;
  if (attempt == nullptr) co_return fail(Errc::kNotFound, fmt::format("job {}: has no such attempt", id));
  const std::uint32_t rank_node = request.read().rank() / ranks_on_each(entry->spec);
  if (rank_node >= static_cast<std::uint32_t>(attempt->nodes_size()))
    co_return fail(Errc::kNotFound, fmt::format("job {}: has no rank {}", id, request.read().rank()));
  ReadLogRequest read = request.read();
  read.set_attempt(attempt->number());
  read.set_wait_ms(std::min(read.wait_ms(), kLogWaitMsMax));
  FF_CO_TRY_ASSIGN(const std::shared_ptr<rpc::Client> client, client_of(attempt->nodes(static_cast<int>(rank_node))));
  AgentClient agent(*client);
  co_return co_await agent.read_log(read, {.timeout = std::chrono::milliseconds(read.wait_ms()) + 10s, .attempts = 1});
}

Task<Result<ListProcessesOfJobReply>> Master::list_job_processes(rpc::ServerCall& call,
                                                                 const ListProcessesOfJobRequest& request) {
  FF_CO_TRY_ASSIGN(const JobEntry* const entry, own_job(call, request.caller(), request.job()));
  ListProcessesOfJobReply reply;
  if (!entry->live()) co_return reply;
  reply.set_attempt(entry->attempt().number());
  // The job may end while agents are asked.
  const std::vector<std::string> nodes(entry->attempt().nodes().begin(), entry->attempt().nodes().end());
  const runtime::Time until = env_.now() + kProcessTimeMax;
  std::size_t at = request.first_node();
  while (at < nodes.size() && reply.ByteSizeLong() < kProcessBytesMax && env_.now() < until) {
    std::vector<Question<ListProcessesRequest, ListProcessesReply>> questions;
    for (; at < nodes.size() && questions.size() < kAgentsAtOnce; ++at) {
      auto& question = questions.emplace_back();
      question.node = nodes[at];
      question.request.set_job(request.job());
      if (auto client = client_of(nodes[at])) {
        question.client = *std::move(client);
      } else {
        question.reply = fail(std::move(client).error());
      }
    }
    FF_CO_TRY(co_await ask_all(questions, &AgentClient::list_processes));
    for (auto& question : questions) {
      if (!question.reply) {
        *reply.add_silent() = failure_of(question.node, question.reply.error());
        continue;
      }
      for (auto& process : *question.reply->mutable_processes()) {
        auto& one = *reply.add_processes();
        one.set_node(question.node);
        *one.mutable_process() = std::move(process);
      }
    }
  }
  if (at < nodes.size()) reply.set_next_node(static_cast<std::uint32_t>(at));
  co_return reply;
}

Task<Result<SignalJobReply>> Master::signal_job(rpc::ServerCall& call, const SignalJobRequest& request) {
  FF_CO_TRY_ASSIGN(const JobEntry* const entry, own_job(call, request.caller(), request.job()));
  if (request.signal() < 1 || request.signal() > 64)
    co_return fail(Errc::kInvalidArgument, fmt::format("signal: {} is not 1 to 64", request.signal()));
  if (!entry->live()) co_return fail(Errc::kInvalidArgument, fmt::format("job {}: does not run", request.job()));
  const std::vector<std::string> nodes(entry->attempt().nodes().begin(), entry->attempt().nodes().end());
  const std::uint32_t attempt = entry->attempt().number();
  const std::uint32_t per_node = ranks_on_each(entry->spec);
  for (const std::uint32_t rank : request.ranks())
    if (rank / per_node >= nodes.size())
      co_return fail(Errc::kNotFound, fmt::format("job {}: has no rank {}", request.job(), rank));
  SignalJobReply reply;
  for (std::size_t at = 0; at < nodes.size();) {
    std::vector<Question<SignalRequest, SignalReply>> questions;
    for (; at < nodes.size() && questions.size() < kAgentsAtOnce; ++at) {
      SignalRequest order;
      order.set_job(request.job());
      order.set_attempt(attempt);
      order.set_signal(request.signal());
      for (const std::uint32_t rank : request.ranks())
        if (rank / per_node == at) order.add_ranks(rank);
      if (!request.ranks().empty() && order.ranks().empty()) continue;
      auto& question = questions.emplace_back();
      question.node = nodes[at];
      question.request = std::move(order);
      if (auto client = client_of(nodes[at])) {
        question.client = *std::move(client);
      } else {
        question.reply = fail(std::move(client).error());
      }
    }
    FF_CO_TRY(co_await ask_all(questions, &AgentClient::signal));
    for (const auto& question : questions) {
      if (question.reply) {
        reply.set_signalled(reply.signalled() + question.reply->signalled());
      } else {
        *reply.add_failed() = failure_of(question.node, question.reply.error());
      }
    }
  }
  co_return reply;
}

}  // namespace ff::ctl
