#include "ffs/meta/rules.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cerrno>

namespace ff::ffs {

Error posix_error(int posix, std::string_view object, std::string_view reason) {
  Error error = errno_error(object, posix);
  if (reason.empty()) return error;
  return {error.code(), fmt::format("{}: {}", object, reason), posix};
}

Error not_posix(Error error) { return error.sys_errno() == 0 ? error : Error(error.code(), error.message()); }

std::string printable_name(std::string_view name) {
  constexpr std::size_t kShown = 80;
  std::string text;
  for (const char c : name.substr(0, kShown)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7f) {
      text.push_back(c);
    } else {
      text += fmt::format("\\x{:02x}", byte);
    }
  }
  if (name.size() > kShown) text += "...";
  return text;
}

bool is_root(const User& user) noexcept { return user.uid() == 0; }

bool in_group(const User& user, std::uint32_t gid) noexcept {
  return user.gid() == gid || std::ranges::find(user.groups(), gid) != user.groups().end();
}

bool allows(const User& user, const InodeRecord& inode, unsigned wanted) noexcept {
  if (is_root(user)) {
    return (wanted & kMaySearch) == 0 || inode.type() == DIRECTORY || (inode.mode() & 0111) != 0;
  }
  unsigned shift = 0;
  if (user.uid() == inode.uid()) {
    shift = 6;
  } else if (in_group(user, inode.gid())) {
    shift = 3;
  }
  return ((inode.mode() >> shift) & wanted) == wanted;
}

bool may_remove_entry(const User& user, const InodeRecord& parent, const InodeRecord& entry) noexcept {
  if (!allows(user, parent, kMayWrite | kMaySearch)) return false;
  return (parent.mode() & kSticky) == 0 || owns(user, parent) || user.uid() == entry.uid();
}

Result<> check_name(std::string_view name) {
  if (name.size() > kNameBytesMax) return refuse(ENAMETOOLONG, printable_name(name));
  if (name.empty() || name == "." || name == "..") {
    return refuse(EINVAL, printable_name(name), "not a name (resolve it before asking)");
  }
  if (name.find('/') != std::string_view::npos || name.find('\0') != std::string_view::npos) {
    return refuse(EINVAL, printable_name(name), "a name with '/' or NUL");
  }
  return {};
}

std::uint64_t settled_length(std::uint64_t recorded, std::uint64_t recorded_epoch, std::uint64_t seen,
                             std::uint64_t seen_epoch) noexcept {
  return seen_epoch == recorded_epoch ? std::max(recorded, seen) : recorded;
}

std::uint32_t without_set_ids(std::uint32_t mode) noexcept {
  // A setgid bit without the group's x marks mandatory locking, and stays.
  return mode & ~(kSetUid | ((mode & 010) != 0 ? kSetGid : 0));
}

}  // namespace ff::ffs
