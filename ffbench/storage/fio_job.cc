#include "ffbench/storage/fio_job.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <map>
#include <optional>
#include <utility>

namespace ff::bench {
namespace {

using Value = std::string_view;

constexpr std::uint64_t kJobsMax = 1000, kClonesMax = 1024, kDepthMax = 4096;
constexpr double kBytesMax = 9e18;

std::unexpected<Error> wrong(std::string what) { return fail(Errc::kInvalidArgument, std::move(what)); }

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\v\f";
  const auto begin = std::min(text.find_first_not_of(kSpace), text.size());
  text.remove_prefix(begin);
  return text.substr(0, text.find_last_not_of(kSpace) + 1);
}

// A number and what is behind it.
Result<std::pair<double, std::string>> number_and_unit(Value text) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
  if (error != std::errc() || !std::isfinite(number) || number < 0)
    return wrong(fmt::format("'{}' is no number from 0 on", text));
  std::string unit(end, text.data() + text.size());
  for (char& c : unit) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  return std::pair(number, unit);
}

Result<std::uint64_t> parse_size(Value text) {
  if (text.find(',') != Value::npos)
    return wrong(fmt::format("'{}': different values for reads and writes are not understood", text));
  if (text.ends_with('%')) return wrong(fmt::format("'{}': shares are not understood (give bytes)", text));
  FF_TRY_ASSIGN(const auto parts, number_and_unit(text));
  const auto& [number, unit] = parts;
  const std::string_view letters = "kmgt";
  const std::size_t power = unit.empty() || unit == "b" ? std::string_view::npos : letters.find(unit[0]);
  double factor = 1;
  if (!unit.empty() && unit != "b") {
    if (power == std::string_view::npos || (unit.size() > 1 && unit.substr(1) != "b"))
      return wrong(
          fmt::format("'{}': unit '{}' is not understood (k, m, g and t are powers of 1024; fio takes Ki for "
                      "1000)",
                      text, unit));
    factor = std::pow(1024.0, static_cast<double>(power + 1));
  }
  const double bytes = number * factor;
  if (bytes > kBytesMax) return wrong(fmt::format("'{}' is too large", text));
  if (bytes != std::floor(bytes)) return wrong(fmt::format("'{}' is no whole number", text));
  return static_cast<std::uint64_t>(bytes);
}

