// GPU checks against libraries with the vendor's functions over host memory (tests/support/fake_gpu): each fault that
// these inject must be named. The vendor's own libraries are not run here.
#include "ffbench/node/gpu.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <optional>

#include "ffbench/node/checks.hpp"
#include "ffbench/node/isolate.hpp"
#include "tests/unit/ffbench/node/node_tree.hpp"

namespace ff::bench {
namespace {

class Gpu : public ::testing::Test {
 protected:
  void TearDown() override {
    for (const std::string& name : set_) ::unsetenv(name.c_str());
  }
  void fault(const std::string& name, const std::string& value) {
    ::setenv(name.c_str(), value.c_str(), 1);
    set_.push_back(name);
  }
  static NodeContext context() {
    NodeContext context;
    context.gpu_libraries = FF_FAKE_GPU;
    return context;
  }

 private:
  std::vector<std::string> set_;
};

TEST_F(Gpu, ReadsStates) {
  const auto states = open_gpu_library(FF_FAKE_GPU)->states();
  ASSERT_TRUE(states.has_value()) << states.error().message();
  ASSERT_EQ(states->size(), 1u);
  const GpuState& gpu = states->front();
  EXPECT_EQ(gpu.name, "Fake GPU");
  EXPECT_EQ(gpu.pci_address, "00000000:3B:00.0");
  EXPECT_EQ(gpu.memory_bytes, 160u << 20);
  EXPECT_EQ(gpu.pcie_width, 16u);
  EXPECT_EQ(gpu.sm_mhz, 1400u);
  EXPECT_EQ(gpu.memory_mhz, 1215u);
  EXPECT_EQ(gpu.nvlinks.size(), 4u);
  EXPECT_EQ(gpu.remapped_rows, 0u);
  EXPECT_FALSE(gpu.retired_pages.has_value());  // the call says: not supported
}

TEST_F(Gpu, PassesAGoodOne) {
  for (const Finding& finding : check_gpu_state(context()))
    EXPECT_EQ(finding.verdict, CheckVerdict::kPass) << finding.id << finding.reason;
  expect_finding(check_gpu_memory(context()), "gpu_memory.0", CheckVerdict::kPass, "5 patterns");
  const auto gemm = open_gpu_library(FF_FAKE_GPU)->stress_gemm(0, 0.01, 64);
  ASSERT_TRUE(gemm.has_value()) << gemm.error().message();
  EXPECT_EQ(gemm->wrong, 0u) << gemm->first;
  EXPECT_EQ(gemm->products, 102u - 2);  // 1 % of 160 MiB in blocks of 16 KiB
  EXPECT_GT(gemm->flops, 0);
}

TEST_F(Gpu, NamesWhatNvmlCounts) {
  fault("FAKE_GPU_ECC", "2");
  fault("FAKE_GPU_NVLINK_DOWN", "3");
  fault("FAKE_GPU_PCIE_WIDTH", "8");
  fault("FAKE_GPU_THROTTLE", "0x48");
  const auto findings = check_gpu_state(context());
  expect_finding(findings, "gpu.0.ecc", CheckVerdict::kFail, "2 uncorrected");
  expect_finding(findings, "gpu.0.nvlink", CheckVerdict::kFail, "NVLink 3 of GPU 0 is down");
  expect_finding(findings, "gpu.0.pcie_width", CheckVerdict::kFail, "8 of 16");
  expect_finding(findings, "gpu.0.clock", CheckVerdict::kFail, "hardware slowdown, thermal (hardware)");
  EXPECT_EQ(find(findings, "gpu.count")->value, 1);
}

// At rest a GPU lowers it: profiles and fleets must not compare it.
TEST_F(Gpu, ComparesTheWidthOfALinkAndNotItsGenerationAtRest) {
  const auto findings = check_gpu_state(context());
  ASSERT_NE(find(findings, "gpu.0.pcie_generation"), nullptr);
  EXPECT_EQ(find(findings, "gpu.0.pcie_generation")->better, Better::kNeither);
  EXPECT_EQ(find(findings, "gpu.0.pcie_width")->better, Better::kHigher);
}

TEST_F(Gpu, TestsEveryByteItCanGetAndFindsAStuckBit) {
  const auto good = open_gpu_library(FF_FAKE_GPU)->test_memory(0, 1);
  ASSERT_TRUE(good.has_value()) << good.error().message();
  EXPECT_EQ(good->bytes_tested, 160u << 20);  // two blocks of 64 MiB and the rest in small ones
  EXPECT_EQ(good->faults, 0u) << good->first;
  fault("FAKE_GPU_STUCK", "0x1000");
  const auto bad = open_gpu_library(FF_FAKE_GPU)->test_memory(0, 0.5);
  ASSERT_TRUE(bad.has_value());
  EXPECT_GE(bad->faults, 2u);  // 0x55555555 and 0 have bit 3 clear
  EXPECT_NE(bad->first.find("offset 0x1000 of block 0: expected 0x55555555, found 0x5555555d"), std::string::npos)
      << bad->first;
  expect_finding(check_gpu_memory(context()), "gpu_memory.0", CheckVerdict::kFail, "0x1000");
}

// Quick tests must not take longer on larger GPUs.
TEST_F(Gpu, TestsNoMoreThanItWasAskedFor) {
  constexpr std::uint64_t kMost = 64u << 20;
  const auto memory = open_gpu_library(FF_FAKE_GPU)->test_memory(0, 1, kMost);
  ASSERT_TRUE(memory.has_value()) << memory.error().message();
  EXPECT_EQ(memory->bytes_tested, kMost);
  const auto gemm = open_gpu_library(FF_FAKE_GPU)->stress_gemm(0, 1, 64, 1u << 20);
  ASSERT_TRUE(gemm.has_value()) << gemm.error().message();
  EXPECT_EQ(gemm->bytes_filled, 1u << 20);
}

TEST_F(Gpu, FindsAWrongElementOfAProduct) {
  fault("FAKE_GPU_WRONG", "70");  // column-major, order 64: row 6 of column 1
  const auto gemm = open_gpu_library(FF_FAKE_GPU)->stress_gemm(0, 0.001, 64);
  ASSERT_TRUE(gemm.has_value());
  EXPECT_EQ(gemm->wrong, gemm->products);
  EXPECT_EQ(gemm->first.find("row 6 of product 0"), 0u) << gemm->first;
}

TEST_F(Gpu, NamesCallsThatFail) {
  for (const char* call : {"nvmlInit_v2", "nvmlDeviceGetCount_v2", "nvmlDeviceGetHandleByIndex_v2"}) {
    fault("FAKE_GPU_ERROR", call);
    expect_finding(check_gpu_state(context()), "gpu", CheckVerdict::kFail, call);
  }
  fault("FAKE_GPU_ERROR", "cuInit");
  expect_finding(check_gpu_memory(context()), "gpu_memory", CheckVerdict::kFail, "cuInit: unknown error (999)");
  fault("FAKE_GPU_ERROR", "cuMemcpyDtoH_v2");
  expect_finding(check_gpu_memory(context()), "gpu_memory.0", CheckVerdict::kFail, "cuMemcpyDtoH");
  fault("FAKE_GPU_ERROR", "cublasSgemm_v2");
  EXPECT_NE(open_gpu_library(FF_FAKE_GPU)->stress_gemm(0, 0.001, 64).error().message().find("cublasSgemm"),
            std::string::npos);
}

TEST_F(Gpu, IsNotWaitedForWhenItHangs) {
  fault("FAKE_GPU_HANG", "cuInit");
  const auto findings =
      run_isolated("gpu_memory", "x", std::chrono::milliseconds(300), [] { return check_gpu_memory(context()); }, {});
  expect_finding(findings, "gpu_memory", CheckVerdict::kFail, "hung");
}

TEST_F(Gpu, SkipsWhereNoLibraryIsInstalled) {
  NodeContext none;
  none.gpu_libraries = NodeTree().path();
  expect_finding(check_gpu_state(none), "gpu", CheckVerdict::kSkip, "libnvidia-ml.so.1 is not installed");
  expect_finding(check_gpu_memory(none), "gpu_memory", CheckVerdict::kSkip, "libcuda.so.1 is not installed");
  expect_finding(check_gpu_gemm(none), "gpu_gemm", CheckVerdict::kSkip);
}

}  // namespace
}  // namespace ff::bench
