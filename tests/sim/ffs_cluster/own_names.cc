#include "tests/sim/ffs_cluster/own_names.hpp"

#include <algorithm>

namespace ff::sim {

const OwnName* OwnNames::find(const std::string& name) const {
  const auto found = names_.find(name);
  return found == names_.end() ? nullptr : &found->second;
}

std::vector<std::string> OwnNames::files() const {
  std::vector<std::string> out;
  for (const auto& [name, what] : names_)
    if (what.presence == Presence::kPresent && !what.directory) out.push_back(name);
  return out;
}

Result<> OwnNames::check(const std::vector<std::string>& listed) const {
  for (const std::string& name : listed) {
    const OwnName* const known = find(name);
    if (known == nullptr) return fail(Errc::kCorrupt, path(name) + ": is listed, and nobody made it");
    if (known->presence == Presence::kAbsent) return fail(Errc::kCorrupt, path(name) + ": is listed, and was removed");
  }
  for (const auto& [name, what] : names_) {
    if (what.presence != Presence::kPresent || std::ranges::find(listed, name) != listed.end()) continue;
    return fail(Errc::kCorrupt, path(name) + ": is not listed, and its making was acknowledged");
  }
  return {};
}

}  // namespace ff::sim
