// `ffbench storage verify`: blocks that describe themselves, written now and checked later, whatever happened between.
#include <fmt/core.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <type_traits>

#include "ffbench/cmd/ffs_options.hpp"
#include "ffbench/cmd/storage.hpp"
#include "ffbench/ffs/clients.hpp"
#include "ffbench/ffs/cluster_facts.hpp"
#include "ffbench/ffs/ffs_disk.hpp"
#include "ffbench/storage/run.hpp"
#include "ffbench/storage/target.hpp"
#include "ffbench/storage/verify_check.hpp"
#include "ffbench/storage/verify_write.hpp"
#include "libcommon/base/byte_size.hpp"
#include "libcommon/report/utf8.hpp"
#include "libcommon/runtime/real_env.hpp"

namespace ff::bench {
namespace {

struct Options {
  MeasureOptions measure;
  std::string target, journal;
  cli::ByteSize size{0}, offset{0}, bs{4096};
  std::int64_t depth = 16, sync_every = 256, writes = 0, seed = 1;
  bool sequential = false, buffered = false, force = false;
  FfsOptions ffs;

  bool on_ffs() const { return is_ffs_path(target); }
};

// Where the target lies: a file or device of this machine, or a file of a file system of Fire-Flyer.
struct Place {
  TargetFacts target;
  std::unique_ptr<runtime::RealEnv> env = {};  // of this machine
  std::optional<FfsClients> clients = {};      // else

