// What squeue, sacct and sinfo print (texts of Slurm 22.05) as jobs and nodes of ffctl.
#include <gtest/gtest.h>

#include <random>

#include "ffctl/slurm/comment.hpp"
#include "ffctl/slurm/jobs.hpp"
#include "ffctl/slurm/nodes.hpp"

namespace ff::ctl {
namespace {

const std::string kSeparator = row_separator(42);
constexpr std::uint64_t kNow = 1'795'484'000'000;  // 2026-11-24T01:33:20Z

std::string text_of(const std::vector<Row>& rows) {
  std::string text;
  for (const Row& row : rows) {
    for (const std::string& field : row) text += field + kSeparator;
    text += '\n';
  }
  return text;
}

// In the order of job_fields().
Row row_of(const char* state, const char* exit, const char* restarts = "0", const char* priority = "4294901755",
           const char* dependency = "(null)", const char* eligible = "2026-11-24T01:26:23",
           const char* nodes = "n[1-2]", const char* reason = "None") {
  return {"17",
          state,
          exit,
          restarts,
          priority,
          dependency,
          "2026-11-24T01:26:23",
          eligible,
          "2026-11-24T01:26:24",
          "2026-11-24T01:26:29",
          "2",
          nodes,
          reason,
          "ann",
          "1000",
          "1001",
          "main",
          "(null)",
          "a|b\nc"};
}

Job job_of(const Row& row) {
  const auto jobs = read_jobs(text_of({row}), kSeparator, kNow);
  EXPECT_TRUE(jobs) << (jobs ? "" : jobs.error().message());
  return jobs ? jobs->at(0) : Job();
}

TEST(SlurmJobs, EndsBecomeResultsAndExitCodes) {
  const struct {
    const char* state;
    const char* exit;
    JobResult result;
    int code;
  } cases[] = {{"COMPLETED", "0", SUCCEEDED, 0},    {"FAILED", "1792", FAILED, 7},    {"FAILED", "9", FAILED, 137},
               {"FAILED", "0", FAILED, 1},          {"FAILED", "35072", FAILED, 137}, {"CANCELLED", "15", STOPPED, 20},
               {"TIMEOUT", "0", TIMED_OUT, 24},     {"NODE_FAIL", "0", LOST, 22},     {"PREEMPTED", "0", EVICTED, 21},
               {"OUT_OF_MEMORY", "0", FAILED, 137}, {"DEADLINE", "0", TIMED_OUT, 24}, {"BOOT_FAIL", "0", LOST, 22}};
  for (const auto& one : cases) {
    const Job job = job_of(row_of(one.state, one.exit));
    EXPECT_EQ(job.phase(), DONE) << one.state;
    EXPECT_EQ(job.result(), one.result) << one.state;
    EXPECT_EQ(job.exit_code(), one.code) << one.state;
    ASSERT_EQ(job.attempts_size(), 1);
    EXPECT_EQ(job.attempts(0).phase(), CLOSED);
    EXPECT_EQ(job.done_ms() - job.first_start_ms(), 5000);
  }
  const Job refused =
      job_of(row_of("CANCELLED", "0", "0", "1", "afterok:1(failed)", "N/A", "", "DependencyNeverSatisfied"));
  EXPECT_EQ(refused.result(), REFUSED);
  EXPECT_EQ(refused.attempts_size(), 0);
}

TEST(SlurmJobs, StatesBecomePhases) {
  EXPECT_EQ(job_of(row_of("RUNNING", "0")).phase(), RUNNING);
  EXPECT_EQ(job_of(row_of("COMPLETING", "0")).phase(), STOPPING);
  EXPECT_EQ(job_of(row_of("CONFIGURING", "0")).phase(), STARTING);
  EXPECT_EQ(job_of(row_of("SUSPENDED", "0")).phase(), SUSPENDED);
  EXPECT_EQ(job_of(row_of("PENDING", "0", "0", "7", "(null)", "N/A", "")).phase(), QUEUED);
  EXPECT_EQ(job_of(row_of("PENDING", "0", "0", "0", "(null)", "N/A", "")).phase(), HELD);
  EXPECT_EQ(job_of(row_of("PENDING", "0", "1", "0", "(null)", "N/A", "")).phase(), SUSPENDED);
  EXPECT_EQ(job_of(row_of("PENDING", "0", "0", "7", "afterok:3(unfulfilled)", "N/A", "")).phase(), DEPENDS);
  EXPECT_EQ(job_of(row_of("PENDING", "0", "0", "7", "(null)", "2026-11-24T09:00:00", "")).phase(), DEPENDS);
  // A state of another version is one that has not ended.
  EXPECT_EQ(job_of(row_of("NEW_WORD", "0")).phase(), RUNNING);
}

TEST(SlurmJobs, RestartsAreAttempts) {
  const Job job = job_of(row_of("RUNNING", "0", "2"));
  ASSERT_EQ(job.attempts_size(), 3);
  EXPECT_EQ(job.attempts(2).number(), 3);
  EXPECT_EQ(job.attempts(2).nodes_size(), 2);
  EXPECT_EQ(job.attempts(1).phase(), CLOSED);
  EXPECT_EQ(job_of(row_of("PENDING", "0", "1", "0", "(null)", "N/A", "")).attempts_size(), 1);
}

TEST(SlurmJobs, OfOthersAreShownAsTheyAre) {
  const Job job = job_of(row_of("RUNNING", "0"));
  EXPECT_EQ(job.spec().name(), "a|b\nc");
  EXPECT_EQ(job.user(), "ann");
  EXPECT_EQ(job.uid(), 1000);
  EXPECT_EQ(job.spec().queue(), "main");
  EXPECT_EQ(job.spec().priority(), NORMAL);
  EXPECT_EQ(job.submitted_ms(), slurm_time_ms("2026-11-24T01:26:23"));
  EXPECT_EQ(job.submitted_ms(), 1'795'483'583'000);
}

TEST(SlurmJobs, AHostileNameMakesNoOtherJob) {
  Row row = row_of("RUNNING", "0");
  Row fake = row_of("COMPLETED", "0");
  // All that can be known of rows but the separator of this very question.
  const std::string other = row_separator(43);
  row.back() = "x" + other + "\n";
  for (const std::string& field : fake) row.back() += field + other;
  const auto jobs = read_jobs(text_of({row}), kSeparator, kNow);
  ASSERT_TRUE(jobs);
  ASSERT_EQ(jobs->size(), 1);
  EXPECT_EQ(jobs->at(0).phase(), RUNNING);
}

TEST(SlurmJobs, DamagedTextIsRefusedOrReadButNeverMore) {
  std::mt19937 random(9);
  const std::string whole = text_of({row_of("RUNNING", "0"), row_of("FAILED", "1792")});
  for (int round = 0; round < 5000; ++round) {
    std::string text = whole;
    for (std::uint32_t i = random() % 4; i > 0; --i) text[random() % text.size()] = static_cast<char>(random() % 256);
    if (random() % 3 == 0) text.resize(random() % text.size());
    const auto jobs = read_jobs(text, kSeparator, kNow);
    if (jobs) EXPECT_LE(jobs->size(), 2);
  }
  for (const std::size_t field : {0, 2, 3, 10, 14, 15}) {
    Row row = row_of("RUNNING", "0");
    row[field] = "x";
    EXPECT_EQ(read_jobs(text_of({row}), kSeparator, kNow).error().code(), Errc::kCorrupt) << field;
  }
}

TEST(SlurmJobs, OfAccountingAreRead) {
  const Row row = {"17",
                   "CANCELLED by 1000",
                   "0:15",
                   "2026-11-24T01:26:23",
                   "2026-11-24T01:26:24",
                   "2026-11-24T01:26:29",
                   "2",
                   "n[1-2]",
                   "ann",
                   "1000",
                   "1001",
                   "main",
                   "None",
                   "",
                   "train"};
  auto jobs = read_ended_jobs(text_of({row}), kSeparator);
  ASSERT_TRUE(jobs) << jobs.error().message();
  EXPECT_EQ(jobs->at(0).result(), STOPPED);
  EXPECT_EQ(jobs->at(0).attempts(0).nodes(1), "n2");
  Row failed = row;
  failed[1] = "FAILED";
  failed[2] = "7:0";
  jobs = read_ended_jobs(text_of({failed}), kSeparator);
  ASSERT_TRUE(jobs);
  EXPECT_EQ(jobs->at(0).exit_code(), 7);
}

TEST(SlurmJobs, FiltersAreTheMasters) {
  JobSpec spec;
  (*spec.mutable_labels())["k"] = "v";
  Row row = row_of("RUNNING", "0");
  row[17] = *encode_comment(spec);
  const Job job = job_of(row);
  JobFilter filter;
  EXPECT_TRUE(matches(job, filter));
  filter.add_labels("k=v");
  EXPECT_TRUE(matches(job, filter));
  filter.add_labels("k=w");
  EXPECT_FALSE(matches(job, filter));
  filter.Clear();
  filter.add_users("bob");
  EXPECT_FALSE(matches(job, filter));
  const Job done = job_of(row_of("COMPLETED", "0"));
  filter.Clear();
  EXPECT_FALSE(matches(done, filter));
  filter.add_ids(17);
  EXPECT_TRUE(matches(done, filter));
}

TEST(SlurmNodes, AreRead) {
  const std::vector<Row> rows = {
      {"n0", "idle", "96", "1000000", "gpu:a100:8(S:0-1),nic:1", "ib,zone1", "10.0.0.1", "none", "Unknown", "22.05.8"},
      {"n0", "idle", "96", "1000000", "gpu:a100:8", "ib", "10.0.0.1", "none", "Unknown", "22.05.8"},
      {"n1", "draining@", "4", "1000", "(null)", "(null)", "10.0.0.2", "fan\nloud", "root", "22.05.8"},
      {"n2", "down*", "4", "1000", "gpu:2", "(null)", "10.0.0.3", "Not responding", "slurm", "22.05.8"},
      {"n3", "mixed", "4", "1000", "gpu:,x(:", "", "10.0.0.4", "none", "Unknown", ""}};
  const auto nodes = read_nodes(text_of(rows), kSeparator);
  ASSERT_TRUE(nodes) << nodes.error().message();
  ASSERT_EQ(nodes->size(), 4);
  EXPECT_EQ(nodes->at(0).facts().gpus(), 8);
  EXPECT_EQ(nodes->at(0).facts().gpu_model(), "a100");
  EXPECT_EQ(nodes->at(0).facts().labels_size(), 2);
  EXPECT_EQ(nodes->at(0).state(), NodeInfo::READY);
  EXPECT_TRUE(nodes->at(1).draining());
  EXPECT_EQ(nodes->at(1).drain_reason(), "fan\nloud");
  EXPECT_EQ(nodes->at(2).state(), NodeInfo::LOST);
  EXPECT_EQ(nodes->at(2).facts().gpus(), 2);
  EXPECT_EQ(nodes->at(3).state(), NodeInfo::BUSY);
}

}  // namespace
}  // namespace ff::ctl
