#include "tools/fftrain/command.hpp"

#include <fmt/core.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <string>
#include <vector>

#include "ffctl/ffjob/ffjob.h"
#include "hfreduce/communicator.hpp"
#include "libcommon/cli/app.hpp"
#include "libcommon/cli/output.hpp"
#include "tools/fftrain/generate.hpp"
#include "tools/fftrain/train_report.hpp"
#include "tools/fftrain/trainer.hpp"

namespace ff::fftrain {
namespace {

constexpr std::int64_t kSampleBytesMax = 1 << 20;

// What the parser writes into; it outlives the run.
struct Arguments {
  TrainOptions train;
  std::vector<std::string> text;
  cli::ByteSize bucket{kMiB};
  std::string grad_dtype = "float";
  std::int64_t sample = 200;
  double temperature = 0.8;
  std::int64_t log_every = 20;
  cli::OutputOptions output;
};

std::atomic<bool> g_stop{false};

// The first signal asks for an end after the current step; the same signal a second time ends the process at once.
void install_stop_handler() {
  struct sigaction action{};
  action.sa_handler = [](int) { g_stop.store(true, std::memory_order_relaxed); };
  action.sa_flags = SA_RESETHAND | SA_RESTART;
  for (const int signal : {SIGINT, SIGTERM}) ::sigaction(signal, &action, nullptr);
}

// The first failure of standard output, 0 while it works: training goes on, and the end tells.
int g_stdout_errno = 0;

void print_flushed(std::string_view text) {
  const bool written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
  if (!written && g_stdout_errno == 0) g_stdout_errno = errno;
}

// Everything after the ranks have met. An error returned here ends the run on all ranks.
Result<int> train(const Arguments& arguments, report::Format format, hfreduce::Communicator& communicator) {
  const TrainOptions& options = arguments.train;
  const bool speaks = communicator.rank() == 0;
  FF_TRY_ASSIGN(const TextData text, TextData::load(arguments.text));

  TrainReport report(format, arguments.log_every, communicator.size(), print_flushed);
  TrainHooks hooks;
  hooks.stop = &g_stop;
  if (ff_active() == 1) {
    hooks.should_stop = [](std::uint64_t step) { return ff_should_stop(step) == 1; };
    hooks.saving = [](std::uint64_t bytes) { ff_saving(bytes, 0); };
    hooks.saved = [](std::uint64_t step) { ff_saved(step); };
  }
  if (speaks) {
    hooks.on_step = [&](const StepRecord& record) { report.on_step(record, options.optimizer.steps); };
    hooks.notice = [](const std::string& message) { fmt::print(stderr, "fftrain: {}\n", message); };
  }
  FF_TRY_ASSIGN(const auto trainer, Trainer::create(options, text, communicator, std::move(hooks)));
  FF_TRY_ASSIGN(const TrainSummary summary, trainer->run());
  if (speaks) {
    const GenerateOptions generation{arguments.sample, arguments.temperature, static_cast<std::uint64_t>(options.seed)};
    report.finish(summary, generate(trainer->model(), generation));
    if (g_stdout_errno != 0) return fail(errno_error("write standard output", g_stdout_errno));
  }
  return summary.stopped ? cli::kExitPartial : cli::kExitOk;
}

Result<int> run(Arguments& arguments) {
  arguments.train.bucket_bytes = arguments.bucket.bytes;
  FF_TRY_ASSIGN(arguments.train.grad_dtype, hfreduce::parse_dtype(arguments.grad_dtype));
  FF_TRY_ASSIGN(const report::Format format, arguments.output.format());
  FF_TRY(check(arguments.train));
  install_stop_handler();
  if (ff_init() < 0) return fail(Errc::kInvalidArgument, fmt::format("FF_CTL: {}", ff_error()));

  FF_TRY_ASSIGN(const auto config, hfreduce::Config::from_environment());
  FF_TRY_ASSIGN(const auto communicator, hfreduce::Communicator::from_environment(config));
  auto result = train(arguments, format, *communicator);
  if (!result && communicator->size() > 1) {
    const std::string rank = fmt::format("rank {}", communicator->rank());
    communicator->abort(rank + ": " + result.error().message());
    return fail(std::move(result).error().context(rank));
  }
  return result;
}

cli::Command describe(Arguments& a) {
  cli::Command command;
  command.name = "fftrain";
  command.summary = "Train a byte-level GPT, data parallel over libhfreduce";
  command.description =
      "Trains a small transformer to predict the next byte of a text. Alone it is one process; started by "
      "'hfreduce run', every rank takes its share of each batch and gradients are summed by "
      "asynchronous all_reduce while backward goes on. Rank 0 prints a table of losses, and at the end a summary "
      "beside "
      "the unigram entropy of the text, and a sample.";
  auto range = [](cli::Option option, Range bounds) {
    option.min = static_cast<double>(bounds.min);
    option.max = static_cast<double>(bounds.max);
    return option;
  };
  auto at_least = [](cli::Option option, double min) {
    option.min = min;
    return option;
  };
  TrainOptions& t = a.train;
  command.options = {
      {.names = "--text",
       .target = &a.text,
       .help = "learn this file, or ffs:/PATH of the file system of FF_CLUSTER; may be given several times (default: "
               "the files "
               "of /usr/share/common-licenses)",
       .value_name = "FILE",
       .complete = "file"},
      at_least({.names = "--steps", .target = &t.optimizer.steps, .help = "optimizer steps to the end of training"}, 1),
      at_least({.names = "--batch", .target = &t.batch, .help = "sequences a step, all ranks together"}, 1),
      range({.names = "--ctx", .target = &t.model.ctx, .help = "bytes in a sequence"}, kCtxRange),
      range({.names = "--layers", .target = &t.model.layers, .help = "transformer blocks"}, kLayersRange),
      range({.names = "--heads", .target = &t.model.heads, .help = "attention heads; --dim is a multiple"},
            kHeadsRange),
      range({.names = "--dim", .target = &t.model.dim, .help = "width of the model"}, kDimRange),
      at_least({.names = "--seed", .target = &t.seed, .help = "seed of weights, batches and the sample"}, 0),
      at_least(
          {.names = "--lr", .target = &t.optimizer.lr, .help = "learning rate after the warm-up", .value_name = "R"},
          0),
      at_least({.names = "--weight-decay",
                .target = &t.optimizer.weight_decay,
                .help = "AdamW's decoupled decay of matrices",
                .value_name = "W"},
               0),
      at_least({.names = "--clip",
                .target = &t.optimizer.clip,
                .help = "longest global gradient norm; 0 never clips",
                .value_name = "NORM"},
               0),
      at_least({.names = "--warmup", .target = &t.optimizer.warmup, .help = "steps of linear warm-up"}, 0),
      at_least({.names = "--bucket", .target = &a.bucket, .help = "gradient bytes that travel together"}, 4),
      {.names = "--grad-dtype",
       .target = &a.grad_dtype,
       .help = "type of gradients on the wire",
       .value_name = "TYPE",
       .choices = {"float", "bfloat16"}},
      {.names = "--checkpoint",
       .target = &t.checkpoint_dir,
       .help = "folder for checkpoints, or ffs:/PATH; the last two are kept",
       .value_name = "DIR",
       .complete = "dir"},
      at_least({.names = "--checkpoint-every",
                .target = &t.checkpoint_every,
                .help = "steps between checkpoints; 0: only at the end"},
               0),
      {.names = "--resume", .target = &t.resume, .help = "go on from the newest usable checkpoint, if there is one"},
      range({.names = "--sample", .target = &a.sample, .help = "bytes of text to generate at the end"},
            {0, kSampleBytesMax}),
      at_least({.names = "--temperature",
                .target = &a.temperature,
                .help = "of the sample; 0 takes the likeliest byte",
                .value_name = "T"},
               0),
      at_least({.names = "--log-every", .target = &a.log_every, .help = "steps between rows"}, 1),
      at_least({.names = "--verify-every",
                .target = &t.verify_every,
                .help = "steps between comparisons of the ranks' weights; 0: at checkpoints and at the end"},
               0),
  };
  a.output.add_to(command);
  command.examples = {
      {"fftrain --steps 100", "Train alone on the system's licence texts"},
      {"hfreduce run -n 4 -- fftrain", "Train with four ranks on this machine"},
      {"fftrain --checkpoint runs/a --resume --json | jq -c '[.step, .loss]'", "Go on where an earlier run was killed"},
      {"hfreduce run -n 4 -- fftrain --text ffs:/text --checkpoint ffs:/runs/a",
       "Read from and save to the file system that FF_CLUSTER names"},
  };
  command.exit_codes = {
      {cli::kExitPartial, "stopped by SIGINT or SIGTERM, or asked to leave without --checkpoint, after a whole step"}};
  command.run = [&a] { return run(a); };
  return command;
}

}  // namespace

int run_command(int argc, char** argv) {
  Arguments arguments;
  cli::App app;
  app.root = describe(arguments);
  return cli::run(std::move(app), argc, argv);
}

}  // namespace ff::fftrain
