// Processes by descent, by marker and by cgroup.
#include "ffctl/rank/process_tree.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "ffctl/rank/cgroup.hpp"

namespace ff::ctl {
namespace {

// In a process group of its own, which ends as one: a child that a shell forks while it is being killed would otherwise
// stay, and hold this program's standard output open.
class Child {
 public:
  explicit Child(const char* script, std::vector<std::string> environment = {}) {
    std::string words[] = {"/bin/sh", "-c", script};
    char* argv[] = {words[0].data(), words[1].data(), words[2].data(), nullptr};
    std::vector<char*> envp;
    for (std::string& entry : environment) envp.push_back(entry.data());
    envp.push_back(nullptr);
    posix_spawnattr_t attributes;
    ::posix_spawnattr_init(&attributes);
    ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
    ::posix_spawnattr_setpgroup(&attributes, 0);
    EXPECT_EQ(::posix_spawn(&pid, "/bin/sh", nullptr, &attributes, argv, envp.data()), 0);
    ::posix_spawnattr_destroy(&attributes);
  }
  ~Child() {
    ::kill(-pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
  }
  pid_t pid = 0;
};

template <class F>
bool eventually(F holds) {
  for (int i = 0; i < 2000; ++i) {
    if (holds()) return true;
    ::usleep(5000);
  }
  return false;
}

TEST(ProcessTree, FindsDescendantsWithTheirCommands) {
  const Child child("sleep 1000 & sleep 1001; true");
  const auto commands = [&] {
    const auto all = processes(true);
    std::vector<std::string> out;
    for (const pid_t pid : descendants(all, child.pid)) out.push_back(all.at(pid).command);
    std::ranges::sort(out);
    return out;
  };
  // Between fork and exec a child has the shell's command.
  EXPECT_TRUE(eventually([&] { return commands() == std::vector<std::string>{"sleep 1000", "sleep 1001"}; }));
  const auto below_us = descendants(processes(), ::getpid());
  EXPECT_NE(std::ranges::find(below_us, child.pid), below_us.end());
}

TEST(ProcessTree, AMarkerIsAWholeEntry) {
  const std::string marker = "FF_CTL=/pages/" + std::to_string(::getpid());
  const Child marked_one("sleep 1000", {"A=1", marker}), other("sleep 1000", {marker + "0", "X" + marker});
  EXPECT_TRUE(eventually([&] { return !marked(marker).empty(); }));
  for (const pid_t pid : marked(marker)) EXPECT_NE(pid, other.pid);
  EXPECT_TRUE(marked("FF_CTL=/nobody/has/this").empty());
}

TEST(ProcessTree, SeesSharedFiles) {
  const std::string path = "/dev/shm/ff-process-tree-" + std::to_string(::getpid());
  const int fd = ::open(path.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
  ASSERT_GE(fd, 0);
  const auto files = shared_files(::getpid());
  const auto found = std::ranges::find(files, path, &SharedFile::path);
  ASSERT_NE(found, files.end());
  EXPECT_TRUE(in_use(*found));
  ::close(fd);
  EXPECT_FALSE(in_use(*found));
  ::unlink(path.c_str());
}

TEST(Cgroups, KillsAllThatIsInAGroup) {
  const auto groups = Cgroups::open("test-" + std::to_string(::getpid()));
  if (!groups) GTEST_SKIP() << "no cgroup v2 that this user may make groups in";
  const auto group = groups->create("7-1", {});
  ASSERT_TRUE(group) << group.error().message();
  const Child child(("echo $$ > " + *group + "/cgroup.procs; setsid sleep 1000 & sleep 1000").c_str(),
                    {"PATH=/bin:/usr/bin"});
  EXPECT_TRUE(eventually([&] { return members(*group).size() == 3; }));
  EXPECT_FALSE(Cgroups::remove(*group)) << "it is in use";
  Cgroups::kill(*group);
  EXPECT_TRUE(eventually([&] { return members(*group).empty(); }));
  ::waitpid(child.pid, nullptr, WNOHANG);
  EXPECT_TRUE(eventually([&] { return Cgroups::remove(*group).has_value(); }));
  EXPECT_TRUE(Cgroups::remove(*group)) << "gone already";
  ::rmdir(groups->folder().c_str());
}

TEST(Cgroups, SetsLimitsWhereTheControllersAre) {
  const auto groups = Cgroups::open("test-" + std::to_string(::getpid()));
  if (!groups || !groups->limits()) GTEST_SKIP() << "no controllers cpu, memory and pids in cgroup v2";
  const auto group = groups->create("8-1", {2, 64u << 20, 50});
  ASSERT_TRUE(group);
  const auto text = [&](const char* file) {
    std::string out;
    std::getline(std::ifstream(*group + "/" + file), out);
    return out;
  };
  EXPECT_EQ(text("cpu.max"), "200000 100000");
  EXPECT_EQ(text("memory.max"), "67108864");
  EXPECT_EQ(text("pids.max"), "50");
  EXPECT_TRUE(Cgroups::remove(*group));
  ::rmdir(groups->folder().c_str());
}

}  // namespace
}  // namespace ff::ctl
