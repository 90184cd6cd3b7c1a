// What fails on one rank only, in the middle of a call: every rank hears of it at once and nothing is left claimed. The
// failure is an allocation's, made by this program's own operator new.
#include <gtest/gtest.h>

#include <barrier>
#include <cstdlib>
#include <new>
#include <utility>

#include "tests/support/ranks.hpp"

namespace {
thread_local bool next_allocation_fails = false;
}  // namespace

void* operator new(std::size_t bytes) {
  if (std::exchange(next_allocation_fails, false)) throw std::bad_alloc();
  if (void* memory = std::malloc(bytes == 0 ? 1 : bytes)) return memory;
  throw std::bad_alloc();
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace ff::hfreduce {
namespace {

using namespace std::chrono_literals;

void expect_abort_by(int culprit, int ranks, const testing::ConfigOf& config_of, std::size_t count) {
  std::barrier first_is_done(ranks);
  testing::run_ranks(ranks, config_of, [&](Communicator& c) {
    std::vector<float> a(count, 1.0f);
    const auto first = c.all_reduce(a.data(), a.data(), count, DType::kFloat32, ReduceOp::kSum);
    // The culprit's next call aborts also those that are still on their way out of this one.
    first_is_done.arrive_and_wait();
    ASSERT_TRUE(first.has_value()) << first.error().message();
    const auto begin = std::chrono::steady_clock::now();
    next_allocation_fails = c.rank() == culprit;
    const auto r = c.all_reduce(a.data(), a.data(), count, DType::kFloat32, ReduceOp::kSum);
    EXPECT_FALSE(std::exchange(next_allocation_fails, false)) << "the call allocated nothing";
    ASSERT_FALSE(r.has_value());
    EXPECT_EQ(r.error().code(), Errc::kCancelled) << r.error().message();
    EXPECT_TRUE(r.error().message().starts_with("aborted by rank " + std::to_string(culprit) + ": all_reduce"))
        << r.error().message();
    EXPECT_NE(r.error().message().find("out of memory"), std::string::npos) << r.error().message();
    EXPECT_LT(std::chrono::steady_clock::now() - begin, 10s);
    // The queue is free again, and so is its thread.
    EXPECT_EQ(c.barrier().error().message(), r.error().message());
    Request request;
    if (c.all_reduce(a.data(), a.data(), 1, DType::kFloat32, ReduceOp::kSum, &request))
      EXPECT_EQ(request.wait().error().message(), r.error().message());
  });
}

TEST(LocalFailure, OverTcpAbortsTheCommunicatorOnEveryRank) {
  Config config = testing::test_config();
  config.transport = Transport::kTcp;
  expect_abort_by(1, 3, [config](int) { return config; }, 100'000);
}

TEST(LocalFailure, OfAHostsLeaderEndsItsCarrierToo) {
  // The leader's first allocation is its carrier thread's.
  expect_abort_by(0, 4, testing::on_hosts(4, 2, testing::test_config()), 1'000'000);
}

}  // namespace
}  // namespace ff::hfreduce
