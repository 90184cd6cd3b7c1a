#include "ffbench/node/gpu.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>

#include "ffbench/node/cuda.hpp"
#include "ffbench/node/nvml.hpp"
#include "libcommon/base/rng.hpp"

namespace ff::bench {
namespace {

constexpr std::size_t kBlockBytes = 64u << 20;
constexpr std::size_t kSmallBlockBytes = 1u << 20;  // for what is left, and for small GPUs
constexpr std::array<std::uint32_t, 4> kFills{0x55555555, 0xaaaaaaaa, 0, 0xffffffff};

// --- memory ---

// Word i of block b in the address pattern: its own number, so that words which share a cell differ.
std::uint32_t address_word(std::size_t block, std::size_t word) {
  return static_cast<std::uint32_t>((block * 0x9e3779b1u) ^ (word * 0x85ebca6bu));
}

class MemoryTest {
 public:
  MemoryTest(const Cuda& cuda, const GpuBlocks& blocks)
      : cuda_(cuda), blocks_(blocks), words_(blocks.block_bytes() / 4), buffer_(words_), expected_(words_) {}

  Result<GpuMemoryReport> run() {
    report_.bytes_tested = blocks_.bytes();
    for (const std::uint32_t fill : kFills) {
      FF_TRY(write_fill(fill));
      FF_TRY(check([fill](std::size_t, std::size_t) { return fill; }, fmt::format("fill {:08x}", fill)));
    }
    FF_TRY(write_addresses());
    FF_TRY(check(address_word, "address"));
    return std::move(report_);
  }

 private:
  Result<> write_fill(std::uint32_t fill) {
    for (const Cuda::DevicePointer block : blocks_.blocks()) FF_TRY(cuda_.fill(block, fill, words_));
    return cuda_.synchronize();
  }

  Result<> write_addresses() {
    for (std::size_t b = 0; b < blocks_.blocks().size(); ++b) {
      for (std::size_t i = 0; i < words_; ++i) expected_[i] = address_word(b, i);
      FF_TRY(cuda_.copy_in(blocks_.blocks()[b], std::as_bytes(std::span(expected_))));
    }
    return cuda_.synchronize();
  }

  template <class Word>
  Result<> check(Word word, const std::string& pattern) {
    report_.patterns.push_back(pattern);
    for (std::size_t b = 0; b < blocks_.blocks().size(); ++b) {
      FF_TRY(cuda_.copy_out(std::as_writable_bytes(std::span(buffer_)), blocks_.blocks()[b]));
      for (std::size_t i = 0; i < words_; ++i) expected_[i] = word(b, i);
      if (std::memcmp(buffer_.data(), expected_.data(), words_ * 4) != 0) note_faults(b, pattern);
    }
    return {};
  }

  void note_faults(std::size_t block, const std::string& pattern) {
    for (std::size_t i = 0; i < words_; ++i) {
      if (buffer_[i] == expected_[i]) continue;
      if (report_.faults++ == 0)
        report_.first = fmt::format("offset {:#x} of block {}: expected {:#010x}, found {:#010x} in {}", i * 4, block,
                                    expected_[i], buffer_[i], pattern);
    }
  }

  const Cuda& cuda_;
  const GpuBlocks& blocks_;
  std::size_t words_;
  std::vector<std::uint32_t> buffer_, expected_;
  GpuMemoryReport report_;
};

// --- matrix products ---

// Operands hold whole numbers from -4 to 4, and orders are at most 4096: every partial sum of a product is a whole
// number up to 16 * 4096 = 2^16, which fp32 holds exactly, and the operands fit TF32. Row sums of the result are then
// known from row sums of b: c * ones = a * (b * ones), in integers. A wrong element changes its row's sum unless
// another in the same row errs by exactly the opposite; a second, weighted sum catches that.
class GemmTest {
 public:
  GemmTest(const Cuda& cuda, const Cublas& cublas, int order)
      : cuda_(cuda), cublas_(cublas), n_(static_cast<std::size_t>(order)), a_(n_ * n_), b_(n_ * n_), c_(n_ * n_) {
    Rng rng(1);
    for (auto* matrix : {&a_, &b_})
      for (float& element : *matrix) element = static_cast<float>(static_cast<int>(rng.below(9)) - 4);
    for (const bool weighted : {false, true}) expected_[weighted] = row_sums_of_product(weighted);
  }

  Result<GpuGemmReport> run(const GpuBlocks& blocks) {
    const auto& all = blocks.blocks();
    if (all.size() < 3)
      return fail(Errc::kExhausted, "GPU memory: has no room for two operands and a result of this order");
    report_.bytes_filled = blocks.bytes();
    FF_TRY(cuda_.copy_in(all[0], std::as_bytes(std::span(a_))));
    FF_TRY(cuda_.copy_in(all[1], std::as_bytes(std::span(b_))));
    const auto start = std::chrono::steady_clock::now();
    for (std::size_t i = 2; i < all.size(); ++i) FF_TRY(cublas_.multiply(static_cast<int>(n_), all[0], all[1], all[i]));
    FF_TRY(cuda_.synchronize());
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    report_.products = all.size() - 2;
    const auto n = static_cast<double>(n_);
    report_.flops = 2 * n * n * n * static_cast<double>(report_.products) / std::max(elapsed.count(), 1e-9);
    for (std::size_t i = 2; i < all.size(); ++i) {
      FF_TRY(cuda_.copy_out(std::as_writable_bytes(std::span(c_)), all[i]));
      check_rows(i - 2);
    }
    return std::move(report_);
  }

