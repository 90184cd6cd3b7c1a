#include "tests/unit/ffs/meta/check_namespace.hpp"

#include <fmt/core.h>

#include <map>
#include <set>

#include "ffs/meta/keys.hpp"
#include "ffs/meta/records.hpp"

namespace ff::ffs {

using runtime::Task;

namespace {

struct Entry {
  std::uint64_t parent = 0;
  std::string name;
  std::uint64_t inode = 0;
  std::uint32_t type = 0;
};

struct Contents {
  std::map<std::uint64_t, InodeRecord> inodes;
  std::vector<Entry> entries;
  std::map<std::uint64_t, std::uint64_t> subdirectories;
  std::set<std::uint64_t> garbage, truncating;
  std::set<std::string> sessions, client_sessions;  // inode, client, handle
  std::map<char, std::uint64_t> counts;
  std::map<std::uint64_t, std::uint64_t> quota_bytes, quota_files;
  std::set<std::uint64_t> quotas;
};

Result<> take(Contents& all, const kv::KeyValue& pair) {
  const std::string& key = pair.key;
  const auto first = [&] { return keys::number_at(key, 4); };
  switch (key[3]) {
    case 'i':
      if (key.size() == 12) {
        FF_TRY_ASSIGN(all.inodes[first()], decode_record<InodeRecord>(pair.value, "inode"));
      } else if (key.back() == 's') {
        FF_TRY_ASSIGN(all.subdirectories[first()], decode_count(pair.value, "subdirectories"));
      }
      break;
    case 'd': {
      FF_TRY_ASSIGN(const DirentRecord entry, decode_record<DirentRecord>(pair.value, "entry"));
      all.entries.push_back({first(), key.substr(12), entry.inode(), entry.type()});
      break;
    }
    case 'g': all.garbage.insert(keys::number_at(key, 12)); break;
    case 't': all.truncating.insert(first()); break;
    case 's': all.sessions.insert(key.substr(4)); break;
    case 'c': all.client_sessions.insert(key.substr(12, 8) + key.substr(4, 8) + key.substr(20)); break;
    case 'n': {
      FF_TRY_ASSIGN(const std::uint64_t value, decode_count(pair.value, "counter"));
      all.counts[key[4]] += value;
      break;
    }
    case 'q':
      if (key.size() == 12) {
        all.quotas.insert(first());
      } else {
        FF_TRY_ASSIGN((key.back() == 'b' ? all.quota_bytes : all.quota_files)[first()],
                      decode_count(pair.value, "quota"));
      }
      break;
    default: break;
  }
  return {};
}

class Checker {
 public:
  Checker(const Contents& all, const FakeChunks& chunks, bool settled)
      : all_(all), chunks_(chunks), settled_(settled) {}

  std::vector<std::string> check() {
    entries();
    inodes();
    reachable();
    counters();
    quotas();
    for (const auto& [inode, file] : chunks_.files) {
      if (!file.data.empty() && !all_.inodes.contains(number(inode))) wrong("chunks of inode {}, gone", number(inode));
    }
    if (all_.sessions != all_.client_sessions)
      wrong("sessions: {} and {}", all_.sessions.size(), all_.client_sessions.size());
    if (settled_ && !all_.garbage.empty()) wrong("garbage is left: {}", all_.garbage.size());
    if (settled_ && !all_.truncating.empty()) wrong("truncates are left: {}", all_.truncating.size());
    if (settled_ && !all_.sessions.empty()) wrong("sessions are left: {}", all_.sessions.size());
    return std::move(problems_);
  }

 private:
  template <class... A>
  void wrong(fmt::format_string<A...> text, A&&... args) {
    problems_.push_back(fmt::format(text, std::forward<A>(args)...));
  }
  const InodeRecord* inode(std::uint64_t id) const {
    const auto at = all_.inodes.find(id);
    return at == all_.inodes.end() ? nullptr : &at->second;
  }

