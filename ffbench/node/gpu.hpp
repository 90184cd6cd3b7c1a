// GpuLibrary: the GPUs of this node through the vendor's own libraries, loaded at run time: NVML for states and
// counters, the CUDA driver for memory, cuBLAS for matrix products. No header or library of the vendor is needed to
// build.
//
// Errors    kUnsupported: a library is not installed or lacks a function, and says which; other errors name the call
//           and its status.
// Not run   with the vendor's libraries by this project's tests, which have no GPU: they run against small libraries of
//           the same C functions over host memory (tests/support/fake_gpu).
// Processes CUDA does not survive fork(): use an object in the process that opened it.
// Threads   One at a time for each object.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "libcommon/base/result.hpp"

namespace ff::bench {

struct NvlinkState {
  int link = 0;
  bool active = false;
  std::uint64_t errors = 0;  // replays, recoveries and CRC errors together
};

// Absent: this GPU or driver does not tell.
struct GpuState {
  int index = 0;
  std::string name;
  std::string uuid;
  std::string pci_address;
  std::uint64_t memory_bytes = 0;
  std::optional<std::uint64_t> ecc_corrected, ecc_uncorrected;            // since the driver was loaded
  std::optional<std::uint64_t> ecc_corrected_ever, ecc_uncorrected_ever;  // since it was made
  std::optional<unsigned> pcie_generation, pcie_generation_max, pcie_width, pcie_width_max;
  std::optional<unsigned> sm_mhz, sm_mhz_max, memory_mhz, memory_mhz_max;
  std::optional<std::uint64_t> throttle_reasons;  // NVML's bits
  std::optional<unsigned> temperature_c;
  std::optional<unsigned> retired_pages, remapped_rows;
  bool row_remap_pending = false, row_remap_failed = false;
  std::vector<NvlinkState> nvlinks;  // those that the board has
};
// Bits of throttle_reasons that mean trouble, in words: "hardware slowdown, thermal". Empty for none.
std::string throttle_trouble(std::uint64_t reasons);

struct GpuMemoryReport {
  std::uint64_t bytes_tested = 0;
  std::uint64_t faults = 0;  // 32-bit words found wrong, counted in each pattern anew
  std::string first;         // "offset 0x1000 of block 3: expected 0x.., found 0x.."
  std::vector<std::string> patterns;
};

struct GpuGemmReport {
  double flops = 0;
  std::uint64_t products = 0;
  std::uint64_t bytes_filled = 0;  // of GPU memory, with operands and results
  std::uint64_t wrong = 0;         // rows of results whose sums are wrong
  std::string first;
};

class GpuLibrary {
 public:
  static constexpr std::uint64_t kNoLimit = std::numeric_limits<std::uint64_t>::max();

  virtual ~GpuLibrary() = default;

  virtual Result<std::vector<GpuState>> states() = 0;
  virtual Result<int> count() = 0;
  // Writes and reads back up to `share` (0..1] of the GPU's free memory, and `bytes_max` at most: all of it is written
  // with a pattern before any of it is checked, so that two addresses with one cell are seen.
  virtual Result<GpuMemoryReport> test_memory(int index, double share, std::uint64_t bytes_max = kNoLimit) = 0;
  // Fills `share` of the free memory, `bytes_max` at most, with results of order x order products of small whole
  // numbers, whose row sums are known exactly (fp32 and TF32 hold all partial sums), and checks every row.
  virtual Result<GpuGemmReport> stress_gemm(int index, double share, int order, std::uint64_t bytes_max = kNoLimit) = 0;
};

// `folder` holds libnvidia-ml.so.1, libcuda.so.1 and libcublas.so.13 or .12; empty: where the loader finds them.
// Opening loads nothing; the first call that needs a library does.
std::unique_ptr<GpuLibrary> open_gpu_library(std::string folder);

}  // namespace ff::bench
