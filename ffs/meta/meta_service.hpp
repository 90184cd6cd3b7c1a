// NamespaceService: the Namespace as the RPC service of meta.proto, and what it does besides, in the background.
//
// Answers    What POSIX has an errno for is Status in the reply; failures of the store are errors of the call:
// kTimeout,
//            kUnavailable (try again, here or at another service, with the same tag), kCorrupt, kIo, kInternal.
// Identity   Each request is its token's user's, or whoever's it claims to be: identities.hpp. Refusals are errors of
// the call, kPermission. Lifetime   start(), then serve; stop() before it goes. Ownership: what it is given outlives
// it. Threads: the Env's.
#pragma once

#include <memory>

#include "ffs/meta/housekeeping.hpp"
#include "ffs/meta/identities.hpp"
#include "ffs/meta/meta.ff.hpp"
#include "ffs/meta/namespace.hpp"
#include "libcommon/runtime/scope.hpp"

namespace ff::ffs {

struct NamespaceServiceOptions {
  NamespaceOptions names;
  HousekeepingOptions housekeeping;
  IdentitiesOptions identities;
};

class NamespaceService final : public MetaService {
 public:
  NamespaceService(runtime::Env& env, kv::KvStore& store, FileChunks& chunks, SessionSource& sessions,
                   NamespaceServiceOptions options = {});

  // Makes the root when there is none, and begins the background work.
  runtime::Task<Result<>> start();
  runtime::Task<void> stop();

  Namespace& names() noexcept { return names_; }
  Housekeeping& housekeeping() noexcept { return housekeeping_; }
  UserRegistry& users() noexcept { return users_; }
  Identities& identities() noexcept { return identities_; }

  runtime::Task<Result<StatReply>> stat(rpc::ServerCall& call, const StatRequest& request) override;
  runtime::Task<Result<BatchStatReply>> batch_stat(rpc::ServerCall& call, const BatchStatRequest& request) override;
  runtime::Task<Result<ListReply>> list(rpc::ServerCall& call, const ListRequest& request) override;
  runtime::Task<Result<OpenReply>> open(rpc::ServerCall& call, const OpenRequest& request) override;
  runtime::Task<Result<CloseReply>> close(rpc::ServerCall& call, const CloseRequest& request) override;
  runtime::Task<Result<EntryReply>> make_directory(rpc::ServerCall& call, const MakeDirectoryRequest& request) override;
  runtime::Task<Result<EntryReply>> make_symlink(rpc::ServerCall& call, const MakeSymlinkRequest& request) override;
  runtime::Task<Result<EntryReply>> link(rpc::ServerCall& call, const LinkRequest& request) override;
  runtime::Task<Result<EntryReply>> remove(rpc::ServerCall& call, const RemoveRequest& request) override;
  runtime::Task<Result<EntryReply>> rename(rpc::ServerCall& call, const RenameRequest& request) override;
  runtime::Task<Result<StatReply>> set_attributes(rpc::ServerCall& call, const SetAttributesRequest& request) override;
  runtime::Task<Result<StatReply>> truncate(rpc::ServerCall& call, const TruncateRequest& request) override;
  runtime::Task<Result<XattrReply>> xattr(rpc::ServerCall& call, const XattrRequest& request) override;
  runtime::Task<Result<QuotaReply>> quota(rpc::ServerCall& call, const QuotaRequest& request) override;
  runtime::Task<Result<StatFsReply>> stat_fs(rpc::ServerCall& call, const StatFsRequest& request) override;

 private:
  // The request's user is who they prove to be; then `method` answers.
  template <class Reply, class Request>
  runtime::Task<Result<Reply>> answer(runtime::Task<Result<Reply>> (Namespace::*method)(Request), Request request);

  UserRegistry users_;
  Identities identities_;
  Namespace names_;
  Housekeeping housekeeping_;
  runtime::Scope scope_;
};

}  // namespace ff::ffs
