#include "ffs/meta/meta_service.hpp"

#include <cerrno>

#include "ffs/meta/rules.hpp"

namespace ff::ffs {

using runtime::Task;

namespace {

constexpr int kBatchMax = 1000;

// An answer of POSIX becomes a reply.
template <class Reply>
Result<Reply> replied(Result<Reply> result) {
  if (result || !is_posix(result.error())) return result;
  Reply reply;
  reply.mutable_status()->set_posix(static_cast<std::uint32_t>(result.error().sys_errno()));
  reply.mutable_status()->set_detail(result.error().message());
  return reply;
}

}  // namespace

NamespaceService::NamespaceService(runtime::Env& env, kv::KvStore& store, FileChunks& chunks, SessionSource& sessions,
                                   NamespaceServiceOptions options)
    : users_(env, store),
      identities_(env, users_, options.identities),
      names_(env, store, chunks, options.names),
      housekeeping_(names_, sessions, options.housekeeping),
      scope_(env) {}

Task<Result<>> NamespaceService::start() {
  FF_CO_TRY(co_await names_.prepare());
  scope_.spawn(housekeeping_.run());
  co_return {};
}

Task<void> NamespaceService::stop() {
  scope_.cancel();
  (void)co_await scope_.join();
}

template <class Reply, class Request>
Task<Result<Reply>> NamespaceService::answer(Task<Result<Reply>> (Namespace::*method)(Request), Request request) {
  if (!identities_.takes_as_it_is(request.user())) FF_CO_TRY(co_await identities_.admit(*request.mutable_user()));
  co_return replied(co_await (names_.*method)(std::move(request)));
}

Task<Result<StatReply>> NamespaceService::stat(rpc::ServerCall&, const StatRequest& request) {
  co_return co_await answer(&Namespace::stat, request);
}

Task<Result<BatchStatReply>> NamespaceService::batch_stat(rpc::ServerCall&, const BatchStatRequest& request) {
  if (request.where_size() > kBatchMax) {
    co_return fail(Errc::kInvalidArgument, "batch stat: more than 1000 places (ask for them in parts)");
  }
  User user = request.user();
  FF_CO_TRY(co_await identities_.admit(user));
  BatchStatReply batch;
  for (const Where& where : request.where()) {
    StatRequest one;
    *one.mutable_user() = user;
    *one.mutable_where() = where;
    FF_CO_TRY_ASSIGN(*batch.add_replies(), replied(co_await names_.stat(std::move(one))));
  }
  co_return batch;
}

Task<Result<ListReply>> NamespaceService::list(rpc::ServerCall&, const ListRequest& request) {
  co_return co_await answer(&Namespace::list, request);
}
Task<Result<OpenReply>> NamespaceService::open(rpc::ServerCall&, const OpenRequest& request) {
  co_return co_await answer(&Namespace::open, request);
}
Task<Result<CloseReply>> NamespaceService::close(rpc::ServerCall&, const CloseRequest& request) {
  co_return co_await answer(&Namespace::close, request);
}
Task<Result<EntryReply>> NamespaceService::make_directory(rpc::ServerCall&, const MakeDirectoryRequest& request) {
  co_return co_await answer(&Namespace::make_directory, request);
}
Task<Result<EntryReply>> NamespaceService::make_symlink(rpc::ServerCall&, const MakeSymlinkRequest& request) {
  co_return co_await answer(&Namespace::make_symlink, request);
}
Task<Result<EntryReply>> NamespaceService::link(rpc::ServerCall&, const LinkRequest& request) {
  co_return co_await answer(&Namespace::link, request);
}
Task<Result<EntryReply>> NamespaceService::remove(rpc::ServerCall&, const RemoveRequest& request) {
  co_return co_await answer(&Namespace::remove, request);
}
Task<Result<EntryReply>> NamespaceService::rename(rpc::ServerCall&, const RenameRequest& request) {
  co_return co_await answer(&Namespace::rename, request);
}
Task<Result<StatReply>> NamespaceService::set_attributes(rpc::ServerCall&, const SetAttributesRequest& request) {
  co_return co_await answer(&Namespace::set_attributes, request);
}
Task<Result<StatReply>> NamespaceService::truncate(rpc::ServerCall&, const TruncateRequest& request) {
  co_return co_await answer(&Namespace::truncate, request);
}
Task<Result<XattrReply>> NamespaceService::xattr(rpc::ServerCall&, const XattrRequest& request) {
  co_return co_await answer(&Namespace::xattr, request);
}
Task<Result<QuotaReply>> NamespaceService::quota(rpc::ServerCall&, const QuotaRequest& request) {
  co_return co_await answer(&Namespace::quota, request);
}
Task<Result<StatFsReply>> NamespaceService::stat_fs(rpc::ServerCall&, const StatFsRequest& request) {
  User user = request.user();
  FF_CO_TRY(co_await identities_.admit(user));
  co_return co_await names_.stat_fs();
}

}  // namespace ff::ffs
