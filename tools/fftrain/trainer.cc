#include "tools/fftrain/trainer.hpp"

#include <fmt/core.h>
#include <unistd.h>

#include <bit>
#include <cmath>
#include <deque>
#include <limits>
#include <numeric>

#include "libcommon/base/crc32c.hpp"
#include "libcommon/blas/blas.hpp"

namespace ff::fftrain {
namespace {

using hfreduce::Trace;

void accumulate(StepRecord& total, const StepRecord& step) {
  total.bytes += step.bytes;
  total.forward_ns += step.forward_ns;
  total.backward_ns += step.backward_ns;
  total.optimizer_ns += step.optimizer_ns;
  total.step_ns += step.step_ns;
  total.communication.total_ns += step.communication.total_ns;
  total.communication.exposed_ns += step.communication.exposed_ns;
}

Result<> check_memory(const ModelConfig& model, std::int64_t sequences) {
  const std::uint64_t needed = Model::memory_bytes(model, sequences);
  const auto physical =
      static_cast<std::uint64_t>(::sysconf(_SC_PHYS_PAGES)) * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  if (needed <= physical) return {};
  return fail(Errc::kExhausted,
              fmt::format("model: {} sequences a rank need {}, this machine has {} (lower --batch, --ctx, --dim or "
                          "--layers)",
                          sequences, format_byte_size(needed), format_byte_size(physical)));
}

}  // namespace

Result<> check(const TrainOptions& options) {
  FF_TRY(check(options.model));
  const OptimizerOptions& o = options.optimizer;
  auto refuse = [](std::string message) { return fail(Errc::kInvalidArgument, std::move(message)); };
  if (o.steps < 1) return refuse("--steps: must be at least 1");
  if (!(o.lr > 0) || !std::isfinite(o.lr)) return refuse("--lr: must be above 0");
  if (!(o.weight_decay >= 0) || !(o.weight_decay * o.lr < 1)) return refuse("--weight-decay: must be in [0, 1/lr)");
  if (!(o.clip >= 0)) return refuse("--clip: must be at least 0 (0 never clips)");
  if (o.warmup < 0) return refuse("--warmup: must be at least 0");
  if (options.batch < 1) return refuse("--batch: must be at least 1");
  if (options.bucket_bytes < sizeof(float)) return refuse("--bucket: must be at least 4 bytes");
  if (options.checkpoint_every < 0) return refuse("--checkpoint-every: must be at least 0");
  if (options.verify_every < 0) return refuse("--verify-every: must be at least 0");
  if (options.resume && options.checkpoint_dir.empty())
    return refuse("--resume: nothing to resume from (name the folder by --checkpoint)");
  return {};
}

Trainer::Trainer(const TrainOptions& options, const TextData& text, int world, TrainHooks hooks)
    : options_(options),
      text_(text),
      hooks_(std::move(hooks)),
      world_(world),
      model_(options.model, options.batch / world),
      optimizer_(model_.layout()) {}

Result<std::unique_ptr<Trainer>> Trainer::create(const TrainOptions& options, const TextData& text,
                                                 hfreduce::Communicator& communicator, TrainHooks hooks) {
  FF_TRY(check(options));
  const int world = communicator.size();
  if (options.batch % world != 0)
    return fail(Errc::kInvalidArgument, fmt::format("--batch: {} sequences cannot be shared equally by {} ranks (use a "
                                                    "multiple of {})",
                                                    options.batch, world, world));
  if (text.bytes().size() <= static_cast<std::size_t>(options.model.ctx))
    return fail(Errc::kInvalidArgument, fmt::format("--text: {} bytes are too few for --ctx {} (give at least {})",
                                                    text.bytes().size(), options.model.ctx, options.model.ctx + 1));
  FF_TRY(check_memory(options.model, options.batch / world));
  blas::use_one_thread();
  std::unique_ptr<Trainer> trainer(new Trainer(options, text, world, std::move(hooks)));
  FF_TRY(trainer->prepare(communicator));
  return trainer;
}

Result<> Trainer::prepare(hfreduce::Communicator& communicator) {
  FF_TRY_ASSIGN(parallel_,
                DataParallel::create(communicator, model_.layout(), options_.bucket_bytes, options_.grad_dtype));
  FF_TRY(parallel_->require_equal(fingerprint(), "options or texts",
                                  "start every rank with the same command line and files"));
  model_.initialise(static_cast<std::uint64_t>(options_.seed));
  if (!options_.checkpoint_dir.empty() && parallel_->rank() == 0) FF_TRY(open_checkpoints());
  if (options_.resume) FF_TRY(restore());
  return verify_weights();
}

Result<> Trainer::open_checkpoints() {
  FF_TRY_ASSIGN(checkpoints_, CheckpointFolder::open(options_.checkpoint_dir));
  FF_TRY_ASSIGN(const auto steps, checkpoints_->steps());
  if (!options_.resume && !steps.empty())
    return fail(Errc::kAlreadyExists,
                fmt::format("checkpoint folder '{}': already holds step {} (go on by --resume, or name another folder)",
                            options_.checkpoint_dir, steps.back()));
  return {};
}

Result<> Trainer::restore() {
  const std::span<float> weights = model_.weights(), first = optimizer_.first(), second = optimizer_.second();
  if (checkpoints_) {
    auto notice = [&](const Error& error) {
      if (hooks_.notice) hooks_.notice(error.message() + ", using the one before");
    };
    FF_TRY_ASSIGN(const auto found, checkpoints_->load_latest(options_.model, {weights, first, second}, notice));
    if (found) {
      step_ = static_cast<std::int64_t>(found->step);
      CheckpointHeader same = header();
      same.ranks = found->ranks;  // another number of ranks may go on, with the losses' bound instead of equal bits
      if (*found != same)
        return fail(Errc::kInvalidArgument,
                    fmt::format("checkpoint of step {}: was written with --seed {} --batch {} and a text of {} bytes, "
                                "CRC {:08x} (use the same, or another --checkpoint)",
                                found->step, found->seed, found->batch, found->text_bytes, found->text_crc));
      if (step_ > options_.optimizer.steps)
        return fail(Errc::kInvalidArgument,
                    fmt::format("checkpoint of step {}: is beyond --steps {}", step_, options_.optimizer.steps));
    } else if (hooks_.notice) {
      hooks_.notice(fmt::format("checkpoint folder '{}': is empty, starting at step 0", options_.checkpoint_dir));
    }
  }
  FF_TRY(parallel_->broadcast(std::as_writable_bytes(std::span(&step_, 1))));
  if (step_ == 0) return {};
  for (const std::span<float> part : {weights, first, second})
    FF_TRY(parallel_->broadcast(std::as_writable_bytes(part)));
  return {};
}

std::uint64_t Trainer::fingerprint() const {
  // Everything that the ranks must agree on; paths and log settings may differ.
  const OptimizerOptions& o = options_.optimizer;
  const std::string all = fmt::format(
      "{} {} {} {} {} {} {} {} {} {} {} {} {} {} {} {} {} {} {}", options_.model.layers, options_.model.heads,
      options_.model.dim, options_.model.ctx, o.lr, o.weight_decay, o.clip, o.warmup, o.steps, options_.batch,
      options_.seed, options_.bucket_bytes, static_cast<int>(options_.grad_dtype), options_.checkpoint_dir.empty(),
      options_.checkpoint_every, options_.resume, options_.verify_every, text_.bytes().size(), text_.crc());
  return std::uint64_t{crc32c(0, all.data(), all.size())} << 1;
}

BatchShape Trainer::batch_shape() const {
  return {options_.batch, options_.model.ctx, static_cast<std::uint64_t>(options_.seed)};
}

Result<> Trainer::verify_weights() {
  const std::span<const float> weights = model_.weights();
  const std::uint64_t sum = crc32c(0, weights.data(), weights.size_bytes());
  return parallel_->require_equal(sum << 1, fmt::format("weights after step {}", step_),
                                  "the ranks' machines compute differently or memory is faulty (restart by --resume)");
}

Result<TrainSummary> Trainer::run() {
  TrainSummary summary;
  summary.first_step = step_;
  summary.ranks = world_;
  summary.parameters = model_.layout().count();
  summary.text_bytes = text_.bytes().size();
  summary.unigram_bits = text_.unigram_bits();
  std::deque<double> last_losses;
  while (step_ < options_.optimizer.steps && !summary.stopped && !summary.suspended) {
    bool stop = false;
    FF_TRY_ASSIGN(const StepRecord record, train_step(stop));
    accumulate(summary.total, record);
    last_losses.push_back(record.loss);
    if (last_losses.size() > kFinalSteps) last_losses.pop_front();
    if (hooks_.on_step) hooks_.on_step(record);
    const bool early = step_ < options_.optimizer.steps;
    // Asked on every rank and every step, also where another request ends this run: others may wait for the answer. Not
    // after the last step: what is complete does not leave in order to go on later.
    const bool leave = early && hooks_.should_stop && hooks_.should_stop(static_cast<std::uint64_t>(step_));
    // Without a checkpoint there is nothing to go on from.
    summary.suspended = leave && early && !options_.checkpoint_dir.empty();
    summary.stopped = (stop || leave) && early && !summary.suspended;
    FF_TRY(after_step(leave || summary.stopped || step_ == options_.optimizer.steps));
  }
  summary.steps_done = step_;
  summary.final_loss = last_losses.empty() ? std::numeric_limits<double>::quiet_NaN()
                                           : std::accumulate(last_losses.begin(), last_losses.end(), 0.0) /
                                                 static_cast<double>(last_losses.size());
  FF_TRY(parallel_->barrier());
  // Rank 0 has written it: the barrier is after that.
  if (!options_.checkpoint_dir.empty() && hooks_.saved) hooks_.saved(static_cast<std::uint64_t>(step_));
  return summary;
}

Result<StepRecord> Trainer::train_step(bool& stop) {
  const BatchShape shape = batch_shape();
  const std::int64_t local = shape.sequences / world_;
  StepRecord record;
  record.bytes = shape.sequences * shape.length;

  const std::int64_t begin = Trace::now_ns();
  fill_batch(batch_, text_, shape, step_, parallel_->rank(), world_);
  const double local_loss = model_.forward(batch_.tokens, batch_.targets, local, shape.length);
  const std::int64_t forward_end = Trace::now_ns();

  // Each rank contributes to the mean over the global batch, so the sum over ranks is the gradient.
  const auto scale = static_cast<float>(1.0 / static_cast<double>(record.bytes));
  parallel_->begin_step(local_loss, hooks_.stop != nullptr && hooks_.stop->load(std::memory_order_relaxed));
  model_.backward(scale, parallel_->gradients(), [this](int tensor) { parallel_->gradient_ready(tensor); });
  const std::int64_t backward_end = Trace::now_ns();

  FF_TRY_ASSIGN(const StepTotals totals, parallel_->finish_step());
  const std::int64_t update_begin = Trace::now_ns();
  stop = totals.stop;
  record.loss = totals.loss_sum / static_cast<double>(record.bytes);
  record.lr = learning_rate(options_.optimizer, step_);
  record.grad_norm = gradient_norm(model_.layout(), parallel_->gradients());
  if (!std::isfinite(record.loss) || !std::isfinite(record.grad_norm))
    return fail(Errc::kCorrupt, fmt::format("step {}: loss {} with gradient norm {} (training diverged: lower --lr or "
                                            "raise --warmup)",
                                            step_ + 1, record.loss, record.grad_norm));
  optimizer_.update(model_.weights(), parallel_->gradients(), record.grad_norm, options_.optimizer, step_);
  record.step = ++step_;
  const std::int64_t end = Trace::now_ns();

  record.forward_ns = forward_end - begin;
  record.backward_ns = backward_end - forward_end;
  record.optimizer_ns = end - update_begin;
  record.step_ns = end - begin;
  record.communication = totals.times;
  return record;
}

Result<> Trainer::after_step(bool last) {
  const bool checkpointed = !options_.checkpoint_dir.empty();
  const bool save_due =
      checkpointed && (last || (options_.checkpoint_every > 0 && step_ % options_.checkpoint_every == 0));
  const bool verify_due = last || save_due || (options_.verify_every > 0 && step_ % options_.verify_every == 0);
  // Weights are compared before they are saved: a checkpoint never holds what one rank alone believes.
  if (verify_due) FF_TRY(verify_weights());
  if (save_due && hooks_.saving && (last || checkpoints_))
    hooks_.saving(3 * sizeof(float) * static_cast<std::uint64_t>(model_.layout().count()));
  if (save_due && checkpoints_) {
    FF_TRY(save());
    if (!last && hooks_.saved) hooks_.saved(static_cast<std::uint64_t>(step_));
  }
  return {};
}

CheckpointHeader Trainer::header() const {
  return {.model = options_.model,
          .step = static_cast<std::uint64_t>(step_),
          .seed = static_cast<std::uint64_t>(options_.seed),
          .batch = static_cast<std::uint64_t>(options_.batch),
          .text_bytes = text_.bytes().size(),
          .text_crc = text_.crc(),
          .ranks = static_cast<std::uint32_t>(world_),
          .parameters = model_.layout().count()};
}

Result<> Trainer::save() {
  return checkpoints_->save(header(), {model_.weights(), optimizer_.first(), optimizer_.second()});
}

}  // namespace ff::fftrain
