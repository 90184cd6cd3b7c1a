// `hfreduce tune`: tries the settings of the library on the ranks that are there and keeps those that are clearly
// faster.
//
// Each setting is a knob with candidate values, the first being "let the library choose". Every candidate is measured
// with a communicator of its own over a few sizes; a value is written only when it beats the default by more than 5 %
// in the geometric mean, so that noise does not become configuration.
#include <fmt/core.h>

#include <cstdio>
#include <cstring>
#include <filesystem>
#include <functional>
#include <memory>

#include "hfreduce/cmd/commands.hpp"
#include "hfreduce/cmd/perf_measure.hpp"
#include "hfreduce/cmd/self_launch.hpp"
#include "hfreduce/cmd/tune_fit.hpp"
#include "hfreduce/cmd/tuned_file.hpp"
#include "libcommon/base/byte_size.hpp"
#include "libcommon/base/file.hpp"
#include "libcommon/cli/output.hpp"
#include "libcommon/machine/machine.hpp"

namespace ff::hfreduce::cmd {
namespace {

constexpr double kMargin = 0.05;
constexpr std::size_t kIdBytes = 128;  // UniqueId::to_text is shorter

struct Options {
  std::int64_t ranks = 0, iters = 20;
  cli::ByteSize max{16 * kMiB};
  std::string save;
  bool dry_run = false;
  cli::OutputOptions output;
};

struct Candidate {
  std::string value;  // as the environment variable has it; empty: the default
  std::function<void(Config&)> apply;
};

struct Knob {
  std::string key;  // HFR_*
  Transport transport;
  bool windows;
  std::vector<std::uint64_t> sizes;
  std::vector<Candidate> candidates;
};

Candidate by_default() {
  return {"", [](Config&) {}};
}

Knob byte_knob(const char* key, Transport transport, std::vector<std::uint64_t> sizes, std::uint64_t Config::* field,
               std::initializer_list<std::uint64_t> values) {
  Knob knob{key, transport, true, std::move(sizes), {by_default()}};
  for (const std::uint64_t value : values)
    knob.candidates.push_back({format_byte_size(value), [field, value](Config& config) { config.*field = value; }});
  return knob;
}

std::vector<std::uint64_t> sizes_up_to(std::vector<std::uint64_t> sizes, std::uint64_t max) {
  std::erase_if(sizes, [max](std::uint64_t size) { return size > max; });
  if (sizes.empty()) sizes.push_back(max);
  return sizes;
}

std::vector<Knob> knobs_for(bool one_host, std::uint64_t max) {
  std::vector<Knob> knobs;
  const auto large = sizes_up_to({256 * kKiB, kMiB, 4 * kMiB, 16 * kMiB}, max);
  if (one_host) {
    Knob path{"HFR_SHM_PATH", Transport::kShm, false, large, {by_default()}};
    path.candidates.push_back({"staged", [](Config& config) { config.ordinary = ShmPath::kStaged; }});
    path.candidates.push_back({"cma", [](Config& config) { config.ordinary = ShmPath::kCma; }});
    knobs.push_back(std::move(path));
    knobs.push_back(byte_knob("HFR_SHM_CHUNK", Transport::kShm, large, &Config::shm_chunk_bytes,
                              {64 * kKiB, 128 * kKiB, 256 * kKiB, 512 * kKiB}));
  }
  const Transport net = one_host ? Transport::kTcp : Transport::kAuto;
  Knob algorithm{"HFR_ALGO", net, true, sizes_up_to({64, kKiB, 16 * kKiB, 256 * kKiB, 4 * kMiB}, max), {by_default()}};
  for (const NetAlgorithm value : {NetAlgorithm::kFlat, NetAlgorithm::kRecursiveDoubling, NetAlgorithm::kDirect,
                                   NetAlgorithm::kTree, NetAlgorithm::kRing})
    algorithm.candidates.push_back(
        {std::string(net_algorithm_name(value)), [value](Config& config) { config.algorithm = value; }});
  knobs.push_back(std::move(algorithm));
  knobs.push_back(byte_knob("HFR_NET_CHUNK", net, large, &Config::net_chunk_bytes, {64 * kKiB, 256 * kKiB, kMiB}));
  Knob channels{"HFR_CHANNELS", net, true, large, {by_default()}};
  for (const int value : {1, 2, 4})
    channels.candidates.push_back({std::to_string(value), [value](Config& config) { config.channels = value; }});
  knobs.push_back(std::move(channels));
  return knobs;
}

class Tuner {
 public:
  Tuner(const Options& options, Communicator& base)
      : options_(options), base_(base), one_host_(base.ranks().back().host_index == 0), table_(make_table()) {}
  Result<> run();
  report::Table& table() { return table_; }
  const TunedValues& chosen() const { return chosen_; }

 private:
  static report::Table make_table();
  Result<std::unique_ptr<Communicator>> communicator(const Config& config);
  Result<std::vector<TunePoint>> measure(const Config& config, bool windows, const std::vector<std::uint64_t>& sizes);
  Result<> tune(const Knob& knob);
  Result<> tune_flat_max();
  void add_row(std::string_view transport, const std::string& key, const std::string& value,
               const std::vector<TunePoint>& points, double ratio, bool chosen);

