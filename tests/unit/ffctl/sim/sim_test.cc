#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "ffctl/sim/replay.hpp"

namespace ff::ctl::sim {
namespace {

using sched::Kind;
using testing::HasSubstr;

std::string refusal(std::string_view csv) {
  const auto trace = parse_trace(csv, "t.csv");
  return trace ? "accepted" : trace.error().message();
}

TEST(Trace, ReadsColumnsByNameAndSortsBySubmission) {
  const auto trace = parse_trace("vc,gpus,job_id,duration_s,submit_s\r\nb,2,7,1.5,20\r\n\na,1,8,60,10\n", "t.csv");
  ASSERT_TRUE(trace) << trace.error().message();
  ASSERT_EQ(trace->size(), 2u);
  EXPECT_EQ((*trace)[0].submit, 10'000);
  EXPECT_EQ((*trace)[0].group, 1u);
  EXPECT_EQ((*trace)[1].duration, 1'500);
  EXPECT_EQ((*trace)[1].gpus, 2u);
}

TEST(Trace, SaysWhatIsWrongAndWhere) {
  EXPECT_THAT(refusal(""), HasSubstr("t.csv:1: no column 'submit_s'"));
  EXPECT_THAT(refusal("submit_s,duration_s\n1,2\n"), HasSubstr("no column 'gpus'"));
  EXPECT_THAT(refusal("submit_s,duration_s,gpus\n"), HasSubstr("holds no jobs"));
  EXPECT_THAT(refusal("submit_s,duration_s,gpus\n1,2,3\n1,x,3\n"), HasSubstr("t.csv:3: duration_s"));
  for (const char* gpus : {"0", "-1", "1.5", "1e300", "nan", "", "2000000"}) {
    EXPECT_THAT(refusal(std::string("submit_s,duration_s,gpus\n1,2,") + gpus), HasSubstr("t.csv:2: gpus")) << gpus;
  }
  EXPECT_THAT(refusal("submit_s,duration_s,gpus\n-1,2,3"), HasSubstr("submit_s"));
  EXPECT_THAT(refusal("submit_s,duration_s,gpus\n1"), HasSubstr("duration_s"));
  EXPECT_THAT(refusal(std::string("submit_s,duration_s,gpus\n1,\0,3", 32)), HasSubstr("duration_s"));
}

TEST(Generator, HasTheShapeOfPhilly) {
  const auto trace = generate_trace({.jobs = 50'000, .gpu_load = 512, .seed = 3});
  double hours = 0, hours_of_one = 0, hours_of_eight = 0, ones = 0;
  std::vector<double> durations;
  for (const TraceJob& job : trace) {
    const double h = static_cast<double>(job.duration) / 3.6e6 * job.gpus;
    hours += h;
    hours_of_one += job.gpus == 1 ? h : 0;
    hours_of_eight += job.gpus == 8 ? h : 0;
    ones += job.gpus == 1;
    durations.push_back(static_cast<double>(job.duration) / 1000);
  }
  std::ranges::sort(durations);
  EXPECT_NEAR(ones / 50'000, 0.932, 0.01);
  EXPECT_NEAR(hours_of_one / hours, 0.18, 0.08);
  EXPECT_NEAR(hours_of_eight / hours, 0.48, 0.1);
  EXPECT_NEAR(durations[25'000], 1'200, 200);
  const double span = static_cast<double>(trace.back().submit - trace.front().submit) / 3.6e6;
  EXPECT_NEAR(hours / span, 512, 26);
  const auto again = generate_trace({.jobs = 50'000, .gpu_load = 512, .seed = 3});
  EXPECT_EQ(again.back().submit, trace.back().submit);
  EXPECT_NE(generate_trace({.jobs = 50'000, .seed = 4}).back().submit, trace.back().submit);
}

TEST(Generator, MakesNoJobAboveTheLargestWanted) {
  for (const TraceJob& job : generate_trace({.jobs = 5'000, .gpus_max = 8})) EXPECT_LE(job.gpus, 8u);
}

ReplayOptions pool(Kind kind, std::uint32_t gpus) {
  ReplayOptions options{.nodes = gpus, .gpus_per_node = 1, .tick = 1000};
  options.policy.kind = kind;
  return options;
}

TEST(Replay, FifoByHand) {
  // Two GPUs: 100 s on both, then one of 50 s beside one of 10 s.
  const std::vector<TraceJob> trace = {{.submit = 0, .duration = 100'000, .gpus = 2},
                                       {.submit = 1'000, .duration = 50'000, .gpus = 1},
                                       {.submit = 2'000, .duration = 10'000, .gpus = 1}};
  const ReplayResult r = replay(trace, pool(Kind::kFifo, 2));
  EXPECT_DOUBLE_EQ(r.wait_mean_s, (0 + 99 + 98) / 3.0);
  EXPECT_DOUBLE_EQ(r.completion_mean_s, (100 + 149 + 108) / 3.0);
  EXPECT_DOUBLE_EQ(r.end_s, 150);
  EXPECT_DOUBLE_EQ(r.goodput, 1);
  EXPECT_DOUBLE_EQ(r.occupancy, 1);
}

TEST(Replay, BackfillUsesAHoleAndFifoDoesNot) {
  const std::vector<TraceJob> trace = {{.submit = 0, .duration = 100'000, .gpus = 1},
                                       {.submit = 1'000, .duration = 10'000, .gpus = 2},
                                       {.submit = 2'000, .duration = 50'000, .gpus = 1}};
  EXPECT_DOUBLE_EQ(replay(trace, pool(Kind::kFifo, 2)).end_s, 160);
  EXPECT_DOUBLE_EQ(replay(trace, pool(Kind::kEasy, 2)).end_s, 110);
}

TEST(Replay, APreemptionCostsWhatItIsSaidToCost) {
  ReplayOptions options = pool(Kind::kSlice, 1);
  options.policy.level_service = 60'000;
  options.policy.min_run = 0;
  options.switch_cost = 20'000;
  const std::vector<TraceJob> trace = {{.submit = 0, .duration = 1'000'000, .gpus = 1},
                                       {.submit = 100'000, .duration = 30'000, .gpus = 1}};
  const ReplayResult r = replay(trace, options);
  EXPECT_EQ(r.preemptions, 1u);
  // 10 s of saving, 30 s of the second job, 10 s of loading.
  EXPECT_DOUBLE_EQ(r.end_s, 1050);
  EXPECT_DOUBLE_EQ(r.wait_mean_s, 5);
  EXPECT_NEAR(r.goodput, 1030.0 / 1050, 1e-9);
}

TEST(Replay, LargeJobsAreToldApart) {
  const std::vector<TraceJob> trace = {{.submit = 0, .duration = 100'000, .gpus = 8},
                                       {.submit = 1'000, .duration = 10'000, .gpus = 1}};
  const ReplayResult r = replay(trace, pool(Kind::kFifo, 8));
  EXPECT_DOUBLE_EQ(r.completion_large_mean_s, 100);
  EXPECT_DOUBLE_EQ(r.completion_mean_s, (100 + 109) / 2.0);
}

TEST(Replay, JobsLargerThanTheClusterAreCountedAndLeftOut) {
  const std::vector<TraceJob> trace = {{.duration = 1000, .gpus = 9}, {.submit = 1, .duration = 1000, .gpus = 8}};
  const ReplayResult r = replay(trace, {.nodes = 1});
  EXPECT_EQ(r.jobs, 2u);
  EXPECT_EQ(r.never, 1u);
  EXPECT_GT(r.end_s, 0);
}

TEST(Replay, EveryJobOfAGeneratedTraceEnds) {
  const auto trace = generate_trace({.jobs = 3'000, .gpu_load = 120, .gpus_max = 64});
  ReplayResult results[3];
  for (const Kind kind : {Kind::kFifo, Kind::kEasy, Kind::kSlice}) {
    ReplayOptions options{.nodes = 16};
    options.policy.kind = kind;
    ReplayResult& r = results[static_cast<int>(kind)] = replay(trace, options);
    EXPECT_EQ(r.never, 0u);
    EXPECT_GT(r.goodput, 0.9);
    EXPECT_LE(r.occupancy, 1 + 1e-9);
  }
  EXPECT_LT(results[2].wait_mean_s, results[0].wait_mean_s);
  EXPECT_LT(results[2].completion_mean_s, results[0].completion_mean_s);
}

}  // namespace
}  // namespace ff::ctl::sim
