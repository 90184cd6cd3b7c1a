// The pages between an agent and its ranks: orders, fences, state, and files that are not what they should be.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <ctime>
#include <fstream>
#include <random>
#include <thread>
#include <vector>

#include "ffctl/ffjob/agent_page.hpp"
#include "ffctl/ffjob/rank_page.hpp"
#include "libcommon/testing/temp_folder.hpp"

namespace ff::ctl {
namespace {

using std::chrono::nanoseconds;

nanoseconds monotonic() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return std::chrono::seconds(now.tv_sec) + nanoseconds(now.tv_nsec);
}

class Pages : public ::testing::Test {
 protected:
  AgentPage make(std::uint32_t slots, std::uint32_t first = 0, std::string_view state = {}) {
    auto made = AgentPage::create({.folder = folder(),
                                   .job = 7,
                                   .attempt = 2,
                                   .first_rank = first,
                                   .slots = slots,
                                   .resume_step = 40,
                                   .state = state,
                                   .uid = ::getuid(),
                                   .gid = ::getgid()});
    EXPECT_TRUE(made) << made.error().message();
    return std::move(*made);
  }
  std::unique_ptr<RankPage> rank(std::uint32_t slot) {
    auto opened = RankPage::open(folder(), slot);
    EXPECT_TRUE(opened) << opened.error().message();
    return std::move(*opened);
  }
  std::string folder() const { return temp_.path() + "/page"; }
  testing::TempFolder temp_;
};

std::vector<SlotView> views(const AgentPage& page) {
  auto read = page.slot_views();
  EXPECT_TRUE(read);
  return std::move(*read);
}

TEST(Order, TravelsInOneWord) {
  for (const Order order : {Order{}, Order{true, false, 3, 500}, Order{true, true, 0x3fff, Order::kStepMax}})
    EXPECT_EQ(Order::of(order.word()), order);
  EXPECT_EQ((Order{true, false, 3, 500}.word()), 0x80030000000001f4u);
  EXPECT_EQ((Order{true, true, 3, 500}.word()), 0xc0030000000001f4u);
  EXPECT_EQ((Order{false, true, 3, 500}.word()), 0u) << "nothing is asked";
}

TEST_F(Pages, NothingIsAskedAtFirst) {
  const AgentPage agent = make(2);
  const auto r = rank(1);
  EXPECT_EQ(r->resume_step(), 40u);
  EXPECT_EQ(r->attempt(), 2u);
  for (std::uint64_t step = 1; step < 100; ++step) EXPECT_FALSE(r->should_stop(step));
  const auto seen = views(agent);
  EXPECT_FALSE(seen[0].used);
  EXPECT_TRUE(seen[1].used);
  EXPECT_EQ(seen[1].step, 99u);
  EXPECT_FALSE(seen[1].seen);
}

TEST_F(Pages, RanksPassAProposalForLaterAndLeaveWhereItIsCommitted) {
  AgentPage agent = make(1);
  const auto r = rank(0);
  EXPECT_FALSE(r->should_stop(5));
  agent.set_order({true, false, 1, 0});
  EXPECT_FALSE(r->should_stop(6)) << "only asked to publish";
  EXPECT_TRUE(views(agent)[0].seen);
  agent.set_order({true, false, 2, 9});
  EXPECT_FALSE(r->should_stop(7));
  agent.set_order({true, true, 2, 9});
  EXPECT_FALSE(r->should_stop(8));
  EXPECT_TRUE(r->should_stop(9));
  r->saving(100, 5);
  EXPECT_EQ(views(agent)[0].state, RankState::kSaving);
  r->saved(9);
  EXPECT_EQ(views(agent)[0].state, RankState::kSaved);
  EXPECT_EQ(views(agent)[0].saved_step, 9u);
}

TEST_F(Pages, CheckpointsInPassingAreNotTheLastWord) {
  AgentPage agent = make(1);
  const auto r = rank(0);
  EXPECT_FALSE(r->should_stop(5));
  agent.set_order({true, false, 1, 100});
  r->saving(0, 0);
  r->saved(5);
  EXPECT_EQ(views(agent)[0].state, RankState::kAlive);
  EXPECT_EQ(views(agent)[0].saved_step, 5u);
}

TEST_F(Pages, CommittedAtZeroMeansNow) {
  AgentPage agent = make(1);
  const auto r = rank(0);
  EXPECT_FALSE(r->should_stop(5));
  agent.set_order({true, true, 1, 0});
  EXPECT_TRUE(r->should_stop(6));
}

TEST_F(Pages, ProgramsThatNeverAskSaveBecauseOfTheSignal) {
  AgentPage agent = make(1);
  const auto r = rank(0);
  r->saved(3);
  EXPECT_EQ(views(agent)[0].state, RankState::kAlive);
  agent.set_order({true, true, 1, 0});
  r->saved(4);
  EXPECT_EQ(views(agent)[0].state, RankState::kSaved);
}

TEST_F(Pages, AWaitEndsWithTheDeadline) {
  AgentPage agent = make(1);
  const auto r = rank(0);
  EXPECT_FALSE(r->should_stop(5));
  agent.set_deadline(monotonic() + std::chrono::milliseconds(60));
  agent.set_order({true, false, 1, 6});
  const auto begin = monotonic();
  EXPECT_FALSE(r->should_stop(6));
  EXPECT_GE(monotonic() - begin, std::chrono::milliseconds(50));
  EXPECT_FALSE(r->should_stop(7)) << "it waits at a fence once";
}

TEST_F(Pages, WithdrawnOrReplacedFencesLetRanksGo) {
  AgentPage agent = make(1);
  agent.set_order({true, false, 1, 6});
  const auto r = rank(0);
  for (const Order next : {Order{}, Order{true, false, 2, 50}}) {
    std::atomic<int> answer = -1;
    agent.set_order({true, false, 1, 6});
    std::thread waiting([&] { answer = rank(0)->should_stop(6) ? 1 : 0; });
    while (views(agent)[0].held != agent.order().word()) std::this_thread::yield();
    EXPECT_TRUE(AgentPage::fence_holds(agent.order(), views(agent), {}));
    EXPECT_EQ(answer, -1);
    agent.set_order(next);
    waiting.join();
    EXPECT_EQ(answer, 0);
  }
}

TEST_F(Pages, AFenceThatComesTooLateDoesNotHold) {
  AgentPage agent = make(2);
  const auto a = rank(0), b = rank(1);
  EXPECT_FALSE(a->should_stop(8));
  EXPECT_FALSE(b->should_stop(4));
  agent.set_order({true, false, 1, 6});
  EXPECT_FALSE(AgentPage::fence_holds(agent.order(), views(agent), {}));
  EXPECT_TRUE(AgentPage::fence_holds(agent.order(), views(agent), {true, false})) << "rank 0 has ended";
  EXPECT_FALSE(a->should_stop(9)) << "beyond it: goes on";
}

TEST_F(Pages, StateSurvivesAndIsRankZeros) {
  AgentPage agent = make(2, 0, "begin");
  const auto a = rank(0), b = rank(1);
  EXPECT_EQ(a->state(), "begin");
  std::uint64_t generation = 0;
  EXPECT_FALSE(agent.new_state(generation));
  const std::string big(kStateBytesMax, 'x');
  EXPECT_TRUE(a->set_state(std::as_bytes(std::span(big))));
  EXPECT_TRUE(b->set_state(std::as_bytes(std::span(big).first(3))));
  EXPECT_EQ(agent.new_state(generation), big);
  EXPECT_FALSE(agent.new_state(generation)) << "nothing new";
  EXPECT_EQ(a->state(), big);
  EXPECT_EQ(b->state(), "begin");
  const std::string word = "seven77";
  EXPECT_TRUE(a->set_state(std::as_bytes(std::span(word))));
  EXPECT_EQ(agent.new_state(generation), word);
  const std::string more(kStateBytesMax + 1, 'x');
  EXPECT_EQ(a->set_state(std::as_bytes(std::span(more))).error().code(), Errc::kInvalidArgument);
}

TEST_F(Pages, OtherNodesRanksAreNotRankZero) {
  AgentPage agent = make(1, 4);
  const auto r = rank(0);
  EXPECT_TRUE(r->set_state(std::as_bytes(std::span("abc", 3))));
  std::uint64_t generation = 0;
  EXPECT_FALSE(agent.new_state(generation));
}

TEST_F(Pages, RanksThatHarmTheirPageHarmNobodyElse) {
  AgentPage agent = make(2);
  ASSERT_EQ(::truncate(ranks_file(folder()).c_str(), 10), 0);
  EXPECT_EQ(agent.slot_views().error().code(), Errc::kCorrupt);
  std::uint64_t generation = 0;
  EXPECT_FALSE(agent.new_state(generation));
  EXPECT_EQ(RankPage::open(folder(), 0).error().code(), Errc::kCorrupt);
}

TEST_F(Pages, OtherFilesAreRefused) {
  EXPECT_EQ(RankPage::open(folder(), 0).error().code(), Errc::kNotFound);
  (void)make(1);
  EXPECT_EQ(RankPage::open(folder(), 1).error().code(), Errc::kInvalidArgument);
  std::fstream control(control_file(folder()), std::ios::in | std::ios::out);
  control.seekp(8);
  control.put(9);
  control.close();
  EXPECT_EQ(RankPage::open(folder(), 0).error().code(), Errc::kUnsupported);
  EXPECT_FALSE(AgentPage::open(folder()));
}

TEST_F(Pages, AnAgentThatStartsAgainFindsThem) {
  {
    AgentPage agent = make(1);
    agent.set_order({true, false, 5, 77});
  }
  auto again = AgentPage::open(folder());
  ASSERT_TRUE(again);
  EXPECT_EQ(again->order(), (Order{true, false, 5, 77}));
  AgentPage::remove(folder());
  EXPECT_FALSE(AgentPage::open(folder()));
}

// Method: N ranks count steps as fast as they can, without any word between them, while the agent proposes fences close
// before their steps and commits the first that holds. All must leave at one step. Ranks that do not wait at a fence,
// or an agent that does not ask whether it holds, make this fail; a processor's fence that is left out does not on x86,
// where the agent's system calls are longer than any store is on its way.
void race(const std::string& folder, AgentPage& agent, std::uint32_t ranks, std::mt19937_64& random) {
  std::vector<std::uint64_t> left(ranks, 0);
  std::atomic<std::uint32_t> running = 0;
  std::vector<std::thread> threads;
  for (std::uint32_t i = 0; i < ranks; ++i) {
    threads.emplace_back([&, i] {
      auto page = RankPage::open(folder, i);
      ++running;
      std::uint64_t step = 1;
      while (!(*page)->should_stop(step)) ++step;
      left[i] = step;
    });
  }
  while (running < ranks) std::this_thread::yield();
  std::uint64_t step_max = 0;
  for (std::uint16_t round = 1;; ++round) {
    for (const SlotView& view : views(agent)) step_max = std::max(step_max, view.step);
    const Order proposal{true, false, round, step_max + 1 + random() % 300};
    agent.set_order(proposal);
    const bool holds = AgentPage::fence_holds(proposal, views(agent), {});
    if (!holds) continue;
    agent.set_order({true, true, round, proposal.step});
    break;
  }
  for (auto& thread : threads) thread.join();
  for (std::uint32_t i = 1; i < ranks; ++i) ASSERT_EQ(left[i], left[0]) << "rank " << i;
}

TEST_F(Pages, AllRanksLeaveAtTheSameStepWhateverTheFence) {
  std::mt19937_64 random(20261123);
  for (int round = 0; round < 1000 && !HasFatalFailure(); ++round) {
    AgentPage agent = make(3);
    race(folder(), agent, 3, random);
  }
}

TEST_F(Pages, ProcessesLeaveAtTheSameStep) {
  std::mt19937_64 random(5);
  for (int round = 0; round < 50; ++round) {
    AgentPage agent = make(3);
    std::vector<pid_t> children;
    for (std::uint32_t i = 0; i < 3; ++i) {
      const pid_t pid = ::fork();
      if (pid == 0) {
        auto page = RankPage::open(folder(), i);
        if (!page) ::_exit(1);
        std::uint64_t step = 1;
        while (!(*page)->should_stop(step)) ++step;
        (*page)->saved(step);
        ::_exit(0);
      }
      children.push_back(pid);
    }
    std::uint64_t step_max = 0;
    while (views(agent)[0].step == 0 || views(agent)[1].step == 0 || views(agent)[2].step == 0) ::usleep(100);
    for (std::uint16_t number = 1;; ++number) {
      for (const SlotView& view : views(agent)) step_max = std::max(step_max, view.step);
      const Order proposal{true, false, number, step_max + 1 + random() % 100'000};
      agent.set_order(proposal);
      if (!AgentPage::fence_holds(proposal, views(agent), {})) continue;
      agent.set_order({true, true, number, proposal.step});
      break;
    }
    for (const pid_t pid : children) {
      int status = -1;
      ASSERT_EQ(::waitpid(pid, &status, 0), pid);
      EXPECT_EQ(status, 0);
    }
    const auto last = views(agent);
    EXPECT_EQ(last[0].saved_step, last[1].saved_step);
    EXPECT_EQ(last[0].saved_step, last[2].saved_step);
    EXPECT_EQ(last[0].state, RankState::kSaved);
  }
}

}  // namespace
}  // namespace ff::ctl
