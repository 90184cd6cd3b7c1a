// Orders to jobs: which commands of Slurm they become, and which are refused.
#include <gtest/gtest.h>

#include "ffctl/slurm/orders.hpp"

namespace ff::ctl {
namespace {

using Commands = std::vector<Command>;

Job job_in(JobPhase phase) {
  Job job;
  job.set_id(17);
  job.set_phase(phase);
  return job;
}

Result<Commands> order(ControlRequest::Verb verb, JobPhase phase, bool force = false) {
  ControlRequest request;
  request.set_verb(verb);
  request.set_force(force);
  request.set_priority(LOW);
  return order_commands(request, job_in(phase), {});
}

TEST(Orders, BecomeCommands) {
  EXPECT_EQ(*order(ControlRequest::STOP, RUNNING), (Commands{{"scancel", "17"}}));
  EXPECT_EQ(order(ControlRequest::STOP, RUNNING, true)->size(), 2);
  EXPECT_EQ(*order(ControlRequest::STOP, DONE), Commands{});
  EXPECT_EQ(*order(ControlRequest::SUSPEND, RUNNING), (Commands{{"scontrol", "requeuehold", "17"}}));
  EXPECT_EQ(*order(ControlRequest::SUSPEND, QUEUED), (Commands{{"scontrol", "uhold", "17"}}));
  EXPECT_EQ(*order(ControlRequest::RESUME, SUSPENDED), (Commands{{"scontrol", "release", "17"}}));
  EXPECT_EQ(*order(ControlRequest::REQUEUE, RUNNING), (Commands{{"scontrol", "requeue", "17"}}));
  EXPECT_EQ(*order(ControlRequest::HOLD, DEPENDS), (Commands{{"scontrol", "uhold", "17"}}));
  EXPECT_EQ(*order(ControlRequest::RELEASE, HELD), (Commands{{"scontrol", "release", "17"}}));
  EXPECT_EQ(*order(ControlRequest::SET_PRIORITY, QUEUED), (Commands{{"scontrol", "update", "JobId=17", "Nice=1000"}}));
}

TEST(Orders, OfAnotherPhaseAreRefused) {
  for (const auto& [verb, phase] :
       {std::pair(ControlRequest::SUSPEND, DONE), std::pair(ControlRequest::RESUME, RUNNING),
        std::pair(ControlRequest::REQUEUE, QUEUED), std::pair(ControlRequest::HOLD, RUNNING),
        std::pair(ControlRequest::RELEASE, RUNNING), std::pair(ControlRequest::SET_PRIORITY, RUNNING)}) {
    const auto commands = order(verb, phase);
    ASSERT_FALSE(commands) << verb;
    EXPECT_EQ(commands.error().code(), Errc::kInvalidArgument);
  }
}

TEST(Orders, WhatSlurmDoesNotKeepIsRefused) {
  ControlRequest request;
  request.set_verb(ControlRequest::STOP);
  EXPECT_TRUE(check_order(request));
  request.set_reason("why");
  EXPECT_FALSE(check_order(request));
  request.clear_reason();
  request.set_grace_ms(5);
  EXPECT_FALSE(check_order(request));
}

TEST(Orders, ToNodes) {
  ControlNodeRequest request;
  request.set_verb(ControlNodeRequest::DRAIN);
  request.set_text("fan\nis loud");
  EXPECT_EQ(*node_order(request, "n1"),
            (Command{"scontrol", "update", "NodeName=n1", "State=DRAIN", "Reason=fan is loud"}));
  EXPECT_FALSE(node_order(request, "n1 State=DOWN"));
  EXPECT_FALSE(node_order(request, ""));
  request.set_preempt(true);
  EXPECT_FALSE(node_order(request, "n1"));
  request.Clear();
  request.set_verb(ControlNodeRequest::CHECK);
  EXPECT_FALSE(node_order(request, "n1"));
}

}  // namespace
}  // namespace ff::ctl
