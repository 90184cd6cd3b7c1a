// Traces: jobs that were, or that a generator makes, for replay through the scheduler.
//
// CSV        A line of names, then a line a job. Wanted: submit_s, duration_s, gpus; known: job_id, vc; others are
//            passed over. Numbers may have fractions of a second. Order does not matter.
// Generator  Sizes, running times and their joint weight are those of Microsoft's Philly trace (Jeon et al., "Analysis
//            of Large-Scale Multi-Tenant GPU Clusters", ATC'19): 93 % of the jobs have one GPU and some 18 % of the GPU
//            hours, 8 GPUs are 2 % and half of the hours; running times have medians of 19 minutes and a 99th
//            percentile of three days. Arrivals are Poisson with a daily wave. The same seed gives the same trace.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ffctl/sched/types.hpp"
#include "libcommon/base/result.hpp"

namespace ff::ctl::sim {

struct TraceJob {
  sched::Ms submit = 0;
  sched::Ms duration = 0;   // running time where nothing interrupts it; above 0
  std::uint32_t gpus = 1;   // at least 1
  std::uint32_t group = 0;  // virtual cluster or queue, numbered in order of appearance
};

inline constexpr std::uint32_t kTraceGpusMax = 1'000'000;

// Ascending by submission. kInvalidArgument: "trace.csv:12: gpus: ...".
Result<std::vector<TraceJob>> parse_trace(std::string_view csv, const std::string& name);

struct GeneratorOptions {
  std::uint64_t jobs = 10'000;
  double gpu_load = 512;         // mean demand: GPU hours of all jobs over the hours of the trace; above 0
  std::uint32_t gpus_max = 128;  // larger jobs are not made
  std::uint64_t seed = 1;
};
std::vector<TraceJob> generate_trace(const GeneratorOptions& options);

}  // namespace ff::ctl::sim
