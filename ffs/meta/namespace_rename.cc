// Rename: replace, NOREPLACE, EXCHANGE.
//
// A directory's parent lies in its inode. A rename that gives a directory another parent reads the inodes of all
// ancestors of the destination, and writes that of the directory, so of two renames that together would make a loop one
// conflicts.
#include <cerrno>

#include "ffs/meta/namespace_answers.hpp"
#include "ffs/meta/resolve.hpp"

namespace ff::ffs {

using runtime::Task;

namespace {

// EINVAL when `moved` is `directory` or above it.
Task<Result<>> check_not_below(View& view, const Inode& moved, const Inode& directory, const std::string& shown) {
  InodeId above = directory.id;
  while (above != kRootInode) {
    if (above == moved.id) co_return refuse(EINVAL, shown, "a directory cannot be moved below itself");
    FF_CO_TRY_ASSIGN(const Inode next, co_await view.inode(above));
    if (next.record.links() == 0) co_return refuse(ENOENT, shown, "its directory was removed");
    above = InodeId{next.record.parent()};
  }
  if (moved.id == kRootInode) co_return refuse(EBUSY, shown);
  co_return {};
}

// May this entry leave its directory, for `to`?
Task<Result<>> check_moves(View& view, const User& user, const Resolved& from, const Resolved& to) {
  const Inode& moved = *from.target;
  if (!may_remove_entry(user, from.parent->record, moved.record)) {
    co_return refuse(EPERM, from.shown, "its directory is sticky, and both belong to others");
  }
  if (moved.record.immutable()) co_return refuse(EPERM, from.shown, "immutable");
  if (from.parent->id == to.parent->id) co_return {};
  // A quota's own directory takes its account along.
  if (moved.record.project() != to.parent->record.project() && moved.record.project() != number(moved.id)) {
    const bool simple = !moved.is_directory() && moved.record.links() == 1;
    if (!simple) co_return refuse(EXDEV, to.shown, "it counts in another quota there (copy it)");
    FF_CO_TRY(co_await view.check_quota(to.parent->record.project(), moved.record.size(), 1));
  }
  if (!moved.is_directory()) co_return {};
  // Its ".." changes.
  if (!allows(user, moved.record, kMayWrite)) co_return refuse(EACCES, from.shown);
  co_return co_await check_not_below(view, moved, *to.parent, to.shown);
}

Task<Result<>> check_replaced(View& view, const User& user, const Resolved& from, const Resolved& to) {
  const Inode& old = *to.target;
  if (from.target->is_directory() && !old.is_directory()) co_return refuse(ENOTDIR, to.shown);
  if (!from.target->is_directory() && old.is_directory()) co_return refuse(EISDIR, to.shown);
  if (!may_remove_entry(user, to.parent->record, old.record)) {
    co_return refuse(EPERM, to.shown, "its directory is sticky, and both belong to others");
  }
  if (old.record.immutable()) co_return refuse(EPERM, to.shown, "immutable");
  if (!old.is_directory()) co_return {};
  FF_CO_TRY_ASSIGN(const bool empty, co_await view.is_empty(old.id));
  if (!empty) co_return refuse(ENOTEMPTY, to.shown);
  co_return {};
}

void put_at(View& view, Inode& moved, const Inode& parent, const std::string& name) {
  if (moved.is_directory()) moved.record.set_parent(number(parent.id));
  const std::uint64_t project = parent.record.project();
  if (moved.record.project() != project && moved.record.project() != number(moved.id)) {
    view.charge(moved.record.project(), 0 - moved.record.size(), ~std::uint64_t{0});
    view.charge(project, moved.record.size(), 1);
    moved.record.set_project(project);
  }
  view.change(moved);
  view.add_entry(parent, name, moved);
}

}  // namespace

Task<Result<EntryReply>> Namespace::rename(RenameRequest request) {
  if (request.no_replace() && request.exchange()) co_return refuse(EINVAL, "rename", "both no-replace and exchange");
  co_return co_await answer_once<EntryReply>(
      request, "rename", [&] [[clang::coro_wrapper]] (View & view) { return rename_in(view, request); });
}

Task<Result<EntryReply>> Namespace::rename_in(View& view, const RenameRequest& request) {
  const User& user = request.user();
  FF_CO_TRY_ASSIGN(Resolved from, co_await resolve(view, user, request.from(), false));
  if (!from.target) co_return refuse(ENOENT, from.shown);
  if (!from.parent) co_return refuse(EBUSY, from.shown, "names no entry");
  FF_CO_TRY_ASSIGN(Resolved to, co_await resolve(view, user, request.to(), false));
  if (!to.parent) co_return refuse(EBUSY, to.shown, "names no entry");
  FF_CO_TRY(check_may_change(user, *from.parent, from.name));
  FF_CO_TRY(check_may_change(user, *to.parent, to.name));
  // An exchange puts something at both places; what was removed with its tree is not there to be moved either.
  FF_CO_TRY(co_await check_attached(view, request.from(), from.parent->id));
  FF_CO_TRY(co_await check_attached(view, request.to(), to.parent->id));
  if (to.wants_directory && !from.target->is_directory()) co_return refuse(ENOTDIR, to.shown);
  if (to.target && request.no_replace()) co_return refuse(EEXIST, to.shown);
  if (!to.target && request.exchange()) co_return refuse(ENOENT, to.shown);

  EntryReply reply;
  if (to.target && to.target->id == from.target->id) {
    // Two names of one file, or the same name twice: POSIX wants nothing to happen.
    FF_CO_TRY_ASSIGN(*reply.mutable_attributes(), co_await view.attributes(*from.target));
    co_return reply;
  }
  FF_CO_TRY(co_await check_moves(view, user, from, to));
  if (request.exchange()) {
    FF_CO_TRY(co_await check_moves(view, user, to, from));
  } else if (to.target) {
    FF_CO_TRY(co_await check_replaced(view, user, from, to));
  }
  bool to_charged = false;
  if (to.target && to.target->is_directory()) {
    FF_CO_TRY_ASSIGN(to_charged, co_await view.has_charges(*to.target));
  }

  view.remove_entry(*from.parent, from.name, *from.target);
  if (to.target) view.remove_entry(*to.parent, to.name, *to.target);
  if (request.exchange()) {
    put_at(view, *to.target, *from.parent, from.name);
  } else if (to.target && to.target->is_directory()) {
    if (to_charged) {
      to.target->record.set_links(0);
      view.change(*to.target);
      GarbageRecord garbage;
      garbage.set_tree(true);
      garbage.set_uid(user.uid());
      view.discard(*to.target, garbage, runtime::Duration::zero());
    } else {
      view.destroy(*to.target);
    }
  } else if (to.target) {
    view.drop_link(*to.target, options_.garbage_delay);
  }
  put_at(view, *from.target, *to.parent, to.name);
  FF_CO_TRY_ASSIGN(*reply.mutable_attributes(), co_await view.attributes(*from.target));
  co_return reply;
}

}  // namespace ff::ffs
