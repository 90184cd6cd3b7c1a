// Registry: the metrics of one program, each with name, unit, help and labels in one place. An object that is passed to
// who counts, never a global: a test or a simulated node has its own.
//
// Errors   kInvalidArgument  a name, unit, help or label against the rules (family.hpp), or another type, unit, help or
//                            set of label names than the metric has already
//          kAlreadyExists    a callback for a series that is there, or a name that another histogram serves
//                            ("x_bucket", "x_sum", "x_count" and the quantiles of "x")
//          kExhausted        more than series_max series
// Repeat   Asking again for the same counter, gauge or histogram gives a handle to the same cells: parts that come more
//          than once share them.
// Threads  All functions from any thread. Handles: see sharded.hpp. Callbacks run on the scraping thread, without a
// lock of
//          the Registry; they must not throw and should return within microseconds.
// Memory   Counter 64 bytes a shard; histogram some 19 KB for each thread that records into it (2345 buckets).
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <vector>

#include "libcommon/base/result.hpp"
#include "libcommon/metrics/family.hpp"
#include "libcommon/metrics/registration.hpp"
#include "libcommon/metrics/sharded.hpp"

namespace ff::metrics {

struct RegistryOptions {
  // Threads that count without sharing a cache line; rounded up to a power of two, at most 1024. 0: one for each CPU.
  unsigned shards = 0;
  std::size_t series_max = 10'000;
};

struct HistogramSettings {
  // Error of the quantiles: 1 part in 2^(sub_bits-1).
  unsigned sub_bits = 7;
  // Largest value told apart. 0: one hour for seconds, 16 TiB for bytes, 2^40 otherwise.
  std::int64_t value_max = 0;
  // Serve p50, p90, p99 and p999 as a summary beside the buckets; see text.hpp.
  bool quantiles = true;
  bool operator==(const HistogramSettings&) const = default;
};

class Registry {
 public:
  explicit Registry(RegistryOptions options = {});

  Result<Counter> counter(const MetricInfo& info);
  Result<Gauge> gauge(const MetricInfo& info);
  // kSeconds records nanoseconds. kRatio is refused: record parts per million, without a unit.
  Result<Recorder> histogram(const MetricInfo& info, HistogramSettings settings = {});

  // Values that are known elsewhere, in their unit (seconds, not nanoseconds), read at each scrape. The series goes
  // with the Registration, which may outlive the Registry. A counter's value must never go down.
  Result<Registration> callback_gauge(const MetricInfo& info, std::function<double()> read);
  Result<Registration> callback_counter(const MetricInfo& info, std::function<double()> read);

  // What is there now: families sorted by name, series by labels. Families without a series are left out.
  std::vector<Family> collect() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace ff::metrics
