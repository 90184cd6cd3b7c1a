#include "ffs/meta/keys.hpp"

#include "libcommon/base/assert.hpp"

namespace ff::ffs::keys {

namespace {

enum class Table : char {
  kAnswer = 'a',
  kBlocks = 'b',
  kClientSession = 'c',
  kDirent = 'd',
  kGarbage = 'g',
  kInode = 'i',
  kToken = 'k',
  kCounter = 'n',
  kQuota = 'q',
  kSession = 's',
  kTruncating = 't',
  kUser = 'u',
  kXattr = 'x',
};

std::string prefix(Table table) { return {'f', 's', '/', static_cast<char>(table)}; }
std::string prefix(Table table, std::uint64_t id) { return prefix(table) + big_endian(id); }

}  // namespace

std::string big_endian(std::uint64_t value) {
  std::string bytes(8, '\0');
  for (int i = 7; i >= 0; --i, value >>= 8) bytes[static_cast<std::size_t>(i)] = static_cast<char>(value & 0xff);
  return bytes;
}

std::uint64_t number_at(std::string_view key, std::size_t at) {
  FF_ASSERT(at + 8 <= key.size(), at, key.size());
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < 8; ++i) value = value << 8 | static_cast<unsigned char>(key[at + i]);
  return value;
}

std::string inode(InodeId id) { return prefix(Table::kInode, number(id)); }
std::string directory_times(InodeId id) { return inode(id) + 't'; }
std::string subdirectories(InodeId id) { return inode(id) + 's'; }
kv::KeyRange directory_numbers(InodeId id) { return {inode(id) + '\0', inode(id) + '\xff'}; }

std::string dirent(InodeId parent, std::string_view name) {
  return prefix(Table::kDirent, number(parent)).append(name);
}
kv::KeyRange dirents(InodeId parent) { return kv::prefix_range(prefix(Table::kDirent, number(parent))); }
std::string_view dirent_name(std::string_view key) { return key.substr(kPrefixBytes + 8); }

std::string session(InodeId id, std::uint64_t client, std::uint64_t handle) {
  return prefix(Table::kSession, number(id)) + big_endian(client) + big_endian(handle);
}
kv::KeyRange sessions(InodeId id) { return kv::prefix_range(prefix(Table::kSession, number(id))); }
std::string session_of_client(std::uint64_t client, InodeId id, std::uint64_t handle) {
  return prefix(Table::kClientSession, client) + big_endian(number(id)) + big_endian(handle);
}
kv::KeyRange sessions_of_client(std::uint64_t client) {
  return kv::prefix_range(prefix(Table::kClientSession, client));
}
kv::KeyRange sessions_by_client() { return kv::prefix_range(prefix(Table::kClientSession)); }

std::string xattr(InodeId id, std::string_view name) { return prefix(Table::kXattr, number(id)).append(name); }
kv::KeyRange xattrs(InodeId id) { return kv::prefix_range(prefix(Table::kXattr, number(id))); }
std::string_view xattr_name(std::string_view key) { return key.substr(kPrefixBytes + 8); }

std::string quota(InodeId directory) { return prefix(Table::kQuota, number(directory)); }
std::string quota_bytes(InodeId directory) { return quota(directory) + 'b'; }
std::string quota_files(InodeId directory) { return quota(directory) + 'f'; }

std::string answer(std::uint64_t client, std::uint64_t sequence, std::uint32_t uid) {
  return prefix(Table::kAnswer, client) + big_endian(sequence) + big_endian(uid).substr(4);
}
kv::KeyRange answers_of_client(std::uint64_t client) { return kv::prefix_range(prefix(Table::kAnswer, client)); }
kv::KeyRange answers() { return kv::prefix_range(prefix(Table::kAnswer)); }

std::string garbage(std::int64_t due, InodeId id) {
  return prefix(Table::kGarbage, static_cast<std::uint64_t>(due)) + big_endian(number(id));
}
kv::KeyRange garbage_all() { return kv::prefix_range(prefix(Table::kGarbage)); }
kv::KeyRange garbage_until(std::int64_t due) {
  return {prefix(Table::kGarbage), prefix(Table::kGarbage, static_cast<std::uint64_t>(due) + 1)};
}

std::string truncating(InodeId id) { return prefix(Table::kTruncating, number(id)); }
kv::KeyRange truncating_all() { return kv::prefix_range(prefix(Table::kTruncating)); }

std::string id_blocks(unsigned shard) { return prefix(Table::kBlocks) + static_cast<char>(shard); }

std::string user(std::string_view name) { return prefix(Table::kUser).append(name); }
kv::KeyRange users() { return kv::prefix_range(prefix(Table::kUser)); }
kv::KeyRange users_after(std::string_view name) { return {user(name) + '\0', users().end}; }
std::string_view user_name(std::string_view key) { return key.substr(kPrefixBytes); }

std::string token(std::uint64_t token) { return prefix(Table::kToken, token); }
kv::KeyRange tokens() { return kv::prefix_range(prefix(Table::kToken)); }
kv::KeyRange tokens_after(std::uint64_t token) { return {keys::token(token) + '\0', tokens().end}; }

std::string counter(Count what, unsigned shard) {
  return prefix(Table::kCounter) + static_cast<char>(what) + static_cast<char>(shard);
}
kv::KeyRange counters(Count what) { return kv::prefix_range(prefix(Table::kCounter) + static_cast<char>(what)); }

}  // namespace ff::ffs::keys
