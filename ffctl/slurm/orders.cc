#include "ffctl/slurm/orders.hpp"

#include <fmt/core.h>

#include <algorithm>

namespace ff::ctl {
namespace {

std::string lower(std::string text) {
  for (char& c : text) c = c == '_' ? '-' : static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  return text;
}

Error not_now(const Job& job, const ControlRequest& request) {
  return {Errc::kInvalidArgument,
          fmt::format("job {}: is {}, which {} cannot change", std::uint64_t{job.id()},
                      lower(JobPhase_Name(job.phase())), lower(ControlRequest::Verb_Name(request.verb())))};
}

bool waits(const Job& job) {
  return job.phase() == QUEUED || job.phase() == DEPENDS || job.phase() == HELD || job.phase() == SUSPENDED;
}

bool runs(const Job& job) { return job.phase() == RUNNING || job.phase() == STARTING; }

// SIGSTOPped on its nodes by a site's own tools, and not in the queue.
bool stopped_on_nodes(const Job& job) {
  return job.phase() == SUSPENDED && job.attempts_size() != 0 &&
         job.attempts(job.attempts_size() - 1).phase() != CLOSED;
}

}  // namespace

Result<> check_order(const ControlRequest& request) {
  if (!request.reason().empty())
    return fail(Errc::kInvalidArgument, "reason: is not kept by executor slurm (leave --reason out)");
  if (request.grace_ms() != 0)
    return fail(Errc::kInvalidArgument,
                "grace: executor slurm ends jobs after KillWait of the site's slurm.conf (leave --grace out)");
  return {};
}

Result<std::vector<Command>> order_commands(const ControlRequest& request, const Job& job,
                                            const SlurmSettings& settings) {
  const std::string id = std::to_string(job.id());
  using Commands = std::vector<Command>;
  if (job.phase() == DONE) {
    if (request.verb() == ControlRequest::STOP) return Commands{};
    return fail(not_now(job, request));
  }
  switch (request.verb()) {
    case ControlRequest::STOP:
      if (request.force()) return Commands{{"scancel", id}, {"scancel", "--signal=KILL", "--full", id}};
      return Commands{{"scancel", id}};
    case ControlRequest::SUSPEND:
      if (job.phase() == SUSPENDED) return Commands{};
      if (runs(job)) return Commands{{"scontrol", "requeuehold", id}};
      if (waits(job)) return Commands{{"scontrol", "uhold", id}};
      break;
    case ControlRequest::RESUME:
      if (job.phase() != SUSPENDED && job.phase() != HELD) break;
      if (stopped_on_nodes(job)) return Commands{{"scontrol", "resume", id}};
      return Commands{{"scontrol", "release", id}};
    case ControlRequest::REQUEUE:
      if (runs(job)) return Commands{{"scontrol", "requeue", id}};
      break;
    case ControlRequest::HOLD:
      if (job.phase() == HELD) return Commands{};
      if (job.phase() == QUEUED || job.phase() == DEPENDS) return Commands{{"scontrol", "uhold", id}};
      break;
    case ControlRequest::RELEASE:
      if (job.phase() == HELD) return Commands{{"scontrol", "release", id}};
      break;
    case ControlRequest::SET_PRIORITY: {
      if (!waits(job)) break;
      const auto qos = settings.qos.find(priority_word(request.priority()));
      if (qos != settings.qos.end()) return Commands{{"scontrol", "update", "JobId=" + id, "QOS=" + qos->second}};
      const std::int64_t nice = (NORMAL - request.priority()) * settings.nice_step;
      return Commands{{"scontrol", "update", "JobId=" + id, fmt::format("Nice={}", nice)}};
    }
    default: return fail(Errc::kInvalidArgument, "control: no such verb");
  }
  return fail(not_now(job, request));
}

Result<Command> node_order(const ControlNodeRequest& request, const std::string& node) {
  const auto plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
           c == '-';
  };
  if (node.empty() || node.size() > 255 || !std::ranges::all_of(node, plain))
    return fail(Errc::kInvalidArgument, fmt::format("node '{}': is no name", node));
  if (request.preempt())
    return fail(Errc::kInvalidArgument,
                "preempt: executor slurm lets jobs of drained nodes end (requeue them yourself)");
  switch (request.verb()) {
    case ControlNodeRequest::DRAIN: {
      // Slurm wants a reason, and reads the word as it stands; a line break would end it in its files.
      std::string reason = request.text().empty() ? "drained by ffctl" : request.text();
      std::ranges::replace_if(reason, [](char c) { return c < ' ' && c >= 0; }, ' ');
      return Command{"scontrol", "update", "NodeName=" + node, "State=DRAIN", "Reason=" + reason};
    }
    case ControlNodeRequest::UNDRAIN: return Command{"scontrol", "update", "NodeName=" + node, "State=RESUME"};
    default:
      return fail(Errc::kInvalidArgument,
                  fmt::format("node {}: is not there with executor slurm (its administrators have their own tools)",
                              lower(ControlNodeRequest::Verb_Name(request.verb()))));
  }
}

}  // namespace ff::ctl
