#include "ffctl/cmd/submitting.hpp"

#include <fmt/core.h>

#include <chrono>
#include <filesystem>

#include "ffctl/job/expand.hpp"
#include "ffctl/job/schema.hpp"
#include "ffctl/job/spec.hpp"
#include "libcommon/base/file.hpp"

namespace ff::ctl {

namespace {

using config::Config;
using config::Source;
using config::Type;

// The place that errors name; see the resolver in job/spec.cc.
std::string place_of(const JobOption& option) { return fmt::format("option '{}'", option.long_name()); }

Result<std::string> here() {
  std::error_code error;
  const std::filesystem::path folder = std::filesystem::current_path(error);
  if (error) return fail(Errc::kIo, fmt::format("this folder: {}", error.message()));
  return folder.string();
}

Result<std::string> absolute(const std::string& folder) {
  FF_TRY_ASSIGN(const std::string from, here());
  std::string path = (std::filesystem::path(from) / folder).lexically_normal().string();
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  return path;
}

// The default, in the form that the option's kind has on a command line.
auto initial(const config::Key& key, const config::Value& value)
    -> std::variant<bool, std::int64_t, std::string, cli::ByteSize, cli::Duration, std::vector<std::string>> {
  switch (key.type) {
    case Type::kBool: return std::get<bool>(value);
    case Type::kInteger: return std::get<std::int64_t>(value);
    case Type::kSize: return cli::ByteSize{std::get<std::uint64_t>(value)};
    case Type::kDuration: return std::get<std::chrono::nanoseconds>(value);
    case Type::kTextList: return std::get<std::vector<std::string>>(value);
    case Type::kTextMap: return std::vector<std::string>{};
    default: return std::get<std::string>(value);
  }
}

}  // namespace

void JobOptions::add_to(cli::Command& command, bool several) {
  command.trailing = &command_;
  command.trailing_name = "CMD [ARG…]";
  command.options.push_back({.names = "file",
                             .target = &file_,
                             .help = "job file (YAML), or a script with lines #FF; -: standard input. The options go "
                                     "over what stands there, and words after -- are the script's arguments",
                             .value_name = "FILE",
                             .complete = "file"});
  command.options.push_back(
      {.names = "--set", .target = &set_, .help = "key of the job file", .value_name = "KEY=VALUE"});
  const Config defaults(job_schema());
  for (const JobOption& option : job_options()) {
    if (!several && (option.key == "array.index" || option.key == "sweep")) continue;
    const config::Key& key = key_of(option);
    Slot& slot = slots_.emplace_back(&option, initial(key, defaults.value_of(key.name)));
    command.options.push_back({.names = std::string(option.names),
                               .target = std::visit([](auto& value) -> cli::Target { return &value; }, slot.value),
                               .help = option.help.empty() ? key.help : std::string(option.help),
                               .value_name = std::string(option.value_name),
                               .choices = key.choices,
                               .min = key.min,
                               .max = key.type == Type::kInteger ? key.max : std::nullopt,
                               .complete = option.folder ? "dir" : "",
                               .given = &slot.given});
  }
}

Result<> JobOptions::set_option(Config& values, const Slot& slot) {
  const std::string place = place_of(*slot.option);
  const std::size_t index = *job_schema().find(slot.option->key);
  const auto set = [&](config::Value value) { values.set(index, std::move(value), {Source::kFlag, place}); };
  if (const auto* texts = std::get_if<std::vector<std::string>>(&slot.value))
    return set_job_option(values, *slot.option, *texts, place);
  if (const auto* text = std::get_if<std::string>(&slot.value)) {
    if (slot.option->key != "run.workdir") return set_job_option(values, *slot.option, {*text}, place);
    FF_TRY_ASSIGN(std::string folder, absolute(*text));
    set(std::move(folder));
  } else if (const auto* size = std::get_if<cli::ByteSize>(&slot.value)) {
    set(size->bytes);
  } else if (const auto* time = std::get_if<cli::Duration>(&slot.value)) {
    set(*time);
  } else if (const auto* count = std::get_if<std::int64_t>(&slot.value)) {
    set(*count);
  } else {
    set(std::get<bool>(slot.value));
  }
  return {};
}

Result<> JobOptions::set_command(Config& values, bool script) const {
  if (command_.empty()) return {};
  std::vector<std::string> words = script ? values.get<std::vector<std::string>>("run.command") : command_;
  if (script) words.insert(words.end(), command_.begin(), command_.end());
  values.set(*job_schema().find("run.command"), std::move(words), {Source::kFlag, "command"});
  return {};
}

Result<std::vector<JobSpec>> JobOptions::jobs() const {
  if (file_.empty() && command_.empty())
    return fail(Errc::kInvalidArgument,
                "command: is missing (write it after --, as in: -- python train.py; or name a job file)");
  Config values(job_schema());
  bool script = false;
  if (!file_.empty()) {
    const std::string name = file_ == "-" ? "standard input" : file_;
    auto content = read_file(file_ == "-" ? "/dev/stdin" : file_, kJobFileBytesMax);
    if (!content && content.error().code() == Errc::kExhausted)
      return fail(Errc::kInvalidArgument, fmt::format("{}: is longer than {} bytes", name, kJobFileBytesMax));
    FF_TRY(content);
    const std::string& text = *content;
    script = is_script(text);
    FF_TRY(script ? read_script(values, text, name) : read_job_text(values, text, name));
  }
  for (const std::string& one : set_) {
    const std::size_t equals = one.find('=');
    if (equals == 0 || equals == std::string::npos)
      return fail(Errc::kInvalidArgument, fmt::format("option '--set': '{}': is not KEY=VALUE", one));
    FF_TRY(values.set_flag(one.substr(0, equals), one.substr(equals + 1), "--set"));
  }
  for (const Slot& slot : slots_)
    if (slot.given) FF_TRY(set_option(values, slot));
  FF_TRY(set_command(values, script));
  FF_TRY_ASSIGN(std::string folder, here());
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const auto now_ms = static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::milliseconds>(now).count());
  FF_TRY_ASSIGN(const JobSpec spec, resolve_job(values, {.folder = std::move(folder), .now_ms = now_ms}));
  Variants variants{.array = values.get<std::string>("array.index"),
                    .sweep = values.get<config::TextMap>("sweep"),
                    .lines = std::nullopt};
  variants.place = values.origin_of(variants.sweep.empty() ? "array.index" : "sweep").place;
  return expand_job(spec, variants);
}

}  // namespace ff::ctl
