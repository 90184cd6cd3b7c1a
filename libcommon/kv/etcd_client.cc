#include "libcommon/kv/etcd_client.hpp"

#include <fmt/core.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>

#include <algorithm>

#include "libcommon/kv/etcd_calls.hpp"
#include "libcommon/kv/etcd_members.hpp"
#include "libcommon/runtime/scope.hpp"

namespace ff::kv {

using runtime::Duration;
using runtime::Task;
using runtime::Time;
using namespace std::chrono_literals;

namespace rpc = etcdserverpb;

namespace {

// Between rounds over all members.
constexpr Duration kPause = 50ms;
// A commit whose task is cancelled waits this long for its outcome: it is mostly there within milliseconds, and doubt
// is dear.
constexpr Duration kCommitGrace = 200ms;
// A commit that is begun with less time left would only end in doubt.
constexpr Duration kCommitTimeMin = 50ms;

std::shared_ptr<grpc::Channel> open_channel(const std::string& endpoint) {
  grpc::ChannelArguments arguments;
  // Silence is noticed within 15 s even where no packet says that the peer is gone; etcd allows a ping every 5 s.
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 10'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 5'000);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1'000);
  // What is repeated is decided here.
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  arguments.SetInt(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  // One store's connections are its own.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetMaxReceiveMessageSize(-1);
  return grpc::CreateCustomChannel(endpoint, grpc::InsecureChannelCredentials(), arguments);
}

class Client final : public EtcdClient {
 public:
  Client(runtime::Env& env, const EtcdOptions& options)
      : env_(env), options_(options), members_(options.endpoints), scope_(env), completions_(env) {
    for (const std::string& endpoint : options.endpoints) channels_.push_back(open_channel(endpoint));
  }
  ~Client() override { completions_.stop(); }

  Task<Result<>> connect() override {
    FF_CO_TRY(co_await repeat<rpc::StatusResponse>(kStatus, rpc::StatusRequest(), std::nullopt));
    // The others in the background: one that is down now may come back.
    for (std::size_t member = 0; member < members_.count(); ++member) scope_.spawn(meet(member));
    co_return {};
  }

  Task<Result<EtcdAnswer<rpc::RangeResponse>>> range(rpc::RangeRequest request,
                                                     std::optional<std::size_t> member) override {
    co_return co_await repeat<rpc::RangeResponse>(kRange, request, member);
  }
  Task<Result<EtcdAnswer<rpc::TxnResponse>>> read(rpc::TxnRequest request, std::optional<std::size_t> member) override {
    co_return co_await repeat<rpc::TxnResponse>(kTxn, request, member);
  }
  Task<Result<std::optional<rpc::TxnResponse>>> commit(rpc::TxnRequest request) override;

  Task<Result<rpc::LeaseGrantResponse>> grant_lease(std::int64_t ttl_s) override {
    rpc::LeaseGrantRequest request;
    request.set_ttl(ttl_s);
    FF_CO_TRY_ASSIGN(auto answer, co_await repeat<rpc::LeaseGrantResponse>(kLeaseGrant, request, std::nullopt));
    co_return std::move(answer.reply);
  }
  Task<Result<>> revoke_lease(std::int64_t id) override {
    rpc::LeaseRevokeRequest request;
    request.set_id(id);
    const auto answer = co_await repeat<rpc::LeaseRevokeResponse>(kLeaseRevoke, request, std::nullopt);
    if (!answer && answer.error().code() != Errc::kNotFound) co_return std::unexpected(answer.error());
    co_return {};
  }
  Task<Result<bool>> renew_lease(std::int64_t id, Duration attempt) override {
    // A stream in etcd's API; a stream of one message each way is the same bytes as a unary call.
    rpc::LeaseKeepAliveRequest request;
    request.set_id(id);
    FF_CO_TRY_ASSIGN(const auto answer,
                     co_await repeat<rpc::LeaseKeepAliveResponse>(kLeaseKeepAlive, request, std::nullopt,
                                                                  std::min(attempt, options_.attempt_timeout)));
    co_return answer.reply.ttl() > 0;
  }

