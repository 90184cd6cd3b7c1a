// Trainer: the training loop of one rank. All ranks of a communicator run it with the same options and text.
//
// Equality   Weights start equal (by seed, or from rank 0's checkpoint) and stay equal, since every rank applies the
//            same update to the same sums; a checksum over the ranks verifies it.
// Losses     The global batch of a step depends on seed and step alone, so any number of ranks gives the same losses up
//            to the order of fp32 sums. README.md derives the bound.
// Threads    create() and run() from one thread. `stop` may be set from a signal handler.
// Errors     The caller must abort() the communicator on an error, so that the other ranks learn of it at once.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "hfreduce/communicator.hpp"
#include "libcommon/base/byte_size.hpp"
#include "tools/fftrain/checkpoint.hpp"
#include "tools/fftrain/data_parallel.hpp"
#include "tools/fftrain/model.hpp"
#include "tools/fftrain/optimizer.hpp"
#include "tools/fftrain/text_data.hpp"

namespace ff::fftrain {

struct TrainOptions {
  ModelConfig model;
  OptimizerOptions optimizer;  // .steps is where training ends
  std::int64_t batch = 16;     // sequences of a step, all ranks together
  std::int64_t seed = 1;       // of weights, batches and the sample
  std::uint64_t bucket_bytes = kMiB;
  hfreduce::DType grad_dtype = hfreduce::DType::kFloat32;
  std::string checkpoint_dir = {};      // empty: no checkpoints
  std::int64_t checkpoint_every = 100;  // steps; 0: only at the end
  bool resume = false;                  // go on from the newest checkpoint, if there is one
  std::int64_t verify_every = 0;  // steps between comparisons of the ranks' weights; 0: at checkpoints and the end
};

// What can be checked without other ranks. kInvalidArgument names the option.
Result<> check(const TrainOptions& options);

struct StepRecord {
  std::int64_t step = 0;  // steps done, this one included
  double loss = 0.0;      // nats a byte, mean over the global batch, before the update
  double lr = 0.0;
  double grad_norm = 0.0;  // before clipping
  std::int64_t bytes = 0;  // trained on, all ranks
  std::int64_t forward_ns = 0;
  std::int64_t backward_ns = 0;  // starting transfers included
  std::int64_t optimizer_ns = 0;
  std::int64_t step_ns = 0;  // all of it, without checkpoints and comparisons
  CommTimes communication;
};

struct TrainSummary {
  std::int64_t first_step = 0;  // steps done before this run
  std::int64_t steps_done = 0;  // and after it
  bool stopped = false;         // by request, before the last step
  bool suspended = false;       // by hooks.should_stop, before the last step, with a checkpoint
  int ranks = 1;
  std::size_t parameters = 0;
  std::uint64_t text_bytes = 0;
  double unigram_bits = 0.0;
  double final_loss = 0.0;  // nats a byte, mean over the last kFinalSteps of this run; NaN if it had no step
  StepRecord total;         // times and bytes summed over this run's steps
};
inline constexpr std::size_t kFinalSteps = 10;

struct TrainHooks {
  std::function<void(const StepRecord&)> on_step = {};  // after each step
  std::function<void(const std::string&)> notice = {};  // something survived that a user should know
  const std::atomic<bool>* stop = nullptr;              // set: end after this step, with a checkpoint
  // Of a job that may be asked to leave; each may be absent. After each step on every rank: true to all of them at the
  // same step.
  std::function<bool(std::uint64_t step)> should_stop = {};
  std::function<void(std::uint64_t bytes)> saving = {};  // a checkpoint is about to be written
  // It is whole: on rank 0 for those in passing, on every rank for the last one.
  std::function<void(std::uint64_t step)> saved = {};
};

class Trainer {
 public:
  // Collective. The communicator and the text must outlive the trainer. kInvalidArgument (options against text and
  // ranks), kExhausted (memory), kCorrupt (ranks disagree, no usable checkpoint), and the communicator's.
  static Result<std::unique_ptr<Trainer>> create(const TrainOptions& options, const TextData& text,
                                                 hfreduce::Communicator& communicator, TrainHooks hooks);

  // Collective; once. After it, other ranks may go: nothing more is said between them.
  Result<TrainSummary> run();

  Model& model() noexcept { return model_; }

 private:
  Trainer(const TrainOptions& options, const TextData& text, int world, TrainHooks hooks);
  Result<> prepare(hfreduce::Communicator& communicator);
  Result<> open_checkpoints();
  Result<> restore();
  Result<StepRecord> train_step(bool& stop);
  Result<> verify_weights();
  Result<> after_step(bool last);
  Result<> save();
  CheckpointHeader header() const;
  std::uint64_t fingerprint() const;
  BatchShape batch_shape() const;

  TrainOptions options_;
  const TextData& text_;
  TrainHooks hooks_;
  int world_;
  Model model_;
  AdamW optimizer_;
  std::unique_ptr<DataParallel> parallel_;
  std::optional<CheckpointFolder> checkpoints_;  // rank 0's
  Batch batch_;
  std::int64_t step_ = 0;  // done
};

}  // namespace ff::fftrain
