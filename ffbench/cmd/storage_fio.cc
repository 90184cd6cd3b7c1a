// `ffbench storage fio`: the jobs of a fio job file.
#include <fmt/core.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <set>

#include "ffbench/cmd/storage.hpp"
#include "ffbench/storage/fio_job.hpp"
#include "ffbench/storage/target.hpp"
#include "libcommon/base/byte_size.hpp"
#include "libcommon/base/file.hpp"

namespace ff::bench {
namespace {

struct Options {
  MeasureOptions measure;
  std::string file;
  bool force = false, keep = false;
};

// The files and devices that this run writes to. Those that it has made are unlinked when it ends.
class Written {
 public:
  explicit Written(bool keep) : keep_(keep) {}
  Written(const Written&) = delete;
  Written& operator=(const Written&) = delete;
  ~Written() {
    if (keep_) return;
    for (const std::string& path : made_) ::unlink(path.c_str());
  }
  void add_made(std::string path) { made_.insert(std::move(path)); }
  Result<> claim(const std::string& path, const TargetFacts& facts, bool force) {
    return made_.contains(path) ? Result<>() : claims_.claim(path, facts, force);
  }

 private:
  std::set<std::string> made_;
  WriteClaims claims_;
  bool keep_;
};

// One job of the file with what is known once its files have been looked at.
struct Prepared {
  FioJob fio;
  StorageJob job;
  std::vector<std::string> paths;  // of the clones
  std::string prefix;              // of its metrics, where several jobs share a row
};

std::string path_of(const FioJob& fio, std::uint32_t clone) {
  const std::string name = fio.filename.empty() ? fmt::format("{}.{}.0", fio.name, clone) : fio.filename;
  return fio.directory.empty() || name.starts_with('/') ? name : fio.directory + "/" + name;
}

// Looks at the file, makes it if it is not there, and refuses what would destroy or could not work.
Result<> prepare_path(Prepared& prepared, const std::string& path, Written& written, const Options& o,
                      const std::stop_token& stop) {
  StorageJob& job = prepared.job;
  FF_TRY_ASSIGN(const TargetFacts facts, look_at(path));
  if (!facts.exists) {
    if (job.size == 0) return fail(Errc::kNotFound, path + ": does not exist (a size would let this program make it)");
    const auto laid_out = prepare_file(path, job.offset, job.size, job.seed, prepared.fio.direct, stop);
    // Half of one is removed, too; what somebody else has made since is not.
    if (laid_out || laid_out.error().code() != Errc::kAlreadyExists) written.add_made(path);
    FF_TRY_CTX(laid_out, "lay out");
  } else if (writes(job.pattern)) {
    FF_TRY(written.claim(path, facts, o.force));
  }
  const std::uint64_t end = facts.exists ? facts.bytes : job.offset + job.size;
  if (job.size == 0) job.size = end > job.offset ? end - job.offset : 0;
  if (reads(job.pattern) && (job.offset > end || job.size > end - job.offset))
    return fail(Errc::kInvalidArgument, fmt::format("{}: has {} bytes; offset and size reach beyond them", path, end));
  FF_TRY(check(job));
  if (prepared.fio.direct) FF_TRY(check_direct(path, job.block_bytes, job.offset));
  return {};
}

Result<Prepared> prepare(const FioJob& fio, Written& written, const Options& o, const std::stop_token& stop) {
  Prepared prepared{.fio = fio, .job = fio.job, .paths = {}, .prefix = {}};
  for (std::uint32_t clone = 0; clone < fio.clones; ++clone) {
    prepared.paths.push_back(path_of(fio, clone));
    if (clone == 0 || prepared.paths[clone] != prepared.paths[clone - 1])
      FF_TRY(prepare_path(prepared, prepared.paths[clone], written, o, stop));
  }
  if (!fio.time_based)
    prepared.job.operations_max = std::max<std::uint64_t>(1, prepared.job.size / prepared.job.block_bytes * fio.loops);
  return prepared;
}

Result<> check_group(std::span<const FioJob> group, const std::string& file) {
  for (const FioJob& each : group)
    if (each.engine != group[0].engine || each.runtime != group[0].runtime || each.ramp_time != group[0].ramp_time)
      return fail(Errc::kInvalidArgument,
                  fmt::format("{}:{}: jobs that run at the same time have one kind of engine, one runtime and one "
                              "ramp_time here (put stonewall between them)",
                              file, each.line));
  return {};
}

std::string metric_prefix(const std::string& name) {
  std::string prefix;
  for (const char c : name) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
    prefix += plain ? c : c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : '_';
  }
  return prefix + "_";
}

void name_metrics(std::vector<Prepared>& group) {
  if (group.size() == 1) return;
  std::set<std::string> used;
  for (Prepared& each : group) {
    const std::string first = metric_prefix(each.fio.name);
    std::string prefix = first;
    for (int i = 2; !used.insert(prefix).second; ++i) prefix = fmt::format("{}{}_", first, i);
    each.prefix = std::move(prefix);
  }
}

Row row_of(const std::vector<Prepared>& group, std::set<std::string>& names) {
  Row row;
  for (const Prepared& each : group) {
    row.name += fmt::format("{}{}: {}", row.name.empty() ? "" : " + ", each.fio.name,
                            storage_row_name(each.job, each.fio.clones));
    add_storage_job(row, each.job,
                    {.jobs = each.fio.clones,
                     .engine = each.fio.engine == Engine::kUring ? "uring" : "psync",
                     .direct = each.fio.direct},
                    each.prefix);
  }
  const std::string first = row.name;
  for (int i = 2; !names.insert(row.name).second; ++i) row.name = fmt::format("{} #{}", first, i);
  return row;
}

Result<> empty_caches(const std::vector<Prepared>& group) {
  for (const Prepared& each : group)
    if (!each.fio.direct && each.fio.invalidate)
      for (const std::string& path : each.paths) FF_TRY(drop_cache(path));
  return {};
}

// All clones of all jobs of the group at once; the readings by job.
Result<std::vector<StorageReading>> run_group(const std::vector<Prepared>& group, std::chrono::nanoseconds duration,
                                              bool by_time, const std::stop_token& stop) {
  FF_TRY(empty_caches(group));
  std::vector<JobTarget> targets;
  for (const Prepared& each : group)
    for (std::uint32_t clone = 0; clone < each.fio.clones; ++clone) {
      targets.push_back({.job = each.job, .path = each.paths[clone], .direct = each.fio.direct});
      targets.back().job.seed += clone;
      if (by_time) targets.back().job.operations_max = 0;
    }
  FF_TRY_ASSIGN(auto readings, run_each(targets, group[0].fio.engine, duration, stop));
  std::vector<StorageReading> by_job;
  auto next = readings.begin();
  for (const Prepared& each : group) {
    StorageReading all;
    for (std::uint32_t clone = 0; clone < each.fio.clones; ++clone) FF_TRY(all.merge(*next++));
    by_job.push_back(std::move(all));
  }
  return by_job;
}

Result<Reading> measure_group(const std::vector<Prepared>& group, const std::stop_token& stop) {
  if (const auto ramp = group[0].fio.ramp_time; ramp.count() > 0) {
    FF_TRY_ASSIGN(const auto uncounted, run_group(group, ramp, true, stop));
    for (const StorageReading& each : uncounted)
      if (each.error) return fail(*each.error);
  }
  FF_TRY_ASSIGN(const auto readings, run_group(group, group[0].fio.runtime, false, stop));
  Reading reading;
  for (std::size_t i = 0; i < group.size(); ++i) {
    FF_TRY_CTX(check_storage_reading(readings[i]), group[i].fio.name);
    add_storage_values(reading, group[i].job, readings[i], group[i].prefix);
  }
  return reading;
}

Result<int> run_fio(const Options& o, const Arguments& arguments) {
  FF_TRY_ASSIGN(const std::string text, read_file(o.file, kFioFileBytesMax));
  FF_TRY_ASSIGN(const auto jobs, parse_fio(text, o.file));
  for (const auto group : fio_groups(jobs)) FF_TRY(check_group(group, o.file));
  FF_TRY_ASSIGN(Session session, Session::open("storage fio", o.measure, arguments));
  Written written(o.keep);
  std::vector<Case> cases;
  std::set<std::string> names;
  for (const auto group : fio_groups(jobs)) {
    std::vector<Prepared> prepared;
    for (const FioJob& job : group) {
      auto one = prepare(job, written, o, session.stop());
      if (!one) return fail(std::move(one).error().context(fmt::format("{}:{}", o.file, job.line)));
      prepared.push_back(std::move(*one));
    }
    name_metrics(prepared);
    Row row = row_of(prepared, names);
    cases.push_back({.row = std::move(row),
                     .measure = [prepared = std::move(prepared)](std::chrono::nanoseconds, std::stop_token stop) {
                       return measure_group(prepared, stop);
                     }});
  }
  return session.run(std::move(cases));
}

}  // namespace

