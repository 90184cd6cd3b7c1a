// A generator of failures whose rates are those of a table: one Poisson process for each class, laid over each other.
//
// Fit      Rate of a class = its failures / the table's span. Nothing is fitted to bursts: a table whose dispersion is
//          far above 1 is replayed with the same mean and less clustering.
// Repeat   Equal rates, span and seed give equal failures on every machine.
// Threads  Pure functions.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "ffbench/faults/failure_stats.hpp"

namespace ff::bench {

// Failures an hour of the whole cluster, by class.
using FailureRates = std::map<std::string, double>;

FailureRates rates_of(std::span<const Failure> failures, Span span);
// Table VII of the Fire-Flyer AI-HPC paper: 292 hardware failures of October 2023 to March 2024 (183 days), by
// "main_memory", "network" and Xid ("xid_63"): one failure in 15.04 hours.
FailureRates paper_rates();

struct GeneratorOptions {
  std::int64_t begin_ns = 0;
  std::int64_t days = 0;
  std::uint64_t nodes = 1250;  // failures fall on node-0000.. with equal chance
  std::uint64_t seed = 1;
};
// In order of time, one failure a row. kInvalidArgument: no rate above 0; kExhausted: more than 20 million are
// expected.
Result<std::vector<Failure>> generate_failures(const FailureRates& rates, const GeneratorOptions& options);

}  // namespace ff::bench
