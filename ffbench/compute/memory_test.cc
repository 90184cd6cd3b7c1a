#include "ffbench/compute/memory_test.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <barrier>
#include <chrono>

#include "ffbench/compute/big_memory.hpp"
#include "ffbench/compute/cpu_team.hpp"
#include "ffbench/compute/direct_memory.hpp"
#include "ffbench/compute/memory_diagnosis.hpp"
#include "ffbench/compute/memory_patterns.hpp"
#include "ffbench/compute/page_frame.hpp"
#include "libcommon/base/byte_size.hpp"

namespace ff::bench {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::uint64_t kBlockBytes = kBlockWords * sizeof(std::uint64_t);
constexpr std::uint64_t kBytesMin = 2 * kBlockBytes;
constexpr std::uint64_t kLeftForOthers = 64 * kMiB;

Result<> check_options(const MemoryTestOptions& options, std::uint64_t words) {
  if (words * sizeof(std::uint64_t) < kBytesMin)
    return fail(Errc::kInvalidArgument, fmt::format("memory test of {}: less than {} (give more)",
                                                    format_byte_size(words * 8), format_byte_size(kBytesMin)));
  if (options.passes < 1)
    return fail(Errc::kInvalidArgument, fmt::format("{} passes: less than 1 (give one or more)", options.passes));
  if (options.walk_steps < 1 || options.walk_steps > 64)
    return fail(Errc::kInvalidArgument,
                fmt::format("{} positions of the walking bit: a word has 64 (give 1 to 64)", options.walk_steps));
  if (!options.inject) return {};
  const InjectedFault& fault = *options.inject;
  if (fault.offset / sizeof(std::uint64_t) >= words || fault.bit < 0 || fault.bit > 7)
    return fail(Errc::kInvalidArgument, fmt::format("injected fault at {}:{}: outside the {} under test, bits 0 to 7",
                                                    fault.offset, fault.bit, format_byte_size(words * 8)));
  const std::vector<Phase> phases = phases_of_pass(0, options.walk_steps, options.seed);
  const auto named = [&](const Phase& phase) { return phase.name == fault.pattern; };
  if (!fault.pattern.empty() && std::none_of(phases.begin(), phases.end(), named))
    return fail(Errc::kInvalidArgument,
                fmt::format("injected fault in '{}': no such pattern (use address, ~address, checker, random, "
                            "inversions, walk-1 or walk-0)",
                            fault.pattern));
  return {};
}

// One test: its phases, the team that runs them, and what it found.
class Examination {
 public:
  Examination(MemoryAccess& memory, const MemoryTestOptions& options, std::vector<int> cpus, std::stop_token stop)
      : memory_(memory),
        options_(options),
        cpus_(std::move(cpus)),
        stop_(std::move(stop)),
        recorder_(kMemoryFaultsKept),
        inject_(options.inject) {
    for (int pass = 0; pass < options.passes; ++pass) {
      const std::vector<Phase> phases = phases_of_pass(pass, options.walk_steps, options.seed);
      phases_.insert(phases_.end(), phases.begin(), phases.end());
    }
  }

  Result<MemoryTestReport> run() {
    const auto begin = Clock::now();
    std::barrier meet(static_cast<std::ptrdiff_t>(cpus_.size()), [this]() noexcept { between_phases(); });
    FF_TRY(run_on_cpus(cpus_, [&](std::size_t t) { work(t, meet); }, [this] { report_progress(); }));
    // After the rest: it needs no slices, and leaves the memory in no pattern.
    test_address_lines(memory_, options_.seed, recorder_, stop_);
    MemoryTestReport report;
    report.bytes_tested = memory_.words() * sizeof(std::uint64_t);
    report.complete = !stop_.stop_requested();
    report.faults = recorder_.count();
    report.seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    for (const Phase& phase : phases_) {
      const bool both = phase.action == Action::kCheckWriteUp || phase.action == Action::kCheckWriteDown;
      report.bytes_moved += (both ? 2 : 1) * report.bytes_tested;
      if (std::find(report.patterns.begin(), report.patterns.end(), phase.name) == report.patterns.end())
        report.patterns.emplace_back(phase.name);
    }
    if (!report.complete) report.bytes_moved = 0;
    report.patterns.emplace_back(kAddressLinePattern);
    for (const Mismatch& mismatch : recorder_.kept()) report.first.push_back(explain(mismatch));
    if (options_.progress) options_.progress(1);
    return report;
  }

 private:
  template <class Barrier>
  void work(std::size_t t, Barrier& meet) {
    const Share share = share_of(memory_.words(), kBlockWords, t, cpus_.size());
    for (const Phase& phase : phases_) {
      // The number of meetings is the same for all threads, whatever each saw of the stop.
      if (share.first < share.last) run_phase(phase, memory_, share.first, share.last, recorder_, stop_);
      meet.arrive_and_wait();
    }
  }

  // While all threads wait: the place for a fault between writing and checking.
  void between_phases() noexcept {
    const Phase& ended = phases_[phases_done_];
    phases_done_.store(phases_done_ + 1);
    if (!inject_ || ended.action == Action::kCheck) return;
    if (!inject_->pattern.empty() && inject_->pattern != ended.name) return;
    const std::uint64_t word = inject_->offset / sizeof(std::uint64_t);
    std::uint64_t value = 0;
    memory_.read(word, {&value, 1});
    value ^= std::uint64_t{1} << (inject_->offset % sizeof value * 8 + static_cast<unsigned>(inject_->bit));
    memory_.write(word, {&value, 1}, StorePath::kCached);
    inject_.reset();
  }

