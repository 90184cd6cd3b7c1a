#include "ffctl/job/expand.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <charconv>

#include "ffctl/job/check.hpp"

namespace ff::ctl {
namespace {

constexpr std::uint32_t kIndexMax = 1'000'000'000;

std::vector<std::string> split(std::string_view text, char at) {
  std::vector<std::string> parts;
  for (std::size_t start = 0; start <= text.size();) {
    const std::size_t end = std::min(text.find(at, start), text.size());
    parts.emplace_back(text.substr(start, end - start));
    start = end + 1;
  }
  return parts;
}

std::optional<std::uint32_t> number(std::string_view text) {
  std::uint32_t value = 0;
  const auto [stop, code] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (code != std::errc() || stop != text.data() + text.size() || value > kIndexMax) return std::nullopt;
  return value;
}

// One pass over the text, so that what was put in is not read again.
std::string replaced(std::string_view text, const config::TextMap& values) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t close = text[at] == '{' ? text.find('}', at) : std::string_view::npos;
    const auto found =
        close == std::string_view::npos ? values.end() : values.find(std::string(text.substr(at + 1, close - at - 1)));
    if (found == values.end()) {
      out += text[at++];
    } else {
      out += found->second;
      at = close + 1;
    }
  }
  return out;
}

bool mentions(const RunSpec& run, std::string_view word) {
  return std::ranges::any_of(run.command(), [&](const std::string& text) { return text.contains(word); }) ||
         std::ranges::any_of(run.environment(), [&](const auto& one) { return one.second.contains(word); });
}

JobSpec with(const JobSpec& spec, const config::TextMap& values, std::uint32_t index, std::uint32_t limit) {
  JobSpec job = spec;
  for (std::string& word : *job.mutable_run()->mutable_command()) word = replaced(word, values);
  for (auto& [name, value] : *job.mutable_run()->mutable_environment()) value = replaced(value, values);
  job.set_array(1);  // the master puts the first job's number here
  job.set_array_index(index);
  job.set_array_limit(limit);
  return job;
}

Result<std::vector<JobSpec>> expand_sweep(const JobSpec& spec, const config::TextMap& sweep) {
  std::vector<config::TextMap> points = {{}};
  for (const auto& [name, text] : sweep) {
    if (!plain_name(name))
      return fail(Errc::kInvalidArgument, fmt::format("sweep: '{}' is no name ([A-Za-z0-9._-]{{1,255}})", name));
    const std::vector<std::string> values = split(text, ',');
    if (std::ranges::any_of(values, [](const std::string& value) { return value.empty(); }))
      return fail(Errc::kInvalidArgument, fmt::format("sweep: {}: '{}' has an empty value", name, text));
    if (points.size() * values.size() > kArrayMax)
      return fail(Errc::kInvalidArgument, fmt::format("sweep: more than {} jobs", kArrayMax));
    if (!mentions(spec.run(), "{" + name + "}") && spec.run().script().empty())
      return fail(
          Errc::kInvalidArgument,
          fmt::format("sweep: {}: the command does not mention it (write {{{}}} where it belongs)", name, name));
    std::vector<config::TextMap> more;
    for (const config::TextMap& point : points) {
      for (const std::string& value : values) {
        more.push_back(point);
        more.back()[name] = value;
      }
    }
    points = std::move(more);
  }
  std::vector<JobSpec> jobs;
  for (const config::TextMap& point : points) {
    jobs.push_back(with(spec, point, static_cast<std::uint32_t>(jobs.size()), 0));
    for (const auto& [name, value] : point) {
      (*jobs.back().mutable_labels())[name] = value;
      (*jobs.back().mutable_run()->mutable_environment())["FF_SWEEP_" + name] = value;
    }
  }
  return jobs;
}

Result<std::vector<JobSpec>> expand_lines(const JobSpec& spec, const std::vector<std::string>& lines) {
  if (lines.size() > kArrayMax) return fail(Errc::kInvalidArgument, fmt::format("lines: more than {}", kArrayMax));
  if (lines.empty()) return fail(Errc::kInvalidArgument, "lines: there are none");
  const bool append = !mentions(spec.run(), "{line}");
  std::vector<JobSpec> jobs;
  for (const std::string& line : lines) {
    jobs.push_back(with(spec, {{"line", line}}, static_cast<std::uint32_t>(jobs.size()), 0));
    if (append) jobs.back().mutable_run()->add_command(line);
  }
  return jobs;
}

