// Matrix products with known answers on every processor: arithmetic that must be right to the last bit, under the load
// that makes weak power supplies, hot sockets and bad caches show.
//
// Operands  a[i][p] = u[i] + v[p], b[p][j] = x[p] + y[j], all small whole numbers from a seed, so that every partial
//           sum is a whole number below 2^24: fp32 holds it exactly in any order, with and without fused operations.
// Answer    c[i][j] = u[i]*X + order*u[i]*y[j] + S + y[j]*V with X, V, S the sums of x, v and v*x: integer arithmetic,
//           not a second product. Every element of c is compared bit by bit after every product, and so are a and b,
//           because a flipped low bit of an operand may be rounded away in c. Sums of rows and columns of c are
//           compared as well (ABFT); where one row and one column disagree, they cross at the wrong element.
// Rate      2 order^3 operations a product over the time spent in products (checks do not count).
// Source    Huang and Abraham, "Algorithm-Based Fault Tolerance for Matrix Operations", 1984.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "libcommon/base/result.hpp"

namespace ff::bench {

// kAuto: BLAS where this build has it.
enum class GemmEngine : std::uint8_t { kAuto, kBlas, kOwn };
Result<GemmEngine> parse_gemm_engine(std::string_view text);  // "auto", "blas", "own"
bool have_blas() noexcept;

enum class GemmOperand : std::uint8_t { kA, kB, kC, kSums };

// Flips one bit before (a, b) or after (c) the first product of one processor, once; of kSums: a bit of c while its
// sums are taken, and back, which is a fault of the additions that no comparison of elements sees.
struct GemmInjection {
  GemmOperand where = GemmOperand::kC;
  std::int64_t row = 0;
  std::int64_t column = 0;
  int bit = 0;                // 0..31
  std::size_t cpu_index = 0;  // position in GemmOptions::cpus
};

struct GemmOptions {
  std::vector<int> cpus = {};  // one product at a time on each; empty: all that this process may use
  std::int64_t order = 0;      // 16..4096; 0: 512
  std::optional<GemmInjection> inject = {};
  GemmEngine engine = GemmEngine::kAuto;
  std::uint64_t seed = 1;
};

struct GemmFault {
  int cpu = 0;
  GemmOperand where = GemmOperand::kC;
  std::int64_t row = 0;
  std::int64_t column = 0;
  float expected = 0;
  float found = 0;
  bool checksum_agrees = false;  // the ABFT sums cross at this element too
};
// "cpu 3: c[17][5]: expected 8123, found 8251 (bits 0x.. -> 0x..)"
std::string describe_fault(const GemmFault& fault);

struct GemmReport {
  double flops = 0;  // FLOP/s, the sum over processors
  std::uint64_t products = 0;
  std::uint64_t elements_checked = 0;
  std::uint64_t wrong = 0;
  std::uint64_t checksums_wrong = 0;  // rows and columns of c
  std::vector<GemmFault> first;       // up to 16
  std::vector<int> cpus;
  std::vector<double> flops_per_cpu;  // in the order of cpus
  std::vector<double> hz_per_cpu;     // between products, by measured_hz(): the clock under this load
  std::string engine;                 // "blas", "own avx2", ...
};
inline constexpr std::size_t kGemmFaultsKept = 16;

// At least one product on every processor, however short `duration`. Wrong elements are no error: see the report.
// kInvalidArgument, kExhausted, kUnsupported (no BLAS in this build); kCancelled when stopped before the first product.
Result<GemmReport> stress_gemm(const GemmOptions& options, std::chrono::nanoseconds duration, std::stop_token stop);

}  // namespace ff::bench
