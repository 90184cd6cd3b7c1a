#include "ffctl/job/spec.hpp"

#include <gtest/gtest.h>

#include "ffctl/job/check.hpp"
#include "ffctl/job/expand.hpp"
#include "ffctl/job/options.hpp"
#include "ffctl/job/schema.hpp"
#include "ffctl/job/selector.hpp"
#include "ffctl/job/words.hpp"
#include "libcommon/base/file.hpp"
#include "libcommon/base/rng.hpp"

namespace ff::ctl {
namespace {

using config::Config;

const ResolveContext kHere = {.folder = "/here", .now_ms = 1'800'000'000'000};

Result<JobSpec> read(std::string_view text) {
  Config values(job_schema());
  FF_TRY(read_job_text(values, text, "job.yaml"));
  return resolve_job(values, kHere);
}
std::string refusal(std::string_view text) {
  const auto spec = read(text);
  return spec ? "accepted" : spec.error().message();
}

TEST(JobFile, FillsInWhatIsNotSaid) {
  const auto spec = read("run:\n  command: [python3, /x/train.py, -n, 3]\n");
  ASSERT_TRUE(spec) << spec.error().message();
  EXPECT_EQ(spec->name(), "train");
  EXPECT_EQ(spec->queue(), "default");
  EXPECT_EQ(spec->priority(), NORMAL);
  EXPECT_EQ(spec->resources().nodes(), 1u);
  EXPECT_EQ(spec->run().workdir(), "/here");
  EXPECT_EQ(spec->run().launcher(), PER_NODE);
  EXPECT_EQ(spec->run().ranks_per_node(), 1u);
  EXPECT_EQ(spec->preemption().mode(), PreemptionSpec::CHECKPOINT);
  EXPECT_EQ(spec->preemption().grace_ms(), 60'000u);
  EXPECT_EQ(spec->retry().on_size(), 2);
}

TEST(JobFile, ReadsEveryKey) {
  const auto spec = read(R"(ffjob: 1
name: gpt
queue: train
priority: very-high
resources: {nodes: 16, gpus_per_node: 8, cpus_per_node: 12, memory: 900GiB, pids: 4096}
placement: {require: [ib], exclude: [n017]}
run:
  workdir: /ws/gpt
  env: {A: b, N: 5}
  launcher: per-rank
  command: [./train, --config, l.yml]
time: {limit: 72h, estimate: 40h, begin: 2030-01-02T03:04:05Z, no_output: 30m, no_progress: 1500us}
preemption: {mode: kill, grace: 90s, max_grace: 60s, min_run: 20m, budget: 12}
retry: {on: [node-fail, nonzero-exit], max: 3, backoff: 1s}
depends: [after-ok:12, after-start:7]
labels: {project: llm}
hold: true
checkpoint: ffs:/ckpt
)");
  ASSERT_TRUE(spec) << spec.error().message();
  EXPECT_EQ(spec->priority(), VERY_HIGH);
  EXPECT_EQ(spec->resources().memory_bytes(), 900ull << 30);
  EXPECT_EQ(spec->run().ranks_per_node(), 8u);  // one a GPU
  EXPECT_EQ(spec->run().environment().at("N"), "5");
  EXPECT_EQ(spec->time().begin_ms(), 1'893'553'445'000u);
  EXPECT_EQ(spec->time().no_progress_ms(), 2u);  // never shorter than said
  EXPECT_EQ(spec->preemption().max_grace_ms(), 90'000u);
  EXPECT_EQ(spec->retry().on(1), NONZERO_EXIT);
  EXPECT_EQ(spec->depends(1).condition(), Dependency::AFTER_START);
  EXPECT_EQ(spec->depends(1).job(), 7u);
  EXPECT_EQ(spec->labels().at("project"), "llm");
  EXPECT_TRUE(spec->hold());
}

TEST(JobFile, SaysWhereAndWhatIsWrong) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"run:\n  comand: [a]\n", "job.yaml:2: run.comand: unknown key (did you mean 'command'?)"},
      {"nodes: 4\n", "job.yaml:1: nodes: unknown key"},
      {"name: a\n", "run.command: is empty (say what to run: a list in a file, or words after --)"},
      {"resources: {memory: 5 parsecs}\n", "job.yaml:1: resources.memory: "},
      {"time: {limit: 30}\n", "job.yaml:1: time.limit: "},
      {"priority: hihg\n", "job.yaml:1: priority: 'hihg' is not one of "},
      {"name: a b\nrun: {command: [x]}\n", "job.yaml:1: name: is not [A-Za-z0-9._-]{1,255}"},
      {"run: {command: [x], workdir: here}\n", "job.yaml:1: run.workdir: is not absolute"},
      {"run: {command: [x], env: {'A=B': c}}\n", "job.yaml:1: run.env: 'A=B' cannot be the name of a variable"},
      {"run: {command: [\"a\\0b\"]}\n", "job.yaml:1: run.command: has a zero byte"},
      {"run: {command: [x]}\ndepends: [12]\n", "job.yaml:2: depends: '12' is no dependency (write after-ok:17"},
      {"run: {command: [x]}\ntime: {begin: soon}\n", "job.yaml:2: time.begin: 'soon' is no time"},
      {"run: {command: [x]}\ntime: {limit: 1h, estimate: 2h}\n",
       "job.yaml:2: time.estimate: is longer than time.limit"},
      {"run: {command: [x], launcher: per-node, ranks_per_node: 4}\n",
       "job.yaml:1: run.ranks_per_node: more than one need run.launcher"},
      {"run: {command: [x]}\nresources: {nodes: 2}\nplacement: {only: [a]}\n",
       "job.yaml:3: placement.only: names 1 nodes"},
      {"run: {command: [x]}\nretry: {on: [node_fail]}\n",
       "job.yaml:2: retry.on: 'node_fail' is not one of none, node-fail"},
      {"run: {command: [x]}\nretry: {on: [none, watchdog]}\n", "job.yaml:2: retry.on: 'none' stands beside"},
      {"run: {command: [x]}\nlabels: {'a b': c}\n", "job.yaml:2: labels: has a name that is not"},
      {"run: {command: [x]}\nlabels: {a: \"b\\nc\"}\n", "job.yaml:2: labels: byte 1 is a control character"},
      {"run: {command: [x]}\nplacement: {require: ['']}\n", "job.yaml:2: placement.require: has a label"},
      {"ffjob: 2\n", "job.yaml:1: ffjob: '2' is out of range"},
  };
  for (const auto& [text, message] : cases) EXPECT_TRUE(refusal(text).starts_with(message)) << text << refusal(text);
}

TEST(JobFile, RefusesWhatIsTooLongOrNoText) {
  const auto spec = read("run: {command: [x, " + std::string(200'000, 'a') + "]}\n");
  ASSERT_FALSE(spec);
  EXPECT_EQ(spec.error().code(), Errc::kInvalidArgument);
  EXPECT_TRUE(spec.error().message().contains("at most 131072")) << spec.error().message();
  EXPECT_TRUE(refusal(std::string_view("a\0b", 3)).contains("zero bytes"));
  EXPECT_TRUE(refusal(std::string(kJobFileBytesMax + 1, '#')).contains("longer than"));
  Config values(job_schema());
  values.set(*job_schema().find("run.command"), std::vector<std::string>{"x", "\xff"}, {config::Source::kFlag, "--"});
  EXPECT_FALSE(resolve_job(values, kHere));
}

TEST(Script, TakesItsKeysFromItsHead) {
  Config values(job_schema());
  const std::string text =
      "#!/bin/bash\n# a comment\n#FF resources.nodes: 2\n#FF retry.on: watchdog,node-fail\n\n#FF run.env.A: b "
      "c\necho\n";
  ASSERT_TRUE(read_script(values, text, "/tmp/go.sh"));
  ASSERT_TRUE(values.set_flag("resources.nodes", "3", "--set"));
  const auto spec = resolve_job(values, kHere);
  ASSERT_TRUE(spec) << spec.error().message();
  EXPECT_EQ(spec->name(), "go");
  EXPECT_EQ(spec->run().script(), text);
  EXPECT_EQ(spec->run().command(0), "go.sh");
  EXPECT_EQ(spec->resources().nodes(), 3u);
  EXPECT_EQ(spec->retry().on_size(), 2);
  EXPECT_EQ(spec->run().environment().at("A"), "b c");
  const auto wrong = [](std::string_view script) {
    Config other(job_schema());
    const auto done = read_script(other, script, "s");
    return done ? "accepted" : done.error().message();
  };
  EXPECT_EQ(wrong("#!/bin/sh\necho\n#FF name: x\n"),
            "s:3: an #FF line after the first command is not read (move it up)");
  EXPECT_EQ(wrong("#!/bin/sh\n#FF nmae: x\n"), "s:2: unknown key 'nmae' (did you mean 'name'?)");
  EXPECT_EQ(wrong("#!/bin/sh\n#FF name\n"), "s:2: is not '#FF key: value', nor '#FF --option value'");
  EXPECT_EQ(wrong("#!/bin/sh\n#FF name: x\n#FF name: y\n"), "s:3: name: given twice");
  EXPECT_EQ(wrong("#!/bin/sh\n#FFname: x\n"), "accepted");
}

TEST(Script, TakesOptionsAsSubmitDoes) {
  Config values(job_schema());
  ASSERT_TRUE(
      read_script(values,
                  "#!/bin/bash\n#FF --nodes 4 -p low --gpus-per-node=8   # whole ones\n#FF -J 'my-job' -R4\n"
                  "#FF -e A=1 --env 'B=x y'\n#FF --exclude n1 --exclude n2,n3\n#FF -e A=2\n#FF time.limit: 2h\n",
                  "go.sh"));
  const auto spec = resolve_job(values, kHere);
  ASSERT_TRUE(spec) << spec.error().message();
  EXPECT_EQ(spec->name(), "my-job");
  EXPECT_EQ(spec->resources().nodes(), 4u);
  EXPECT_EQ(spec->resources().gpus_per_node(), 8u);
  EXPECT_EQ(spec->priority(), LOW);
  EXPECT_EQ(spec->run().launcher(), PER_RANK);
  EXPECT_EQ(spec->run().ranks_per_node(), 4u);
  EXPECT_EQ(spec->run().environment().at("A"), "2");
  EXPECT_EQ(spec->run().environment().at("B"), "x y");
  EXPECT_EQ(spec->placement().exclude_size(), 3);
  EXPECT_EQ(spec->time().limit_ms(), 7'200'000u);
  const auto wrong = [](const std::string& line) {
    Config other(job_schema());
    const auto done = read_script(other, "#!/bin/sh\n" + line + "\n", "s");
    if (!done) return done.error().message();
    const auto job = resolve_job(other, kHere);
    return job ? "accepted" : job.error().message();
  };
  EXPECT_EQ(wrong("#FF --nodse 4"), "s:2: unknown option '--nodse' (did you mean '--nodes'?)");
  EXPECT_EQ(wrong("#FF --nodes 0"), "s:2: option '--nodes': '0' is out of range (1 to 100000)");
  EXPECT_EQ(wrong("#FF --nodes"), "s:2: option '--nodes': needs a value");
  EXPECT_EQ(wrong("#FF -N 1 -N 2"), "s:2: --nodes: given twice");
  EXPECT_EQ(wrong("#FF -N 1\n#FF resources.nodes: 2"), "s:3: resources.nodes: given twice");
  EXPECT_EQ(wrong("#FF -J 'a"), "s:2: a quote ' is not closed");
  EXPECT_EQ(wrong("#FF -N 1 here"), "s:2: 'here' is no option");
  EXPECT_EQ(wrong("#FF -C here"), "s:2: option '--workdir': is not absolute (nodes have other folders)");
  EXPECT_EQ(wrong("#FF -J 'a b'"), "s:2: option '--name': is not [A-Za-z0-9._-]{1,255}");
}

TEST(Options, HaveTheKeysOfTheFile) {
  for (const JobOption& option : job_options()) {
    ASSERT_TRUE(job_schema().find(option.key)) << option.names;
    EXPECT_EQ(parse_job_options(option.long_name() + "=x")->front().option, &option);
  }
}

// What describe_job() prints is the same job again, whatever its texts hold.
TEST(Describe, GivesTheSameJobAgain) {
  const std::string alphabet = "aZ0 :#{}[],&*!|>'\"%@`\\\n\t-=.~\xc3\xa9";
  for (std::uint64_t seed = 0; seed < 500; ++seed) {
    Rng rng(seed);
    const auto any = [&](std::size_t most) {
      std::string text;
      for (std::size_t n = rng.next() % (most + 1); n > 0; --n) {
        const std::size_t at = rng.next() % (alphabet.size() - 1);
        text += at + 2 == alphabet.size() ? "\xc3\xa9" : std::string(1, alphabet[at]);
      }
      return text;
    };
    const auto printable = [&](std::size_t most) {
      std::string text = any(most);
      std::erase_if(text, [](char c) { return c == '\n' || c == '\t'; });
      return text;
    };
    JobSpec spec;
    spec.set_name("n" + std::to_string(seed));
    spec.set_queue("q");
    spec.set_priority(static_cast<Priority>(1 + rng.next() % 7));
    spec.mutable_resources()->set_nodes(1 + static_cast<std::uint32_t>(rng.next() % 9));
    spec.mutable_resources()->set_gpus_per_node(static_cast<std::uint32_t>(rng.next() % 9));
    spec.mutable_resources()->set_memory_bytes(rng.next() >> (rng.next() % 64));
    (void)spec.mutable_placement();  // resolved jobs have one
    for (std::uint64_t n = rng.next() % 3; n > 0; --n) spec.mutable_placement()->add_require("l" + printable(5));
    RunSpec& run = *spec.mutable_run();
    run.add_command("/" + any(9));
    for (std::uint64_t n = rng.next() % 5; n > 0; --n) run.add_command(any(12));
    run.set_workdir("/" + printable(8));
    run.set_launcher(static_cast<Launcher>(1 + rng.next() % 3));
    run.set_ranks_per_node(run.launcher() == PER_NODE ? 1 : 1 + static_cast<std::uint32_t>(rng.next() % 8));
    if (rng.next() % 3 == 0) run.set_script("#!/bin/sh\n" + any(60));
    for (std::uint64_t n = rng.next() % 3; n > 0; --n) (*run.mutable_environment())["V" + std::to_string(n)] = any(20);
    spec.mutable_time()->set_limit_ms(rng.next() % 1'000'000'000);
    spec.mutable_time()->set_begin_ms(rng.next() % 4'000'000'000'000);
    spec.mutable_preemption()->set_mode(static_cast<PreemptionSpec::Mode>(1 + rng.next() % 3));
    spec.mutable_preemption()->set_grace_ms(rng.next() % 100'000);
    spec.mutable_preemption()->set_max_grace_ms(spec.preemption().grace_ms() + rng.next() % 100'000);
    if (rng.next() % 2 == 0) spec.mutable_retry()->add_on(static_cast<RetryOn>(1 + rng.next() % 4));
    spec.mutable_retry()->set_max(static_cast<std::uint32_t>(rng.next() % 30));
    if (rng.next() % 2 == 0) {
      Dependency& one = *spec.add_depends();
      one.set_condition(static_cast<Dependency::Condition>(1 + rng.next() % 4));
      one.set_job(1 + rng.next() % 1000);
    }
    (*spec.mutable_labels())["k"] = printable(6);
    spec.set_hold(rng.next() % 2 == 0);
    spec.set_checkpoint(printable(10));
    const std::string text = describe_job(spec);
    const auto again = read(text);
    ASSERT_TRUE(again) << again.error().message() << "\n" << text;
    EXPECT_EQ(again->DebugString(), spec.DebugString()) << text;
  }
}

TEST(Schema, IsTheFileThatIsShipped) {
  const auto shipped = read_file(FF_JOB_SCHEMA, 1u << 20);
  ASSERT_TRUE(shipped);
  EXPECT_EQ(*shipped, job_json_schema()) << "configs/ffjob.schema.json is job_json_schema()";
}

TEST(Expand, MakesArraysSweepsAndLines) {
  const auto spec = read("run: {command: [t, 'x{i}{j}', '{lr}', '{line}'], env: {O: 'out-{i}'}}\n");
  ASSERT_TRUE(spec);
  const auto array = expand_job(*spec, {.array = "0-6:3,1%2", .sweep = {}, .lines = {}});
  ASSERT_TRUE(array);
  ASSERT_EQ(array->size(), 4u);
  EXPECT_EQ((*array)[3].array_index(), 6u);
  EXPECT_EQ((*array)[3].array_limit(), 2u);
  EXPECT_EQ((*array)[3].run().command(1), "x6{j}");
  EXPECT_EQ((*array)[3].run().environment().at("O"), "out-6");
  const auto sweep = expand_job(*spec, {.array = "", .sweep = {{"lr", "1,2,{i}"}, {"i", "a,b"}}, .lines = {}});
  ASSERT_TRUE(sweep);
  ASSERT_EQ(sweep->size(), 6u);
  EXPECT_EQ((*sweep)[2].run().command(2), "{i}");  // what was put in is not read again
  EXPECT_EQ((*sweep)[5].run().environment().at("FF_SWEEP_i"), "b");
  const auto lines = expand_job(*spec, {.array = "", .sweep = {}, .lines = {{"a b", ""}}});
  ASSERT_TRUE(lines);
  EXPECT_EQ((*lines)[0].run().command(3), "a b");
  EXPECT_EQ((*lines)[0].run().command_size(), 4);
  EXPECT_FALSE(expand_job(*spec, {.array = "1", .sweep = {{"lr", "1"}}, .lines = {}}));
  EXPECT_FALSE(expand_job(*spec, {.array = "", .sweep = {{"no", "1"}}, .lines = {}}));
  for (const char* bad : {"", "a", "3-1", "1-", "-1", "1,1", "0-4,3", "0-99999999", "1%0", "1%", "0-9:0", "5:2"})
    EXPECT_FALSE(parse_array(bad)) << bad;
}

TEST(Expand, RefusesResultsThatNoJobMayHave) {
  const auto refused = [](std::string_view text, const Variants& variants) {
    const auto spec = read(text);
    const auto jobs = expand_job(*spec, variants);
    return jobs ? "accepted" : jobs.error().message();
  };
  const auto sweep = [&](config::TextMap values) {
    return refused("run: {command: [t, '{a=b}{a}{A B}']}\n",
                   {.array = "", .sweep = std::move(values), .lines = {}, .place = "job.yaml:7"});
  };
  EXPECT_EQ(sweep({{"a=b", "1"}}), "job.yaml:7: sweep: 'a=b' is no name ([A-Za-z0-9._-]{1,255})");
  EXPECT_EQ(sweep({{"A B", "1"}}), "job.yaml:7: sweep: 'A B' is no name ([A-Za-z0-9._-]{1,255})");
  EXPECT_EQ(sweep({{"a", "1,,2"}}), "job.yaml:7: sweep: a: '1,,2' has an empty value");
  EXPECT_EQ(sweep({{"a", "1,\xff"}}), "job.yaml:7: sweep: job 2 of 2: run.command: byte 5 is no UTF-8 text");
  EXPECT_TRUE(sweep({{"a", std::string(140'000, 'x')}}).contains("at most 131072 are taken"));
  EXPECT_TRUE(refused("run: {command: ['{i}']}\n", {.array = "0-10000", .sweep = {}, .lines = {}, .place = "--array"})
                  .starts_with("--array: array: '0-10000' has more than 10000 jobs"));
  EXPECT_EQ(refused("run: {command: ['{line}']}\n", {.array = "", .sweep = {}, .lines = {{"ok", ""}}}),
            "lines: job 2 of 2: run.command: its first word is empty");
}

TEST(Check, FindsWhatOnlyAForeignClientSends) {
  const auto good = read("run: {command: [x]}\n");
  ASSERT_TRUE(good);
  EXPECT_FALSE(check_spec(*good));
  const auto fault = [&](auto change) {
    JobSpec spec = *good;
    change(spec);
    const auto found = check_spec(spec);
    return found ? found->key : "none";
  };
  EXPECT_EQ(fault([](JobSpec& s) { s.set_priority(static_cast<Priority>(99)); }), "priority");
  EXPECT_EQ(fault([](JobSpec& s) { s.set_priority(PRIORITY_NONE); }), "priority");
  EXPECT_EQ(fault([](JobSpec& s) { s.mutable_run()->set_launcher(static_cast<Launcher>(9)); }), "run.launcher");
  EXPECT_EQ(fault([](JobSpec& s) { s.mutable_run()->set_ranks_per_node(0); }), "run.ranks_per_node");
  EXPECT_EQ(fault([](JobSpec& s) { s.mutable_run()->set_ranks_per_node(2000); }), "run.ranks_per_node");
  EXPECT_EQ(fault([](JobSpec& s) { s.mutable_run()->set_script("#!/bin/sh\n\xff"); }), "run.script");
  EXPECT_EQ(fault([](JobSpec& s) { (*s.mutable_run()->mutable_environment())["A=B"] = ""; }), "run.env");
  EXPECT_EQ(fault([](JobSpec& s) { s.mutable_resources()->set_nodes(0); }), "resources.nodes");
  EXPECT_EQ(fault([](JobSpec& s) { s.mutable_resources()->set_gpus_per_node(5000); }), "resources.gpus_per_node");
  EXPECT_EQ(fault([](JobSpec& s) { s.mutable_placement()->add_require("a\nb"); }), "placement.require");
  EXPECT_EQ(fault([](JobSpec& s) { s.mutable_placement()->add_only("a b"); }), "placement.only");
  EXPECT_EQ(fault([](JobSpec& s) { s.mutable_retry()->add_on(static_cast<RetryOn>(7)); }), "retry.on");
  EXPECT_EQ(fault([](JobSpec& s) { s.mutable_preemption()->set_mode(PreemptionSpec::MODE_NONE); }), "preemption.mode");
  EXPECT_EQ(fault([](JobSpec& s) { s.mutable_preemption()->set_max_grace_ms(1); }), "preemption.max_grace");
  EXPECT_EQ(fault([](JobSpec& s) { s.mutable_time()->set_begin_ms(~0ull); }), "time.begin");
  EXPECT_EQ(fault([](JobSpec& s) { s.add_depends()->set_job(1); }), "depends");
  EXPECT_EQ(fault([](JobSpec& s) { (*s.mutable_labels())["a b"] = ""; }), "labels");
  EXPECT_EQ(fault([](JobSpec& s) { s.set_checkpoint("a\x01"); }), "checkpoint");
  EXPECT_EQ(fault([](JobSpec& s) { s.set_name("\xff"); }), "name");
  EXPECT_EQ(fault([](JobSpec& s) { s.mutable_run()->add_command(std::string(1 << 20, 'x')); }), "job");
}

TEST(Selector, ReadsAllForms) {
  using Kind = Selector::Kind;
  EXPECT_EQ(parse_selector("12")->first, 12u);
  EXPECT_EQ(parse_selector("12@2")->attempt, 2u);
  EXPECT_EQ(parse_selector("3..7")->last, 7u);
  EXPECT_EQ(parse_selector("last")->kind, Kind::kLast);
  EXPECT_EQ(parse_selector("gpt-2@3")->text, "gpt-2");
  EXPECT_EQ(parse_selector("user:ann")->kind, Kind::kUser);
  EXPECT_EQ(parse_selector("label:a=b")->text, "a=b");
  EXPECT_EQ(parse_selector("state:queued")->phase, QUEUED);
  EXPECT_EQ(parse_selector("state:timed-out")->result, TIMED_OUT);
  for (const char* bad : {"", "0", "7..3", "a b", "x@", "x@0", "@3", "train@x", "user:", "state:runing", "1..100002",
                          "99999999999999999999"})
    EXPECT_FALSE(parse_selector(bad)) << bad;
  EXPECT_TRUE(parse_selector("state:runing").error().message().contains("did you mean 'running'"));
  for (const char* several : {"user:ann", "label:a", "state:done", "3..4"})
    EXPECT_TRUE(parse_selector(several)->several()) << several;
  for (const char* one : {"last", "train", "12", "12@2", "4..4"}) EXPECT_FALSE(parse_selector(one)->several()) << one;
}

TEST(Words, AreReadAsTheyAreShown) {
  for (const std::string& word : priority_words()) EXPECT_EQ(priority_text(*parse_priority(word)), word);
  for (const std::string& word : phase_words()) EXPECT_EQ(phase_text(*parse_phase(word)), word);
  EXPECT_EQ(word_of(ON_WATCHDOG), "watchdog");
  EXPECT_EQ(word_of(JobResult::WATCHDOG), "watchdog");
  EXPECT_EQ(word_of(PRIORITY_NONE), "");
  EXPECT_EQ(word_of(static_cast<Priority>(99)), "");
  const auto wrong = parse_priority("hihg");
  ASSERT_FALSE(wrong);
  EXPECT_TRUE(wrong.error().message().contains("did you mean 'high'")) << wrong.error().message();
}

TEST(When, ReadsWhatItWrites) {
  for (const std::uint64_t ms : {0ull, 1ull, 951'782'400'000ull, 1'893'553'445'678ull})
    EXPECT_EQ(*parse_when(format_when(ms), 5), ms);
  EXPECT_EQ(*parse_when("+90m", 1000), 5'401'000u);
  EXPECT_EQ(*parse_when("90m", 1000), 5'401'000u);
  for (const char* bad : {"2026-02-30T00:00:00Z", "2026-01-01", "2026-01-01T00:00:00", "2026-01-01T25:00:00Z", "+",
                          "now", "-026-01-01T00:00:00Z", "+026-01-01T00:00:00Z", "2026-01-01T-1:00:00Z",
                          "2026-01-01T00:00:00.-12Z", "-5m", "300000d"})
    EXPECT_FALSE(parse_when(bad, 0)) << bad;
}

}  // namespace
}  // namespace ff::ctl