cli::Command storage_fio_command(const Arguments& arguments) {
  auto options = std::make_shared<Options>();
  Options& o = *options;
  cli::Command command;
  command.name = "fio";
  command.summary = "Run the jobs of a fio job file";
  std::string keys;
  for (const std::string_view key : fio_keys()) keys.append(keys.empty() ? "" : " ").append(key);
  command.description =
      "Reads these keys with fio's meaning and refuses every other one with its line: " + keys +
      ". Jobs run together up to the next stonewall, and make one row of the report. With a rate, latencies count from "
      "the moment at which an operation was to begin. Files that do not exist are made, and removed at the end.";
  command.options = {
      {.names = "file",
       .target = &o.file,
       .help = "fio job file",
       .value_name = "FILE",
       .required = true,
       .complete = "file"},
      {.names = "--force", .target = &o.force, .help = "Overwrite existing files and devices that the jobs write to"},
      {.names = "--keep", .target = &o.keep, .help = "Leave the files that were made"}};
  o.measure.repeat = 1;
  o.measure.count_operations();
  o.measure.add_to(command);
  command.examples = {
      {"ffbench storage fio random.fio", "each job once, as fio does"},
      {"ffbench storage fio nightly.fio --repeat 5 --json --out new.json", "five rounds, for comparisons"}};
  command.exit_codes = {{cli::kExitPartial, "some jobs were measured, others failed or ended early"}};
  command.run = [options, arguments] { return run_fio(*options, arguments); };
  return command;
}

}  // namespace ff::bench