Result<std::vector<JobSpec>> expand_array(const JobSpec& spec, const std::string& text) {
  FF_TRY_ASSIGN(const Array array, parse_array(text));
  std::vector<JobSpec> jobs;
  for (const std::uint32_t index : array.indices)
    jobs.push_back(with(spec, {{"i", std::to_string(index)}}, index, array.limit));
  return jobs;
}

Result<std::vector<JobSpec>> expand(const JobSpec& spec, const Variants& variants) {
  const int kinds = (variants.array.empty() ? 0 : 1) + (variants.sweep.empty() ? 0 : 1) + (variants.lines ? 1 : 0);
  if (kinds > 1) return fail(Errc::kInvalidArgument, "array, sweep, lines: only one of them can make jobs of one");
  if (!variants.sweep.empty()) return expand_sweep(spec, variants.sweep);
  if (variants.lines) return expand_lines(spec, *variants.lines);
  if (!variants.array.empty()) return expand_array(spec, variants.array);
  return std::vector<JobSpec>{spec};
}

// What was put in may be too long, or no text.
Result<> check_all(const std::vector<JobSpec>& jobs, const Variants& variants) {
  const char* const kind = !variants.array.empty() ? "array" : !variants.sweep.empty() ? "sweep" : "lines";
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    const auto fault = check_spec(jobs[i]);
    if (!fault) continue;
    return fail(Errc::kInvalidArgument,
                fmt::format("{}: job {} of {}: {}: {}", kind, i + 1, jobs.size(), fault->key, fault->what));
  }
  return {};
}

}  // namespace

Result<Array> parse_array(std::string_view text) {
  const auto wrong = [&](std::string_view what) {
    return fail(Errc::kInvalidArgument,
                fmt::format("array: '{}' {} (write 0-9, 1,3,5, 0-100:10 or 0-99%8)", text, what));
  };
  Array array;
  const std::size_t percent = text.find('%');
  if (percent != std::string_view::npos) {
    const auto limit = number(text.substr(percent + 1));
    if (!limit || *limit == 0) return wrong("has no number after %");
    array.limit = *limit;
  }
  for (const std::string& part : split(text.substr(0, percent), ',')) {
    const std::size_t dash = part.find('-'), colon = part.find(':');
    const auto first = number(std::string_view(part).substr(0, std::min(dash, colon)));
    const auto last =
        dash == std::string::npos
            ? first
            : number(std::string_view(part).substr(dash + 1, colon == std::string::npos ? colon : colon - dash - 1));
    const auto step = colon == std::string::npos ? 1 : number(std::string_view(part).substr(colon + 1));
    if (!first || !last || !step || *step == 0 || (colon != std::string::npos && dash == std::string::npos))
      return wrong("is no list of numbers and ranges");
    if (*last < *first) return wrong("has a range that ends before it begins");
    if ((*last - *first) / *step >= kArrayMax)
      return fail(Errc::kInvalidArgument, fmt::format("array: '{}' has more than {} jobs", text, kArrayMax));
    for (std::uint64_t i = *first; i <= *last; i += *step) array.indices.push_back(static_cast<std::uint32_t>(i));
    if (array.indices.size() > kArrayMax)
      return fail(Errc::kInvalidArgument, fmt::format("array: '{}' has more than {} jobs", text, kArrayMax));
  }
  std::ranges::sort(array.indices);
  if (std::ranges::adjacent_find(array.indices) != array.indices.end()) return wrong("names an index twice");
  return array;
}

Result<std::vector<JobSpec>> expand_job(const JobSpec& spec, const Variants& variants) {
  auto jobs = expand(spec, variants);
  if (jobs) {
    if (auto checked = check_all(*jobs, variants); !checked) jobs = std::unexpected(std::move(checked).error());
  }
  if (!jobs && !variants.place.empty()) return fail(std::move(jobs).error().context(variants.place));
  return jobs;
}

}  // namespace ff::ctl
