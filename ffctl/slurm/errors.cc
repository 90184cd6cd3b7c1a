#include "ffctl/slurm/errors.hpp"

#include <fmt/core.h>

#include <array>
#include <utility>

namespace ff::ctl {
namespace {

constexpr std::size_t kTextMax = 1000;

// The first that is found counts. Texts of Slurm 20 to 23, some shortened.
constexpr std::array<std::pair<std::string_view, Errc>, 25> kWords = {{
    {"Unable to contact slurm controller", Errc::kUnavailable},
    {"Socket timed out", Errc::kUnavailable},
    {"Zero Bytes were transmitted", Errc::kUnavailable},
    {"Could not establish a configuration source", Errc::kUnavailable},
    {"Slurm backup controller in standby", Errc::kUnavailable},
    {"Protocol authentication error", Errc::kUnavailable},
    {"Munge encode failed", Errc::kUnavailable},
    {"Slurm temporarily unable to accept job", Errc::kExhausted},
    {"Access/permission denied", Errc::kPermission},
    {"Invalid --nice value", Errc::kPermission},
    {"User's group not permitted", Errc::kPermission},
    {"Invalid account", Errc::kPermission},
    {"accounting/QOS policy", Errc::kExhausted},
    {"Invalid job id", Errc::kNotFound},
    {"Job dependency problem", Errc::kNotFound},
    {"Invalid node name", Errc::kNotFound},
    {"Requested node configuration is not available", Errc::kUnsupported},
    {"Node count specification invalid", Errc::kUnsupported},
    {"More processors requested than permitted", Errc::kUnsupported},
    {"Memory specification can not be satisfied", Errc::kUnsupported},
    {"Requested time limit is invalid", Errc::kUnsupported},
    {"generic resource", Errc::kUnsupported},
    {"Invalid feature specification", Errc::kUnsupported},
    {"Invalid partition name", Errc::kInvalidArgument},
    {"Pathname of a file, directory or other parameter too long", Errc::kInvalidArgument},
}};

std::string_view without_prefix(std::string_view line) {
  for (const std::string_view mark : {"Batch job submission failed: ", "slurm_load_jobs error: ", ": error: ",
                                      "slurm_suspend error: ", "slurm_update error: ", ": fatal: "})
    if (const std::size_t at = line.find(mark); at != std::string_view::npos) return line.substr(at + mark.size());
  return line;
}

}  // namespace

Error slurm_error(std::string_view program, const ChildEnd& end) {
  const std::string& all = end.errors.empty() ? end.output : end.errors;
  std::string said;
  for (std::size_t at = 0; at < all.size() && said.size() < kTextMax;) {
    const std::size_t stop = std::min(all.find('\n', at), all.size());
    const std::string_view line = without_prefix(std::string_view(all).substr(at, stop - at));
    at = stop + 1;
    if (line.empty() || said.contains(line)) continue;
    said += (said.empty() ? "" : "; ") + std::string(line);
  }
  if (said.empty()) said = fmt::format("ended with exit code {}", end.code);
  if (said.size() > kTextMax) said.resize(kTextMax);
  Errc code = Errc::kIo;
  for (const auto& [words, meaning] : kWords) {
    if (!all.contains(words)) continue;
    code = meaning;
    break;
  }
  return {code, fmt::format("{}: {}", program, said)};
}

}  // namespace ff::ctl