  std::unique_ptr<EtcdWatchStream> open_watch_stream() override {
    const std::size_t member = members_.next(env_.now(), std::vector<bool>(members_.count()));
    return open_etcd_watch_stream(completions_, channels_[member], members_.endpoint(member));
  }

  std::optional<std::size_t> leader() const override { return members_.leader(); }
  std::string describe() const override {
    std::string text = fmt::format("etcd {} member{}", members_.count(), members_.count() == 1 ? "" : "s");
    const auto leader = members_.leader();
    text += leader ? ", leader " + members_.endpoint(*leader) : ", no leader known";
    return text + (out_of_space_ ? ", database space exceeded" : "");
  }

  Task<void> stop() override {
    scope_.cancel();
    completions_.stop();
    (void)co_await scope_.join();
  }

 private:
  static constexpr const char* kRange = "/etcdserverpb.KV/Range";
  static constexpr const char* kTxn = "/etcdserverpb.KV/Txn";
  static constexpr const char* kStatus = "/etcdserverpb.Maintenance/Status";
  static constexpr const char* kLeaseGrant = "/etcdserverpb.Lease/LeaseGrant";
  static constexpr const char* kLeaseRevoke = "/etcdserverpb.Lease/LeaseRevoke";
  static constexpr const char* kLeaseKeepAlive = "/etcdserverpb.Lease/LeaseKeepAlive";

  template <class Reply, class Request>
  Task<EtcdAttempt<Reply>> attempt(std::size_t member, const char* method, const Request& request, Duration timeout,
                                   Duration grace = Duration::zero()) {
    EtcdAttempt<Reply> attempt = co_await EtcdUnaryCall<Reply, Request>::run(completions_, channels_[member], method,
                                                                             request, timeout, grace, scope_.context());
    if (attempt.cancelled) co_return attempt;
    if (attempt.failure.code == 0) {
      answered(member, attempt.reply);
    } else if (const EtcdMeaning meaning = meaning_of(attempt.failure);
               meaning == EtcdMeaning::kNotApplied || meaning == EtcdMeaning::kUnknown) {
      members_.failed(member, env_.now());
    }
    co_return attempt;
  }

  template <class Reply, class Request>
  [[clang::coro_wrapper]] Task<Result<EtcdAnswer<Reply>>> repeat(const char* method, const Request& request,
                                                                 std::optional<std::size_t> first) {
    return repeat<Reply>(method, request, first, options_.attempt_timeout);
  }
  template <class Reply, class Request>
  Task<Result<EtcdAnswer<Reply>>> repeat(const char* method, const Request& request, std::optional<std::size_t> first,
                                         Duration longest);

  template <class Reply>
  void answered(std::size_t member, const Reply& reply) {
    const bool new_term = members_.answered(member, reply.header().member_id(), reply.header().raft_term());
    if constexpr (std::is_same_v<Reply, rpc::StatusResponse>) {
      members_.leads(reply.leader());
    } else if (new_term && !completions_.stopped() && !scope_.context().cancelled()) {
      scope_.spawn(meet(member));
    }
  }
  // Asks for its identity, and who leads.
  Task<Result<>> meet(std::size_t member) {
    (void)co_await attempt<rpc::StatusResponse>(member, kStatus, rpc::StatusRequest(), options_.attempt_timeout);
    co_return {};
  }
  // One whose connection stands, so that what is sent arrives or fails; none: no connection stands.
  std::optional<std::size_t> member_for_commit();

