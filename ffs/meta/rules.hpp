// What the namespace decides without looking anything up: permissions, names, lengths. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "ffs/meta/meta.pb.h"
#include "ffs/meta/records.pb.h"
#include "libcommon/base/result.hpp"

namespace ff::ffs {

inline constexpr std::size_t kNameBytesMax = 255;
inline constexpr std::size_t kPathBytesMax = 4096;
inline constexpr unsigned kSymlinksFollowedMax = 40;
inline constexpr std::size_t kInlineDataBytesMax = 8u << 10;
inline constexpr std::uint64_t kLinksMax = 65'535;
inline constexpr std::size_t kXattrValueBytesMax = 64u << 10;
inline constexpr std::size_t kXattrBytesMax = 64u << 10;  // names and values of one inode

inline constexpr unsigned kMayRead = 4;
inline constexpr unsigned kMayWrite = 2;
inline constexpr unsigned kMaySearch = 1;
inline constexpr std::uint32_t kModeMask = 07777;
inline constexpr std::uint32_t kSetUid = 04000;
inline constexpr std::uint32_t kSetGid = 02000;
inline constexpr std::uint32_t kSticky = 01000;

// An answer of POSIX: an Error with sys_errno(). What failed otherwise has none.
Error posix_error(int posix, std::string_view object, std::string_view reason = {});
[[nodiscard]] inline std::unexpected<Error> refuse(int posix, std::string_view object, std::string_view reason = {}) {
  return std::unexpected(posix_error(posix, object, reason));
}
inline bool is_posix(const Error& error) noexcept { return error.sys_errno() != 0; }
// The error without an errno: of the store, no answer of POSIX.
Error not_posix(Error error);

// For messages: other bytes than printable ASCII as \xNN, at most 80.
std::string printable_name(std::string_view name);

bool is_root(const User& user) noexcept;
bool in_group(const User& user, std::uint32_t gid) noexcept;
// All of `wanted` (kMay...)? By the one class that the user is in, as POSIX says. Root may everything, but search and
// execution of a file need some x bit.
bool allows(const User& user, const InodeRecord& inode, unsigned wanted) noexcept;
inline bool owns(const User& user, const InodeRecord& inode) noexcept {
  return is_root(user) || user.uid() == inode.uid();
}
// Write and search in the parent, and in a sticky one to own it or the entry.
bool may_remove_entry(const User& user, const InodeRecord& parent, const InodeRecord& entry) noexcept;

// One name of a path: ENAMETOOLONG, EINVAL (NUL, "/", empty, "." and "..").
Result<> check_name(std::string_view name);

// The length of a file after a writer has told the end of what it wrote. It never shrinks here: another writer's
// acknowledged bytes lie there. What was written under an earlier epoch was cut by a truncate, which also decided the
// length.
std::uint64_t settled_length(std::uint64_t recorded, std::uint64_t recorded_epoch, std::uint64_t seen,
                             std::uint64_t seen_epoch) noexcept;

// What a write or change of owner by anybody but root leaves of the mode.
std::uint32_t without_set_ids(std::uint32_t mode) noexcept;

}  // namespace ff::ffs
