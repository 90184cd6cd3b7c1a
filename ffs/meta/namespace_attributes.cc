// Changing attributes: mode, owner, times, layout, the immutable flag.
#include <fmt/core.h>

#include <cerrno>

#include "ffs/meta/namespace_answers.hpp"
#include "ffs/meta/resolve.hpp"

namespace ff::ffs {

using runtime::Task;

namespace {

Result<> check_request(const SetAttributesRequest& request) {
  if (request.accessed().nanoseconds() > 999'999'999 || request.modified().nanoseconds() > 999'999'999) {
    return refuse(EINVAL, "setattr", "a time with a second or more of nanoseconds");
  }
  return {};
}

Result<> check_permission(const SetAttributesRequest& request, const Inode& inode, const std::string& shown) {
  const User& user = request.user();
  const InodeRecord& record = inode.record;
  const bool others = request.set_mode() || request.set_uid() || request.set_gid() || request.set_accessed() ||
                      request.set_modified() || request.accessed_now() || request.modified_now() ||
                      request.set_layout();
  if (request.set_immutable() && !is_root(user)) return refuse(EPERM, shown, "only root changes the immutable flag");
  const bool stays_immutable = record.immutable() && !(request.set_immutable() && !request.immutable());
  if (others && stays_immutable) return refuse(EPERM, shown, "immutable");
  if (request.set_layout() && !inode.is_directory()) {
    return refuse(ENOTDIR, shown, "a file keeps the layout that it was made with");
  }
  const bool for_owner = request.set_mode() || request.set_accessed() || request.set_modified() || request.set_layout();
  if (for_owner && !owns(user, record)) return refuse(EPERM, shown, "belongs to another user");
  if ((request.accessed_now() || request.modified_now()) && !owns(user, record) && !allows(user, record, kMayWrite)) {
    return refuse(EACCES, shown);
  }
  if (is_root(user)) return {};
  if (request.set_uid() && (request.uid() != record.uid() || !owns(user, record))) {
    return refuse(EPERM, shown, "only root gives files away");
  }
  if (request.set_gid() && (!owns(user, record) || (request.gid() != record.gid() && !in_group(user, request.gid())))) {
    return refuse(EPERM, shown, "not one of the owner's groups");
  }
  return {};
}

void apply_owner(const SetAttributesRequest& request, InodeRecord& record, bool directory) {
  if (!request.set_uid() && !request.set_gid()) return;
  if (request.set_uid()) record.set_uid(request.uid());
  if (request.set_gid()) record.set_gid(request.gid());
  if (!directory && (!is_root(request.user()) || (record.mode() & 0111) != 0)) {
    record.set_mode(without_set_ids(record.mode()));
  }
}

void apply_mode(const SetAttributesRequest& request, InodeRecord& record) {
  if (!request.set_mode()) return;
  record.set_mode(request.mode() & kModeMask);
  if (!is_root(request.user()) && !in_group(request.user(), record.gid())) record.set_mode(record.mode() & ~kSetGid);
}

void apply_times(View& view, const SetAttributesRequest& request, Inode& inode) {
  if (request.accessed_now()) inode.record.set_accessed(view.now());
  if (request.set_accessed()) inode.record.set_accessed(nanoseconds_of(request.accessed()));
  if (!request.modified_now() && !request.set_modified()) return;
  inode.record.set_modified(request.set_modified() ? nanoseconds_of(request.modified()) : view.now());
  // Later changes of entries are told by this key, earlier ones are overruled.
  if (inode.is_directory()) view.transaction().clear(keys::directory_times(inode.id));
}

}  // namespace

Task<Result<StatReply>> Namespace::set_attributes(SetAttributesRequest request) {
  FF_CO_TRY(check_request(request));
  if (request.set_layout()) FF_CO_TRY(co_await check_layout(request.layout(), "setattr"));
  co_return co_await answer_once<StatReply>(
      request, "setattr", [&] [[clang::coro_wrapper]] (View & view) { return set_attributes_in(view, request); });
}

Task<Result<StatReply>> Namespace::set_attributes_in(View& view, const SetAttributesRequest& request) {
  FF_CO_TRY_ASSIGN(Inode inode,
                   co_await resolve_inode(view, request.user(), request.where(), request.where().follow()));
  FF_CO_TRY(check_permission(request, inode, fmt::format("inode {}", number(inode.id))));
  apply_owner(request, inode.record, inode.is_directory());
  apply_mode(request, inode.record);
  apply_times(view, request, inode);
  if (request.set_layout()) *inode.record.mutable_layout() = request.layout();
  if (request.set_immutable()) inode.record.set_immutable(request.immutable());
  view.change(inode);
  StatReply reply;
  FF_CO_TRY_ASSIGN(*reply.mutable_attributes(), co_await view.attributes(std::move(inode)));
  co_return reply;
}

}  // namespace ff::ffs
