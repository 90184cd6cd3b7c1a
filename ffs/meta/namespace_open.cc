// Opening and creating files.
#include <fmt/core.h>

#include <cerrno>

#include "ffs/meta/namespace_answers.hpp"
#include "ffs/meta/resolve.hpp"

namespace ff::ffs {

using runtime::Task;

namespace {

Result<> check_open(const OpenRequest& request) {
  if (!request.read() && !request.write()) return refuse(EINVAL, "open", "neither to read nor to write");
  if (request.truncate() && !request.write()) return refuse(EINVAL, "open", "truncate without write");
  if (request.exclusive() && !request.create()) return refuse(EINVAL, "open", "exclusive without create");
  if ((request.write() || request.hold()) && request.client() == 0) {
    return refuse(EINVAL, "open", "no client session (a file that is written, or held, belongs to one)");
  }
  return {};
}

// The handle is the sequence of the request's tag, so that a repeated open gives the same one; sessions are also keyed
// by client, whose tags do not repeat.
Task<Result<std::uint64_t>> session_handle(View& view, const OpenRequest& request, InodeId inode,
                                           std::uint64_t random) {
  if (request.client() == 0 || (!request.write() && !request.hold())) co_return 0;
  const std::uint64_t handle = request.request().client() == request.client() && request.request().sequence() != 0
                                   ? request.request().sequence()
                                   : random;
  // Read, so that an earlier attempt that is still under way to its commit conflicts with what this one has made, and
  // with its end: it would bring a closed session back.
  const std::string key = keys::session(inode, request.client(), handle);
  FF_CO_TRY(co_await view.get(key));
  SessionRecord session;
  session.set_write(request.write());
  session.set_opened(view.now());
  session.set_uid(request.user().uid());
  view.transaction().set(key, encode_record(session));
  view.transaction().set(keys::session_of_client(request.client(), inode, handle), "");
  co_return handle;
}

Task<Result<>> tell_quota(View& view, const OpenRequest& request, const Inode& file, OpenReply& reply) {
  if (!request.write()) co_return {};
  FF_CO_TRY_ASSIGN(const auto left, co_await view.quota_left(file));
  if (left) *reply.mutable_quota() = *left;
  co_return {};
}

}  // namespace

Task<Result<OpenReply>> Namespace::open(OpenRequest request) {
  FF_CO_TRY(check_open(request));
  if (request.has_layout()) FF_CO_TRY(co_await check_layout(request.layout(), "open"));
  for (int turn = 0;; ++turn) {
    FF_CO_TRY_ASSIGN(const InodeId fresh, co_await fresh_id(request.create()));
    const bool changes = request.create() || request.truncate();
    const auto body = [&] [[clang::coro_wrapper]] (View & view) { return open_in(view, request, fresh); };
    Result<OpenReply> reply = OpenReply();
    if (changes) {
      reply = co_await answer_once<OpenReply>(request, "open", body);
    } else {
      // Making the same session twice is harmless: no answer need be kept.
      reply = co_await transact<OpenReply>(body);
    }
    if (!reply || !reply->attributes().truncating() || turn > 0) co_return reply;
    // A truncate of this request, or one that was interrupted: the writer may start when it is complete.
    const InodeId inode{reply->attributes().inode()};
    FF_CO_TRY(co_await finish_truncate(inode));
    FF_CO_TRY_ASSIGN(*reply->mutable_attributes(),
                     co_await look<Attributes>([&](View& view) -> Task<Result<Attributes>> {
                       FF_CO_TRY_ASSIGN(Inode now, co_await view.inode(inode));
                       co_return with_content(now);
                     }));
    co_return reply;
  }
}

Task<Result<OpenReply>> Namespace::open_in(View& view, const OpenRequest& request, InodeId fresh) {
  const bool follow = request.where().follow() && !request.exclusive();
  FF_CO_TRY_ASSIGN(Resolved at, co_await resolve(view, request.user(), request.where(), follow));
  if (at.target) co_return co_await open_existing(view, request, at);
  if (!request.create()) co_return refuse(ENOENT, at.shown);
  FF_CO_TRY_ASSIGN(const Inode file, co_await create_file(view, request, at, fresh));
  OpenReply reply;
  reply.set_created(true);
  FF_CO_TRY_ASSIGN(const std::uint64_t handle, co_await session_handle(view, request, file.id, view.random()));
  reply.set_handle(handle);
  *reply.mutable_attributes() = attributes_of(file);
  FF_CO_TRY(co_await tell_quota(view, request, file, reply));
  co_return reply;
}

Task<Result<Inode>> Namespace::create_file(View& view, const OpenRequest& request, Resolved& at, InodeId fresh) {
  if (at.wants_directory) co_return refuse(EISDIR, at.shown);
  FF_CO_TRY(check_may_change(request.user(), *at.parent, at.name));
  FF_CO_TRY(co_await check_attached(view, request.where(), at.parent->id));
  FF_CO_TRY(co_await view.check_quota(at.parent->record.project(), 1, 1));
  Inode file{fresh, new_record(request.user(), *at.parent, REGULAR, request.mode())};
  file.record.set_inlined(true);
  if (request.has_layout()) {
    *file.record.mutable_layout() = request.layout();
  } else if (!file.record.has_layout() && options_.default_layout) {
    const auto layout = options_.default_layout();
    // A file without one could never be written to.
    if (!layout) co_return fail(Errc::kUnavailable, "namespace: the chain tables are not known yet (try again)");
    *file.record.mutable_layout() = *layout;
  }
  view.create(file);
  view.add_entry(*at.parent, at.name, file);
  co_return file;
}

Task<Result<OpenReply>> Namespace::open_existing(View& view, const OpenRequest& request, const Resolved& at) {
  Inode file = *at.target;
  if (request.exclusive()) co_return refuse(EEXIST, at.shown);
  if (file.is_directory()) co_return refuse(EISDIR, at.shown);
  if (file.is_symlink()) co_return refuse(ELOOP, at.shown);
  if (file.record.links() == 0) co_return refuse(ESTALE, at.shown, "the file was removed");
  const unsigned wanted = (request.read() ? kMayRead : 0) | (request.write() ? kMayWrite : 0);
  if (!allows(request.user(), file.record, wanted)) co_return refuse(EACCES, at.shown);
  if (request.write() && file.record.immutable()) co_return refuse(EPERM, at.shown, "immutable");
  if (request.write()) FF_CO_TRY(co_await view.check_quota(file.record.project(), 1, 0));
  if (request.truncate()) {
    if (!is_root(request.user())) file.record.set_mode(without_set_ids(file.record.mode()));
    decide_truncate(view, file, 0);
  }
  OpenReply reply;
  FF_CO_TRY_ASSIGN(const std::uint64_t handle, co_await session_handle(view, request, file.id, view.random()));
  reply.set_handle(handle);
  *reply.mutable_attributes() = with_content(file);
  FF_CO_TRY(co_await tell_quota(view, request, file, reply));
  co_return reply;
}

}  // namespace ff::ffs
