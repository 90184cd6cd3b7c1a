// The training loop of one rank: it learns, repeats itself bit for bit, resumes, stops and refuses.
#include "tools/fftrain/trainer.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>

#include "tests/unit/tools/fftrain_testing.hpp"
#include "tools/fftrain/generate.hpp"

namespace ff::fftrain {
namespace {

using testing::small_options;
using testing::train_alone;

const TextData& text() {
  static const TextData kText(testing::sample_text(4000));
  return kText;
}

TEST(Trainer, LearnsATinyTextByHeart) {
  TrainOptions options = small_options();
  options.optimizer.steps = 200;
  options.optimizer.weight_decay = 0.0;
  // 17 bytes have one sequence of 16: after a look at what came before, every next byte is certain.
  const TextData line("the quick brown f");
  const auto run = train_alone(options, line);
  ASSERT_TRUE(run) << run.error().message();
  EXPECT_NEAR(run->steps.front().loss, std::log(256.0), 0.3);
  EXPECT_LT(run->summary.final_loss, 0.05);
}

TEST(Trainer, FallsBelowTheUnigramEntropy) {
  TrainOptions options = small_options();
  options.optimizer.steps = 300;
  const auto run = train_alone(options, text());
  ASSERT_TRUE(run);
  EXPECT_LT(run->summary.final_loss, 0.6 * run->summary.unigram_bits * std::log(2.0));
}

TEST(Trainer, RepeatsItselfBitForBit) {
  const auto a = train_alone(small_options(), text()), b = train_alone(small_options(), text());
  ASSERT_TRUE(a && b);
  EXPECT_EQ(a->weights, b->weights);
  TrainOptions other = small_options();
  other.seed = 2;
  EXPECT_NE(train_alone(other, text())->weights, a->weights);
}

TEST(Trainer, BucketSizeDoesNotChangeTheResult) {
  const auto a = train_alone(small_options(), text());
  for (const std::uint64_t bytes : {std::uint64_t{4}, kMiB}) {
    TrainOptions options = small_options();
    options.bucket_bytes = bytes;
    const auto b = train_alone(options, text());
    ASSERT_TRUE(a && b);
    EXPECT_EQ(a->weights, b->weights);
  }
}

TEST(Trainer, RoundsGradientsForABfloat16Wire) {
  TrainOptions options = small_options();
  options.grad_dtype = hfreduce::DType::kBfloat16;
  const auto exact = train_alone(small_options(), text()), rounded = train_alone(options, text());
  ASSERT_TRUE(exact && rounded);
  EXPECT_NE(exact->weights, rounded->weights);
  // 8 bits of mantissa: each gradient entry is off by at most 2^-8 of itself, so the first norm is too.
  const double norm = exact->steps[0].grad_norm;
  EXPECT_NEAR(rounded->steps[0].grad_norm, norm, norm * 0x1p-8);
  EXPECT_EQ(rounded->steps[0].loss, exact->steps[0].loss);
  EXPECT_NEAR(rounded->summary.final_loss, exact->summary.final_loss, 0.05);
}

TEST(Trainer, ResumesBitForBit) {
  testing::TemporaryFolder root;
  const auto straight = train_alone(small_options(), text());
  ASSERT_TRUE(straight);

  TrainOptions options = small_options();
  options.checkpoint_dir = root.path() + "/c";
  options.checkpoint_every = 10;
  ASSERT_TRUE(train_alone(options, text()));
  // As if it had been killed after step 10.
  ASSERT_TRUE(std::filesystem::remove(options.checkpoint_dir + "/step-00000020.ckpt"));
  options.resume = true;
  const auto resumed = train_alone(options, text());
  ASSERT_TRUE(resumed) << resumed.error().message();
  EXPECT_EQ(resumed->summary.first_step, 10);
  ASSERT_EQ(resumed->steps.size(), 10u);
  for (std::size_t i = 0; i < 10; ++i) {
    EXPECT_EQ(resumed->steps[i].step, straight->steps[i + 10].step);
    EXPECT_EQ(resumed->steps[i].loss, straight->steps[i + 10].loss);
    EXPECT_EQ(resumed->steps[i].grad_norm, straight->steps[i + 10].grad_norm);
  }
  EXPECT_EQ(resumed->weights, straight->weights);
}

TEST(Trainer, ResumesFromTheOneBeforeADamagedCheckpoint) {
  testing::TemporaryFolder root;
  TrainOptions options = small_options();
  options.checkpoint_dir = root.path() + "/c";
  options.checkpoint_every = 10;
  const auto straight = train_alone(options, text());
  ASSERT_TRUE(straight);
  std::filesystem::resize_file(options.checkpoint_dir + "/step-00000020.ckpt", 1000);
  options.resume = true;
  const auto resumed = train_alone(options, text());
  ASSERT_TRUE(resumed) << resumed.error().message();
  EXPECT_EQ(resumed->summary.first_step, 10);
  EXPECT_EQ(resumed->weights, straight->weights);
  ASSERT_EQ(resumed->notices.size(), 1u);
  EXPECT_NE(resumed->notices[0].find("step-00000020.ckpt"), std::string::npos);
  EXPECT_NE(resumed->notices[0].find("torn"), std::string::npos);
}

TEST(Trainer, ResumeOfAFinishedRunDoesNothing) {
  testing::TemporaryFolder root;
  TrainOptions options = small_options();
  options.checkpoint_dir = root.path() + "/c";
  const auto first = train_alone(options, text());
  options.resume = true;
  const auto again = train_alone(options, text());
  ASSERT_TRUE(first && again);
  EXPECT_TRUE(again->steps.empty());
  EXPECT_EQ(again->weights, first->weights);
  EXPECT_TRUE(std::isnan(again->summary.final_loss));
}

TEST(Trainer, ResumeStartsAnewInAnEmptyFolderAndSaysSo) {
  testing::TemporaryFolder root;
  TrainOptions options = small_options();
  options.checkpoint_dir = root.path() + "/c";
  options.resume = true;
  const auto run = train_alone(options, text());
  ASSERT_TRUE(run);
  EXPECT_EQ(run->summary.first_step, 0);
  ASSERT_EQ(run->notices.size(), 1u);
}

TEST(Trainer, RefusesToOverwriteAnotherRunOrToResumeADifferentOne) {
  testing::TemporaryFolder root;
  TrainOptions options = small_options();
  options.checkpoint_dir = root.path() + "/c";
  ASSERT_TRUE(train_alone(options, text()));
  const auto anew = train_alone(options, text());
  ASSERT_FALSE(anew);
  EXPECT_EQ(anew.error().code(), Errc::kAlreadyExists);

  options.resume = true;
  auto refuses = [&](TrainOptions changed, const TextData& data) {
    const auto run = train_alone(changed, data);
    return !run && run.error().code() == Errc::kInvalidArgument;
  };
  TrainOptions changed = options;
  changed.seed = 3;
  EXPECT_TRUE(refuses(changed, text()));
  changed = options;
  changed.batch = 4;
  EXPECT_TRUE(refuses(changed, text()));
  changed = options;
  changed.model.layers = 1;
  EXPECT_TRUE(refuses(changed, text()));
  changed = options;
  changed.optimizer.steps = 19;
  EXPECT_TRUE(refuses(changed, text()));
  EXPECT_TRUE(refuses(options, TextData(testing::sample_text(4001))));
  EXPECT_TRUE(train_alone(options, text()));
}

TEST(Trainer, StopsAfterAWholeStepWithACheckpoint) {
  testing::TemporaryFolder root;
  const auto straight = train_alone(small_options(), text());
  TrainOptions options = small_options();
  options.checkpoint_dir = root.path() + "/c";
  std::atomic<bool> stop{true};
  const auto stopped = train_alone(options, text(), &stop);
  ASSERT_TRUE(straight && stopped);
  EXPECT_TRUE(stopped->summary.stopped);
  EXPECT_EQ(stopped->summary.steps_done, 1);
  options.resume = true;
  const auto rest = train_alone(options, text());
  ASSERT_TRUE(rest);
  EXPECT_EQ(rest->summary.first_step, 1);
  EXPECT_FALSE(rest->summary.stopped);
  EXPECT_EQ(rest->weights, straight->weights);
}

TEST(Trainer, RefusesATextThatIsTooShort) {
  TrainOptions options = small_options();
  const auto run = train_alone(options, TextData(std::string(16, 'x')));
  ASSERT_FALSE(run);
  EXPECT_EQ(run.error().code(), Errc::kInvalidArgument);
  EXPECT_NE(run.error().message().find("--text"), std::string::npos);
  options.optimizer.steps = 1;
  EXPECT_TRUE(train_alone(options, TextData(std::string(17, 'x'))));
}

TEST(Trainer, RefusesAModelThatDoesNotFitIntoMemory) {
  TrainOptions options = small_options();
  options.model = {.layers = 128, .heads = 128, .dim = 8192, .ctx = 8192};
  options.batch = 1 << 20;
  const auto run = train_alone(options, TextData(testing::sample_text(10000)));
  ASSERT_FALSE(run);
  EXPECT_EQ(run.error().code(), Errc::kExhausted);
}

TEST(Trainer, SaysWhenTrainingDiverges) {
  TrainOptions options = small_options();
  options.optimizer.lr = 1e30;
  options.optimizer.weight_decay = 0.0;
  options.optimizer.warmup = 0;
  const auto run = train_alone(options, text());
  ASSERT_FALSE(run);
  EXPECT_NE(run.error().message().find("--lr"), std::string::npos) << run.error().message();
}

TEST(Trainer, ChecksEveryOption) {
  auto refused = [](auto change) {
    TrainOptions options = small_options();
    change(options);
    const auto checked = check(options);
    return !checked && checked.error().code() == Errc::kInvalidArgument;
  };
  EXPECT_TRUE(check(small_options()));
  EXPECT_TRUE(refused([](TrainOptions& o) { o.model.heads = 3; }));
  EXPECT_TRUE(refused([](TrainOptions& o) { o.optimizer.steps = 0; }));
  EXPECT_TRUE(refused([](TrainOptions& o) { o.optimizer.lr = 0; }));
  EXPECT_TRUE(refused([](TrainOptions& o) { o.optimizer.lr = std::nan(""); }));
  EXPECT_TRUE(refused([](TrainOptions& o) { o.optimizer.weight_decay = -1; }));
  EXPECT_TRUE(refused([](TrainOptions& o) { o.optimizer.clip = -1; }));
  EXPECT_TRUE(refused([](TrainOptions& o) { o.optimizer.warmup = -1; }));
  EXPECT_TRUE(refused([](TrainOptions& o) { o.batch = 0; }));
  EXPECT_TRUE(refused([](TrainOptions& o) { o.bucket_bytes = 3; }));
  EXPECT_TRUE(refused([](TrainOptions& o) { o.checkpoint_every = -1; }));
  EXPECT_TRUE(refused([](TrainOptions& o) { o.verify_every = -1; }));
  EXPECT_TRUE(refused([](TrainOptions& o) { o.resume = true; }));
}

TEST(Generate, RepeatsWithTheSeedAndTakesTheLikeliestAtZeroTemperature) {
  Model model({.layers = 1, .heads = 1, .dim = 8, .ctx = 6}, 1);
  model.initialise(1);
  const GenerateOptions options{.bytes = 40, .temperature = 1.0, .seed = 5};
  const std::string a = generate(model, options);
  EXPECT_EQ(a.size(), 40u);
  EXPECT_EQ(generate(model, options), a);
  EXPECT_NE(generate(model, {.bytes = 40, .temperature = 1.0, .seed = 6}), a);
  EXPECT_EQ(generate(model, {.bytes = 40, .temperature = 0.0, .seed = 5}),
            generate(model, {.bytes = 40, .temperature = 0.0, .seed = 6}));
  EXPECT_EQ(generate(model, {.bytes = 0, .temperature = 1.0, .seed = 5}), "");
}

}  // namespace
}  // namespace ff::fftrain
