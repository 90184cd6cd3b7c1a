// Keys of the namespace in the KvStore: see meta.md for the table. All begin with "fs/"; ids are big-endian, so that
// the entries of a directory are one range, ordered by name. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "ffs/format/types.hpp"
#include "libcommon/kv/kv_store.hpp"

namespace ff::ffs::keys {

std::string big_endian(std::uint64_t value);
// REQUIRES: at + 8 <= key.size().
std::uint64_t number_at(std::string_view key, std::size_t at);

// Every key of the namespace has a prefix of this length ("fs/" and a letter), then its first id; a user's has the
// name.
inline constexpr std::size_t kPrefixBytes = 4;
inline constexpr std::size_t kAnswerKeyBytes = kPrefixBytes + 20;

std::string inode(InodeId id);
// Of a directory: time of its last change of entries (kMax), number of directories in it (kAdd).
std::string directory_times(InodeId id);
std::string subdirectories(InodeId id);
kv::KeyRange directory_numbers(InodeId id);

std::string dirent(InodeId parent, std::string_view name);
kv::KeyRange dirents(InodeId parent);
std::string_view dirent_name(std::string_view key);

std::string session(InodeId id, std::uint64_t client, std::uint64_t handle);
kv::KeyRange sessions(InodeId id);
// The same sessions by client, without a value.
std::string session_of_client(std::uint64_t client, InodeId id, std::uint64_t handle);
kv::KeyRange sessions_of_client(std::uint64_t client);
kv::KeyRange sessions_by_client();

std::string xattr(InodeId id, std::string_view name);
kv::KeyRange xattrs(InodeId id);
std::string_view xattr_name(std::string_view key);

std::string quota(InodeId directory);
std::string quota_bytes(InodeId directory);
std::string quota_files(InodeId directory);

// A tag is the user's who sent it: nobody gets, or takes the place of, another's answer.
std::string answer(std::uint64_t client, std::uint64_t sequence, std::uint32_t uid);
kv::KeyRange answers_of_client(std::uint64_t client);
kv::KeyRange answers();

// `due`: nanoseconds since 1970, not negative.
std::string garbage(std::int64_t due, InodeId id);
kv::KeyRange garbage_all();
kv::KeyRange garbage_until(std::int64_t due);

std::string truncating(InodeId id);
kv::KeyRange truncating_all();

std::string id_blocks(unsigned shard);

std::string user(std::string_view name);
kv::KeyRange users();
// Those after `name`.
kv::KeyRange users_after(std::string_view name);
std::string_view user_name(std::string_view key);

// `token`: its number.
std::string token(std::uint64_t token);
kv::KeyRange tokens();
kv::KeyRange tokens_after(std::uint64_t token);

enum class Count : std::uint8_t { kFiles = 'f', kDirectories = 'd', kSymlinks = 'l', kTrash = 't' };
std::string counter(Count what, unsigned shard);
kv::KeyRange counters(Count what);

}  // namespace ff::ffs::keys
