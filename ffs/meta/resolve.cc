#include "ffs/meta/resolve.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cerrno>
#include <deque>

#include "ffs/meta/rules.hpp"

namespace ff::ffs {

using runtime::Task;

namespace {

struct Part {
  std::string name;
  bool of_symlink = false;
};

// In front of what is left to walk.
void push_parts(std::deque<Part>& parts, std::string_view path, bool of_symlink) {
  std::vector<Part> added;
  while (!path.empty()) {
    const std::size_t slash = std::min(path.find('/'), path.size());
    if (slash > 0) added.push_back({std::string(path.substr(0, slash)), of_symlink});
    path.remove_prefix(std::min(slash + 1, path.size()));
  }
  parts.insert(parts.begin(), std::make_move_iterator(added.begin()), std::make_move_iterator(added.end()));
}

Result<> check_path(std::string_view path) {
  if (path.size() > kPathBytesMax) return refuse(ENAMETOOLONG, printable_name(path));
  if (path.find('\0') != std::string_view::npos) return refuse(EINVAL, printable_name(path), "a path with NUL");
  return {};
}

std::string shown(const Where& where) {
  return where.path().empty() ? fmt::format("inode {}", where.base()) : printable_name(where.path());
}

}  // namespace

Task<Result<Resolved>> resolve(View& view, const User& user, const Where& where, bool follow) {
  FF_CO_TRY(check_path(where.path()));
  Resolved out;
  out.shown = shown(where);
  out.wants_directory = where.path().ends_with('/');
  std::deque<Part> parts;
  push_parts(parts, where.path(), false);
  const InodeId base = where.base() == 0 ? kRootInode : InodeId{where.base()};
  FF_CO_TRY_ASSIGN(Inode current, co_await view.inode(base, parts.empty() ? kv::Read::kConflicting : view.passing()));
  out.target = current;

  for (unsigned followed = 0; !parts.empty();) {
    const Part part = std::move(parts.front());
    parts.pop_front();
    if (!current.is_directory()) co_return refuse(ENOTDIR, out.shown);
    if (!allows(user, current.record, kMaySearch)) co_return refuse(EACCES, out.shown);
    if (part.of_symlink && part.name == ".") continue;
    if (part.of_symlink && part.name == "..") {
      if (current.id != kRootInode) {
        FF_CO_TRY_ASSIGN(current, co_await view.inode(InodeId{current.record.parent()}, view.passing()));
      }
      out.parent.reset();
      out.name.clear();
      out.target = current;
      continue;
    }
    FF_CO_TRY(check_name(part.name));
    const bool last = parts.empty();
    FF_CO_TRY_ASSIGN(const auto entry,
                     co_await view.entry(current.id, part.name, last ? kv::Read::kConflicting : view.passing()));
    if (!entry) {
      if (!last) co_return refuse(ENOENT, out.shown);
      // What was read while passing must hold for who makes an entry here.
      view.transaction().add_read_conflict(kv::KeyRange{keys::inode(current.id), keys::inode(current.id) + '\0'});
      out.parent = std::move(current);
      out.name = part.name;
      out.target.reset();
      co_return out;
    }
    FF_CO_TRY_ASSIGN(Inode child, co_await view.inode_of(current.id, part.name, *entry,
                                                         last ? kv::Read::kConflicting : view.passing()));
    if (child.is_symlink() && (!last || follow || out.wants_directory)) {
      if (++followed > kSymlinksFollowedMax) co_return refuse(ELOOP, out.shown);
      const std::string& target = child.record.target();
      out.wants_directory = out.wants_directory || (last && target.ends_with('/'));
      push_parts(parts, target, true);
      if (target.starts_with('/')) {
        FF_CO_TRY_ASSIGN(current, co_await view.inode(kRootInode, view.passing()));
      }
      out.parent.reset();
      out.name.clear();
      out.target = current;
      continue;
    }
    if (last) {
      view.transaction().add_read_conflict(kv::KeyRange{keys::inode(current.id), keys::inode(current.id) + '\0'});
      out.parent = std::move(current);
      out.name = part.name;
    }
    current = child;
    out.target = std::move(child);
  }
  if (out.wants_directory && !out.target->is_directory()) co_return refuse(ENOTDIR, out.shown);
  co_return out;
}

Task<Result<Inode>> resolve_inode(View& view, const User& user, const Where& where, bool follow) {
  FF_CO_TRY_ASSIGN(Resolved resolved, co_await resolve(view, user, where, follow));
  if (!resolved.target) co_return refuse(ENOENT, resolved.shown);
  co_return std::move(*resolved.target);
}

}  // namespace ff::ffs
