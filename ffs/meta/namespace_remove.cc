// Removing: unlink, rmdir, whole trees, and the trash.
#include <fmt/core.h>

#include <algorithm>
#include <cerrno>

#include "ffs/meta/namespace_answers.hpp"
#include "ffs/meta/resolve.hpp"

namespace ff::ffs {

using runtime::Task;

namespace {

constexpr std::size_t kTrashNameBytesMax = 200;  // of the original name in a name of the trash
constexpr std::int64_t kSecond = 1'000'000'000;

Task<Result<>> check_remove(View& view, const RemoveRequest& request, const Resolved& at) {
  const Inode& target = *at.target;
  FF_CO_TRY(check_may_change(request.user(), *at.parent, at.name));
  if (!may_remove_entry(request.user(), at.parent->record, target.record)) {
    co_return refuse(EPERM, at.shown, "its directory is sticky, and both belong to others");
  }
  if (target.record.immutable()) co_return refuse(EPERM, at.shown, "immutable");
  if (!target.is_directory()) {
    if (request.directory()) co_return refuse(ENOTDIR, at.shown);
    if (at.wants_directory) co_return refuse(ENOTDIR, at.shown);
    co_return {};
  }
  if (!request.directory() && !request.recursive() && !request.to_trash()) co_return refuse(EISDIR, at.shown);
  if (request.to_trash() || !request.recursive()) {
    // It gets another parent, as by a rename.
    if (request.to_trash() && !allows(request.user(), target.record, kMayWrite)) co_return refuse(EACCES, at.shown);
    FF_CO_TRY_ASSIGN(const bool empty, co_await view.is_empty(target.id));
    if (!empty && !request.recursive()) co_return refuse(ENOTEMPTY, at.shown);
    if (!empty && !allows(request.user(), target.record, kMayRead | kMayWrite | kMaySearch))
      co_return refuse(EACCES, at.shown);
    co_return {};
  }
  FF_CO_TRY_ASSIGN(const bool empty, co_await view.is_empty(target.id));
  if (!empty && !allows(request.user(), target.record, kMayRead | kMayWrite | kMaySearch)) {
    co_return refuse(EACCES, at.shown);
  }
  co_return {};
}

// `name` of `parent`, made with this mode when it is missing; `fresh`: its number then.
Task<Result<Inode>> trash_directory(View& view, const Inode& parent, std::string name, InodeId fresh, std::uint32_t uid,
                                    std::uint32_t gid, std::uint32_t mode, bool trash) {
  FF_CO_TRY_ASSIGN(const auto entry, co_await view.entry(parent.id, name));
  if (entry) co_return co_await view.inode_of(parent.id, name, *entry);
  User owner;
  owner.set_uid(uid);
  owner.set_gid(gid);
  Inode made{fresh, new_record(owner, parent, DIRECTORY, mode)};
  made.record.set_trash(trash);
  view.create(made);
  view.add_entry(parent, name, made);
  co_return made;
}

}  // namespace

Task<Result<>> put_into_trash(View& view, std::uint32_t uid, std::uint32_t gid, const std::string& name, Inode& child,
                              InodeId fresh) {
  FF_CO_TRY_ASSIGN(const Inode root, co_await view.inode(kRootInode));
  FF_CO_TRY_ASSIGN(const Inode trash, co_await trash_directory(view, root, kTrashName, kTrashInode, 0, 0, 0755, false));
  FF_CO_TRY_ASSIGN(const Inode own,
                   co_await trash_directory(view, trash, std::to_string(uid), fresh, uid, gid, 0700, true));
  // Ordered by time; the inode makes it unique.
  const std::string place = fmt::format("{:010}-{}-{}", std::max<std::int64_t>(view.now(), 0) / kSecond,
                                        number(child.id), name.substr(0, kTrashNameBytesMax));
  if (child.is_directory()) child.record.set_parent(number(own.id));
  view.change(child);
  view.add_entry(own, place, child);
  co_return {};
}

Task<Result<EntryReply>> Namespace::remove(RemoveRequest request) {
  FF_CO_TRY_ASSIGN(const InodeId fresh, co_await fresh_id(request.to_trash()));
  co_return co_await answer_once<EntryReply>(
      request, "remove", [&] [[clang::coro_wrapper]] (View & view) { return remove_in(view, request, fresh); });
}

Task<Result<EntryReply>> Namespace::remove_in(View& view, const RemoveRequest& request, InodeId fresh) {
  FF_CO_TRY_ASSIGN(Resolved at, co_await resolve(view, request.user(), request.where(), false));
  if (!at.target) co_return refuse(ENOENT, at.shown);
  if (!at.parent) co_return refuse(at.target->id == kRootInode ? EBUSY : EINVAL, at.shown, "names no entry");
  FF_CO_TRY(co_await check_remove(view, request, at));

  Inode& target = *at.target;
  EntryReply reply;
  *reply.mutable_attributes() = attributes_of(target);
  // What lies in the trash is removed for good.
  if (request.to_trash() && !at.parent->record.trash()) {
    view.remove_entry(*at.parent, at.name, target);
    // The owner's, who alone may look into it: removing takes nothing from anybody that he could not have back.
    FF_CO_TRY(co_await put_into_trash(view, target.record.uid(), target.record.gid(), at.name, target, fresh));
    co_return reply;
  }
  bool is_tree = false;
  if (target.is_directory()) {
    FF_CO_TRY_ASSIGN(const bool empty, co_await view.is_empty(target.id));
    // What counts in a quota may outlive its directory's entries: removed files that are open.
    is_tree = !empty;
    if (empty) {
      FF_CO_TRY_ASSIGN(is_tree, co_await view.has_charges(target));
    }
  }
  view.remove_entry(*at.parent, at.name, target);
  if (!target.is_directory()) {
    view.drop_link(target, options_.garbage_delay);
    reply.mutable_attributes()->set_links(target.record.links());
  } else if (!is_tree) {
    view.destroy(target);
    reply.mutable_attributes()->set_links(0);
  } else {
    // Cut off as a whole; it is taken apart later.
    GarbageRecord garbage;
    garbage.set_tree(true);
    garbage.set_uid(request.user().uid());
    garbage.set_gid(request.user().gid());
    *garbage.mutable_groups() = request.user().groups();
    target.record.set_links(0);
    view.change(target);
    view.discard(target, garbage, runtime::Duration::zero());
    reply.mutable_attributes()->set_links(0);
  }
  co_return reply;
}

}  // namespace ff::ffs
