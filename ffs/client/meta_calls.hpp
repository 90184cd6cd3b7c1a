// MetaCalls: requests to the namespace, by whichever metadata service answers. Fills in who asks and the tag that makes
// a repeated request the same request; a service that is gone is replaced by another one of the routing.
//
// Errors     What POSIX has an errno for comes as an Error with that sys_errno() and the service's sentence. Others:
// kUnavailable,
//            kTimeout (nobody answered by the deadline; a request that changes something may have been carried out).
// Repetition A request that may have been carried out is repeated, with its tag, for at most kRepeatedMost, however
// long
//            the timeout: services forget their answers. One that has reached nobody waits for all of the timeout.
// Addresses  A service that comes back at another address is found by the next routing.
// Threads    Those of the Env. Ownership: the RoutingSource outlives it. stop() before it goes.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "ffs/meta/meta.ff.hpp"
#include "ffs/meta/users.ff.hpp"
#include "ffs/mgmt/routing.hpp"
#include "libcommon/rpc/client.hpp"

namespace ff::ffs {

struct Caller {
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::vector<std::uint32_t> groups;
  std::string
      token;  // 32 bytes (user_token.hpp): whoever it was made for acts, and the rest counts for nothing; or empty
};

// Nothing when the status says that it was done.
Result<> result_of(const Status& status);

class MetaCalls {
 public:
  // `client`: the number of the client's session, not 0.
  MetaCalls(runtime::Env& env, RoutingSource& routing, Caller caller, std::uint64_t client, runtime::Duration timeout);
  ~MetaCalls();
  MetaCalls(const MetaCalls&) = delete;
  MetaCalls& operator=(const MetaCalls&) = delete;

  runtime::Task<Result<StatReply>> stat(StatRequest request);
  runtime::Task<Result<BatchStatReply>> batch_stat(BatchStatRequest request);  // each reply has its own status
  runtime::Task<Result<ListReply>> list(ListRequest request);
  runtime::Task<Result<OpenReply>> open(OpenRequest request);
  runtime::Task<Result<CloseReply>> close(CloseRequest request);
  runtime::Task<Result<EntryReply>> make_directory(MakeDirectoryRequest request);
  runtime::Task<Result<EntryReply>> make_symlink(MakeSymlinkRequest request);
  runtime::Task<Result<EntryReply>> link(LinkRequest request);
  runtime::Task<Result<EntryReply>> remove(RemoveRequest request);
  runtime::Task<Result<EntryReply>> rename(RenameRequest request);
  runtime::Task<Result<StatReply>> set_attributes(SetAttributesRequest request);
  runtime::Task<Result<StatReply>> truncate(TruncateRequest request);
  runtime::Task<Result<XattrReply>> xattr(XattrRequest request);
  runtime::Task<Result<QuotaReply>> quota(QuotaRequest request);
  runtime::Task<Result<StatFsReply>> stat_fs();

  // Users and their tokens: an administrator's, but for identify().
  runtime::Task<Result<AddUserReply>> add_user(AddUserRequest request);
  runtime::Task<Result<RemoveUserReply>> remove_user(RemoveUserRequest request);
  runtime::Task<Result<ListUsersReply>> list_users(ListUsersRequest request);
  runtime::Task<Result<AddTokenReply>> add_token(AddTokenRequest request);
  runtime::Task<Result<ListTokensReply>> list_tokens(ListTokensRequest request);
  runtime::Task<Result<RevokeTokenReply>> revoke_token(RevokeTokenRequest request);
  runtime::Task<Result<IdentifyReply>> identify();

  std::uint64_t client() const noexcept { return client_; }
  runtime::Task<void> stop();

 private:
  template <class Stub, class Reply, class Request>
  using Method = runtime::Task<Result<Reply>> (Stub::*)(const Request&, rpc::CallOptions) const;
  template <class Stub, class Reply, class Request>
  runtime::Task<Result<Reply>> call(Method<Stub, Reply, Request> method, Request request);
  template <class Request>
  void sign(Request& request);
  // Of the service to ask now; kUnavailable when the routing knows none.
  Result<rpc::Client*> service();
  void avoid_current();

  runtime::Env& env_;
  RoutingSource& routing_;
  const Caller caller_;
  const std::uint64_t client_;
  const runtime::Duration timeout_;
  std::uint64_t sequence_ = 0;
  std::uint64_t turn_ = 0;  // which of the services is asked
  // One for each address that a node has had: calls that are under way go on at an earlier one.
  std::map<NodeId, std::vector<std::unique_ptr<rpc::Client>>> services_;
};

}  // namespace ff::ffs