  // Runs `body` (Task<Result<T>>(Env&, Disk&)) there.
  template <class F>
  auto run(std::stop_token stop, F body) -> std::invoke_result_t<F&, runtime::Env&, runtime::Disk&>::value_type {
    if (env) return env->run(body(*env, env->disk()));
    return clients->call(0, std::move(stop), [&body](ffs::FileSystem& fs) -> decltype(body(fs.env(), fs.env().disk())) {
      FfsDisk disk(fs);
      co_return co_await body(fs.env(), disk);
    });
  }
};

Result<> check_options(const Options& o) {
  if (!o.on_ffs()) return {};
  if (o.buffered)
    return fail(Errc::kInvalidArgument, "--buffered: there is no page cache before a file system without a mount");
  if (o.journal.empty())
    return fail(Errc::kInvalidArgument,
                "--journal: is needed for ffs: paths: a file of this machine, which survives what they are tested for");
  if (is_ffs_path(o.journal))
    return fail(Errc::kInvalidArgument, "--journal: is a file of this machine, not of the file system under test");
  return {};
}

Result<std::string> journal_of(const Options& o, const TargetFacts& facts) {
  if (!o.journal.empty()) return o.journal;
  if (facts.block_device)
    return fail(Errc::kInvalidArgument,
                "--journal: is needed for a device: a file that survives what the device is tested for");
  return o.target + ".ffbench-journal";
}

Metric count_metric(std::string name, std::string formula, std::uint64_t value, Better better = Better::kNeither) {
  return {.name = std::move(name),
          .unit = "",
          .better = better,
          .formula = std::move(formula),
          .samples = {static_cast<double>(value)}};
}

double per_second(std::uint64_t count, std::int64_t elapsed_ns) {
  return static_cast<double>(count) * 1e9 / static_cast<double>(std::max<std::int64_t>(elapsed_ns, 1));
}

Result<std::unique_ptr<runtime::RealEnv>> make_env(std::uint64_t buffer_bytes, std::uint32_t depth) {
  return runtime::RealEnv::create({.queue_entries = std::clamp<std::uint32_t>(2 * depth, 64, 4096),
                                   .registered_bytes = std::clamp<std::uint64_t>(buffer_bytes, 2u << 20, 1u << 30)});
}

// What the target is; connected, when it lies in a file system of Fire-Flyer, which the document then describes.
Result<Place> look_there(const Options& o, Session& session) {
  if (!o.on_ffs()) {
    FF_TRY_ASSIGN(const TargetFacts facts, look_at(o.target));
    return Place{.target = facts};
  }
  FF_TRY_ASSIGN(const ffs::ClusterFile cluster, o.ffs.load());
  FF_TRY_ASSIGN(const ClusterAnswer answer, ask_cluster(cluster, {o.target}, o.ffs.timeout(), session.stop()));
  const FfsPath& found = answer.paths.front();
  if (found.folder) return fail(Errc::kInvalidArgument, o.target + ": is a folder (give a file)");
  note_cluster(session.document(), answer.facts, {});
  FF_TRY_ASSIGN(FfsClients clients, FfsClients::connect(cluster, 1, o.ffs.timeout()));
  return Place{.target = {.exists = found.exists, .bytes = found.bytes}, .clients = std::move(clients)};
}

// --- write

Result<VerifyWriteOptions> write_options(const Options& o, const TargetFacts& facts) {
  std::uint64_t size = o.size.bytes;
  if (size == 0) size = facts.bytes > o.offset.bytes ? facts.bytes - o.offset.bytes : 0;
  if (size == 0) return fail(Errc::kInvalidArgument, "--size: is needed for a file that does not exist");
  if (facts.block_device && (o.offset.bytes > facts.bytes || size > facts.bytes - o.offset.bytes))
    return fail(Errc::kInvalidArgument,
                fmt::format("{}: has {} bytes; --offset and --size reach beyond them", o.target, facts.bytes));
  VerifyWriteOptions options{.seed = static_cast<std::uint64_t>(o.seed),
                             .offset = o.offset.bytes,
                             .blocks = size / std::max<std::uint64_t>(o.bs.bytes, 1),
                             .block_bytes = static_cast<std::uint32_t>(o.bs.bytes),
                             .depth = static_cast<std::uint32_t>(o.depth),
                             .sync_every = static_cast<std::uint64_t>(o.sync_every),
                             .writes_max = static_cast<std::uint64_t>(o.writes),
                             .duration = o.measure.duration,
                             .random = !o.sequential,
                             .direct = !o.buffered};
  FF_TRY(plan_verify_run(options));
  return options;
}

Row write_row(const Options& o, const VerifyWriteReading& reading) {
  const std::uint64_t bytes = reading.run.block_bytes;
  Row row{.name = fmt::format("verify write bs={} qd={} fsync={}", exact_byte_size(bytes), o.depth, o.sync_every),
          .parameters = {{"bs", static_cast<std::int64_t>(bytes)},
                         {"qd", o.depth},
                         {"fsync", o.sync_every},
                         {"blocks", static_cast<std::int64_t>(reading.run.blocks)},
                         {"run", fmt::format("{:016x}", reading.run.run)}},
          .metrics = {},
          .latencies = {{"write", reading.write}, {"fsync", reading.sync}},
          .error = reading.error ? reading.error->message() : ""};
  if (!o.on_ffs()) row.parameters.emplace_back("direct", reading.direct);
  row.metrics.push_back(count_metric("writes", "acknowledged", reading.writes));
  row.metrics.push_back(count_metric("synced", "acknowledged as durable, and noted in the journal", reading.synced));
  row.metrics.push_back({.name = "bandwidth",
                         .unit = "B/s",
                         .formula = "bytes acknowledged / elapsed time",
                         .samples = {per_second(reading.writes * bytes, reading.elapsed_ns)}});
  return row;
}

Result<> claim_target(const Options& o, const Place& place, WriteClaims& claims) {
  if (!o.on_ffs()) return claims.claim(o.target, place.target, o.force);
  if (place.target.exists && !o.force) return fail(would_overwrite(o.target, place.target.bytes));
  return {};
}

Result<int> run_write(const Options& o, const Arguments& arguments) {
  FF_TRY(check_options(o));
  FF_TRY_ASSIGN(Session session, Session::open("storage verify write", o.measure, arguments));
  FF_TRY_ASSIGN(Place place, look_there(o, session));
  FF_TRY_ASSIGN(const std::string journal, journal_of(o, place.target));
  FF_TRY_ASSIGN(VerifyWriteOptions options, write_options(o, place.target));
  WriteClaims claims;
  FF_TRY(claim_target(o, place, claims));
  FF_TRY_ASSIGN(const TargetFacts journal_facts, look_at(journal));
  if (journal_facts.block_device) return fail(Errc::kInvalidArgument, journal + ": the journal cannot be a device");
  FF_TRY_CTX(claims.claim(journal, journal_facts, o.force), "--journal");
  options.new_target = !place.target.exists;
  options.new_journal = !journal_facts.exists;
  if (!o.on_ffs()) {
    FF_TRY_ASSIGN(place.env, make_env(2 * o.bs.bytes * static_cast<std::uint64_t>(o.depth), options.depth));
  }
  FF_TRY_ASSIGN(const VerifyWriteReading reading,
                place.run(session.stop(), [&] [[clang::coro_wrapper]] (runtime::Env & env, runtime::Disk & disk) {
                  return verify_write(env, disk, o.target, journal, options, session.stop());
                }));
  session.document().rows.push_back(write_row(o, reading));
  return session.finish();
}

// --- check

Row check_row(const Options& o, const VerifyReport& report) {
  Row row{.name = fmt::format("verify check bs={}", exact_byte_size(report.run.block_bytes)),
          .parameters = {{"bs", static_cast<std::int64_t>(report.run.block_bytes)},
                         {"blocks", static_cast<std::int64_t>(report.run.blocks)},
                         {"run", fmt::format("{:016x}", report.run.run)},
                         {"synced", static_cast<std::int64_t>(report.synced)}},
          .metrics = {}};
  if (!o.on_ffs()) row.parameters.emplace_back("direct", report.direct);
  for (std::size_t i = 0; i < report.counts.size(); ++i) {
    const auto verdict = static_cast<BlockVerdict>(i);
    row.metrics.push_back(count_metric(std::string(name_of(verdict)), "blocks", report.counts[i],
                                       is_failure(verdict) ? Better::kLower : Better::kNeither));
  }
  row.metrics.push_back({.name = "bandwidth",
                         .unit = "B/s",
                         .formula = "bytes read / elapsed time",
                         .samples = {per_second(report.blocks * report.run.block_bytes, report.elapsed_ns)}});
  if (report.failed() > 0)
    row.error = fmt::format("{} of {} blocks are not what the storage promised; {}", report.failed(), report.blocks,
                            describe(report.failures.front()));
  return row;
}

Result<int> run_check(const Options& o, const Arguments& arguments) {
  constexpr std::size_t kShown = 20;
  FF_TRY(check_options(o));
  FF_TRY_ASSIGN(Session session, Session::open("storage verify check", o.measure, arguments));
  FF_TRY_ASSIGN(Place place, look_there(o, session));
  if (!place.target.exists) return fail(Errc::kNotFound, o.target + ": does not exist");
  FF_TRY_ASSIGN(const std::string journal, journal_of(o, place.target));
  const auto depth = static_cast<std::uint32_t>(o.depth);
  if (!o.on_ffs()) {
    // What is read through the cache, asked for or for lack of direct I/O, must come from the storage all the same.
    FF_TRY(drop_cache(o.target));
    FF_TRY_ASSIGN(place.env, make_env(std::uint64_t{depth} << 21, depth));
  }
  const VerifyCheckOptions options{.depth = depth, .direct = !o.buffered};
  FF_TRY_ASSIGN(const VerifyReport report,
                place.run(session.stop(), [&] [[clang::coro_wrapper]] (runtime::Env & env, runtime::Disk & disk) {
                  return verify_check(env, disk, o.target, journal, options, session.stop());
                }));
  session.document().rows.push_back(check_row(o, report));
  FF_TRY_ASSIGN(const int code, session.finish());
  const std::size_t shown = std::min(kShown, report.failures.size());
  for (std::size_t i = 0; i < shown; ++i)
    fmt::print(stderr, "ffbench: {}: {}\n", report::printable(o.target), describe(report.failures[i]));
  if (report.failed() > shown) fmt::print(stderr, "ffbench: and {} more\n", report.failed() - shown);
  // Broken promises are a failure, however much of the check was done.
  return code == cli::kExitPartial ? cli::kExitFailed : code;
}

// One run of fixed shape: rounds have no meaning.
void add_measure_options(cli::Command& command, MeasureOptions& measure) {
  measure.repeat = 1;
  measure.add_to(command);
  std::erase_if(command.options,
                [](const cli::Option& option) { return option.names == "--repeat" || option.names == "--warmup"; });
}

cli::Option target_option(Options& o) {
  return {.names = "target",
          .target = &o.target,
          .help = "File or block device, or ffs:/PATH of a file system of Fire-Flyer",
          .value_name = "TARGET",
          .required = true,
          .complete = "file"};
}

cli::Option journal_option(Options& o) {
  return {.names = "--journal",
          .target = &o.journal,
          .help = "Where promises are noted; needed for devices and ffs:, else TARGET.ffbench-journal",
          .value_name = "FILE",
          .complete = "file"};
}

cli::Option buffered_option(Options& o) {
  return {.names = "--buffered", .target = &o.buffered, .help = "Through the page cache instead of O_DIRECT"};
}

cli::Command write_command(const Arguments& arguments) {
  auto options = std::make_shared<Options>();
  Options& o = *options;
  cli::Command command;
  command.name = "write";
  command.summary = "Write self-describing blocks until time is over, killed, or cut from power";
  command.description =
      "Writes blocks that say where they belong and which write they are, again and again, and notes in a journal, "
      "durably, what the storage has acknowledged as synced. The file stays for `ffbench storage verify check`. For "
      "power "
      "cuts keep the journal on other storage than the target. An ffs: path needs no mount (--cluster says which file "
      "system); a write there has ended when all replicas hold it, and a sync makes the length durable.";
  command.options = {
      target_option(o),
      {.names = "--size", .target = &o.size, .help = "Bytes of the region; the whole of an existing file or device"},
      {.names = "--offset", .target = &o.offset, .help = "Begin of the region"},
      {.names = "--bs", .target = &o.bs, .help = "Size of the blocks, a multiple of 512", .min = 512, .max = 64 << 20},
      {.names = "--qd", .target = &o.depth, .help = "Writes in flight", .min = 1, .max = 4096},
      {.names = "--fsync",
       .target = &o.sync_every,
       .help = "Sync, and note it, after so many writes",
       .value_name = "N",
       .min = 1,
       .max = 1e6},
      {.names = "--writes", .target = &o.writes, .help = "End after so many writes; 0: after --duration", .min = 0},
      {.names = "--sequential", .target = &o.sequential, .help = "Block after block instead of in a random order"},
      {.names = "--seed", .target = &o.seed, .help = "Of the order and the data", .min = 0},
      journal_option(o),
      buffered_option(o),
      {.names = "--force", .target = &o.force, .help = "Overwrite what the target and the journal hold"}};
  o.ffs.add_to(command, " (ffs: paths only)");
  o.measure.duration = std::chrono::seconds(10);
  add_measure_options(command, o.measure);
  command.examples = {{"ffbench storage verify write /data/probe --size 1GiB --duration 60s", "then pull the plug"},
                      {"ffbench storage verify write /dev/sdx --journal sdx.journal --force --bs 64K", "a device"},
                      {"ffbench storage verify write ffs:/probe --size 256M --journal probe.journal",
                       "FFS without a mount: kill what you like meanwhile"}};
  command.exit_codes = {{cli::kExitPartial, "the run ended early; what was done until then is noted"}};
  command.run = [options, arguments] { return run_write(*options, arguments); };
  return command;
}

cli::Command check_command(const Arguments& arguments) {
  auto options = std::make_shared<Options>();
  Options& o = *options;
  o.depth = 8;
  cli::Command command;
  command.name = "check";
  command.summary = "Check what `verify write` left, after whatever happened";
  command.description =
      "Reads every block of the run that the journal describes. Good: as new as was promised. Unsynced, unwritten: not "
      "as "
      "written last, but nothing more was promised. Lost: older than what was synced. Torn: partly so. Misplaced: of "
      "another "
      "offset. Corrupt: changed, with the bits. Foreign: not of this run. Ahead: newer than the journal knows, which "
      "has "
      "lost a record. Unreadable: the storage gives an error. Nothing is written.";
  command.options = {target_option(o),
                     {.names = "--qd", .target = &o.depth, .help = "Reads of 1 MiB in flight", .min = 1, .max = 256},
                     journal_option(o),
                     buffered_option(o)};
  o.ffs.add_to(command, " (ffs: paths only)");
  o.measure.count_operations();
  add_measure_options(command, o.measure);
  command.examples = {{"ffbench storage verify check /data/probe", "after the machine is back"},
                      {"ffbench storage verify check /dev/sdx --journal sdx.journal --json", "counts by verdict"}};
  command.exit_codes = {};
  command.run = [options, arguments] { return run_check(*options, arguments); };
  return command;
}

}  // namespace

cli::Command storage_verify_command(const Arguments& arguments) {
  cli::Command command;
  command.name = "verify";
  command.summary = "Write self-describing blocks and check them later, also after crashes";
  command.description =
      "Exit code 0 of `verify check` means that the storage kept every promise, 1 that it broke some, or that nothing "
      "could "
      "be checked.";
  command.examples = {
      {"ffbench storage verify write /data/blocks --size 1G", "write until the power is cut, or for a while"},
      {"ffbench storage verify check /data/blocks", "what became of the blocks"}};
  command.commands = {write_command(arguments), check_command(arguments)};
  return command;
}

}  // namespace ff::bench
