// What fio(1) says a job file means is what must come out; everything else is refused with its line.
#include "ffbench/storage/fio_job.hpp"

#include <gtest/gtest.h>

namespace ff::bench {
namespace {

using namespace std::chrono_literals;

std::vector<FioJob> parsed(std::string_view text) {
  auto jobs = parse_fio(text, "x.fio");
  EXPECT_TRUE(jobs) << jobs.error().message();
  return jobs ? std::move(*jobs) : std::vector<FioJob>();
}

std::string refusal(std::string_view text) {
  const auto jobs = parse_fio(text, "x.fio");
  EXPECT_FALSE(jobs);
  return jobs ? "" : jobs.error().message();
}

TEST(FioJob, HasFiosDefaults) {
  const auto jobs = parsed("[a]\nfilename=/dev/sdx\n");
  ASSERT_EQ(jobs.size(), 1u);
  const FioJob& job = jobs[0];
  EXPECT_EQ(job.name, "a");
  EXPECT_EQ(job.line, 1u);
  EXPECT_EQ(job.job.pattern, AccessPattern::kRead);
  EXPECT_EQ(job.job.block_bytes, 4096u);
  EXPECT_EQ(job.job.depth, 1u);
  EXPECT_EQ(job.clones, 1u);
  EXPECT_EQ(job.engine, Engine::kPsync);
  EXPECT_FALSE(job.direct);
  EXPECT_TRUE(job.invalidate);
  EXPECT_FALSE(job.time_based);
  EXPECT_EQ(job.loops, 1u);
}

TEST(FioJob, ReadsEveryKeyOfTheTable) {
  const auto jobs = parsed(R"(
; a comment
# another
[global]
ioengine=libaio
direct=1
group_reporting
[mix]
name=ignored
rw=randrw
bs=8k
size=1g
offset=2m
filename=f
directory=/d
iodepth=32
numjobs=4
runtime=2m
time_based
ramp_time=500ms
loops=3
rwmixread=70
rate_iops=1k
fsync=8
random_distribution=zipf:1.2
norandommap
randseed=99
thread
invalidate=0
)");
  ASSERT_EQ(jobs.size(), 1u);
  const FioJob& job = jobs[0];
  EXPECT_EQ(job.job.pattern, AccessPattern::kRandReadWrite);
  EXPECT_EQ(job.job.block_bytes, 8192u);
  EXPECT_EQ(job.job.size, 1u << 30);
  EXPECT_EQ(job.job.offset, 2u << 20);
  EXPECT_EQ(job.filename, "f");
  EXPECT_EQ(job.directory, "/d");
  EXPECT_EQ(job.engine, Engine::kUring);
  EXPECT_TRUE(job.direct);
  EXPECT_EQ(job.job.depth, 32u);
  EXPECT_EQ(job.clones, 4u);
  EXPECT_EQ(job.runtime, 120s);
  EXPECT_TRUE(job.time_based);
  EXPECT_EQ(job.ramp_time, 500ms);
  EXPECT_EQ(job.loops, 3u);
  EXPECT_DOUBLE_EQ(job.job.read_share, 0.7);
  EXPECT_DOUBLE_EQ(job.job.rate_iops, 1024);
  EXPECT_EQ(job.job.fsync_every, 8u);
  EXPECT_DOUBLE_EQ(job.job.zipf_theta, 1.2);
  EXPECT_TRUE(job.job.repeat_offsets);
  EXPECT_EQ(job.job.seed, 99u);
  EXPECT_FALSE(job.invalidate);
}

TEST(FioJob, GlobalsHoldForTheJobsAfterThemAndJobsForThemselves) {
  const auto jobs =
      parsed("[global]\nfilename=f\nbs=64k\n[a]\nbs=1m\n[b]\n[global]\niodepth=4\nioengine=io_uring\n[c]\n");
  ASSERT_EQ(jobs.size(), 3u);
  EXPECT_EQ(jobs[0].job.block_bytes, 1u << 20);
  EXPECT_EQ(jobs[1].job.block_bytes, 65536u);
  EXPECT_EQ(jobs[1].job.depth, 1u);
  EXPECT_EQ(jobs[2].job.block_bytes, 65536u);
  EXPECT_EQ(jobs[2].job.depth, 4u);
}

TEST(FioJob, BlockingEnginesHaveDepthOneAsInFio) {
  EXPECT_EQ(parsed("[a]\nfilename=f\niodepth=32\nioengine=psync\n")[0].job.depth, 1u);
  EXPECT_EQ(parsed("[a]\nfilename=f\niodepth=32\nioengine=sync\n")[0].job.depth, 1u);
}

TEST(FioJob, ARateInBytesIsOperationsOfTheBlockSize) {
  EXPECT_DOUBLE_EQ(parsed("[a]\nfilename=f\nrate=1m\nbs=4k\n")[0].job.rate_iops, 256);
  EXPECT_NE(refusal("[a]\nfilename=f\nrate=1m\nrate_iops=3\n").find("x.fio:1: has both"), std::string::npos);
}

TEST(FioJob, SizesArePowersOf1024AndTimesSeconds) {
  const auto size = [](const std::string& text) { return parsed("[a]\nfilename=f\nsize=" + text + "\n")[0].job.size; };
  EXPECT_EQ(size("8192"), 8192u);
  EXPECT_EQ(size("8K"), 8192u);
  EXPECT_EQ(size("8kb"), 8192u);
  EXPECT_EQ(size("1.5m"), 3u << 19);
  EXPECT_EQ(size("2T"), std::uint64_t{2} << 40);
  const auto time = [](const std::string& text) {
    return parsed("[a]\nfilename=f\nruntime=" + text + "\n")[0].runtime;
  };
  EXPECT_EQ(time("30"), 30s);
  EXPECT_EQ(time("1.5s"), 1500ms);
  EXPECT_EQ(time("2h"), 7200s);
  EXPECT_EQ(time("20us"), 20us);
}

TEST(FioJob, StonewallsDivideJobsIntoGroups) {
  const auto jobs = parsed("[global]\nfilename=f\n[a]\n[b]\n[c]\nstonewall\n[d]\n[e]\nwait_for_previous\n");
  const auto groups = fio_groups(jobs);
  ASSERT_EQ(groups.size(), 3u);
  EXPECT_EQ(groups[0].size(), 2u);
  EXPECT_EQ(groups[1].size(), 2u);
  EXPECT_EQ(groups[1][0].name, "c");
  EXPECT_EQ(groups[2][0].name, "e");
}

TEST(FioJob, UnknownKeysAreRefusedWithTheirLineAndTheTable) {
  const std::string text = refusal("[global]\nfilename=f\n\n[a]\nzonemode=zbd\n");
  EXPECT_EQ(text.find("x.fio:5: 'zonemode' is not understood"), 0u) << text;
  for (const std::string_view key : fio_keys()) EXPECT_NE(text.find(key), std::string::npos) << key;
}

TEST(FioJob, RefusesWhatItCannotDoAsFioWould) {
  const std::string job = "[a]\nfilename=f\nsize=1m\n";
  for (const char* line : {"bs=4k,8k",
                           "size=50%",
                           "bs=4ki",
                           "bs=0",
                           "rw=trim",
                           "rw=randtrim",
                           "ioengine=mmap",
                           "iodepth=0",
                           "iodepth=1e3",
                           "numjobs=-1",
                           "direct=2",
                           "runtime=5 parsecs",
                           "rwmixread=101",
                           "filename=a:b",
                           "filename=$HOME",
                           "random_distribution=pareto:1",
                           "size=1.5",
                           "bs=2g",
                           "verify=crc32c",
                           "=3",
                           "rw=",
                           "size=99999999999t",
                           "random_distribution=zipf:0"}) {
    const std::string text = refusal(job + line + "\n");
    EXPECT_EQ(text.find("x.fio:4: "), 0u) << line << ": " << text;
  }
}

TEST(FioJob, RefusesJobsThatCannotRun) {
  EXPECT_NE(refusal("").find("holds no job"), std::string::npos);
  EXPECT_NE(refusal("[global]\nbs=4k\n").find("holds no job"), std::string::npos);
  EXPECT_EQ(refusal("bs=4k\n").find("x.fio:1: stands before"), 0u);
  EXPECT_EQ(refusal("[a\n").find("x.fio:1: is no [section]"), 0u);
  EXPECT_EQ(refusal("[a]\nsize=1m\n").find("x.fio:1: has neither filename"), 0u);
  EXPECT_EQ(refusal("\n[a]\ndirectory=d\n").find("x.fio:2: has no size"), 0u);
  EXPECT_EQ(refusal("[a]\nfilename=f\ntime_based\n").find("x.fio:1: is time_based"), 0u);
  EXPECT_EQ(refusal("[a]\nfilename=f\nsize=1k\n").find("x.fio:1: --size"), 0u);
  EXPECT_EQ(refusal("[a/b]\nfilename=f\n").find("x.fio:1: is no name"), 0u);
}

}  // namespace
}  // namespace ff::bench