  const Options& options_;
  Communicator& base_;
  bool one_host_;
  report::Table table_;
  TunedValues chosen_;
};

report::Table Tuner::make_table() {
  return report::Table("ff.tune/1", {{.key = "setting", .title = "SETTING"},
                                     {.key = "value", .title = "VALUE"},
                                     {.key = "transport", .title = "TRANSPORT"},
                                     {.key = "alpha_us", .title = "LATENCY(us)"},
                                     {.key = "beta_Bps", .title = "BANDWIDTH", .unit = report::Unit::kBytesPerSecond},
                                     {.key = "time_ratio", .title = "TIME/DEFAULT"},
                                     {.key = "chosen", .title = "CHOSEN"}});
}

// Further communicators over the same ranks: rank 0 names one and the first communicator carries the name.
Result<std::unique_ptr<Communicator>> Tuner::communicator(const Config& config) {
  char text[kIdBytes] = {};
  if (base_.rank() == 0) {
    auto id = Communicator::create_id(base_.ranks()[0].address);
    if (id) {
      const std::string name = id->to_text();
      std::memcpy(text, name.data(), std::min(name.size(), kIdBytes - 1));
    }  // else the others see the empty name and all give up together
  }
  FF_TRY(base_.broadcast(text, text, kIdBytes, DType::kUint8, 0));
  FF_TRY_ASSIGN(const UniqueId id, UniqueId::from_text(text));
  return Communicator::create(id, base_.rank(), base_.size(), config);
}

// Empty when some rank's library refuses the configuration (a path that this machine does not have).
Result<std::vector<TunePoint>> Tuner::measure(const Config& config, bool windows,
                                              const std::vector<std::uint64_t>& sizes) {
  auto comm = communicator(config);
  std::int64_t ok = comm ? 1 : 0, all_ok = 0;
  FF_TRY(base_.all_reduce(&ok, &all_ok, 1, DType::kInt64, ReduceOp::kMin));
  std::vector<TunePoint> points;
  if (all_ok == 0) return points;
  PerfPlan plan;
  plan.iters_per_batch = static_cast<int>((options_.iters + plan.batches - 1) / plan.batches);
  plan.warmup_iters = 2;
  plan.check_iters = 0;
  FF_TRY_ASSIGN(PerfRunner runner, PerfRunner::create(**comm, plan, sizes.back(), windows));
  for (const std::uint64_t bytes : sizes) {
    const PerfCase c = perf_case(plan.kind, base_.size(), plan.dtype, bytes);
    FF_TRY_ASSIGN(const PerfTimes times, runner.measure(c, false));
    points.push_back({c.size, times.median_s});
  }
  FF_TRY((*comm)->barrier());
  return points;
}

void Tuner::add_row(std::string_view transport, const std::string& key, const std::string& value,
                    const std::vector<TunePoint>& points, double ratio, bool chosen) {
  if (points.empty()) {
    table_.add_row({key, value, std::string(transport), {}, {}, {}, false});
    return;
  }
  const TuneFit fit = fit_line(points);
  table_.add_row(
      {key, value.empty() ? "default" : value, std::string(transport), fit.alpha_s * 1e6, fit.beta_Bps, ratio, chosen});
}

Result<> Tuner::tune(const Knob& knob) {
  std::vector<std::vector<TunePoint>> measured;
  for (const Candidate& candidate : knob.candidates) {
    Config config = base_.config();
    config.transport = knob.transport;
    candidate.apply(config);
    FF_TRY_ASSIGN(std::vector<TunePoint> points, measure(config, knob.windows, knob.sizes));
    measured.push_back(std::move(points));
  }
  const std::size_t best = choose(measured, kMargin);
  // What was measured over loopback says nothing about a network: such choices are shown, not written.
  const bool counts = knob.transport == Transport::kShm || !one_host_;
  if (best != 0 && counts) chosen_[knob.key] = knob.candidates[best].value;
  const std::string_view transport = knob.transport == Transport::kShm ? "shm" : one_host_ ? "tcp loopback" : "tcp";
  for (std::size_t i = 0; i < measured.size(); ++i) {
    const bool comparable = !measured[i].empty() && measured[i].size() == measured[0].size();
    add_row(transport, knob.key, knob.candidates[i].value, measured[i],
            comparable ? time_ratio(measured[i], measured[0]) : 0, i == best && counts);
  }
  return {};
}

Result<> Tuner::tune_flat_max() {
  constexpr std::uint64_t kMost = 16 * kKiB;
  std::vector<std::uint64_t> sizes;
  for (std::uint64_t size = 64; size <= kMost; size *= 2) sizes.push_back(size);
  Config config = base_.config();
  config.transport = Transport::kShm;
  FF_TRY_ASSIGN(const std::vector<TunePoint> by_size, measure(config, true, sizes));
  config.flat_bytes_max = kMost;
  FF_TRY_ASSIGN(const std::vector<TunePoint> flat, measure(config, true, sizes));
  config.flat_bytes_max = 1;
  FF_TRY_ASSIGN(const std::vector<TunePoint> never, measure(config, true, sizes));
  if (by_size.empty() || flat.empty() || never.empty()) return {};
  const std::uint64_t limit = crossover(flat, never);
  std::vector<TunePoint> mixed;
  for (std::size_t i = 0; i < sizes.size(); ++i) mixed.push_back(sizes[i] <= limit ? flat[i] : never[i]);
  const bool better = limit > 0 && choose({by_size, mixed}, kMargin) == 1;
  if (better) chosen_["HFR_FLAT_MAX"] = format_byte_size(limit);
  add_row("shm", "HFR_FLAT_MAX", "", by_size, 1, !better);
  add_row("shm", "HFR_FLAT_MAX", format_byte_size(limit), mixed, time_ratio(mixed, by_size), better);
  return {};
}

Result<> Tuner::run() {
  if (one_host_) FF_TRY_CTX(tune_flat_max(), "HFR_FLAT_MAX");
  for (const Knob& knob : knobs_for(one_host_, options_.max.bytes)) FF_TRY_CTX(tune(knob), knob.key);
  return {};
}

Result<> save(const Options& options, const TunedValues& values, const Communicator& comm) {
  std::string path = options.save;
  if (path.empty()) {
    FF_TRY_ASSIGN(path, default_tuned_path());
  }
  std::error_code error;
  const auto folder = std::filesystem::path(path).parent_path();
  if (!folder.empty()) std::filesystem::create_directories(folder, error);
  if (error) return fail(Errc::kIo, fmt::format("create '{}': {}", folder.string(), error.message()));
  const machine::Machine machine = machine::read_machine("");
  FF_TRY(
      write_file_atomic(path, format_tuned(values, fmt::format("Written by hfreduce tune on {} ({}), {} ranks.\n"
                                                               "Use: hfreduce run --tuned {}",
                                                               machine.host, machine.cpu_model, comm.size(), path))));
  fmt::print(stderr, "hfreduce tune: {} settings written to '{}'\n", values.size(), path);
  return {};
}

Result<int> run_tune(const Options& options, const Arguments& arguments) {
  FF_TRY_ASSIGN(const report::Format format, options.output.format());
  const int ranks = static_cast<int>(options.ranks);
  if (!under_launcher()) return self_launch(arguments, ranks > 0 ? ranks : default_ranks());
  FF_TRY(check_ranks(ranks));
  FF_TRY_ASSIGN(const Config config, Config::from_environment());
  FF_TRY_ASSIGN(const std::unique_ptr<Communicator> comm, Communicator::from_environment(config));
  if (comm->size() < 2) return fail(Errc::kInvalidArgument, "tune: one rank has nobody to talk to (use --ranks 2)");
  Tuner tuner(options, *comm);
  FF_TRY(tuner.run());
  Result<> saved;
  if (comm->rank() == 0) {
    tuner.table().set_header("ranks", static_cast<std::int64_t>(comm->size()));
    const std::string text = tuner.table().render(format);
    std::fwrite(text.data(), 1, text.size(), stdout);
    if (!options.dry_run) saved = save(options, tuner.chosen(), *comm);
  }
  FF_TRY(comm->barrier());
  FF_TRY(saved);
  return cli::kExitOk;
}

}  // namespace

cli::Command tune_command(const Arguments& arguments) {
  auto options = std::make_shared<Options>();
  Options& o = *options;
  cli::Command command;
  command.name = "tune";
  command.summary = "Measure the library's settings on these ranks and save those that are faster";
  command.description =
      "Shows latency and bandwidth (a line fitted to the times over sizes) for each transport, algorithm and chunk "
      "size, "
      "and writes what beats the default by more than 5 %. Settings of the network are only written when the ranks are "
      "on "
      "several hosts.";
  command.options = {
      {.names = "--ranks",
       .target = &o.ranks,
       .help = "Ranks to start here; 0: one a core, 2 to 8",
       .value_name = "N",
       .min = 0,
       .max = 4096},
      {.names = "-n,--iters",
       .target = &o.iters,
       .help = "Timed calls for each size, in five batches; more of them up to 256 KiB",
       .min = 1,
       .max = 1e6},
      {.names = "-e,--maxbytes", .target = &o.max, .help = "Largest size", .min = 64, .max = 1ull << 32},
      {.names = "--save",
       .target = &o.save,
       .help = "File to write; empty: hfreduce-tune.yaml in the user's settings folder",
       .value_name = "FILE",
       .complete = "file"},
      {.names = "--dry-run", .target = &o.dry_run, .help = "Write nothing"},
  };
  options->output.add_to(command);
  command.examples = {{"hfreduce tune --ranks 4 --dry-run", "look at four ranks on this machine"},
                      {"hfreduce run --hosts a:8,b:8 -- hfreduce tune --save tuned.yaml", "between two hosts"}};
  command.run = [options, arguments] { return run_tune(*options, arguments); };
  return command;
}

}  // namespace ff::hfreduce::cmd