  runtime::Env& env_;
  const EtcdOptions options_;
  EtcdMembers members_;
  std::vector<std::shared_ptr<grpc::Channel>> channels_;
  bool out_of_space_ = false;  // said of the last commit, whose caller only hears that it is in doubt
  runtime::Scope scope_;
  EtcdCompletions completions_;
};

template <class Reply, class Request>
Task<Result<EtcdAnswer<Reply>>> Client::repeat(const char* method, const Request& request,
                                               std::optional<std::size_t> first, Duration longest) {
  const Time end = runtime::saturating_add(env_.now(), options_.call_timeout);
  std::vector<bool> tried(members_.count());
  if (first && !members_.well(*first, env_.now())) first.reset();
  for (;;) {
    const std::size_t member = first ? *first : members_.next(env_.now(), tried);
    first.reset();
    tried[member] = true;
    const Duration timeout = std::clamp<Duration>(end - env_.now(), 1ms, longest);
    EtcdAttempt<Reply> got = co_await attempt<Reply>(member, method, request, timeout);
    if (got.cancelled) co_return fail(std::move(*got.cancelled));
    if (got.failure.code == 0) co_return EtcdAnswer<Reply>{std::move(got.reply), member};

    Error error = etcd_error(members_.endpoint(member), got.failure);
    const EtcdMeaning meaning = meaning_of(got.failure);
    if (meaning == EtcdMeaning::kRefused || meaning == EtcdMeaning::kCompacted) co_return fail(std::move(error));
    if (env_.now() + kPause >= end) {
      co_return fail(std::move(error).context(
          fmt::format("etcd: none of {} members answered within {} ms; the last", members_.count(),
                      std::chrono::duration_cast<std::chrono::milliseconds>(options_.call_timeout).count())));
    }
    if (std::ranges::find(tried, false) == tried.end()) {
      tried.assign(tried.size(), false);
      FF_CO_TRY(co_await runtime::sleep(kPause));
    }
  }
}

std::optional<std::size_t> Client::member_for_commit() {
  const auto ready = [&](std::size_t member) {
    // True: connect if it does not.
    return channels_[member]->GetState(true) == GRPC_CHANNEL_READY;
  };
  if (const auto leader = members_.leader(); leader && members_.well(*leader, env_.now()) && ready(*leader))
    return leader;
  std::vector<bool> tried(members_.count());
  for (std::size_t i = 0; i < members_.count(); ++i) {
    const std::size_t member = members_.next(env_.now(), tried);
    if (ready(member)) return member;
    tried[member] = true;
  }
  return std::nullopt;
}

Task<Result<std::optional<rpc::TxnResponse>>> Client::commit(rpc::TxnRequest request) {
  const Time end = runtime::saturating_add(env_.now(), options_.commit_timeout);
  Error last(Errc::kUnavailable, "no connection stands (do its members run?)");
  for (bool again = false; end - env_.now() > kCommitTimeMin; again = true) {
    // Whatever made it fail is not over at once.
    if (again) FF_CO_TRY(co_await runtime::sleep(kPause / 2));
    const auto member = member_for_commit();
    if (!member) continue;
    auto got = co_await attempt<rpc::TxnResponse>(*member, kTxn, request, end - env_.now(), kCommitGrace);
    if (got.cancelled) co_return std::nullopt;
    out_of_space_ = is_out_of_space(got.failure);
    if (got.failure.code == 0) co_return std::move(got.reply);
    switch (meaning_of_commit(got.failure)) {
      case EtcdMeaning::kUnknown: co_return std::nullopt;
      case EtcdMeaning::kNotApplied: last = etcd_error(members_.endpoint(*member), got.failure); break;
      default: co_return fail(etcd_error(members_.endpoint(*member), got.failure));
    }
  }
  co_return fail(Errc::kUnavailable, fmt::format("etcd: not committed: {}", last.message()));
}

}  // namespace

std::unique_ptr<EtcdClient> EtcdClient::create(runtime::Env& env, const EtcdOptions& options) {
  return std::make_unique<Client>(env, options);
}

}  // namespace ff::kv
