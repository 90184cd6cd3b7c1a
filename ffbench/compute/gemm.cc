#include "ffbench/compute/gemm.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <utility>

#include "ffbench/compute/big_memory.hpp"
#include "ffbench/compute/core_clock.hpp"
#include "ffbench/compute/cpu_team.hpp"
#include "ffbench/compute/known_product.hpp"
#include "ffbench/compute/own_gemm.hpp"
#include "ffbench/stats/summary.hpp"
#if defined(FF_HAVE_BLAS)
#include "libcommon/blas/blas.hpp"
#endif

namespace ff::bench {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::int64_t kOrderDefault = 512;
constexpr std::int64_t kOrderMin = 16;

#if defined(FF_HAVE_BLAS)
void multiply_by_blas(const float* a, const float* b, float* c, std::int64_t n) {
  blas::multiply(c, n, {a, n}, {b, n}, n, n, n);
}
void prepare_blas() { blas::use_one_thread(); }
#else
void multiply_by_blas(const float*, const float*, float*, std::int64_t) {}
void prepare_blas() {}
#endif

Result<> check_options(const GemmOptions& options, std::int64_t order, std::size_t cpus) {
  if (order < kOrderMin || order > kGemmOrderMax)
    return fail(Errc::kInvalidArgument,
                fmt::format("matrices of order {}: not between {} and {}", order, kOrderMin, kGemmOrderMax));
  if (options.engine == GemmEngine::kBlas && !have_blas())
    return fail(Errc::kUnsupported, "blas: this build has none (install libopenblas-dev and build again, or use own)");
  if (!options.inject) return {};
  const GemmInjection& fault = *options.inject;
  if (fault.row < 0 || fault.row >= order || fault.column < 0 || fault.column >= order || fault.bit < 0 ||
      fault.bit > 31 || fault.cpu_index >= cpus)
    return fail(Errc::kInvalidArgument,
                fmt::format("injected fault at [{}][{}] bit {} of processor number {}: outside order {}, bits 0 to 31, "
                            "{} processors",
                            fault.row, fault.column, fault.bit, fault.cpu_index, order, cpus));
  return {};
}

void flip(float* matrix, std::int64_t order, const GemmInjection& fault) {
  float& element = matrix[fault.row * order + fault.column];
  element = std::bit_cast<float>(std::bit_cast<std::uint32_t>(element) ^ (std::uint32_t{1} << fault.bit));
}

// One processor's matrices, what it computes and finds. Used by its thread alone until that has ended.
class Worker {
 public:
  Worker(const KnownProduct& known, int cpu, bool with_blas, std::optional<GemmInjection> inject)
      : known_(known), cpu_(cpu), with_blas_(with_blas), inject_(inject) {}

  Result<> open() {
    const auto elements = static_cast<std::uint64_t>(known_.order() * known_.order());
    FF_TRY_ASSIGN(memory_, BigMemory::map(3 * elements * sizeof(float)));
    a_ = memory_.as<float>();
    b_ = a_ + elements;
    c_ = b_ + elements;
    return {};
  }

  // On the bound thread: the first touch of the matrices is its own.
  void run(std::chrono::nanoseconds duration, const std::stop_token& stop) {
    known_.fill_a(a_);
    known_.fill_b(b_);
    OwnGemm own(**gemm_tiles(), known_.order());
    const auto begin = Clock::now();
    while (!stop.stop_requested()) {
      product(own);
      check();
      hz_.push_back(measured_hz());
      if (Clock::now() - begin >= duration) return;
    }
  }

  void add_to(GemmReport& report) const {
    const double n = static_cast<double>(known_.order());
    const double flops = busy_s_ > 0 ? 2 * n * n * n * static_cast<double>(products_) / busy_s_ : 0;
    report.flops += flops;
    report.flops_per_cpu.push_back(flops);
    report.hz_per_cpu.push_back(median(hz_));
    report.cpus.push_back(cpu_);
    report.products += products_;
    report.elements_checked += 3 * products_ * static_cast<std::uint64_t>(known_.order() * known_.order());
    report.wrong += wrong_;
    report.checksums_wrong += checksums_wrong_;
    for (const GemmFault& fault : faults_) {
      if (report.first.size() < kGemmFaultsKept) report.first.push_back(fault);
    }
  }

 private:
  void product(OwnGemm& own) {
    if (injects(GemmOperand::kA)) inject_into(a_);
    if (injects(GemmOperand::kB)) inject_into(b_);
    const auto begin = Clock::now();
    if (with_blas_)
      multiply_by_blas(a_, b_, c_, known_.order());
    else
      own.multiply(a_, b_, c_);
    busy_s_ += std::chrono::duration<double>(Clock::now() - begin).count();
    ++products_;
    if (injects(GemmOperand::kC)) inject_into(c_);
  }

  bool injects(GemmOperand where) const { return inject_ && inject_->where == where; }

