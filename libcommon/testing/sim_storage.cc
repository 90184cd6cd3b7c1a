#include <fmt/core.h>

#include <algorithm>

#include "libcommon/testing/sim_disk.hpp"

namespace ff::testing {

using runtime::Duration;

namespace {

bool inside(std::string_view path, std::string_view folder) {
  return path.size() > folder.size() && path.starts_with(folder) && path[folder.size()] == '/';
}

// What a path is called once `from`, which it or a folder that it is in may be, is called `to`.
std::string renamed(const std::string& path, const std::string& from, const std::string& to) {
  return path == from || inside(path, from) ? to + path.substr(from.size()) : path;
}

}  // namespace

SimStorage::SimStorage(SimWorld& world, NodeId node, std::uint64_t seed)
    : world_(world), node_(node), rng_(seed), model_(world.options().disk) {}

// Without a slash at either end; the root is "".
std::string SimStorage::normal(std::string_view path) {
  std::string out;
  std::size_t at = 0;
  while (at < path.size()) {
    const std::size_t end = std::min(path.find('/', at), path.size());
    const std::string_view part = path.substr(at, end - at);
    if (!part.empty() && part != ".") {
      if (!out.empty()) out += '/';
      out += part;
    }
    at = end + 1;
  }
  return out;
}

std::string SimStorage::folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? std::string() : path.substr(0, slash);
}

void SimStorage::apply(Tree& tree, const NameOp& op) {
  switch (op.kind) {
    case NameOp::Kind::kAdd: tree[op.path] = op.entry; break;
    case NameOp::Kind::kRemove: tree.erase(op.path); break;
    case NameOp::Kind::kRename: {
      tree.erase(op.path);
      tree[op.to] = op.entry;
      if (op.entry.file) break;
      std::vector<Tree::node_type> moved;
      for (auto it = tree.lower_bound(op.path + "/"); it != tree.end() && inside(it->first, op.path);) {
        moved.push_back(tree.extract(it++));
      }
      for (auto& node : moved) {
        node.key() = renamed(node.key(), op.path, op.to);
        tree.insert(std::move(node));
      }
      break;
    }
  }
}

void SimStorage::change(NameOp op) {
  apply(names_, op);
  unsynced_names_.push_back(std::move(op));
}

// Which unsynced changes become durable with `folder`: all of it, and, with each rename between two folders among them,
// what was done to both before it: an older change of either that came after the rename would undo it.
std::vector<bool> SimStorage::due_with(const std::string& folder) const {
  std::vector<bool> due(unsynced_names_.size());
  std::set<std::string> folders{folder};  // under their names at the time of the change that is looked at
  for (std::size_t i = due.size(); i-- > 0;) {
    const NameOp& op = unsynced_names_[i];
    const std::string from = folder_of(op.path);
    due[i] = folders.contains(from);
    if (op.kind != NameOp::Kind::kRename) continue;
    const std::string to = folder_of(op.to);
    due[i] = due[i] || folders.contains(to);
    if (due[i] && from != to) {
      folders.insert({from, to});
      // Nothing can be moved to a folder that is not there.
      for (std::string at = to; !at.empty() && !durable_names_.contains(at); at = folder_of(at)) {
        folders.insert(folder_of(at));
      }
    }
    if (op.entry.file) continue;
    std::set<std::string> before;
    for (const std::string& one : folders) before.insert(renamed(one, op.to, op.path));
    folders = std::move(before);
  }
  return due;
}

void SimStorage::sync_names(const std::string& folder) {
  const std::vector<bool> due = due_with(folder);
  std::vector<NameOp> rest;
  for (std::size_t i = 0; i < due.size(); ++i) {
    NameOp& op = unsynced_names_[i];
    if (!due[i]) {
      rest.push_back(std::move(op));
      continue;
    }
    apply(durable_names_, op);
    if (op.kind != NameOp::Kind::kRename || op.entry.file) continue;
    for (NameOp& earlier : rest) {
      earlier.path = renamed(earlier.path, op.path, op.to);
      earlier.to = renamed(earlier.to, op.path, op.to);
    }
  }
  unsynced_names_ = std::move(rest);
}