  void report_progress() const {
    if (options_.progress) options_.progress(static_cast<double>(phases_done_) / static_cast<double>(phases_.size()));
  }

  MemoryFault explain(const Mismatch& mismatch) {
    const Diagnosis diagnosis = diagnose(memory_, mismatch);
    MemoryFault fault;
    fault.offset = mismatch.word * sizeof(std::uint64_t);
    fault.expected = mismatch.expected;
    fault.found = mismatch.found;
    fault.pattern = mismatch.pattern;
    fault.kind = diagnosis.kind;
    if (diagnosis.other_word) fault.other = *diagnosis.other_word * sizeof(std::uint64_t);
    return fault;
  }

  MemoryAccess& memory_;
  const MemoryTestOptions& options_;
  std::vector<int> cpus_;
  std::stop_token stop_;
  Recorder recorder_;
  std::optional<InjectedFault> inject_;
  std::vector<Phase> phases_;
  std::atomic<std::size_t> phases_done_ = 0;
};

void say_what_is_missing(MemoryTestReport& report, const MemoryTestOptions& options) {
  if (const auto total = total_memory(); total && *total > report.bytes_tested)
    report.not_covered.push_back(
        fmt::format("{} of {} ({:.0f} %): held by the kernel, by other processes, or left free",
                    format_byte_size(*total - report.bytes_tested), format_byte_size(*total),
                    100.0 * static_cast<double>(*total - report.bytes_tested) / static_cast<double>(*total)));
  const int positions = std::min(64, options.walk_steps * options.passes);
  if (positions < 64)
    report.not_covered.push_back(
        fmt::format("walking bits at {} of the 64 positions of a word (--walk 64 takes all)", 64 - positions));
  if (!report.locked)
    report.not_covered.emplace_back(
        "pages were not locked: the kernel may have moved them meanwhile (raise ulimit -l, or run as root)");
  report.not_covered.emplace_back("address lines above the size of a page, where neighbouring pages lie apart");
#if !defined(__x86_64__)
  report.not_covered.emplace_back("bytes that the processor's caches answered for: they are flushed on x86-64 only");
#endif
  if (!report.complete) report.not_covered.emplace_back("the patterns that had not run when it was stopped");
}

}  // namespace

std::string_view fault_kind_name(FaultKind kind) noexcept {
  switch (kind) {
    case FaultKind::kTransient: return "flipped once";
    case FaultKind::kStuckAt0: return "stuck at 0";
    case FaultKind::kStuckAt1: return "stuck at 1";
    case FaultKind::kAliased: return "shares its cell";
  }
  return "";
}

std::string describe_fault(const MemoryFault& fault) {
  std::string text = fmt::format("offset {:#x}", fault.offset);
  if (fault.page_frame) text += fmt::format(" (page frame {:#x})", *fault.page_frame);
  text += fmt::format(": expected {:#018x}, found {:#018x}, flipped {:#018x} in {}: {}", fault.expected, fault.found,
                      fault.flipped(), fault.pattern, fault_kind_name(fault.kind));
  if (!fault.other) return text;
  text += fmt::format(" with offset {:#x}", *fault.other);
  const std::uint64_t apart = fault.offset ^ *fault.other;
  if (apart != 0 && (apart & (apart - 1)) == 0) text += fmt::format(" (address line {})", __builtin_ctzll(apart));
  return text;
}

Result<MemoryTestReport> test_memory(MemoryAccess& memory, const MemoryTestOptions& options, std::stop_token stop) {
  FF_TRY(check_options(options, memory.words()));
  FF_TRY_ASSIGN(std::vector<int> cpus, usable_cpus(options.cpus));
  FF_TRY_ASSIGN(MemoryTestReport report, Examination(memory, options, std::move(cpus), std::move(stop)).run());
  say_what_is_missing(report, options);
  return report;
}

Result<MemoryTestReport> test_memory(const MemoryTestOptions& options, std::stop_token stop) {
  const std::uint64_t bytes = options.bytes / kBlockBytes * kBlockBytes;
  FF_TRY(check_options(options, bytes / sizeof(std::uint64_t)));
  FF_TRY_ASSIGN(std::vector<int> cpus, usable_cpus(options.cpus));
  FF_TRY_ASSIGN(const BigMemory memory, BigMemory::map(bytes));
  const std::span<std::uint64_t> words(memory.as<std::uint64_t>(), bytes / sizeof(std::uint64_t));
  // The thread that tests a page touches it first; then it is locked.
  FF_TRY(run_on_cpus(cpus, [&](std::size_t t) {
    const Share share = share_of(words.size(), kBlockWords, t, cpus.size());
    for (std::size_t i = share.first; i < share.last && !stop.stop_requested(); i += kBlockWords) words[i] = 1;
  }));
  if (stop.stop_requested()) return fail(Errc::kCancelled, "memory test: stopped before it began");
  const bool locked = memory.lock();
  DirectMemory access(words);
  FF_TRY_ASSIGN(MemoryTestReport report, Examination(access, options, std::move(cpus), std::move(stop)).run());
  report.locked = locked;
  for (MemoryFault& fault : report.first) fault.page_frame = page_frame_of(memory.data() + fault.offset);
  say_what_is_missing(report, options);
  return report;
}

std::uint64_t default_test_bytes(std::uint64_t available) noexcept {
  const std::uint64_t share = available / 4 * 3;
  const std::uint64_t spared = available > kLeftForOthers ? available - kLeftForOthers : 0;
  return std::min(share, spared) / kBlockBytes * kBlockBytes;
}

}  // namespace ff::bench
