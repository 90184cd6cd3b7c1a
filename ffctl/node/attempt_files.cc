// The parts of Attempt that touch the disk and start processes.
#include <fcntl.h>
#include <fmt/core.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <thread>

#include "ffctl/node/attempt.hpp"
#include "ffctl/rank/process_tree.hpp"
#include "libcommon/base/file.hpp"

namespace ff::ctl {

using namespace std::chrono_literals;
using runtime::Task;

namespace {

constexpr int kVerifyRounds = 60;
constexpr auto kVerifyPause = std::chrono::milliseconds(50);

UserFacts user_facts(const DesiredAttempt& desired) {
  UserFacts facts{desired.user(), {}, {}};
  std::vector<char> buffer(16384);
  passwd entry{};
  passwd* found = nullptr;
  if (::getpwuid_r(desired.uid(), &entry, buffer.data(), buffer.size(), &found) == 0 && found != nullptr)
    facts = {entry.pw_name, entry.pw_dir, entry.pw_shell};
  return facts;
}

Result<> make_folder(const std::string& path, mode_t mode) {
  if (::mkdir(path.c_str(), mode) != 0 && errno != EEXIST) return fail(errno_error(path));
  if (::chmod(path.c_str(), mode) != 0) return fail(errno_error(path));
  return {};
}

// The job's user may read it, and nobody but us write it.
Result<> readable_by(const std::string& path, const DesiredAttempt& desired) {
  if (::geteuid() == 0 && ::lchown(path.c_str(), static_cast<uid_t>(-1), desired.gid()) != 0)
    return fail(errno_error(path));
  return {};
}

}  // namespace

NodeAttempt::NodeAttempt(AttemptHost& host, DesiredAttempt desired)
    : host_(host), desired_(std::move(desired)), name_(attempt_name(desired_.job(), desired_.attempt())) {}

NodeAttempt::NodeAttempt(AttemptHost& host, AttemptRecord record)
    : host_(host),
      desired_(record.desired()),
      name_(attempt_name(desired_.job(), desired_.attempt())),
      cgroup_(record.cgroup()),
      begun_(true),
      launched_(true),
      told_(false) {}

std::shared_ptr<NodeAttempt> NodeAttempt::absent(AttemptHost& host, const DesiredAttempt& desired,
                                                 std::string why_not) {
  auto attempt = std::make_shared<NodeAttempt>(host, desired);
  attempt->begun_ = true;
  attempt->absent_ = true;
  attempt->state_ = why_not.empty() ? AttemptReport::CLEAN : AttemptReport::FAILED;
  attempt->trouble_ = std::move(why_not);
  return attempt;
}

void NodeAttempt::start() {
  begun_ = true;
  host_.spawn(launch(shared_from_this()));
}

void NodeAttempt::never_began() noexcept {
  begun_ = absent_ = true;
  state_ = AttemptReport::CLEAN;
}

void NodeAttempt::new_lease() {
  for (Rank& rank : ranks_) rank.link->lease(host_.lease);
}

void NodeAttempt::adopt() {
  found_again_ = true;
  if (auto page = AgentPage::open(host_.page_folder(name_)); page) page_.emplace(std::move(*page));
  make_links();
  follow_ranks();
}

void NodeAttempt::make_links() {
  const std::uint32_t count = local_ranks(desired_);
  ranks_.resize(count);
  for (std::uint32_t i = 0; i < count; ++i) {
    ranks_[i].since = host_.env.now();
    ranks_[i].link = std::make_unique<RankLink>(host_.env, host_.attempt_folder(name_), i, host_.changed);
  }
}

void NodeAttempt::follow_ranks() {
  for (std::size_t i = 0; i < ranks_.size(); ++i) host_.spawn(follow(shared_from_this(), i));
}

// `self` keeps what the tasks use.
Task<void> NodeAttempt::follow(std::shared_ptr<NodeAttempt> self, std::size_t rank) {
  co_await self->ranks_[rank].link->follow();
}

Task<void> NodeAttempt::launch(std::shared_ptr<NodeAttempt> self) {
  make_links();
  launch_lease_ = host_.lease;
  auto prepared = co_await runtime::offload(host_.env, [&] { return prepare(); });
  if (!prepared || !*prepared) {
    AgentPage::remove(host_.page_folder(name_));
    failed((prepared ? prepared->error() : prepared.error()).message());
    co_return;
  }
  auto launched = co_await runtime::offload(host_.env, [&] { return launch_ranks(); });
  if (!launched || !*launched) start_failure_ = (launched ? launched->error() : launched.error()).message();
  launched_ = true;
  new_lease();
  follow_ranks();
  host_.changed();
}

Result<> NodeAttempt::prepare() {
  FF_TRY(check_desired(desired_));
  if (::geteuid() != 0 && desired_.uid() != ::geteuid())
    return fail(Errc::kPermission,
                fmt::format("user {} ({}): the agent runs as user {} and cannot start ranks of others (run it as root)",
                            desired_.user(), desired_.uid(), ::geteuid()));
  FF_TRY(make_folder(host_.attempt_folder(name_), 0700));
  FF_TRY(make_folder(host_.page_folder(name_), 0711));
  FF_TRY(make_folder(host_.log_folder(name_), 0750));
  FF_TRY(readable_by(host_.log_folder(name_), desired_));
  FF_TRY_ASSIGN(AgentPage page, AgentPage::create({.folder = host_.page_folder(name_),
                                                   .job = desired_.job(),
                                                   .attempt = desired_.attempt(),
                                                   .node_rank = desired_.node_rank(),
                                                   .first_rank = first_rank(desired_),
                                                   .slots = page_slots(desired_),
                                                   .resume_step = desired_.resume_step(),
                                                   .state = desired_.state(),
                                                   .uid = desired_.uid(),
                                                   .gid = desired_.gid()}));
  page_.emplace(std::move(page));
  if (host_.cgroups) {
    const Resources& r = desired_.spec().resources();
    FF_TRY_ASSIGN(cgroup_, host_.cgroups->create(name_, {r.cpus_per_node(), r.memory_bytes(), r.pids()}));
  }
  AttemptRecord record;
  *record.mutable_desired() = desired_;
  record.mutable_desired()->clear_state();
  record.set_launched(true);
  record.set_cgroup(cgroup_);
  record.set_ranks(local_ranks(desired_));
  record.set_created_ms(wall_ms());
  return write_file_atomic(host_.attempt_folder(name_) + "/record", record.SerializeAsString());
}

Result<std::string> NodeAttempt::write_script() {
  if (desired_.spec().run().script().empty()) return std::string();
  const std::string path = host_.log_folder(name_) + "/script";
  FF_TRY(write_file_atomic(path, desired_.spec().run().script()));
  if (::chmod(path.c_str(), 0750) != 0) return fail(errno_error(path));
  FF_TRY(readable_by(path, desired_));
  return path;
}

Result<> NodeAttempt::launch_ranks() {
  FF_TRY_ASSIGN(const std::string script, write_script());
  const UserFacts user = user_facts(desired_);
  const LaunchPaths paths{host_.page_folder(name_), script};
  const std::string token = host_.token(desired_.job(), desired_.attempt());
  for (std::uint32_t i = 0; i < ranks_.size(); ++i) {
    RankStart start = launch_plan(desired_, i, paths, user, host_.inherited, token);
    const std::string log = fmt::format("{}/rank-{}", host_.log_folder(name_), first_rank(desired_) + i);
    FF_TRY(make_folder(log, 0750));
    FF_TRY(readable_by(log, desired_));
    start.set_log_folder(log);
    start.set_log_bytes(host_.log_bytes);
    start.set_cgroup(cgroup_);
    start.set_lease_leave(launch_lease_.leave);
    start.set_lease_stop(launch_lease_.stop);
    start.set_change_user(::geteuid() == 0 && desired_.uid() != 0);
    FF_TRY(ranks_[i].link->launch(start, host_.ffrank));
  }
  return {};
}

Task<void> NodeAttempt::verify(std::shared_ptr<NodeAttempt> self) {
  const bool vouched = std::ranges::all_of(self->ranks_, [](const Rank& rank) { return rank.link->status().vouched; });
  auto left = co_await runtime::offload(self->host_.env,
                                        [attempt = self.get(), vouched] { return attempt->kill_leftovers(!vouched); });
  self->verifying_ = false;
  self->verify_again_ = self->host_.env.now() + 1s;
  const std::string trouble = left ? *left : left.error().message();
  if (!trouble.empty()) {
    self->state_ = AttemptReport::UNCLEAN;
    self->trouble_ = trouble;
  } else {
    self->trouble_ = self->start_failure_;
    self->state_ = self->start_failure_.empty() ? AttemptReport::CLEAN : AttemptReport::FAILED;
  }
  self->host_.changed();
}

// What is still there says so; empty: nothing is. Supervisors have looked below themselves already, where nothing gets
// away from; `search`: one of them was killed, and what was below it is known by its environment alone.
std::string NodeAttempt::kill_leftovers(bool search) const {
  const std::string marker = "FF_CTL=" + host_.page_folder(name_);
  std::vector<pid_t> left;
  for (int round = 0; round < kVerifyRounds; ++round) {
    left = search ? marked(marker) : std::vector<pid_t>();
    if (!cgroup_.empty()) {
      Cgroups::kill(cgroup_);
      std::ranges::copy(members(cgroup_), std::back_inserter(left));
    }
    if (left.empty()) break;
    for (const pid_t pid : left) ::kill(pid, SIGKILL);
    std::this_thread::sleep_for(kVerifyPause);
  }
  if (!left.empty()) return fmt::format("{} processes do not end, the first is {}", left.size(), left.front());
  if (cgroup_.empty()) return {};
  const Result<> removed = Cgroups::remove(cgroup_);
  return removed ? std::string() : removed.error().message();
}

void NodeAttempt::forget() {
  page_.reset();
  AgentPage::remove(host_.page_folder(name_));
  // Its log is kept for a time from now on; the folder is as old as the attempt.
  ::utimensat(AT_FDCWD, host_.log_folder(name_).c_str(), nullptr, AT_SYMLINK_NOFOLLOW);
  std::error_code ignored;
  std::filesystem::remove_all(host_.attempt_folder(name_), ignored);
}

}  // namespace ff::ctl
