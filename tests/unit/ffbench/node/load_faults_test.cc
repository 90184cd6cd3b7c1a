// Faults in computation, memory and storage, injected: each is named.
#include <gtest/gtest.h>

#include "ffbench/node/checks.hpp"
#include "tests/unit/ffbench/node/node_tree.hpp"

namespace ff::bench {
namespace {

StorageProbe good_disk() {
  return {.write_bandwidth = 2e9,
          .read_bandwidth = 3e9,
          .fsync_p50_ns = 1e5,
          .fsync_p99_ns = 5e5,
          .randread_p99_ns = 3e5,
          .verify_errors = 0};
}

TEST(StorageCheck, PassesOnWhatTheProbeMeasured) {
  auto context = NodeTree().context();
  context.probe_storage = [](auto&&...) -> Result<StorageProbe> { return good_disk(); };
  const auto findings = check_storage(context);
  expect_finding(findings, "storage.wrong", CheckVerdict::kPass);
  EXPECT_EQ(find(findings, "storage.write")->value, 2e9);
  EXPECT_EQ(find(findings, "storage.fsync_p99")->better, Better::kLower);
}

TEST(StorageCheck, NamesADiskThatLies) {
  auto context = NodeTree().context();
  context.probe_storage = [](auto&&...) -> Result<StorageProbe> {
    StorageProbe probe = good_disk();
    probe.verify_errors = 2;
    return probe;
  };
  expect_finding(check_storage(context), "storage.wrong", CheckVerdict::kFail, "2 blocks");
}

TEST(StorageCheck, NamesADiskThatFails) {
  auto context = NodeTree().context();
  context.probe_storage = [](auto&&...) -> Result<StorageProbe> {
    return fail(Errc::kIo, "/data: write: Input/output error");
  };
  expect_finding(check_storage(context), "storage", CheckVerdict::kFail, "Input/output error");
  context.probe_storage = [](auto&&...) -> Result<StorageProbe> { return fail(Errc::kExhausted, "/data: no space"); };
  expect_finding(check_storage(context), "storage", CheckVerdict::kFail, "no space");
}

// 8 GiB are wanted, and others need the space meanwhile.
TEST(StorageCheck, TakesAQuarterOfWhatIsFreeAtMost) {
  auto context = NodeTree().context();
  context.level = Level::kFull;
  std::uint64_t asked = 0;
  context.probe_storage = [&](const std::string&, std::uint64_t bytes, auto&&...) -> Result<StorageProbe> {
    asked = bytes;
    return good_disk();
  };
  context.free_space = [](const std::string&) -> Result<std::uint64_t> { return 6ull << 30; };
  check_storage(context);
  EXPECT_EQ(asked, 3ull << 29);
  context.free_space = [](const std::string&) -> Result<std::uint64_t> { return 100ull << 30; };
  check_storage(context);
  EXPECT_EQ(asked, 8ull << 30);
  asked = 0;
  context.free_space = [](const std::string&) -> Result<std::uint64_t> { return 20ull << 20; };
  expect_finding(check_storage(context), "storage", CheckVerdict::kWarn, "not tested");
  EXPECT_EQ(asked, 0u);
}

TEST(StorageCheck, SaysWhenACacheMayHaveAnswered) {
  auto context = NodeTree().context();
  context.probe_storage = [](auto&&...) -> Result<StorageProbe> {
    StorageProbe probe = good_disk();
    probe.direct = false;
    return probe;
  };
  expect_finding(check_storage(context), "storage.wrong", CheckVerdict::kPass, "page cache");
}

TEST(GemmCheck, NamesAFlippedBit) {
  auto context = NodeTree().context();
  context.inject_gemm = GemmInjection{.row = 17, .column = 5, .bit = 23};
  const auto findings = check_cpu_gemm(context);
  expect_finding(findings, "cpu_gemm.wrong", CheckVerdict::kFail, "17");
}

TEST(MemoryCheck, NamesAFlippedBit) {
  auto context = NodeTree().context();
  context.memory_bytes = 4u << 20;
  expect_finding(check_memory_test(context), "memory_test", CheckVerdict::kPass);
  context.inject_memory = InjectedFault{.offset = 0x1f40, .bit = 3};
  expect_finding(check_memory_test(context), "memory_test", CheckVerdict::kFail, "0x1f40");
}

TEST(AllreduceCheck, NamesWrongSumsAndMissingTools) {
  NodeTree tree;
  auto context = tree.context();
  const auto tool = [&](const std::string& name, const std::string& script) {
    tree.write(name, "#!/bin/sh\n" + script);
    std::filesystem::permissions(tree.path() + "/" + name, std::filesystem::perms::owner_all);
    context.hfreduce = tree.path() + "/" + name;
    return check_allreduce(context);
  };
  expect_finding(tool("good", R"(echo '{"schema":"ff.perf/1","rows":[{"busbw_GBps":12.5,"wrong":0}]}')"),
                 "allreduce.bus_bandwidth", CheckVerdict::kPass, "12.50 GB/s");
  expect_finding(tool("wrong", R"(echo '{"schema":"ff.perf/1","rows":[{"busbw_GBps":12.5,"wrong":3}]}'; exit 1)"),
                 "allreduce.wrong", CheckVerdict::kFail, "3 elements are wrong");
  expect_finding(tool("broken", "echo 'hfreduce: /dev/shm: no space' >&2; exit 1"), "allreduce", CheckVerdict::kFail,
                 "/dev/shm: no space");
  context.hfreduce = tree.path() + "/absent";
  expect_finding(check_allreduce(context), "allreduce", CheckVerdict::kSkip);
}

}  // namespace
}  // namespace ff::bench