  void inject_into(float* matrix) {
    flip(matrix, known_.order(), *inject_);
    inject_.reset();
  }

  void check() {
    const auto passing = injects(GemmOperand::kSums) ? std::exchange(inject_, std::nullopt) : std::nullopt;
    if (passing) flip(c_, known_.order(), *passing);
    const KnownProduct::BadSums sums = known_.check_sums(c_);
    if (passing) flip(c_, known_.order(), *passing);
    checksums_wrong_ += sums.rows.size() + sums.columns.size();
    // Operands first: a wrong one is the cause of what is wrong in c.
    const auto a = known_.check_a(a_, room());
    note(GemmOperand::kA, a, a_, sums);
    const auto b = known_.check_b(b_, room());
    note(GemmOperand::kB, b, b_, sums);
    note(GemmOperand::kC, known_.check_c(c_, room()), c_, sums);
    // Restored, so that one fault is not counted again with every product.
    if (a.count > 0) known_.fill_a(a_);
    if (b.count > 0) known_.fill_b(b_);
  }

  std::size_t room() const { return kGemmFaultsKept - faults_.size(); }

  void note(GemmOperand where, const KnownProduct::Differences& differences, const float* matrix,
            const KnownProduct::BadSums& sums) {
    wrong_ += differences.count;
    for (const KnownProduct::Place place : differences.places) {
      GemmFault fault;
      fault.cpu = cpu_;
      fault.where = where;
      fault.row = place.row;
      fault.column = place.column;
      fault.found = matrix[place.row * known_.order() + place.column];
      fault.expected = where == GemmOperand::kA   ? known_.a_at(place.row, place.column)
                       : where == GemmOperand::kB ? known_.b_at(place.row, place.column)
                                                  : known_.c_at(place.row, place.column);
      fault.checksum_agrees = where == GemmOperand::kC && sums.cross_at(place);
      faults_.push_back(fault);
    }
  }

  const KnownProduct& known_;
  int cpu_;
  bool with_blas_;
  std::optional<GemmInjection> inject_;
  BigMemory memory_;
  float* a_ = nullptr;
  float* b_ = nullptr;
  float* c_ = nullptr;
  double busy_s_ = 0;
  std::uint64_t products_ = 0;
  std::uint64_t wrong_ = 0;
  std::uint64_t checksums_wrong_ = 0;
  std::vector<double> hz_;
  std::vector<GemmFault> faults_;
};

}  // namespace

Result<GemmEngine> parse_gemm_engine(std::string_view text) {
  if (text == "auto") return GemmEngine::kAuto;
  if (text == "blas") return GemmEngine::kBlas;
  if (text == "own") return GemmEngine::kOwn;
  return fail(Errc::kInvalidArgument, fmt::format("{}: no engine (use auto, blas or own)", text));
}

bool have_blas() noexcept {
#if defined(FF_HAVE_BLAS)
  return true;
#else
  return false;
#endif
}

std::string describe_fault(const GemmFault& fault) {
  const char* const name = fault.where == GemmOperand::kA ? "a" : fault.where == GemmOperand::kB ? "b" : "c";
  return fmt::format("processor {}: {}[{}][{}]: expected {}, found {} (bits {:#010x} -> {:#010x}){}", fault.cpu, name,
                     fault.row, fault.column, fault.expected, fault.found, std::bit_cast<std::uint32_t>(fault.expected),
                     std::bit_cast<std::uint32_t>(fault.found), fault.checksum_agrees ? ", checksums cross here" : "");
}

Result<GemmReport> stress_gemm(const GemmOptions& options, std::chrono::nanoseconds duration, std::stop_token stop) {
  FF_TRY_ASSIGN(const std::vector<int> cpus, usable_cpus(options.cpus));
  const std::int64_t order = options.order == 0 ? kOrderDefault : options.order;
  FF_TRY(check_options(options, order, cpus.size()));
  const bool with_blas = options.engine != GemmEngine::kOwn && have_blas();
  if (with_blas) prepare_blas();
  const KnownProduct known(order, options.seed);
  std::vector<Worker> workers;
  workers.reserve(cpus.size());
  for (std::size_t i = 0; i < cpus.size(); ++i) {
    const bool injected = options.inject && options.inject->cpu_index == i;
    workers.emplace_back(known, cpus[i], with_blas, injected ? options.inject : std::nullopt);
    FF_TRY(workers.back().open());
  }
  FF_TRY(run_on_cpus(cpus, [&](std::size_t i) { workers[i].run(duration, stop); }));
  GemmReport report;
  report.engine = with_blas ? "blas" : fmt::format("own {}", (*gemm_tiles())->name);
  for (const Worker& worker : workers) worker.add_to(report);
  if (report.products < cpus.size()) return fail(Errc::kCancelled, "matrix products: stopped before the first");
  return report;
}

}  // namespace ff::bench