  void entries() {
    for (const Entry& entry : all_.entries) {
      const InodeRecord* const parent = inode(entry.parent);
      const InodeRecord* const child = inode(entry.inode);
      if (parent == nullptr || parent->type() != DIRECTORY) wrong("entry in {}, no directory", entry.parent);
      if (child == nullptr) {
        wrong("entry {}/{} names inode {}, gone", entry.parent, entry.name, entry.inode);
        continue;
      }
      if (child->type() != entry.type) wrong("entry {}/{}: type", entry.parent, entry.name);
      ++names_[entry.inode];
      if (child->type() != DIRECTORY) continue;
      ++directories_[entry.parent];
      if (child->parent() != entry.parent) {
        wrong("directory {}: parent {}, its entry lies in {}", entry.inode, child->parent(), entry.parent);
      }
    }
  }

  void inodes() {
    for (const auto& [id, record] : all_.inodes) {
      const std::uint64_t names = id == number(kRootInode) ? 1 : names_[id];
      if (record.links() != names) wrong("inode {}: {} links, {} entries", id, record.links(), names);
      if ((record.links() == 0) != all_.garbage.contains(id))
        wrong("inode {}: {} links, garbage or not", id, record.links());
      if (record.has_truncating() != all_.truncating.contains(id)) wrong("inode {}: truncating or not", id);
      const auto at = all_.subdirectories.find(id);
      const std::uint64_t told = at == all_.subdirectories.end() ? 0 : at->second;
      if (record.type() == DIRECTORY && told != directories_[id]) {
        wrong("directory {}: {} directories, told {}", id, directories_[id], told);
      }
      if (record.inlined() && record.size() != record.inline_data().size()) wrong("inode {}: inline size", id);
    }
  }

  void reachable() {
    for (const auto& [id, record] : all_.inodes) {
      if (record.type() != DIRECTORY) continue;
      std::set<std::uint64_t> way;
      const InodeRecord* at = &record;
      for (std::uint64_t above = id; above != number(kRootInode) && at->links() > 0;) {
        if (!way.insert(above).second) {
          wrong("directory {}: a loop above", id);
          break;
        }
        above = at->parent();
        at = inode(above);
        if (at == nullptr) {
          wrong("directory {}: nothing above at {}", id, above);
          break;
        }
      }
    }
  }

  void counters() {
    std::map<char, std::uint64_t> truth;
    for (const auto& [id, record] : all_.inodes)
      ++truth[record.type() == DIRECTORY ? 'd' : record.type() == SYMLINK ? 'l' : 'f'];
    for (const Entry& entry : all_.entries) {
      const InodeRecord* const parent = inode(entry.parent);
      if (parent != nullptr && parent->trash()) ++truth['t'];
    }
    for (const char kind : {'d', 'l', 'f', 't'}) {
      const auto at = all_.counts.find(kind);
      const std::uint64_t told = at == all_.counts.end() ? 0 : at->second;
      if (told != truth[kind]) wrong("counter {}: {}, truth {}", kind, told, truth[kind]);
    }
  }

  void quotas() {
    std::map<std::uint64_t, std::uint64_t> bytes, files;
    for (const auto& [id, record] : all_.inodes) {
      if (record.project() == 0) continue;
      bytes[record.project()] += record.size();
      ++files[record.project()];
    }
    for (const std::uint64_t quota : all_.quotas) {
      const auto told = [quota](const auto& map) { return map.contains(quota) ? map.at(quota) : 0; };
      if (told(all_.quota_bytes) != bytes[quota])
        wrong("quota {}: {} bytes, truth {}", quota, told(all_.quota_bytes), bytes[quota]);
      if (told(all_.quota_files) != files[quota])
        wrong("quota {}: {} files, truth {}", quota, told(all_.quota_files), files[quota]);
    }
  }

  const Contents& all_;
  const FakeChunks& chunks_;
  const bool settled_;
  std::vector<std::string> problems_;
  std::map<std::uint64_t, std::uint64_t> names_, directories_;
};

}  // namespace

Task<Result<std::vector<std::string>>> check_namespace(kv::KvStore& store, const FakeChunks& chunks, bool settled) {
  const auto transaction = store.begin();
  Contents all;
  kv::KeyRange rest = kv::prefix_range("fs/");
  while (true) {
    FF_CO_TRY_ASSIGN(const auto page, co_await transaction->get_range(rest, {}));
    for (const kv::KeyValue& pair : page.pairs) FF_CO_TRY(take(all, pair));
    if (!page.more) break;
    rest.begin = page.pairs.back().key + '\0';
  }
  co_return Checker(all, chunks, settled).check();
}

}  // namespace ff::ffs
