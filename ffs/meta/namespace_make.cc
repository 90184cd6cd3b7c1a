// Directories, symlinks and hard links.
#include <cerrno>

#include "ffs/meta/namespace_answers.hpp"
#include "ffs/meta/resolve.hpp"

namespace ff::ffs {

using runtime::Task;

namespace {

Task<Result<EntryReply>> entry_reply(View& view, Inode inode) {
  EntryReply reply;
  FF_CO_TRY_ASSIGN(*reply.mutable_attributes(), co_await view.attributes(std::move(inode)));
  co_return reply;
}

}  // namespace

Task<Result<EntryReply>> Namespace::make_directory(MakeDirectoryRequest request) {
  if (request.has_layout()) FF_CO_TRY(co_await check_layout(request.layout(), "mkdir"));
  if (request.parents()) co_return co_await make_all_directories(std::move(request));
  FF_CO_TRY_ASSIGN(const InodeId fresh, co_await fresh_id(true));
  co_return co_await answer_once<EntryReply>(request, "mkdir", [&] [[clang::coro_wrapper]] (View & view) {
    return make_directory_in(view, request, fresh, false);
  });
}

// One transaction for each: that some exist already is no error, so repeating it is harmless without kept answers.
Task<Result<EntryReply>> Namespace::make_all_directories(MakeDirectoryRequest request) {
  const std::string path = request.where().path();
  if (path.size() > kPathBytesMax) co_return refuse(ENAMETOOLONG, printable_name(path));
  EntryReply last;
  for (std::size_t end = 0; end < path.size();) {
    const std::size_t begin = path.find_first_not_of('/', end);
    if (begin == std::string::npos) break;
    end = std::min(path.find('/', begin), path.size());
    MakeDirectoryRequest one = request;
    one.clear_request();
    one.mutable_where()->set_path(path.substr(0, end));
    const bool deepest = path.find_first_not_of('/', end) == std::string::npos;
    // Whoever may make what is below must be able to enter it.
    if (!deepest) one.set_mode(request.mode() | 0300);
    StatRequest look_first;
    *look_first.mutable_user() = request.user();
    *look_first.mutable_where() = one.where();
    look_first.mutable_where()->set_follow(true);
    auto there = co_await stat(std::move(look_first));
    if (there && there->attributes().type() == DIRECTORY) {
      *last.mutable_attributes() = std::move(*there->mutable_attributes());
      continue;
    }
    if (there) co_return refuse(deepest ? EEXIST : ENOTDIR, printable_name(one.where().path()));
    if (there.error().sys_errno() != ENOENT) co_return fail(std::move(there).error());
    FF_CO_TRY_ASSIGN(const InodeId fresh, co_await fresh_id(true));
    FF_CO_TRY_ASSIGN(last, co_await transact<EntryReply>([&] [[clang::coro_wrapper]] (View & view) {
                       return make_directory_in(view, one, fresh, true);
                     }));
  }
  if (last.attributes().inode() != 0) co_return last;
  StatRequest root;  // the path names nothing but "/"
  *root.mutable_user() = request.user();
  root.mutable_where()->set_path("/");
  FF_CO_TRY_ASSIGN(StatReply there, co_await stat(std::move(root)));
  *last.mutable_attributes() = std::move(*there.mutable_attributes());
  co_return last;
}

Task<Result<EntryReply>> Namespace::make_directory_in(View& view, const MakeDirectoryRequest& request, InodeId fresh,
                                                      bool may_exist) {
  FF_CO_TRY_ASSIGN(Resolved at, co_await resolve(view, request.user(), request.where(), may_exist));
  if (at.target && may_exist && at.target->is_directory()) co_return co_await entry_reply(view, std::move(*at.target));
  if (at.target) co_return refuse(EEXIST, at.shown);
  FF_CO_TRY(check_may_change(request.user(), *at.parent, at.name));
  FF_CO_TRY(co_await check_attached(view, request.where(), at.parent->id));
  FF_CO_TRY(co_await view.check_quota(at.parent->record.project(), 0, 1));
  Inode made{fresh, new_record(request.user(), *at.parent, DIRECTORY, request.mode())};
  if (request.has_layout()) *made.record.mutable_layout() = request.layout();
  view.create(made);
  view.add_entry(*at.parent, at.name, made);
  EntryReply reply;
  *reply.mutable_attributes() = attributes_of(made);
  reply.mutable_attributes()->set_links(2);
  co_return reply;
}

Task<Result<EntryReply>> Namespace::make_symlink(MakeSymlinkRequest request) {
  FF_CO_TRY_ASSIGN(const InodeId fresh, co_await fresh_id(true));
  co_return co_await answer_once<EntryReply>(
      request, "symlink", [&] [[clang::coro_wrapper]] (View & view) { return make_symlink_in(view, request, fresh); });
}

Task<Result<EntryReply>> Namespace::make_symlink_in(View& view, const MakeSymlinkRequest& request, InodeId fresh) {
  const std::string& target = request.target();
  if (target.empty()) co_return refuse(ENOENT, "symlink", "an empty target");
  if (target.size() >= kPathBytesMax) co_return refuse(ENAMETOOLONG, printable_name(target));
  if (target.find('\0') != std::string::npos) co_return refuse(EINVAL, printable_name(target), "a target with NUL");
  FF_CO_TRY_ASSIGN(const Resolved at, co_await resolve(view, request.user(), request.where(), false));
  if (at.target) co_return refuse(EEXIST, at.shown);
  if (at.wants_directory) co_return refuse(ENOENT, at.shown);
  FF_CO_TRY(check_may_change(request.user(), *at.parent, at.name));
  FF_CO_TRY(co_await check_attached(view, request.where(), at.parent->id));
  FF_CO_TRY(co_await view.check_quota(at.parent->record.project(), target.size(), 1));
  Inode made{fresh, new_record(request.user(), *at.parent, SYMLINK, 0777)};
  made.record.set_target(target);
  made.record.set_size(target.size());
  view.create(made);
  view.add_entry(*at.parent, at.name, made);
  co_return co_await entry_reply(view, std::move(made));
}

Task<Result<EntryReply>> Namespace::link(LinkRequest request) {
  co_return co_await answer_once<EntryReply>(
      request, "link", [&] [[clang::coro_wrapper]] (View & view) { return link_in(view, request); });
}

Task<Result<EntryReply>> Namespace::link_in(View& view, const LinkRequest& request) {
  FF_CO_TRY_ASSIGN(Inode file, co_await resolve_inode(view, request.user(), request.from(), request.from().follow()));
  FF_CO_TRY_ASSIGN(const Resolved to, co_await resolve(view, request.user(), request.to(), false));
  if (to.target) co_return refuse(EEXIST, to.shown);
  if (to.wants_directory) co_return refuse(ENOENT, to.shown);
  if (file.is_directory()) co_return refuse(EPERM, to.shown, "a directory has one name only");
  if (file.record.links() == 0) co_return refuse(ENOENT, to.shown, "the file was removed");
  if (file.record.immutable()) co_return refuse(EPERM, to.shown, "the file is immutable");
  if (file.record.links() >= kLinksMax) co_return refuse(EMLINK, to.shown);
  FF_CO_TRY(check_may_change(request.user(), *to.parent, to.name));
  FF_CO_TRY(co_await check_attached(view, request.to(), to.parent->id));
  if (file.record.project() != to.parent->record.project()) {
    co_return refuse(EXDEV, to.shown, "names of one file must count in one quota");
  }
  file.record.set_links(file.record.links() + 1);
  view.change(file);
  view.add_entry(*to.parent, to.name, file);
  co_return co_await entry_reply(view, std::move(file));
}

}  // namespace ff::ffs
