// Close and fsync: what a writer knows becomes what everybody sees.
#include <fmt/core.h>

#include <algorithm>
#include <cerrno>

#include "ffs/meta/namespace_answers.hpp"

namespace ff::ffs {

using runtime::Task;

namespace {

std::string shown(const CloseRequest& request) { return fmt::format("inode {}", request.inode()); }

bool changes_file(const CloseRequest& request) {
  return request.wrote() || request.inline_write() || request.leave_inline() || request.set_modified() ||
         request.has_accessed();
}

// Handles are small numbers, and clients' numbers are told to who asks: neither is a secret.
bool may_use(const User& user, const SessionRecord& session) {
  return is_root(user) || !session.has_uid() || session.uid() == user.uid();
}

void end_session(View& view, const CloseRequest& request) {
  const InodeId inode{request.inode()};
  view.transaction().clear(keys::session(inode, request.client(), request.handle()));
  view.transaction().clear(keys::session_of_client(request.client(), inode, request.handle()));
}

Result<> check_close(const CloseRequest& request) {
  if (request.inline_write() && request.leave_inline()) {
    return refuse(EINVAL, shown(request), "an inline write, and leaving the inode");
  }
  if (request.inline_data().size() > kInlineDataBytesMax) {
    return refuse(EFBIG, shown(request), "too long for its inode");
  }
  if (request.length_seen() > kFileBytesMax) return refuse(EFBIG, shown(request));
  if (request.modified().nanoseconds() > 999'999'999 || request.accessed().nanoseconds() > 999'999'999) {
    return refuse(EINVAL, shown(request), "a time with a second or more of nanoseconds");
  }
  return {};
}

}  // namespace

Task<Result<CloseReply>> Namespace::close(CloseRequest request) {
  FF_CO_TRY(check_close(request));
  if (!changes_file(request)) co_return co_await close_unchanged(std::move(request));
  FF_CO_TRY_ASSIGN(CloseReply reply,
                   co_await answer_once<CloseReply>(request, "close", [&] [[clang::coro_wrapper]] (View & view) {
                     return close_in(view, request);
                   }));
  if (!request.leave_inline() || !reply.attributes().truncating()) co_return reply;
  const InodeId inode{request.inode()};
  FF_CO_TRY(co_await finish_truncate(inode));
  FF_CO_TRY_ASSIGN(*reply.mutable_attributes(), co_await look<Attributes>([&](View& view) -> Task<Result<Attributes>> {
    FF_CO_TRY_ASSIGN(const Inode now, co_await view.inode(inode));
    co_return attributes_of(now);
  }));
  co_return reply;
}

// Ends a session without anything to tell: repeating it changes nothing, so no answer is kept, and nothing conflicts.
Task<Result<CloseReply>> Namespace::close_unchanged(CloseRequest request) {
  co_return co_await transact<CloseReply>([&](View& view) -> Task<Result<CloseReply>> {
    CloseReply reply;
    if (request.handle() == 0) co_return reply;
    // Who has no session (any more) learns nothing.
    const InodeId id{request.inode()};
    FF_CO_TRY_ASSIGN(const auto value,
                     co_await view.get(keys::session(id, request.client(), request.handle()), kv::Read::kSnapshot));
    if (!value) co_return reply;
    FF_CO_TRY_ASSIGN(const SessionRecord session, decode_record<SessionRecord>(*value, "session"));
    if (!may_use(request.user(), session)) co_return reply;
    FF_CO_TRY_ASSIGN(const auto inode, co_await view.find(id, kv::Read::kSnapshot));
    if (inode) *reply.mutable_attributes() = attributes_of(*inode);
    if (request.close()) {
      end_session(view, request);
    } else if (inode && session.write()) {
      FF_CO_TRY_ASSIGN(const auto left, co_await view.quota_left(*inode));
      if (left) *reply.mutable_quota() = *left;
    }
    co_return reply;
  });
}

Task<Result<CloseReply>> Namespace::close_in(View& view, const CloseRequest& request) {
  FF_CO_TRY_ASSIGN(Inode inode, co_await view.inode(InodeId{request.inode()}));
  if (!inode.is_file()) co_return refuse(EINVAL, shown(request), "not a file");
  FF_CO_TRY_ASSIGN(const auto value, co_await view.get(keys::session(inode.id, request.client(), request.handle())));
  if (!value) co_return refuse(EBADF, shown(request), "not open, or its client was given up (open it again)");
  FF_CO_TRY_ASSIGN(const SessionRecord session, decode_record<SessionRecord>(*value, "session"));
  if (!may_use(request.user(), session)) co_return refuse(EBADF, shown(request), "opened by another user");
  const bool writes = request.wrote() || request.inline_write() || request.leave_inline();
  if ((writes || request.set_modified()) && !session.write())
    co_return refuse(EBADF, shown(request), "not open for writing");

  FF_CO_TRY(settle_content(view, request, inode));
  if (writes && !is_root(request.user())) inode.record.set_mode(without_set_ids(inode.record.mode()));
  if (request.set_modified()) {
    inode.record.set_modified(nanoseconds_of(request.modified()));
  } else if (writes) {
    inode.record.set_modified(view.now());
  }
  if (request.has_accessed()) inode.record.set_accessed(nanoseconds_of(request.accessed()));
  view.change(inode);
  CloseReply reply;
  *reply.mutable_attributes() = attributes_of(inode);
  if (request.close()) {
    end_session(view, request);
  } else if (session.write()) {
    FF_CO_TRY_ASSIGN(const auto left, co_await view.quota_left(inode));
    if (left) *reply.mutable_quota() = *left;
  }
  co_return reply;
}

// Where the content lies, and how long the file is.
Result<> Namespace::settle_content(View& view, const CloseRequest& request, Inode& inode) {
  InodeRecord& record = inode.record;
  const bool replaces = request.inline_write() || (request.leave_inline() && request.wrote());
  if (replaces) {
    if (!record.inlined()) return refuse(ESTALE, shown(request), "its content has left the inode");
    if (record.content_version() > request.inline_version()) {
      return refuse(ESTALE, shown(request), "its content was replaced meanwhile");
    }
  }
  if (request.inline_write()) {
    record.set_inline_data(request.inline_data());
    record.set_content_version(record.version() + 1);  // what change() makes it
    view.resize(inode, request.inline_data().size());
    return {};
  }
  if (request.leave_inline()) {
    if (!record.inlined()) return {};
    if (!record.has_layout()) {
      return refuse(EINVAL, shown(request), "has no layout (set one on a directory above, or format the file system)");
    }
    if (replaces) {
      record.set_inline_data(request.inline_data());
      record.set_content_version(record.version() + 1);
      view.resize(inode, request.inline_data().size());
    }
    decide_spill(view, inode);
    return {};
  }
  // A writer that thinks that the file lives in its inode, or the other way round, has nothing to settle here.
  if (request.wrote() && !record.inlined()) {
    view.resize(
        inode, settled_length(record.size(), record.truncate_epoch(), request.length_seen(), request.truncate_epoch()));
  }
  return {};
}

}  // namespace ff::ffs
