// Data parallel training, ranks as threads of this process, each with its own communicator.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <functional>
#include <numeric>
#include <thread>

#include "tests/unit/tools/fftrain_testing.hpp"

namespace ff::fftrain {
namespace {

using hfreduce::Communicator;
using testing::RunResult;
using testing::small_options;

const TextData& text() {
  static const TextData kText(testing::sample_text(4000));
  return kText;
}

// Runs `body` on every rank of a new communicator; results by rank.
template <class T>
std::vector<Result<T>> on_ranks(int world, const std::function<Result<T>(Communicator&)>& body) {
  std::vector<Result<T>> results(static_cast<std::size_t>(world), fail(Errc::kInternal, "did not run"));
  const auto id = Communicator::create_id();
  if (!id) return results;
  std::vector<std::jthread> threads;
  for (int rank = 0; rank < world; ++rank)
    threads.emplace_back([&, rank] {
      hfreduce::Config config;
      config.timeout = config.connect_timeout = std::chrono::seconds(30);
      auto& result = results[static_cast<std::size_t>(rank)];
      auto communicator = Communicator::create(*id, rank, world, config);
      if (communicator)
        result = body(**communicator);
      else
        result = fail(std::move(communicator).error());
    });
  threads.clear();
  return results;
}

std::vector<Result<RunResult>> train_ranks(int world, const TrainOptions& options) {
  return on_ranks<RunResult>(world, [&](Communicator& c) { return testing::train_rank(options, text(), c); });
}

void expect_all_good(const std::vector<Result<RunResult>>& runs) {
  for (std::size_t r = 0; r < runs.size(); ++r)
    ASSERT_TRUE(runs[r]) << "rank " << r << ": " << runs[r].error().message();
}

// README.md, "How close the losses of different layouts are".
double loss_bound(const std::vector<StepRecord>& steps, std::size_t s, const TrainOptions& options) {
  const double unit = 0x1p-24, terms = static_cast<double>(options.batch * options.model.ctx);
  const double root = std::sqrt(static_cast<double>(ParameterLayout(options.model).count()));
  double rates = 0.0;
  for (std::size_t t = 0; t < s; ++t) rates += steps[t].lr;
  return terms * unit * (steps[s].loss + 2.0 * root * steps[s].grad_norm * rates);
}

TEST(FftrainRanks, LossesAgreeWithinTheBoundWhateverTheNumberOfRanks) {
  const TrainOptions options = small_options();
  const auto alone = train_ranks(1, options);
  expect_all_good(alone);
  const std::vector<StepRecord>& want = alone[0]->steps;
  ASSERT_EQ(want.size(), 20u);
  // The bound is worth something: far below what the training itself moves.
  EXPECT_LT(loss_bound(want, 19, options), 0.01 * (want[0].loss - want[19].loss));
  for (const int world : {2, 4, 8}) {
    const auto runs = train_ranks(world, options);
    expect_all_good(runs);
    double worst = 0.0;
    for (std::size_t s = 0; s < want.size(); ++s) {
      const double difference = std::abs(runs[0]->steps[s].loss - want[s].loss), bound = loss_bound(want, s, options);
      EXPECT_LE(difference, bound) << world << " ranks, step " << s;
      worst = std::max(worst, difference / bound);
      for (const auto& run : runs) {
        EXPECT_EQ(run->steps[s].loss, runs[0]->steps[s].loss);
        EXPECT_EQ(run->steps[s].grad_norm, runs[0]->steps[s].grad_norm);
      }
    }
    // AdamW does not see the gradient's scale, so the losses would not show a wrong one. The first norm does.
    EXPECT_NEAR(runs[0]->steps[0].grad_norm, want[0].grad_norm,
                want[0].grad_norm * 0x1p-24 * static_cast<double>(options.batch * options.model.ctx));
    RecordProperty("share_of_bound_" + std::to_string(world), std::to_string(worst));
    for (const auto& run : runs) EXPECT_EQ(run->weights, runs[0]->weights) << "ranks hold the same bits";
  }
}

TEST(FftrainRanks, HoldTheSameWeightsWithABfloat16Wire) {
  TrainOptions options = small_options();
  options.grad_dtype = hfreduce::DType::kBfloat16;
  options.verify_every = 1;
  const auto runs = train_ranks(4, options);
  expect_all_good(runs);
  for (const auto& run : runs) EXPECT_EQ(run->weights, runs[0]->weights);
  const auto exact = train_ranks(4, small_options());
  expect_all_good(exact);
  EXPECT_NE(exact[0]->weights, runs[0]->weights);
  EXPECT_NEAR(exact[0]->summary.final_loss, runs[0]->summary.final_loss, 0.05);
}

TEST(FftrainRanks, ResumeBitForBitWithTheSameNumberOfRanks) {
  const auto straight = train_ranks(2, small_options());
  expect_all_good(straight);
  testing::TemporaryFolder root;
  TrainOptions options = small_options();
  options.checkpoint_dir = root.path() + "/c";
  options.checkpoint_every = 10;
  expect_all_good(train_ranks(2, options));
  std::filesystem::remove(options.checkpoint_dir + "/step-00000020.ckpt");
  options.resume = true;
  const auto resumed = train_ranks(2, options);
  expect_all_good(resumed);
  for (const auto& run : resumed) {
    EXPECT_EQ(run->summary.first_step, 10);
    EXPECT_EQ(run->weights, straight[0]->weights);
  }
}

TEST(FftrainRanks, ResumeWithAnotherNumberOfRanksStaysWithinTheBound) {
  const TrainOptions plain = small_options();
  const auto straight = train_ranks(1, plain);
  expect_all_good(straight);
  testing::TemporaryFolder root;
  TrainOptions options = plain;
  options.checkpoint_dir = root.path() + "/c";
  options.checkpoint_every = 10;
  expect_all_good(train_ranks(4, options));
  std::filesystem::remove(options.checkpoint_dir + "/step-00000020.ckpt");
  options.resume = true;
  const auto resumed = train_ranks(2, options);
  expect_all_good(resumed);
  ASSERT_EQ(resumed[0]->steps.size(), 10u);
  for (std::size_t i = 0; i < 10; ++i)
    EXPECT_NEAR(resumed[0]->steps[i].loss, straight[0]->steps[i + 10].loss,
                loss_bound(straight[0]->steps, i + 10, plain));
}

TEST(FftrainRanks, RefuseABatchThatCannotBeShared) {
  TrainOptions options = small_options();
  options.batch = 6;
  for (const auto& run : train_ranks(4, options)) {
    ASSERT_FALSE(run);
    EXPECT_EQ(run.error().code(), Errc::kInvalidArgument);
    EXPECT_NE(run.error().message().find("--batch"), std::string::npos);
  }
}

TEST(FftrainRanks, NoticeThatTheyWereStartedDifferently) {
  const auto runs = on_ranks<RunResult>(2, [&](Communicator& c) {
    TrainOptions options = small_options();
    options.seed = 1 + c.rank();
    return testing::train_rank(options, text(), c);
  });
  // Both compare the same two numbers; one of them may hear of the other's abort first.
  int named = 0;
  for (const auto& run : runs) {
    ASSERT_FALSE(run);
    named += run.error().message().find("options or texts differ between ranks") != std::string::npos;
  }
  EXPECT_GE(named, 1);
}

TEST(FftrainRanks, NoticeThatTheirWeightsDiffer) {
  const auto runs = on_ranks<int>(2, [&](Communicator& c) -> Result<int> {
    FF_TRY_ASSIGN(const auto trainer, Trainer::create(small_options(), text(), c, {}));
    if (c.rank() == 1) trainer->model().weights()[5] += 1e-6f;
    auto run = trainer->run();
    if (run) return 0;
    c.abort(run.error().message());
    return fail(std::move(run).error());
  });
  int named = 0;
  for (const auto& run : runs) {
    ASSERT_FALSE(run);
    named += run.error().message().find("weights after step 20 differ") != std::string::npos;
  }
  EXPECT_GE(named, 1);
}

TEST(FftrainRanks, StopTogetherWhenOneIsAsked) {
  std::atomic<bool> stop{true};
  const auto runs = on_ranks<RunResult>(4, [&](Communicator& c) {
    return testing::train_rank(small_options(), text(), c, c.rank() == 2 ? &stop : nullptr);
  });
  expect_all_good(runs);
  for (const auto& run : runs) {
    EXPECT_TRUE(run->summary.stopped);
    EXPECT_EQ(run->summary.steps_done, 1);
  }
}

TEST(FftrainRanks, LearnAtOnceThatOneCannotGoOn) {
  const auto begin = std::chrono::steady_clock::now();
  const auto runs = on_ranks<RunResult>(2, [&](Communicator& c) -> Result<RunResult> {
    if (c.rank() == 0) return testing::train_rank(small_options(), text(), c);
    c.abort("rank 1: --text: gone");
    return fail(Errc::kNotFound, "gone");
  });
  ASSERT_FALSE(runs[0]);
  EXPECT_NE(runs[0].error().message().find("--text: gone"), std::string::npos) << runs[0].error().message();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(20)) << "well before the deadline of a call";
}

TEST(FftrainRanks, MeasureTheirCommunication) {
  const auto runs = train_ranks(2, small_options());
  expect_all_good(runs);
  for (const StepRecord& step : runs[0]->steps) {
    EXPECT_GT(step.communication.total_ns, 0);
    EXPECT_GE(step.communication.exposed_ns, 0);
    EXPECT_LE(step.forward_ns + step.backward_ns + step.optimizer_ns + step.communication.exposed_ns, step.step_ns);
    EXPECT_GE(step.communication.hidden(), 0.0);
    EXPECT_LE(step.communication.hidden(), 1.0);
  }
}

TEST(CommTimes, HiddenIsTheShareThatNobodyWaitedFor) {
  EXPECT_DOUBLE_EQ((CommTimes{.total_ns = 100, .exposed_ns = 25}.hidden()), 0.75);
  EXPECT_DOUBLE_EQ((CommTimes{.total_ns = 100, .exposed_ns = 130}.hidden()), 0.0);
  EXPECT_DOUBLE_EQ((CommTimes{}.hidden()), 0.0);
}

// Suspended at a step, and resumed by the same number of ranks or another.
RunResult suspended_and_resumed(int before, int after, std::uint64_t leave_at, const TrainOptions& asked) {
  const testing::TemporaryFolder folder;
  TrainOptions options = asked;
  options.checkpoint_dir = folder.path() + "/ckpt";
  options.checkpoint_every = 4;
  options.resume = true;
  std::atomic<int> said = 0;
  const auto first = on_ranks<RunResult>(before, [&](Communicator& c) {
    TrainHooks hooks;
    hooks.should_stop = [&](std::uint64_t step) { return step >= leave_at; };
    hooks.saved = [&](std::uint64_t step) { said += step == leave_at ? 1 : 0; };
    return testing::train_rank(options, text(), c, nullptr, std::move(hooks));
  });
  for (const auto& run : first) {
    EXPECT_TRUE(run && run->summary.suspended && !run->summary.stopped);
    if (run) EXPECT_EQ(run->summary.steps_done, static_cast<std::int64_t>(leave_at));
  }
  EXPECT_EQ(said, before) << "every rank says that the last checkpoint is whole";
  auto second = train_ranks(after, options);
  EXPECT_TRUE(second[0]) << second[0].error().message();
  return second[0] ? std::move(*second[0]) : RunResult{};
}

TEST(FftrainRanks, SuspendedAndResumedItEndsWithTheSameBits) {
  const TrainOptions options = small_options();
  const auto whole = train_ranks(2, options);
  expect_all_good(whole);
  for (const std::uint64_t leave_at : {1, 8, 13, 19}) {
    const RunResult resumed = suspended_and_resumed(2, 2, leave_at, options);
    EXPECT_EQ(resumed.summary.first_step, static_cast<std::int64_t>(leave_at));
    EXPECT_TRUE(resumed.weights == whole[0]->weights) << "left at " << leave_at;
  }
}

TEST(FftrainRanks, SuspendedItGoesOnWithAnotherNumberOfRanks) {
  const TrainOptions options = small_options();
  const auto whole = train_ranks(2, options);
  expect_all_good(whole);
  for (const int after : {1, 4}) {
    const RunResult resumed = suspended_and_resumed(2, after, 7, options);
    ASSERT_EQ(resumed.steps.size(), 13u);
    for (std::size_t s = 0; s < resumed.steps.size(); ++s)
      EXPECT_LE(std::abs(resumed.steps[s].loss - whole[0]->steps[s + 7].loss),
                loss_bound(whole[0]->steps, s + 7, options));
  }
}

TEST(FftrainRanks, AskedToLeaveWithoutCheckpointsItStops) {
  const auto runs = on_ranks<RunResult>(2, [&](Communicator& c) {
    TrainHooks hooks;
    hooks.should_stop = [](std::uint64_t step) { return step >= 3; };
    hooks.saved = [](std::uint64_t) { ADD_FAILURE() << "nothing was saved"; };
    return testing::train_rank(small_options(), text(), c, nullptr, std::move(hooks));
  });
  expect_all_good(runs);
  EXPECT_TRUE(runs[0]->summary.stopped && !runs[0]->summary.suspended);
  EXPECT_EQ(runs[0]->summary.steps_done, 3);
}

}  // namespace
}  // namespace ff::fftrain
