#include <string_view>

#include "libcommon/cli/app.hpp"
#include "vcs_version.hpp"  // made by Meson: FF_VCS_VERSION

namespace ff::cli {

std::string build_version() {
  const std::string_view commit = FF_VCS_VERSION;
  // A source archive has no commit to name.
  if (commit.empty()) return FF_PROJECT_VERSION;
  return FF_PROJECT_VERSION " (git " + std::string(commit) + ")";
}

std::string build_features() { return FF_FEATURES; }

}  // namespace ff::cli
