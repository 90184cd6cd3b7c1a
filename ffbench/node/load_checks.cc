// Processor, memory, storage and loopback under load. Wrong results fail; rates are judged by profiles (profile.hpp).
#include <fmt/core.h>
#include <linux/magic.h>
#include <sys/vfs.h>

#include <algorithm>

#include "ffbench/compute/gemm.hpp"
#include "ffbench/compute/latency.hpp"
#include "ffbench/compute/memory_test.hpp"
#include "ffbench/compute/stream.hpp"
#include "ffbench/measure/processors.hpp"
#include "ffbench/net/loopback.hpp"
#include "ffbench/node/checks.hpp"
#include "ffbench/node/tcp_counters.hpp"
#include "libcommon/base/byte_size.hpp"
#include "libcommon/base/file.hpp"
#include "libcommon/machine/facts.hpp"

namespace ff::bench {
namespace {

using std::chrono::milliseconds, std::chrono::seconds;

constexpr std::uint64_t kQuickMemoryBytes = 256 * kMiB;
constexpr std::uint64_t kQuickStorageBytes = 128 * kMiB;
constexpr std::uint64_t kFullStorageBytes = 8 * kGiB;
// Others need the space meanwhile: a test takes a quarter of what is free at most, and less than this is no test.
constexpr std::uint64_t kStorageShare = 4, kStorageBytesMin = 16 * kMiB;
constexpr std::uint64_t kLatencyBytes = 256 * kMiB;

Finding rate(std::string id, std::string measures, double value, std::string unit, Better better, std::string reason) {
  Finding f = statement(std::move(id), std::move(measures), CheckVerdict::kPass, std::move(reason));
  f.value = value;
  f.unit = std::move(unit);
  f.better = better;
  return f;
}

// What a measurement that could not be made says of the node.
Finding unmeasured(const std::string& id, const std::string& measures, const Error& error) {
  const bool wrong = error.code() == Errc::kCorrupt || error.code() == Errc::kIo;
  const bool cannot = error.code() == Errc::kUnsupported || error.code() == Errc::kPermission;
  return statement(id, measures,
                   wrong    ? CheckVerdict::kFail
                   : cannot ? CheckVerdict::kSkip
                            : CheckVerdict::kWarn,
                   error.message(),
                   wrong    ? "take the node out and look at the device"
                   : cannot ? ""
                            : "run it again on an idle node");
}

std::uint64_t available_memory() {
  return machine::number_of<std::uint64_t>(machine::field_of(machine::text_of("/proc/meminfo"), "MemAvailable"))
             .value_or(0) *
         kKiB;
}

// Bytes that files in this folder could take; what lies in memory, no more than there is.
Result<std::uint64_t> free_for_tests(const std::string& folder) {
  struct statfs info{};
  if (::statfs(folder.c_str(), &info) != 0) return fail(errno_error(folder));
  const std::uint64_t free = static_cast<std::uint64_t>(info.f_bavail) * static_cast<std::uint64_t>(info.f_bsize);
  return info.f_type == TMPFS_MAGIC || info.f_type == RAMFS_MAGIC ? std::min(free, available_memory()) : free;
}

}  // namespace

Findings check_cpu_gemm(const NodeContext& context) {
  const std::string measures = "wrong elements of matrix products with known answers, all processors busy";
  GemmOptions options;
  options.inject = context.inject_gemm;
  const auto report = stress_gemm(options, context.full() ? seconds(60) : seconds(3), {});
  if (!report) return {unmeasured("cpu_gemm", measures, report.error())};
  const std::uint64_t wrong = report->wrong + report->checksums_wrong;
  Finding truth =
      statement("cpu_gemm.wrong", measures, wrong == 0 ? CheckVerdict::kPass : CheckVerdict::kFail,
                fmt::format("{} wrong of {} elements ({})", report->wrong, report->elements_checked, report->engine));
  truth.value = static_cast<double>(wrong);
  truth.threshold = 0;
  if (wrong > 0) {
    if (!report->first.empty()) truth.reason = describe_fault(report->first.front()) + "; " + truth.reason;
    truth.fix = "take the node out: the processor or its memory computes wrongly; replace it when it does so again";
  }
  Findings findings{std::move(truth), rate("cpu_gemm.rate", "operations of all processors", report->flops, "FLOP/s",
                                           Better::kHigher, fmt::format("{:.1f} GFLOP/s", report->flops / 1e9))};
  if (report->flops_per_cpu.size() > 1) {
    const auto slowest = std::ranges::min_element(report->flops_per_cpu);
    findings.push_back(
        rate("cpu_gemm.slowest", "operations of the slowest processor", *slowest, "FLOP/s", Better::kHigher,
             fmt::format("{:.1f} GFLOP/s on processor {}", *slowest / 1e9,
                         report->cpus[static_cast<std::size_t>(slowest - report->flops_per_cpu.begin())])));
  }
  return findings;
}

Findings check_memory_bandwidth(const NodeContext& context) {
  Findings findings;
  StreamOptions options;
  if (!context.full()) options.bytes_per_array = std::min<std::uint64_t>(256 * kMiB, available_memory() / 8);
  auto stream = Stream::open(options);
  if (!stream) return {unmeasured("memory_bandwidth", "bandwidth of main memory", stream.error())};
  for (const StreamKernel kernel : {StreamKernel::kCopy, StreamKernel::kTriad}) {
    const std::string name(stream_kernel_name(kernel));
    const std::string id = "memory_bandwidth." + name, measures = "STREAM " + name + " of all processors";
    const auto bandwidth = stream->measure(kernel, context.full() ? seconds(10) : seconds(1), {});
    findings.push_back(bandwidth ? rate(id, measures, *bandwidth, "B/s", Better::kHigher, format_byte_rate(*bandwidth))
                                 : unmeasured(id, measures, bandwidth.error()));
  }
  return findings;
}

Findings check_memory_latency(const NodeContext& context) {
  const std::string measures = "a load that waits for the one before, from main memory";
  const auto cpus = allowed_processors();
  if (!cpus || cpus->empty())
    return {statement("memory_latency", measures, CheckVerdict::kSkip, "no processor is allowed")};
  const auto ns = measure_memory_latency(std::min(kLatencyBytes, available_memory() / 4), cpus->front(),
                                         context.full() ? seconds(5) : milliseconds(500), {});
  if (!ns) return {unmeasured("memory_latency", measures, ns.error())};
  return {rate("memory_latency", measures, *ns, "ns", Better::kLower, fmt::format("{:.1f} ns", *ns))};
}

Findings check_memory_test(const NodeContext& context) {
  const std::string measures = "wrong words of main memory, every byte of a share written and read back";
  MemoryTestOptions options;
  options.bytes = context.memory_bytes.value_or(context.full() ? default_test_bytes(available_memory())
                                                               : std::min(kQuickMemoryBytes, available_memory() / 4));
  if (!context.full()) options.walk_steps = 1;
  options.inject = context.inject_memory;
  const auto report = test_memory(options, {});
  if (!report) return {unmeasured("memory_test", measures, report.error())};
  Finding f = statement(
      "memory_test", measures, report->faults == 0 ? CheckVerdict::kPass : CheckVerdict::kFail,
      fmt::format("{} tested with {} patterns", format_byte_size(report->bytes_tested), report->patterns.size()));
  f.value = static_cast<double>(report->faults);
  f.threshold = 0;
  if (report->faults > 0) {
    f.reason = fmt::format("{} wrong words in {}", report->faults, format_byte_size(report->bytes_tested));
    if (!report->first.empty()) f.reason += "; first at " + describe_fault(report->first.front());
    f.fix = "take the node out; replace the memory module (edac-util or the firmware's log names it)";
  }
  return {std::move(f)};
}

Findings check_storage(const NodeContext& context) {
  const std::string measures = "storage of " + context.folder;
  const auto free = context.free_space ? context.free_space(context.folder) : free_for_tests(context.folder);
  const std::uint64_t wanted = context.full() ? kFullStorageBytes : kQuickStorageBytes;
  const std::uint64_t bytes = free ? std::min(wanted, *free / kStorageShare) : wanted;  // the probe says what is wrong
  if (bytes < kStorageBytesMin)
    return {statement("storage", measures, CheckVerdict::kWarn,
                      fmt::format("not tested: {} are free, which others may need", format_byte_size(*free)),
                      "free space in it, or name another --folder")};
  const auto probe = context.probe_storage(context.folder, bytes, context.full() ? seconds(30) : seconds(2), {});
  if (!probe) {
    Finding f = unmeasured("storage", measures, probe.error());
    if (probe.error().code() == Errc::kNotFound || probe.error().code() == Errc::kExhausted) {
      f.verdict = CheckVerdict::kFail;
      f.fix = "mount it, free space in it, or name another --folder";
    }
    return {std::move(f)};
  }
  Finding truth = statement("storage.wrong", "blocks that came back other than written", CheckVerdict::kPass,
                            "all bytes came back as written");
  if (!probe->direct) truth.reason += " (no direct I/O here: the page cache may have answered)";
  truth.value = static_cast<double>(probe->verify_errors);
  truth.threshold = 0;
  if (probe->verify_errors > 0) {
    truth.verdict = CheckVerdict::kFail;
    truth.reason = fmt::format("{} blocks of {} came back other than written", probe->verify_errors, context.folder);
    truth.fix = "take the node out: its storage or the way to it loses data";
  }
  return {std::move(truth),
          rate("storage.write", "sequential writes", probe->write_bandwidth, "B/s", Better::kHigher,
               format_byte_rate(probe->write_bandwidth)),
          rate("storage.read", "sequential reads", probe->read_bandwidth, "B/s", Better::kHigher,
               format_byte_rate(probe->read_bandwidth)),
          rate("storage.fsync_p99", "4 KiB written and synced, 99th percentile", probe->fsync_p99_ns, "ns",
               Better::kLower, fmt::format("{:.2f} ms", probe->fsync_p99_ns / 1e6)),
          rate("storage.randread_p99", "4 KiB random reads at depth 16, 99th percentile", probe->randread_p99_ns, "ns",
               Better::kLower, fmt::format("{:.2f} ms", probe->randread_p99_ns / 1e6))};
}

Findings check_loopback(const NodeContext& context) {
  const std::string measures = "TCP between two threads over the loopback interface";
  const auto before = tcp_counters();
  const auto bandwidth = measure_loopback_bandwidth(context.full() ? seconds(10) : seconds(1), {});
  Finding resent =
      resent_finding("loopback.resent", "share of TCP segments that were sent again meanwhile", before, tcp_counters());
  if (!bandwidth) return {unmeasured("loopback", measures, bandwidth.error()), std::move(resent)};
  return {rate("loopback", measures, *bandwidth, "B/s", Better::kHigher, format_byte_rate(*bandwidth)),
          std::move(resent)};
}

}  // namespace ff::bench
