// What several tests of fftrain share: a small model, a text with structure, a folder that goes away, ranks as threads.
#pragma once

#include <stdlib.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "hfreduce/communicator.hpp"
#include "libcommon/base/rng.hpp"
#include "tools/fftrain/trainer.hpp"

namespace ff::fftrain::testing {

class TemporaryFolder {
 public:
  TemporaryFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "fftrain-test-XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// Words in a pseudo-random order, so that there is something to learn and something left to guess.
inline std::string sample_text(std::size_t bytes) {
  static const char* const words[] = {"the ", "source ", "code ", "may ", "be ", "copied ", "or ", "changed.\n"};
  Rng rng(7);
  std::string text;
  while (text.size() < bytes) text += words[rng.below(8)];
  text.resize(bytes);
  return text;
}

// Trains in well under a second.
inline TrainOptions small_options() {
  TrainOptions options;
  options.model = {.layers = 2, .heads = 2, .dim = 16, .ctx = 16};
  options.optimizer.steps = 20;
  options.optimizer.warmup = 5;
  options.optimizer.lr = 1e-2;
  options.batch = 8;
  options.bucket_bytes = 4096;
  return options;
}

struct RunResult {
  std::vector<StepRecord> steps;
  std::vector<float> weights;
  TrainSummary summary;
  std::vector<std::string> notices;
};

// One rank of a communicator, from options to the end. On an error it aborts the communicator, as main does.
inline Result<RunResult> train_rank(const TrainOptions& options, const TextData& text,
                                    hfreduce::Communicator& communicator, const std::atomic<bool>* stop = nullptr,
                                    TrainHooks hooks = {}) {
  RunResult result;
  auto train = [&]() -> Result<> {
    hooks.on_step = [&](const StepRecord& record) { result.steps.push_back(record); };
    hooks.notice = [&](const std::string& message) { result.notices.push_back(message); };
    hooks.stop = stop;
    FF_TRY_ASSIGN(const auto trainer, Trainer::create(options, text, communicator, std::move(hooks)));
    FF_TRY_ASSIGN(result.summary, trainer->run());
    const auto weights = trainer->model().weights();
    result.weights.assign(weights.begin(), weights.end());
    return {};
  };
  auto trained = train();
  if (trained) return result;
  communicator.abort(trained.error().message());
  return fail(std::move(trained).error());
}

// A communicator of one rank, and training in it.
inline Result<RunResult> train_alone(const TrainOptions& options, const TextData& text,
                                     const std::atomic<bool>* stop = nullptr) {
  FF_TRY_ASSIGN(const auto id, hfreduce::Communicator::create_id());
  FF_TRY_ASSIGN(const auto communicator, hfreduce::Communicator::create(id, 0, 1, hfreduce::Config{}));
  return train_rank(options, text, *communicator, stop);
}

}  // namespace ff::fftrain::testing