 private:
  // Weights 1, or 1 to 7 by column.
  static std::int64_t weight(bool weighted, std::size_t column) {
    return weighted ? static_cast<std::int64_t>(column % 7) + 1 : 1;
  }

  // a * (b * weights); column-major.
  std::vector<std::int64_t> row_sums_of_product(bool weighted) const {
    std::vector<std::int64_t> of_b(n_), sums(n_);
    for (std::size_t column = 0; column < n_; ++column)
      for (std::size_t row = 0; row < n_; ++row)
        of_b[row] += static_cast<std::int64_t>(b_[column * n_ + row]) * weight(weighted, column);
    for (std::size_t column = 0; column < n_; ++column)
      for (std::size_t row = 0; row < n_; ++row)
        sums[row] += static_cast<std::int64_t>(a_[column * n_ + row]) * of_b[column];
    return sums;
  }

  void check_rows(std::size_t product) {
    std::array<std::vector<double>, 2> sums{std::vector<double>(n_), std::vector<double>(n_)};
    for (std::size_t column = 0; column < n_; ++column)
      for (std::size_t row = 0; row < n_; ++row) {
        const auto element = static_cast<double>(c_[column * n_ + row]);
        sums[0][row] += element;
        sums[1][row] += element * static_cast<double>(weight(true, column));
      }
    for (std::size_t row = 0; row < n_; ++row) {
      const auto right = [&](std::size_t k) { return sums[k][row] == static_cast<double>(expected_[k][row]); };
      if (right(0) && right(1)) continue;  // a NaN is wrong, too
      if (report_.wrong++ == 0)
        report_.first =
            fmt::format("row {} of product {}: sum {:.0f}, expected {}", row, product, sums[0][row], expected_[0][row]);
    }
  }

  const Cuda& cuda_;
  const Cublas& cublas_;
  std::size_t n_;
  std::vector<float> a_, b_, c_;
  std::array<std::vector<std::int64_t>, 2> expected_;
  GpuGemmReport report_;
};

// --- the library ---

class VendorLibrary final : public GpuLibrary {
 public:
  explicit VendorLibrary(std::string folder) : folder_(std::move(folder)) {}

  Result<std::vector<GpuState>> states() override {
    FF_TRY_ASSIGN(const Nvml nvml, Nvml::open(folder_));
    return nvml.states();
  }

  Result<int> count() override {
    FF_TRY_ASSIGN(const Cuda cuda, Cuda::open(folder_));
    return cuda.count();
  }

  Result<GpuMemoryReport> test_memory(int index, double share, std::uint64_t bytes_max) override {
    FF_TRY_ASSIGN(const Cuda cuda, Cuda::open(folder_));
    FF_TRY_ASSIGN(const auto session, cuda.start(index));
    FF_TRY_ASSIGN(GpuMemoryReport report, test_blocks(cuda, share, bytes_max));
    return report;
  }

  Result<GpuGemmReport> stress_gemm(int index, double share, int order, std::uint64_t bytes_max) override {
    constexpr int kOrderMin = 16, kOrderMax = 4096;
    if (order < kOrderMin || order > kOrderMax)
      return fail(Errc::kInvalidArgument,
                  fmt::format("order {}: is not between {} and {}", order, kOrderMin, kOrderMax));
    FF_TRY_ASSIGN(const Cuda cuda, Cuda::open(folder_));
    FF_TRY_ASSIGN(const auto session, cuda.start(index));
    FF_TRY_ASSIGN(const Cublas cublas, Cublas::open(folder_));
    const auto bytes = static_cast<std::size_t>(order) * static_cast<std::size_t>(order) * 4;
    FF_TRY_ASSIGN(const GpuBlocks blocks, GpuBlocks::fill(cuda, share, bytes, bytes_max));
    return GemmTest(cuda, cublas, order).run(blocks);
  }

 private:
  // Large blocks first. A full test takes what is left over in small ones, while the large ones are still held.
  static Result<GpuMemoryReport> test_blocks(const Cuda& cuda, double share, std::uint64_t bytes_max) {
    auto large = GpuBlocks::fill(cuda, share, kBlockBytes, bytes_max);
    if (!large) {
      FF_TRY_ASSIGN(const GpuBlocks small, GpuBlocks::fill(cuda, share, kSmallBlockBytes, bytes_max));
      return MemoryTest(cuda, small).run();
    }
    FF_TRY_ASSIGN(GpuMemoryReport report, MemoryTest(cuda, *large).run());
    if (share < 1 || report.bytes_tested >= bytes_max) return report;
    const auto rest = GpuBlocks::fill(cuda, share, kSmallBlockBytes, bytes_max - report.bytes_tested);
    if (!rest) return report;
    FF_TRY_ASSIGN(const GpuMemoryReport more, MemoryTest(cuda, *rest).run());
    report.bytes_tested += more.bytes_tested;
    report.faults += more.faults;
    if (report.first.empty()) report.first = more.first;
    return report;
  }

  std::string folder_;
};

}  // namespace

std::string throttle_trouble(std::uint64_t reasons) {
  constexpr std::pair<std::uint64_t, const char*> kTrouble[] = {
      {0x08, "hardware slowdown"}, {0x20, "thermal (software)"}, {0x40, "thermal (hardware)"}, {0x80, "power brake"}};
  std::string words;
  for (const auto& [bit, text] : kTrouble)
    if ((reasons & bit) != 0) words += (words.empty() ? "" : ", ") + std::string(text);
  return words;
}

std::unique_ptr<GpuLibrary> open_gpu_library(std::string folder) {
  return std::make_unique<VendorLibrary>(std::move(folder));
}

}  // namespace ff::bench
