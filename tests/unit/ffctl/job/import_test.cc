// Jobs of other systems: what becomes of realistic ones, what is said to be lost, and that the result is a job file.
#include "ffctl/job/import.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "ffctl/job/expand.hpp"
#include "ffctl/job/import_slurm_words.hpp"
#include "ffctl/job/schema.hpp"
#include "ffctl/job/spec.hpp"

namespace ff::ctl {
namespace {

JobSpec spec_of(const ImportedJob& job) {
  config::Config values(job_schema());
  const auto read = read_job_text(values, job.text, "job.yaml");
  EXPECT_TRUE(read) << read.error().message() << job.text;
  const auto spec = resolve_job(values, {.folder = "/here", .now_ms = 1'800'000'000'000});
  EXPECT_TRUE(spec) << spec.error().message() << job.text;
  return spec ? *spec : JobSpec();
}

bool says(const ImportedJob& job, std::string_view what) {
  return std::ranges::any_of(job.lost, [&](const std::string& one) { return one.contains(what); });
}

constexpr std::string_view kTraining = R"(#!/bin/bash
#SBATCH --job-name=llama-7b
#SBATCH -p gpu
#SBATCH --nodes=4 --ntasks-per-node=8
#SBATCH --gres=gpu:8
#SBATCH --cpus-per-task=12
#SBATCH --mem=960G
#SBATCH -t 2-12:30:00       # two days and a half
#SBATCH --array=0-9%2
#SBATCH -A proj42
#SBATCH --mail-user=ann@example.org
#SBATCH --output=%x-%j.out
#SBATCH --export=ALL,NCCL_DEBUG=WARN
#SBATCH --exclude=n[001-003,17]
#SBATCH --constraint="ib&a100"
##SBATCH --nodes=99

module load cuda/12
nodes=$(scontrol show hostnames "$SLURM_JOB_NODELIST")
  srun --label -K --cpu-bind none python train.py --rank $SLURM_PROCID --part ${SLURM_ARRAY_TASK_ID}
#SBATCH --time=1
)";

TEST(ImportSlurm, CarriesATrainingJobOver) {
  const auto job = import_slurm(kTraining, "t.sbatch");
  ASSERT_TRUE(job) << job.error().message();
  const JobSpec spec = spec_of(*job);
  EXPECT_EQ(spec.name(), "llama-7b");
  EXPECT_EQ(spec.queue(), "gpu");
  EXPECT_EQ(spec.resources().nodes(), 4u);
  EXPECT_EQ(spec.resources().gpus_per_node(), 8u);
  EXPECT_EQ(spec.resources().cpus_per_node(), 96u);
  EXPECT_EQ(spec.resources().memory_bytes(), 960ull << 30);
  EXPECT_EQ(spec.time().limit_ms(), 217'800'000u);
  EXPECT_EQ(spec.run().launcher(), PER_RANK);
  EXPECT_EQ(spec.run().ranks_per_node(), 8u);
  EXPECT_EQ(spec.run().environment().at("NCCL_DEBUG"), "WARN");
  EXPECT_EQ(spec.labels().at("account"), "proj42");
  EXPECT_EQ(spec.placement().exclude_size(), 4);
  EXPECT_EQ(spec.placement().exclude(2), "n003");
  EXPECT_EQ(spec.placement().require_size(), 2);
  EXPECT_TRUE(job->text.contains("index: \"0-9%2\"")) << job->text;
  const std::string& script = spec.run().script();
  EXPECT_TRUE(script.contains("\n  python train.py --rank $FF_RANK --part ${FF_ARRAY_INDEX}\n")) << script;
  EXPECT_FALSE(script.contains("-p gpu"));
  EXPECT_TRUE(job->text.contains("  script: |\n    #!/bin/bash\n")) << job->text;
  EXPECT_TRUE(says(*job, "t.sbatch:11: --mail-user: no mail is sent"));
  EXPECT_TRUE(says(*job, "t.sbatch:12: --output: "));
  EXPECT_TRUE(says(*job, "t.sbatch:13: --export: ALL"));
  EXPECT_TRUE(says(*job, "t.sbatch:19: scontrol: is not there"));
  EXPECT_TRUE(says(*job, "SLURM_JOB_NODELIST"));
  EXPECT_EQ(job->lost.size(), 5u);
}

TEST(ImportSlurm, LosesNothingOfASmallOne) {
  const auto job = import_slurm(
      "#!/bin/sh\n#SBATCH -J eval -n1 -c 4\n#SBATCH --gpus=1 --mem 16000 --time=30 --begin=now+2hours --hold\n"
      "#SBATCH --no-requeue --chdir=/ws/ann --parsable\n./evaluate\n",
      "e");
  ASSERT_TRUE(job) << job.error().message();
  EXPECT_TRUE(job->lost.empty()) << job->lost.front();
  const JobSpec spec = spec_of(*job);
  EXPECT_EQ(spec.run().launcher(), PER_NODE);
  EXPECT_EQ(spec.resources().gpus_per_node(), 1u);
  EXPECT_EQ(spec.resources().cpus_per_node(), 4u);
  EXPECT_EQ(spec.resources().memory_bytes(), 16000ull << 20);
  EXPECT_EQ(spec.time().limit_ms(), 1'800'000u);
  EXPECT_EQ(spec.time().begin_ms(), 1'800'007'200'000u);
  EXPECT_TRUE(spec.hold());
  EXPECT_EQ(spec.retry().on_size(), 0);
  EXPECT_EQ(spec.run().workdir(), "/ws/ann");
}

TEST(ImportSlurm, SaysWhatItLoses) {
  const auto lost = [](std::string_view line) {
    const auto job = import_slurm("#!/bin/sh\n" + std::string(line) + "\n", "s");
    return job ? (job->lost.empty() ? "nothing" : job->lost.front()) : "refused: " + job.error().message();
  };
  EXPECT_TRUE(lost("#SBATCH --dependency=afterok:12").starts_with("s:2: --dependency: its numbers are of Slurm's"));
  EXPECT_TRUE(lost("#SBATCH --gpus-per-node=a100:4").contains("kinds are labels"));
  EXPECT_TRUE(lost("#SBATCH --constraint=a|b").contains("all of several labels"));
  EXPECT_TRUE(lost("#SBATCH -N 2-4").contains("here the least"));
  EXPECT_TRUE(lost("#SBATCH -N 2").contains("on every node, not on the first alone"));
  EXPECT_TRUE(lost("#SBATCH -n 7 -N 2").contains("not as many on each"));
  EXPECT_TRUE(lost("#SBATCH --frobnicate=1").contains("is not known"));
  EXPECT_TRUE(lost("#SBATCH -J 'a b'").contains("is 'a-b' here"));
  EXPECT_TRUE(lost("srun a\nsrun b").contains("no rank waits for the others"));
  EXPECT_TRUE(lost("srun -n 4 a").contains("every rank of the job runs the line"));
  EXPECT_TRUE(lost("srun \\").contains("on another line"));
  EXPECT_EQ(lost("#SBATCH --time=soon"), "refused: s:2: --time: 'soon' is not understood");
  EXPECT_EQ(lost("#SBATCH -x 'n[1'"), "refused: s:2: -x: 'n[1' is not understood");
  EXPECT_EQ(lost("#SBATCH -N 0"), "refused: s:2: -N: '0' is not understood");
  EXPECT_TRUE(lost("#SBATCH -N 999999").starts_with("refused: s:"));
  EXPECT_FALSE(import_slurm("echo\n", "s"));
}

TEST(ImportSlurm, ReadsItsWords) {
  EXPECT_EQ(slurm_seconds("30"), 1800u);
  EXPECT_EQ(slurm_seconds("1:30"), 90u);
  EXPECT_EQ(slurm_seconds("1:00:00"), 3600u);
  EXPECT_EQ(slurm_seconds("1-2"), 93'600u);
  EXPECT_EQ(slurm_seconds("1-2:30"), 95'400u);
  EXPECT_EQ(slurm_seconds("UNLIMITED"), 0u);
  for (const char* bad : {"", "-", "1:2:3:4", "1-", "x", "-1", "99999999-0"}) EXPECT_FALSE(slurm_seconds(bad)) << bad;
  EXPECT_EQ(slurm_bytes("2k"), 2048u);
  EXPECT_EQ(slurm_bytes("1"), 1ull << 20);
  for (const char* bad : {"", "G", "1P", "-1", "99999999T"}) EXPECT_FALSE(slurm_bytes(bad)) << bad;
  EXPECT_EQ(expand_hosts("n[08-11],x")->size(), 5u);
  EXPECT_EQ(expand_hosts("n[08-11]")->at(2), "n10");
  for (const char* bad : {"", "a,", "n[", "n[1", "n[2-1]", "n[a]", "n[0-99999]", "n[]", "a b"})
    EXPECT_FALSE(expand_hosts(bad)) << bad;
}

constexpr std::string_view kTask = R"(version: 2
name: alphafold-train
task_type: training
priority: 30
spec:
  workspace: /ceph-jd/ann/alphafold
  entrypoint: train.py
  parameters: --config cfg/full.yml --name "my run"
  environments:
    NCCL_DEBUG: INFO
resource:
  image: default
  group: jd_a100#A
  node_count: 16
  gpu: 8
services:
  - {name: tb, type: http, port: 6006}
options:
  whole_life_state: 3
  watchdog_time: 7200
  override_node_resource: {cpu: 96, memory: 500Gi}
  tags: [prod, af2]
)";

TEST(ImportHai, CarriesATaskOver) {
  const auto job = import_hai(kTask, "t.yml");
  ASSERT_TRUE(job) << job.error().message();
  const JobSpec spec = spec_of(*job);
  EXPECT_EQ(spec.name(), "alphafold-train");
  EXPECT_EQ(spec.priority(), HIGH);
  EXPECT_EQ(spec.resources().nodes(), 16u);
  EXPECT_EQ(spec.resources().gpus_per_node(), 8u);
  EXPECT_EQ(spec.resources().memory_bytes(), 500ull << 30);
  EXPECT_EQ(spec.run().launcher(), PER_RANK);  // RANK is that of the node, as there
  EXPECT_EQ(spec.run().ranks_per_node(), 1u);
  EXPECT_EQ(spec.run().workdir(), "/ceph-jd/ann/alphafold");
  ASSERT_EQ(spec.run().command_size(), 7);
  EXPECT_EQ(spec.run().command(0), "python");
  EXPECT_EQ(spec.run().command(6), "my run");
  EXPECT_EQ(spec.time().no_output_ms(), 7'200'000u);
  EXPECT_EQ(spec.labels().size(), 2u);
  EXPECT_EQ(spec.placement().require(0), "jd_a100");
  EXPECT_TRUE(says(*job, "t.yml:12: resource.image: jobs run without containers"));
  EXPECT_TRUE(says(*job, "services: jobs have no services"));
  EXPECT_TRUE(says(*job, "zone 'A'"));
  EXPECT_TRUE(says(*job, "ff_state_set"));
  EXPECT_EQ(job->lost.size(), 5u);
}

TEST(ImportHai, KeepsParametersThatNeedAShell) {
  const auto job = import_hai(
      "version: 2\nname: x\nspec: {entrypoint: run.sh, parameters: '--out $HOME/x'}\nresource: {node_count: 1, gpu: "
      "8}\n",
      "t");
  ASSERT_TRUE(job) << job.error().message();
  const JobSpec spec = spec_of(*job);
  EXPECT_EQ(spec.run().command(2), "exec \"$@\" --out $HOME/x");
  EXPECT_EQ(spec.run().command(spec.run().command_size() - 1), "run.sh");
  EXPECT_EQ(spec.time().no_output_ms(), 1'800'000u);
}

TEST(ImportHai, RefusesWhatIsNone) {
  const auto message = [](std::string_view text) {
    const auto job = import_hai(text, "t");
    return job ? "accepted" : job.error().message();
  };
  EXPECT_EQ(message("version: 1\n"), "t:1: version: is not 2");
  EXPECT_EQ(message("name: x\n"), "t:1: version: is missing (version 2 is read)");
  EXPECT_EQ(message("version: 2\n"), "t:1: spec.entrypoint: is missing");
  EXPECT_EQ(message("- a\n"), "t:1: is no map of keys");
  EXPECT_EQ(message("version: 2\npriority: 7\n"), "t:2: priority: '7' is none of its priorities");
  EXPECT_TRUE(message("version: 2\nresource: {node_count: 0}\n").starts_with("t:2: resources.nodes: '0' is out of"));
  EXPECT_TRUE(message("version: 2\n  x: [\n").starts_with("t:"));
  EXPECT_TRUE(message(std::string_view("a\0b", 3)).contains("no text"));
}

}  // namespace
}  // namespace ff::ctl
