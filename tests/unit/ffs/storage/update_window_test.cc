#include "ffs/storage/update_window.hpp"

#include <gtest/gtest.h>

#include <string>

#include "tests/support/virtual_env.hpp"

namespace ff::ffs {
namespace {

using runtime::Task;

constexpr ChunkId kA{InodeId{1}, 0}, kB{InodeId{1}, 1};

class UpdateWindowTest : public testing::Test {
 protected:
  // Waits for its turn, works for `takes`, and notes both.
  Task<void> work(std::string name, std::vector<ChunkId> chunks, runtime::Duration takes) {
    UpdateWindow::Turns turns = window_.enter(chunks);
    for (std::size_t i = 0; i < chunks.size(); ++i) {
      if (auto turn = co_await turns.begin(i); !turn) {
        log_ += " !" + name;
        co_return;
      }
      log_ += " +" + name;
      (void)co_await runtime::sleep(takes);
      log_ += " -" + name;
      turns.end(i);
    }
  }

  static Task<void> hurried(Task<void> inner) {
    (void)co_await runtime::with_timeout(std::chrono::milliseconds(5), "turn", ended(std::move(inner)));
  }
  static Task<Result<>> ended(Task<void> inner) {
    co_await std::move(inner);
    co_return {};
  }

  tests::VirtualEnv env_;
  UpdateWindow window_;
  std::string log_;
};

using namespace std::chrono_literals;

TEST_F(UpdateWindowTest, NoneRunsFurtherAheadThanTheOneBefore) {
  const auto ended = env_.run([&]() -> Task<Result<>> {
    runtime::Scope scope(env_);
    scope.spawn(work("1", {kA}, 50ms));  // slow
    scope.spawn(work("2", {kA}, 1ms));
    scope.spawn(work("3", {kA}, 1ms));
    scope.spawn(work("4", {kA}, 100ms));
    co_return co_await scope.join();
  }());
  EXPECT_TRUE(ended);
  EXPECT_EQ(log_, " +1 +2 -2 -1 +3 +4 -3 -4") << "3 waits for 1, though 2 has ended";
  EXPECT_EQ(window_.chunks(), 0u);
}

TEST_F(UpdateWindowTest, ChunksDoNotWaitForEachOther) {
  const auto ended = env_.run([&]() -> Task<Result<>> {
    runtime::Scope scope(env_);
    scope.spawn(work("1", {kA}, 10ms));
    scope.spawn(work("2", {kA}, 15ms));
    scope.spawn(work("3", {kA}, 10ms));
    scope.spawn(work("b", {kB}, 1ms));
    co_return co_await scope.join();
  }());
  EXPECT_TRUE(ended);
  EXPECT_EQ(log_, " +1 +2 +b -b -1 +3 -2 -3");
}

TEST_F(UpdateWindowTest, ACallMayHaveSeveralOfOneChunk) {
  const auto ended = env_.run([&]() -> Task<Result<>> {
    co_await work("x", {kA, kB, kA, kA, kB}, 1ms);
    co_return {};
  }());
  EXPECT_TRUE(ended);
  EXPECT_EQ(log_, " +x -x +x -x +x -x +x -x +x -x");
  EXPECT_EQ(window_.chunks(), 0u);
}

TEST_F(UpdateWindowTest, WhoGivesUpIsNotWaitedFor) {
  const auto ended = env_.run([&]() -> Task<Result<>> {
    runtime::Scope scope(env_);
    scope.spawn(work("1", {kA}, 50ms));
    scope.spawn(work("2", {kA}, 1ms));
    scope.spawn(hurried(work("3", {kA}, 1ms)));
    scope.spawn(work("4", {kA}, 1ms));
    co_return co_await scope.join();
  }());
  EXPECT_TRUE(ended);
  EXPECT_EQ(log_, " +1 +2 -2 !3 -1 +4 -4");
}

}  // namespace
}  // namespace ff::ffs