void SimStorage::cut_names() {
  // How many of each folder's changes survive is drawn when the folder comes up first: all, none or some.
  std::map<std::string, bool> ended;
  const auto ends = [&](const std::string& folder) {
    bool& end = ended.try_emplace(folder, rng_.below(2) == 0).first->second;
    return end = end || rng_.below(4) == 0;
  };
  for (const NameOp& op : unsynced_names_) {
    const std::string from = folder_of(op.path);
    const bool rename = op.kind == NameOp::Kind::kRename;
    const std::string to = rename ? folder_of(op.to) : from;
    bool end = ends(from);
    if (to != from) {
      // It survives with what came before it in both folders, or ends both.
      end = ends(to) || end || (!to.empty() && !durable_names_.contains(to));
      ended[from] = ended[to] = end;
    }
    if (!end) {
      apply(durable_names_, op);
    } else if (op.kind != NameOp::Kind::kRemove && !op.entry.file) {
      ended[rename ? op.to : op.path] = true;  // what came into a folder that was never there
    }
  }
  unsynced_names_.clear();
  for (auto it = durable_names_.begin(); it != durable_names_.end();) {
    const std::string folder = folder_of(it->first);
    const auto parent = durable_names_.find(folder);
    const bool lost = !folder.empty() && (parent == durable_names_.end() || parent->second.file);
    it = lost ? durable_names_.erase(it) : std::next(it);
  }
  names_ = durable_names_;
}

void SimStorage::cut_data(SimInode& inode) {
  std::vector<const DiskOp*> ops;
  for (const auto& [sequence, op] : inode.unsynced) ops.push_back(&op);
  // The extremes find the most bugs: a quarter each loses all and keeps all.
  const std::uint64_t style = rng_.below(4);
  resolve_crash(inode.durable, ops, model_.sector_bytes, [&](std::uint64_t, std::uint64_t versions) -> std::uint64_t {
    if (style == 0) return 0;
    if (style == 1) return versions;
    return rng_.below(versions + 1);
  });
  inode.unsynced.clear();
  inode.current = inode.durable.copy();
}

void SimStorage::power_cut() {
  cut_names();
  std::set<std::uint32_t> seen;
  used_pages_ = 0;
  for (const auto& [path, entry] : names_) {
    if (entry.file) entry.file->named = true;
    if (!entry.file || !seen.insert(entry.file->number).second) continue;
    const std::size_t unsynced = entry.file->unsynced.size();
    cut_data(*entry.file);
    used_pages_ += entry.file->current.pages();
    if (unsynced > 0) world_.note(node_, fmt::format("disk: '{}' lost some of {} unsynced operations", path, unsynced));
  }
}

SimStorage::Inode SimStorage::find_file(std::string_view path) const {
  const auto found = names_.find(normal(path));
  return found == names_.end() ? nullptr : found->second.file;
}

SimStorage::Inode SimStorage::make_inode() {
  auto inode = std::make_shared<SimInode>();
  inode->number = next_inode_++;
  return inode;
}

Result<> SimStorage::damage(std::string_view path, std::uint64_t offset) {
  const Inode inode = find_file(path);
  if (!inode) return ff::fail(Errc::kNotFound, fmt::format("{}: no such file on node {}", path, node_));
  inode->damaged.insert(offset / model_.sector_bytes);
  return {};
}

Result<> SimStorage::flip_bit(std::string_view path, std::uint64_t offset, unsigned bit) {
  const Inode inode = find_file(path);
  if (!inode) return ff::fail(Errc::kNotFound, fmt::format("{}: no such file on node {}", path, node_));
  for (SparseBytes* content : {&inode->current, &inode->durable}) {
    std::byte byte{};
    if (content->read(offset, {&byte, 1}) == 0) continue;
    byte ^= std::byte{1} << (bit % 8);
    content->write(offset, {&byte, 1});
  }
  return {};
}

Result<std::vector<std::byte>> SimStorage::contents(std::string_view path) const {
  const Inode inode = find_file(path);
  if (!inode) return ff::fail(Errc::kNotFound, fmt::format("{}: no such file on node {}", path, node_));
  return inode->current.bytes();
}