Result<std::chrono::nanoseconds> parse_time(Value text) {
  FF_TRY_ASSIGN(const auto parts, number_and_unit(text));
  const auto& [number, unit] = parts;
  constexpr std::array<std::pair<std::string_view, double>, 8> kUnits = {
      {{"", 1}, {"us", 1e-6}, {"usec", 1e-6}, {"ms", 1e-3}, {"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}}};
  const auto* const found = std::ranges::find(kUnits, std::string_view(unit), [](const auto& u) { return u.first; });
  if (found == kUnits.end())
    return wrong(fmt::format("'{}': unit '{}' is not understood (us, ms, s, m, h, d)", text, unit));
  const double seconds = number * found->second;
  if (seconds > 31 * 86400.0) return wrong(fmt::format("'{}' is more than 31 days", text));
  return std::chrono::nanoseconds(static_cast<std::int64_t>(std::llround(seconds * 1e9)));
}

Result<std::uint64_t> parse_count(Value text, std::uint64_t least, std::uint64_t most) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number < least || number > most)
    return wrong(fmt::format("'{}' is no whole number from {} to {}", text, least, most));
  return number;
}

Result<bool> parse_bool(Value text) {
  FF_TRY_ASSIGN(const std::uint64_t number, parse_count(text, 0, 1));
  return number == 1;
}

Result<double> parse_percent(Value text) {
  FF_TRY_ASSIGN(const std::uint64_t number, parse_count(text, 0, 100));
  return static_cast<double>(number) / 100;
}

// A job while its section is read. The rate in bytes becomes operations when the block size is known.
struct Draft {
  FioJob out;
  double rate_bytes = 0;
};

using Setter = Result<> (*)(Draft&, Value);

// Stores the value of a Result in a field.
template <class Field, class T>
Result<> store(Field& field, Result<T> value) {
  if (!value) return fail(std::move(value).error());
  field = static_cast<Field>(*value);
  return {};
}

Result<> set_pattern(Draft& d, Value v) { return store(d.out.job.pattern, parse_pattern(v)); }

Result<> set_block(Draft& d, Value v) {
  FF_TRY_ASSIGN(d.out.job.block_bytes, parse_size(v));
  if (d.out.job.block_bytes == 0 || d.out.job.block_bytes > (1u << 30))
    return wrong(fmt::format("'{}' is not from 1 byte to 1g", v));
  return {};
}

Result<> set_path(std::string& field, Value v) {
  if (v.find('$') != Value::npos) return wrong(fmt::format("'{}': variables are not understood", v));
  if (v.find(':') != Value::npos) return wrong(fmt::format("'{}': lists of files are not understood", v));
  if (v.find('\0') != Value::npos) return wrong("holds a zero byte");
  field = v;
  return {};
}

Result<> set_engine(Draft& d, Value v) {
  if (v == "io_uring" || v == "libaio")
    d.out.engine = Engine::kUring;
  else if (v == "psync" || v == "sync")
    d.out.engine = Engine::kPsync;
  else
    return wrong(fmt::format("'{}' is not understood (io_uring, libaio, psync, sync)", v));
  return {};
}

Result<> set_distribution(Draft& d, Value v) {
  d.out.job.zipf_theta = 0;
  if (v == "random") return {};
  if (v.starts_with("zipf:")) {
    const auto theta = number_and_unit(v.substr(5));
    if (theta && theta->second.empty() && theta->first > 0 && theta->first < 10) {
      d.out.job.zipf_theta = theta->first;
      return {};
    }
  }
  return wrong(fmt::format("'{}' is not understood (random, zipf:THETA with THETA above 0 and below 10)", v));
}

Result<> set_direct(Draft& d, Value v, bool direct) {
  FF_TRY_ASSIGN(const bool on, parse_bool(v));
  d.out.direct = on == direct;
  return {};
}

Result<> set_mix(Draft& d, Value v, bool of_reads) {
  FF_TRY_ASSIGN(const double share, parse_percent(v));
  d.out.job.read_share = of_reads ? share : 1 - share;
  return {};
}

Result<> ignore_bool(Draft&, Value v) {
  bool ignored = false;
  return store(ignored, parse_bool(v));
}
Result<> ignore_text(Draft&, Value) { return {}; }

Result<> set_fsync(Draft& d, Value v) { return store(d.out.job.fsync_every, parse_count(v, 0, 1u << 30)); }
Result<> set_stonewall(Draft& d, Value v) { return store(d.out.stonewall, parse_bool(v)); }

const std::map<std::string_view, Setter>& setters() {
  static const std::map<std::string_view, Setter> table = {
      {"rw", set_pattern},
      {"readwrite", set_pattern},
      {"bs", set_block},
      {"blocksize", set_block},
      {"size", [](Draft& d, Value v) { return store(d.out.job.size, parse_size(v)); }},
      {"offset", [](Draft& d, Value v) { return store(d.out.job.offset, parse_size(v)); }},
      {"filename", [](Draft& d, Value v) { return set_path(d.out.filename, v); }},
      {"directory", [](Draft& d, Value v) { return set_path(d.out.directory, v); }},
      {"ioengine", set_engine},
      {"iodepth", [](Draft& d, Value v) { return store(d.out.job.depth, parse_count(v, 1, kDepthMax)); }},
      {"numjobs", [](Draft& d, Value v) { return store(d.out.clones, parse_count(v, 1, kClonesMax)); }},
      {"direct", [](Draft& d, Value v) { return set_direct(d, v, true); }},
      {"buffered", [](Draft& d, Value v) { return set_direct(d, v, false); }},
      {"runtime", [](Draft& d, Value v) { return store(d.out.runtime, parse_time(v)); }},
      {"time_based", [](Draft& d, Value v) { return store(d.out.time_based, parse_bool(v)); }},
      {"ramp_time", [](Draft& d, Value v) { return store(d.out.ramp_time, parse_time(v)); }},
      {"loops", [](Draft& d, Value v) { return store(d.out.loops, parse_count(v, 1, 1u << 30)); }},
      {"rwmixread", [](Draft& d, Value v) { return set_mix(d, v, true); }},
      {"rwmixwrite", [](Draft& d, Value v) { return set_mix(d, v, false); }},
      {"rate", [](Draft& d, Value v) { return store(d.rate_bytes, parse_size(v)); }},
      {"rate_iops", [](Draft& d, Value v) { return store(d.out.job.rate_iops, parse_size(v)); }},
      {"fsync", set_fsync},
      {"fdatasync", set_fsync},
      {"random_distribution", set_distribution},
      {"norandommap", [](Draft& d, Value v) { return store(d.out.job.repeat_offsets, parse_bool(v)); }},
      {"randseed", [](Draft& d, Value v) { return store(d.out.job.seed, parse_count(v, 0, UINT64_MAX)); }},
      {"stonewall", set_stonewall},
      {"wait_for_previous", set_stonewall},
      {"invalidate", [](Draft& d, Value v) { return store(d.out.invalidate, parse_bool(v)); }},
      {"group_reporting", ignore_bool},
      {"thread", ignore_bool},
      {"name", ignore_text},
      {"description", ignore_text},
      {"randrepeat", ignore_bool},
      {"refill_buffers", ignore_bool},
  };
  return table;
}

Result<> set(Draft& draft, Value line) {
  const auto equals = line.find('=');
  const Value key = trimmed(line.substr(0, equals));
  const Value value = equals == Value::npos ? Value("1") : trimmed(line.substr(equals + 1));
  const auto found = setters().find(key);
  if (found == setters().end()) {
    std::string known;
    for (const std::string_view each : fio_keys()) known.append(known.empty() ? "" : " ").append(each);
    return wrong(fmt::format("'{}' is not understood (these are: {})", key, known));
  }
  if (value.empty()) return wrong(fmt::format("{}: has no value", key));
  FF_TRY_CTX(found->second(draft, value), std::string(key));
  return {};
}

// What only the whole section can tell.
Result<FioJob> finish(Draft draft) {
  FioJob& job = draft.out;
  if (job.engine == Engine::kPsync) job.job.depth = 1;
  if (draft.rate_bytes > 0 && job.job.rate_iops > 0) return wrong("has both rate and rate_iops (give one)");
  if (draft.rate_bytes > 0) job.job.rate_iops = draft.rate_bytes / static_cast<double>(job.job.block_bytes);
  if (job.filename.empty() && job.directory.empty()) return wrong("has neither filename nor directory");
  if (job.filename.empty() && job.job.size == 0) return wrong("has no size for the files that it would make");
  if (job.time_based && job.runtime.count() == 0) return wrong("is time_based without a runtime");
  if (job.job.size > 0) FF_TRY(check(job.job));
  return std::move(job);
}

class Reader {
 public:
  explicit Reader(const std::string& name) : name_(name) {}

  Result<> read_line(std::string_view line) {
    ++line_;
    line = trimmed(line);
    if (line.empty() || line.front() == ';' || line.front() == '#') return {};
    if (line.front() == '[') return begin_section(line);
    if (!section_) return at_line(wrong("stands before the first [section]").error());
    if (const Result<> done = set(current(), line); !done) return at_line(done.error());
    return {};
  }

  Result<std::vector<FioJob>> end() {
    FF_TRY(end_section());
    if (jobs_.empty()) return wrong(fmt::format("{}: holds no job (a [section] other than [global])", name_));
    return std::move(jobs_);
  }

 private:
  Draft& current() { return in_global_ ? global_ : job_; }

  Result<> at_line(const Error& error, std::size_t line = 0) const {
    return fail(Error(error.code(), error.message()).context(fmt::format("{}:{}", name_, line > 0 ? line : line_)));
  }

  Result<> begin_section(std::string_view line) {
    FF_TRY(end_section());
    if (line.back() != ']' || line.size() < 3) return at_line(wrong("is no [section]").error());
    const std::string_view title = trimmed(line.substr(1, line.size() - 2));
    if (title.empty() || title.find('/') != std::string_view::npos || title.find('\0') != std::string_view::npos)
      return at_line(wrong("is no name of a job").error());
    section_ = true;
    in_global_ = title == "global";
    if (in_global_) return {};
    if (jobs_.size() >= kJobsMax) return at_line(wrong(fmt::format("is job {}", kJobsMax + 1)).error());
    job_ = global_;
    job_.out.name = title;
    job_.out.line = line_;
    return {};
  }

  Result<> end_section() {
    if (!section_ || in_global_) return {};
    const std::size_t line = job_.out.line;
    auto job = finish(std::move(job_));
    if (!job) return at_line(job.error(), line);
    jobs_.push_back(std::move(*job));
    section_ = false;
    return {};
  }

  std::string name_;
  std::size_t line_ = 0;
  bool section_ = false, in_global_ = false;
  Draft global_, job_;
  std::vector<FioJob> jobs_;
};

}  // namespace

std::span<const std::string_view> fio_keys() noexcept {
  static const std::vector<std::string_view> keys = [] {
    std::vector<std::string_view> out;
    for (const auto& [key, setter] : setters()) out.push_back(key);
    return out;
  }();
  return keys;
}

Result<std::vector<FioJob>> parse_fio(std::string_view text, const std::string& name) {
  if (text.size() > kFioFileBytesMax) return wrong(fmt::format("{}: more than {} bytes", name, kFioFileBytesMax));
  Reader reader(name);
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    FF_TRY(reader.read_line(text.substr(0, end)));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return reader.end();
}

std::vector<std::span<const FioJob>> fio_groups(std::span<const FioJob> jobs) {
  std::vector<std::span<const FioJob>> groups;
  for (std::size_t begin = 0; begin < jobs.size();) {
    std::size_t end = begin + 1;
    while (end < jobs.size() && !jobs[end].stonewall) ++end;
    groups.push_back(jobs.subspan(begin, end - begin));
    begin = end;
  }
  return groups;
}

}  // namespace ff::bench
