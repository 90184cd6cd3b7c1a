// Job files as YAML, and scripts that carry their keys or options in their heads.
#include <fmt/core.h>

#include <algorithm>
#include <map>

#include "ffctl/job/check.hpp"
#include "ffctl/job/options.hpp"
#include "ffctl/job/schema.hpp"
#include "ffctl/job/spec.hpp"
#include "libcommon/config/loader.hpp"

namespace ff::ctl {
namespace {

std::string_view base_name(std::string_view path) { return path.substr(path.find_last_of('/') + 1); }

std::unexpected<Error> wrong(std::string_view place, std::string_view what) {
  return fail(Errc::kInvalidArgument, fmt::format("{}: {}", place, what));
}

std::string_view trimmed(std::string_view part) {
  const std::size_t first = part.find_first_not_of(" \t");
  if (first == std::string_view::npos) return {};
  return part.substr(first, part.find_last_not_of(" \t") - first + 1);
}

Result<> check_text(std::string_view text, const std::string& file) {
  if (text.find('\0') != std::string_view::npos) return wrong(file, "has zero bytes: it is no text");
  return {};
}

// What the #FF lines of one script say.
class Directives {
 public:
  explicit Directives(config::Config& values) : values_(values) {}

  Result<> add(std::string_view line, const std::string& place) {
    if (line.starts_with('-')) return options(line, place);
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) return wrong(place, "is not '#FF key: value', nor '#FF --option value'");
    const std::string key(trimmed(line.substr(0, colon)));
    if (key == "run.script" || key == "run.command") return wrong(place, key + ": is this script");
    FF_TRY(once(key, place, key));
    return values_.set_flag(key, trimmed(line.substr(colon + 1)), place);
  }

 private:
  Result<> options(std::string_view line, const std::string& place) {
    auto given = parse_job_options(line);
    if (!given) return wrong(place, given.error().message());
    for (const OptionGiven& one : *given) {
      const std::string name = one.option->long_name();
      std::vector<std::string>& texts = texts_[one.option];
      const config::Type type = key_of(*one.option).type;
      const bool several = type == config::Type::kTextList || type == config::Type::kTextMap;
      if (texts.empty() || !several) FF_TRY(once(one.option->key, place, name));
      texts.push_back(one.text);
      FF_TRY(set_job_option(values_, *one.option, texts, fmt::format("{}: option '{}'", place, name)));
    }
    return {};
  }
  Result<> once(std::string_view key, const std::string& place, const std::string& name) {
    if (std::ranges::find(seen_, key) != seen_.end()) return wrong(place, name + ": given twice");
    seen_.emplace_back(key);
    return {};
  }

  config::Config& values_;
  std::vector<std::string> seen_;  // keys
  std::map<const JobOption*, std::vector<std::string>> texts_;
};

}  // namespace

bool is_script(std::string_view text) noexcept { return text.starts_with("#!"); }

Result<> read_job_text(config::Config& values, std::string_view text, const std::string& file) {
  if (text.size() > kJobFileBytesMax) return wrong(file, fmt::format("is longer than {} bytes", kJobFileBytesMax));
  FF_TRY(check_text(text, file));
  return config::load_text(values, text, file);
}

Result<> read_script(config::Config& values, std::string_view text, const std::string& file) {
  if (text.size() > kJobBytesMax)
    return fail(Errc::kInvalidArgument,
                fmt::format("{}: takes {} bytes, at most {} are taken (submit a command that runs a file which all "
                            "nodes see)",
                            file, text.size(), kJobBytesMax));
  FF_TRY(check_text(text, file));
  Directives directives(values);
  bool head = true;
  std::size_t number = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = std::min(text.find('\n', at), text.size());
    std::string_view line = text.substr(at, end - at);
    at = end + 1;
    ++number;
    if (line.ends_with('\r')) line.remove_suffix(1);
    const bool comment = line.starts_with('#') || line.find_first_not_of(" \t") == std::string_view::npos;
    head = head && comment;
    if (line != "#FF" && !line.starts_with("#FF ") && !line.starts_with("#FF\t")) continue;
    const std::string place = fmt::format("{}:{}", file, number);
    if (!head) return wrong(place, "an #FF line after the first command is not read (move it up)");
    FF_TRY(directives.add(trimmed(line.substr(3)), place));
  }
  FF_TRY(values.set_flag("run.script", text, file));
  const std::string name(base_name(file));
  values.set(*job_schema().find("run.command"), std::vector<std::string>{name.empty() || name == "-" ? "script" : name},
             {config::Source::kFlag, file});
  return {};
}

}  // namespace ff::ctl