void SimStorage::install(std::string_view path, SparseBytes content) {
  const std::string name = normal(path);
  for (std::string folder = folder_of(name); !folder.empty(); folder = folder_of(folder)) {
    names_.try_emplace(folder);
    durable_names_.try_emplace(folder);
  }
  const Inode inode = make_inode();
  inode->current = content.copy();
  inode->durable = std::move(content);
  used_pages_ += inode->current.pages();
  unname(names_[name]);
  names_[name] = durable_names_[name] = Entry{inode};
}

Result<> SimStorage::perform(SimInode& inode, const std::string& path, DiskOp op) {
  const std::uint64_t before = inode.current.pages();
  std::uint64_t added = 0;
  if (op.kind == DiskOp::Kind::kWrite || op.kind == DiskOp::Kind::kAllocate) {
    added = inode.current.missing_pages(op.offset, op.bytes);
  }
  if ((used_pages_ + added) * SparseBytes::kPage > model_.capacity_bytes) {
    return ff::fail(Errc::kExhausted, fmt::format("{}: no space left on the disk of node {}", path, node_), ENOSPC);
  }
  record(inode, path, op);
  apply_op(inode.current, op);
  if (inode.named) used_pages_ += inode.current.pages() - before;
  if (op.kind == DiskOp::Kind::kWrite) {
    for (std::uint64_t s = op.offset / model_.sector_bytes; s * model_.sector_bytes < op.offset + op.bytes; ++s) {
      inode.damaged.erase(s);
      if (chance(rng_, model_.latent_sector)) inode.damaged.insert(s);
    }
  }
  inode.unsynced.push_back({inode.next_sequence++, std::move(op)});
  return {};
}

void SimStorage::sync_inode(SimInode& inode, const std::string& path, std::uint64_t sequence) {
  const auto end = std::find_if(inode.unsynced.begin(), inode.unsynced.end(),
                                [&](const auto& unsynced) { return unsynced.sequence >= sequence; });
  const auto count = static_cast<std::uint64_t>(end - inode.unsynced.begin());
  if (count == 0) return;
  record(inode, path, {.kind = DiskOp::Kind::kSync, .file = 0, .offset = 0, .bytes = count, .data = {}});
  for (auto it = inode.unsynced.begin(); it != end; ++it) apply_op(inode.durable, it->op);
  inode.unsynced.erase(inode.unsynced.begin(), end);
}

void SimStorage::unname(const Entry& entry) {
  if (!entry.file || !std::exchange(entry.file->named, false)) return;
  used_pages_ -= entry.file->current.pages();
}

void SimStorage::forget_some(SimInode& inode) {
  std::erase_if(inode.unsynced,
                [&](const auto& lost) { return lost.op.kind == DiskOp::Kind::kWrite && rng_.below(2) == 0; });
}

void SimStorage::start_recording() {
  recording_ = true;
  recorded_ = {};
  recorded_index_.clear();
}

SimStorage::Recording SimStorage::stop_recording() {
  recording_ = false;
  return std::move(recorded_);
}

void SimStorage::record(const SimInode& inode, const std::string& path, const DiskOp& op) {
  if (!recording_) return;
  const auto [place, fresh] =
      recorded_index_.try_emplace(inode.number, static_cast<std::uint32_t>(recorded_.paths.size()));
  if (fresh) {
    recorded_.paths.push_back(path);
    recorded_.initial.push_back(inode.durable.copy());
    for (const auto& [sequence, earlier] : inode.unsynced) {
      recorded_.operations.push_back(earlier);
      recorded_.operations.back().file = place->second;
    }
  }
  recorded_.operations.push_back(op);
  recorded_.operations.back().file = place->second;
}

Duration SimStorage::cost(const Latency& latency, std::uint64_t bytes) {
  const auto slowed = [this](double ns) { return Duration(static_cast<std::int64_t>(ns * slow_)); };
  Duration time = slowed(static_cast<double>(latency.draw(rng_).count()));
  if (model_.bytes_per_second > 0 && bytes > 0) {
    // Operations side by side share the disk: their bytes pass one after the other.
    const runtime::Time now = world_.now();
    transfers_end_ = std::max(transfers_end_, now) + slowed(static_cast<double>(bytes) / model_.bytes_per_second * 1e9);
    time += transfers_end_ - now;
  }
  return time;
}

}  // namespace ff::testing
