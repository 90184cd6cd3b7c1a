// `hfreduce run` through the real binary: what ranks are told, what happens to their output, and above all that nothing
// outlives a failure, a signal or the launcher's death. The ranks are shell scripts, so that no collective is involved.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <sstream>
#include <thread>

#include "tests/cli/process.hpp"

namespace ff::testing {
namespace {

using std::chrono::seconds;

std::string binary() { return std::getenv("HFREDUCE"); }

std::vector<std::string> command(std::vector<std::string> options, const std::string& script) {
  std::vector<std::string> argv = {binary(), "run"};
  argv.insert(argv.end(), options.begin(), options.end());
  argv.insert(argv.end(), {"--", "sh", "-c", script});
  return argv;
}

std::vector<std::string> sorted_lines(const std::string& text) {
  std::istringstream in(text);
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  std::ranges::sort(lines);
  return lines;
}

// The numbers that ranks print as "pid N".
std::vector<pid_t> pids_in(const std::string& text) {
  std::vector<pid_t> pids;
  for (auto at = text.find("pid "); at != std::string::npos; at = text.find("pid ", at + 4))
    pids.push_back(std::atoi(text.c_str() + at + 4));
  return pids;
}

TEST(Run, TellsEachRankWhoItIs) {
  const Outcome o = run(command({"-n", "2", "--no-prefix"},
                                "echo $RANK $WORLD_SIZE $LOCAL_RANK $LOCAL_WORLD_SIZE $MASTER_ADDR ${#HFR_TOKEN} "
                                "${HFR_LISTEN_FD:+fd}"));
  EXPECT_EQ(o.code, 0) << o.err;
  EXPECT_EQ(sorted_lines(o.out), (std::vector<std::string>{"0 2 0 2 127.0.0.1 32 fd", "1 2 1 2 127.0.0.1 32"}));
}

TEST(Run, BindsThePortBeforeRanksStart) {
  // Rank 0's descriptor is a socket, and its number is the one that the variable names.
  const Outcome o = run(command({}, "readlink /proc/self/fd/$HFR_LISTEN_FD"));
  EXPECT_EQ(o.code, 0) << o.err;
  EXPECT_TRUE(o.out.starts_with("socket:[")) << o.out;
}

TEST(Run, LeavesAGivenPortToTheProgram) {
  const Outcome o = run(command({"--master-port", "29511"}, "echo $MASTER_PORT [$HFR_LISTEN_FD]"));
  EXPECT_EQ(o.out, "29511 []\n");
}

TEST(Run, PrefixesWholeLinesAndKeepsTheStreamsApart) {
  const Outcome o = run(command({"-n", "2"}, "echo out; echo err >&2; printf part"));
  EXPECT_EQ(sorted_lines(o.out), (std::vector<std::string>{"[0] out", "[0] part", "[1] out", "[1] part"}));
  EXPECT_EQ(sorted_lines(o.err), (std::vector<std::string>{"[0] err", "[1] err"}));
}

TEST(Run, NeverMixesInsideALine) {
  const Outcome o =
      run(command({"-n", "4"}, "i=0; while [ $i -lt 200 ]; do printf aaaa; printf 'bbbb\\n'; i=$((i+1)); done"));
  EXPECT_EQ(o.code, 0);
  const auto lines = sorted_lines(o.out);
  ASSERT_EQ(lines.size(), 800u);
  for (const std::string& line : lines) EXPECT_EQ(line.substr(3), " aaaabbbb");
}

TEST(Run, OneRankHasNoPrefixAndItsBytesPassUnchanged) {
  const Outcome o = run(command({}, "printf 'a\\000\\377b'"));
  EXPECT_EQ(o.out, std::string("a\0\377b", 4));
}

TEST(Run, PrefixTextIsTheUsers) {
  const Outcome o = run(command({"-n", "2", "--output-prefix", "<{host}/{rank}>"}, "echo x"));
  EXPECT_EQ(sorted_lines(o.out), (std::vector<std::string>{"<localhost/0>x", "<localhost/1>x"}));
}

TEST(Run, WritesALogOfEachRank) {
  TempFolder folder;
  const Outcome o = run(command({"-n", "2", "--log-dir", folder.path("logs")}, "echo out $RANK; echo err $RANK >&2"));
  EXPECT_EQ(o.code, 0) << o.err;
  EXPECT_EQ(folder.read("logs/rank-1.out"), "out 1\n");
  EXPECT_EQ(folder.read("logs/rank-0.err"), "err 0\n");
}

TEST(Run, GivesStandardInputToRankZeroOnly) {
  const Outcome o = run(command({"-n", "2"}, "wc -c"), std::string(300000, 'x'));
  EXPECT_EQ(sorted_lines(o.out), (std::vector<std::string>{"[0] 300000", "[1] 0"}));
}

TEST(Run, PassesVariables) {
  const Outcome o = run(command({"-x", "A=1", "--env", "B"}, "echo $A $B"), "", {"B=from-here"});
  EXPECT_EQ(o.out, "1 from-here\n");
  EXPECT_EQ(run(command({"-x", "NOT_SET_ANYWHERE"}, "true")).code, 2);
}

TEST(Run, ExportsTunedSettings) {
  TempFolder folder;
  const std::string file = folder.write("t.yaml", "# comment\nHFR_FLAT_MAX: 4KiB\n");
  EXPECT_EQ(run(command({"--tuned", file}, "echo $HFR_FLAT_MAX")).out, "4KiB\n");
  const Outcome bad = run(command({"--tuned", folder.write("bad.yaml", "HFR_NONSENSE: 1\n")}, "true"));
  EXPECT_EQ(bad.code, 1);
  EXPECT_NE(bad.err.find("HFR_NONSENSE"), std::string::npos) << bad.err;
}

TEST(Run, FirstFailureEndsTheOthersAndIsTheResult) {
  const auto begin = std::chrono::steady_clock::now();
  const Outcome o = run(command({"-n", "3"}, "echo pid $$; if [ $RANK = 1 ]; then exit 7; fi; sleep 100"));
  EXPECT_EQ(o.code, 7);
  EXPECT_NE(o.err.find("rank 1 on host localhost exited with code 7"), std::string::npos) << o.err;
  EXPECT_LT(std::chrono::steady_clock::now() - begin, seconds(20));
  for (const pid_t pid : pids_in(o.out)) EXPECT_TRUE(gone(pid));
}

TEST(Run, ASignalledRankGivesItsNumberPlus128) {
  const Outcome o = run(command({"-n", "2"}, "if [ $RANK = 0 ]; then kill -9 $$; fi; sleep 100"));
  EXPECT_EQ(o.code, 128 + SIGKILL);
  EXPECT_NE(o.err.find("SIGKILL"), std::string::npos) << o.err;
}

TEST(Run, CommandThatIsNotThere) {
  const Outcome o = run({binary(), "run", "-n", "2", "--", "no-such-command-here"});
  EXPECT_EQ(o.code, 127);
  EXPECT_NE(o.err.find("no-such-command-here"), std::string::npos) << o.err;
  TempFolder folder;
  EXPECT_EQ(run({binary(), "run", "--", folder.write("plain", "x")}).code, 126);
}

TEST(Run, TimeoutEndsARunThatIgnoresSigterm) {
  const Outcome o = run(command({"-n", "2", "--timeout", "500ms", "--grace", "300ms"},
                                "trap '' TERM; echo pid $$; while :; do sleep 1; done"));
  EXPECT_EQ(o.code, 124);
  for (const pid_t pid : pids_in(o.out)) EXPECT_TRUE(gone(pid));
}

TEST(Run, ForwardsSignalsAndReportsTheRanksCode) {
  Process p(command({"-n", "2"}, "trap 'echo caught; exit 3' TERM; echo pid $$; while :; do sleep 0.05; done"));
  ASSERT_TRUE(p.wait_for_output("[0] pid"));
  ASSERT_TRUE(p.wait_for_output("[1] pid"));
  ::kill(p.pid(), SIGTERM);
  const Outcome o = p.wait(seconds(20));
  EXPECT_EQ(o.code, 3) << o.err;
  EXPECT_NE(o.out.find("[1] caught"), std::string::npos) << o.out;
}

// Its own end is no reason to tell the others twice: a program may take the second signal as "at once".
TEST(Run, AForwardedSignalComesOnce) {
  Process p(
      command({"-n", "2"},
              "n=0; trap 'n=$((n+1)); echo caught $n; [ $RANK = 0 ] && sleep 0.3 && exit 3' TERM; echo pid $$; i=0; "
              "while [ $i -lt 40 ]; do sleep 0.05; [ $n -gt 0 ] && i=$((i+1)); done; exit 0"));
  ASSERT_TRUE(p.wait_for_output("[0] pid"));
  ASSERT_TRUE(p.wait_for_output("[1] pid"));
  ::kill(p.pid(), SIGTERM);
  const Outcome o = p.wait(seconds(20));
  EXPECT_EQ(o.code, 3) << o.err;
  EXPECT_NE(o.out.find("[1] caught 1"), std::string::npos) << o.out;
  EXPECT_EQ(o.out.find("[1] caught 2"), std::string::npos) << o.out;
}

TEST(Run, ASecondSignalKills) {
  Process p(command({"-n", "2", "--grace", "60s"}, "trap '' INT TERM; echo pid $$; while :; do sleep 1; done"));
  ASSERT_TRUE(p.wait_for_output("[0] pid"));
  ASSERT_TRUE(p.wait_for_output("[1] pid"));
  ::kill(p.pid(), SIGINT);
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  ::kill(p.pid(), SIGINT);
  EXPECT_EQ(p.wait(seconds(20)).code, 128 + SIGKILL);
}

TEST(Run, NothingSurvivesTheLaunchersSigkill) {
  // Each rank has a child of its own that also must go.
  Process p(command({"-n", "2"}, "sleep 1000 & echo pid $!; echo pid $$; wait"));
  ASSERT_TRUE(p.wait_for_output("[0] pid"));
  ASSERT_TRUE(p.wait_for_output("[1] pid"));
  std::this_thread::sleep_for(std::chrono::milliseconds(200));
  ::kill(p.pid(), SIGKILL);
  const Outcome o = p.wait(seconds(20));
  EXPECT_EQ(o.code, 128 + SIGKILL);
  const auto pids = pids_in(o.out);
  EXPECT_GE(pids.size(), 2u);
  for (const pid_t pid : pids) EXPECT_TRUE(gone(pid)) << pid;
}

TEST(Run, ClosedReaderEndsTheRunQuietly) {
  const auto begin = std::chrono::steady_clock::now();
  const Outcome o = run({"/bin/sh", "-c", binary() + " run --grace 60s -- yes | (head -1; sleep 1)"});
  EXPECT_EQ(o.out, "y\n");
  EXPECT_EQ(o.err, "");
  EXPECT_LT(std::chrono::steady_clock::now() - begin, seconds(30));
}

TEST(Run, ASlowReaderGetsAllOutput) {
  // More than every buffer on the way together, and the rank is gone long before the reader begins.
  const Outcome o = run({"/bin/sh", "-c", binary() + " run -n 1 -- sh -c 'yes | head -c 1964000' | (sleep 3; wc -c)"});
  EXPECT_EQ(o.out, "1964000\n") << o.err;
}

TEST(Run, AFolderThatIsNotThereIsNotAMissingCommand) {
  const Outcome o = run(command({"-n", "2", "-C", "/nonexistent"}, "true"));
  EXPECT_EQ(o.code, 1);
  EXPECT_NE(o.err.find("/nonexistent"), std::string::npos) << o.err;
}

// An ssh that stays here: drops the host's name and runs the rest.
std::string fake_ssh(const TempFolder& folder) {
  const std::string path =
      folder.write("ssh", "#!/bin/sh\necho \"$1\" >> " + folder.path("hosts") + "\nshift\nexec sh -c \"$*\"\n");
  ::chmod(path.c_str(), 0755);
  return path;
}

TEST(RunHosts, StartsBlocksOfRanksThroughSsh) {
  TempFolder folder;
  const Outcome o =
      run(command({"--hosts", "127.0.0.1:2,127.0.0.2:1", "--ssh", fake_ssh(folder), "--output-prefix", "{host} "},
                  "echo $RANK $WORLD_SIZE $LOCAL_RANK $LOCAL_WORLD_SIZE $MASTER_ADDR"));
  EXPECT_EQ(o.code, 0) << o.err;
  EXPECT_EQ(sorted_lines(o.out), (std::vector<std::string>{"127.0.0.1 0 3 0 2 127.0.0.1", "127.0.0.1 1 3 1 2 127.0.0.1",
                                                           "127.0.0.2 2 3 0 1 127.0.0.1"}));
  EXPECT_EQ(sorted_lines(folder.read("hosts")), (std::vector<std::string>{"127.0.0.1", "127.0.0.2"}));
}

TEST(RunHosts, AGivenPortGoesWithAnAddressThatAllCanUse) {
  TempFolder folder;
  const Outcome o = run(command(
      {"--hosts", "user@127.0.0.1,127.0.0.2", "--ssh", fake_ssh(folder), "--no-prefix", "--master-port", "29512"},
      "echo $RANK $MASTER_ADDR $MASTER_PORT [$HFR_LISTEN_FD]"));
  EXPECT_EQ(o.code, 0) << o.err;
  EXPECT_EQ(sorted_lines(o.out), (std::vector<std::string>{"0 127.0.0.1 29512 []", "1 127.0.0.1 29512 []"}));
}

TEST(RunHosts, ForwardsStandardInput) {
  TempFolder folder;
  const Outcome o =
      run(command({"--hosts", "127.0.0.1", "--ssh", fake_ssh(folder)}, "wc -c"), std::string(2000000, 'y'));
  EXPECT_EQ(o.out, "2000000\n") << o.err;
}

TEST(RunHosts, AHostThatCannotBeReachedIsNamed) {
  const Outcome o = run(command({"--hosts", "127.0.0.1,127.0.0.9", "--ssh", "/bin/false"}, "true"));
  EXPECT_EQ(o.code, 1);
  EXPECT_NE(o.err.find("host 127.0.0."), std::string::npos) << o.err;
}

TEST(RunHosts, NothingSurvivesTheLaunchersSigkill) {
  TempFolder folder;
  Process p(command({"--hosts", "127.0.0.1:1,127.0.0.2:1", "--ssh", fake_ssh(folder)}, "echo pid $$; sleep 1000"));
  ASSERT_TRUE(p.wait_for_output("[0] pid"));
  ASSERT_TRUE(p.wait_for_output("[1] pid"));
  ::kill(p.pid(), SIGKILL);
  for (const pid_t pid : pids_in(p.wait(seconds(20)).out)) EXPECT_TRUE(gone(pid));
}

// A machine that loses its power closes no connection: what its agents hear is silence.
TEST(RunHosts, AnAgentEndsItsRanksWhenPingsStop) {
  TempFolder folder;
  const std::string messages = folder.write(
      "messages", R"(["start","count","1","world","1","arg","sh","arg","-c","arg","echo pid $$; sleep 1000"])"
                  "\n"
                  R"(["ping","500"])"
                  "\n");
  const auto begin = std::chrono::steady_clock::now();
  // The input stays open: its end is not what ends the agent.
  Process p({"/bin/sh", "-c", "(cat " + messages + "; sleep 30) | " + binary() + " agent"});
  ASSERT_TRUE(p.wait_for_output("pid "));
  const auto pids = pids_in(p.wait(std::chrono::milliseconds(1)).out);
  ASSERT_EQ(pids.size(), 1u);
  EXPECT_TRUE(gone(pids[0]));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, seconds(15));
}

TEST(RunHosts, TheLauncherPingsItsAgents) {
  TempFolder folder;
  const std::string ssh = folder.write("ssh", "#!/bin/sh\nshift\ntee " + folder.path("heard") + " | sh -c \"$*\"\n");
  ::chmod(ssh.c_str(), 0755);
  Process p(command({"--hosts", "127.0.0.1", "--ssh", ssh},
                    "while ! grep -q '^.\"ping\"' " + folder.path("heard") + "; do sleep 0.1; done; echo heard"));
  EXPECT_TRUE(p.wait_for_output("heard"));
  EXPECT_EQ(p.wait(seconds(20)).code, 0);
}

TEST(Run, BindsEachRankToItsShareOfTheCores) {
  const long cores = std::stol(run({"/usr/bin/nproc"}).out);
  if (cores < 2) GTEST_SKIP() << "one core only: there is nothing to share out";
  const std::string all = std::to_string(cores);
  const Outcome bound = run(command({"-n", "2", "--no-prefix"}, "nproc"));
  EXPECT_EQ(sorted_lines(bound.out),
            (std::vector<std::string>{std::to_string(cores / 2), std::to_string(cores - cores / 2)}));
  EXPECT_EQ(sorted_lines(run(command({"-n", "2", "--no-prefix", "--bind", "none"}, "nproc")).out),
            (std::vector<std::string>{all, all}));
  EXPECT_EQ(run(command({"-n", "1"}, "nproc")).out, all + "\n");
}

TEST(RunNetns, GivesEachHostAnAddress) {
  const Outcome o = run(command({"-n", "4", "--netns", "2", "--no-prefix"},
                                "echo $RANK $LOCAL_RANK $MASTER_ADDR $(ip -4 -o addr show eth0 | awk '{print $4}')"));
  if (o.err.find("network") != std::string::npos && o.code == 1) GTEST_SKIP() << o.err;
  EXPECT_EQ(o.code, 0) << o.err;
  EXPECT_EQ(sorted_lines(o.out),
            (std::vector<std::string>{"0 0 10.77.0.1 10.77.0.1/24", "1 1 10.77.0.1 10.77.0.1/24",
                                      "2 0 10.77.0.1 10.77.0.2/24", "3 1 10.77.0.1 10.77.0.2/24"}));
}

}  // namespace
}  // namespace ff::testing
