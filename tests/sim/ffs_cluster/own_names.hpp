// OwnNames: the names of one client, in a directory that nobody else changes, and what must be known of them. A name is
// never used twice, so whatever a request of unknown outcome still does concerns names that are marked as uncertain.
// Pure.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "libcommon/base/result.hpp"

namespace ff::sim {

enum class Presence : std::uint8_t { kAbsent, kPresent, kUncertain };

struct OwnName {
  Presence presence = Presence::kUncertain;
  bool directory = false;
  std::uint32_t mode = 0;
  std::optional<std::string> content;  // nothing: not known
};

class OwnNames {
 public:
  explicit OwnNames(std::string folder) : folder_(std::move(folder)) {}

  const std::string& folder() const noexcept { return folder_; }
  std::string path(const std::string& name) const { return folder_ + "/" + name; }
  // A name that was never used.
  std::string fresh() { return "n" + std::to_string(++last_); }
  OwnName& operator[](const std::string& name) { return names_[name]; }
  const OwnName* find(const std::string& name) const;
  // Files that are certainly there.
  std::vector<std::string> files() const;
  // What a listing gave. kCorrupt names the first that is missing, or should not be there.
  Result<> check(const std::vector<std::string>& listed) const;
  const std::map<std::string, OwnName>& all() const noexcept { return names_; }

 private:
  std::string folder_;
  std::map<std::string, OwnName> names_;
  std::uint64_t last_ = 0;
};

}  // namespace ff::sim
