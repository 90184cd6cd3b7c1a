#include "ffs/storage/storage_client.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "ffs/storage/storage.ff.hpp"
#include "ffs/storage/storage_client_jobs.hpp"
#include "ffs/storage/storage_convert.hpp"
#include "ffs/storage/storage_peers.hpp"
#include "libcommon/rpc/retry.hpp"

namespace ff::ffs {

using runtime::Task;

bool is_stale_epoch(const Error& error) noexcept {
  return error.code() == Errc::kInvalidArgument && error.message().starts_with("stale epoch");
}

StorageClient::StorageClient(runtime::Env& env, RoutingSource& routing, const StorageClientOptions& options)
    : env_(env),
      routing_(routing),
      options_(options),
      client_(env.rng().next() | 1),
      peers_(std::make_unique<StoragePeers>(env)),
      requests_(options.requests_in_flight),
      hedge_(options.hedge) {}

StorageClient::~StorageClient() = default;

Task<void> StorageClient::stop() {
  stopping_ = true;
  co_await peers_->stop();
}

runtime::Time StorageClient::deadline(const runtime::Context& context) const noexcept {
  return std::min(context.deadline(), runtime::saturating_add(env_.now(), options_.timeout));
}

// Before the next attempt at what failed: newer routing if there is any, and a little time.
Task<Result<>> StorageClient::pause(Attempts& attempts, std::uint64_t known_routing, runtime::Time deadline) {
  if (stopping_) co_return fail(Errc::kUnavailable, "the storage client is stopping");
  const runtime::Duration wait =
      rpc::backoff(env_.rng(), ++attempts.failures, options_.retry_base, options_.retry_most);
  if (env_.now() + wait >= deadline) co_return fail(Errc::kTimeout, "out of time");
  const runtime::Time until = env_.now() + wait;
  if (std::exchange(attempts.stale, false) && co_await routing_.newer_than(known_routing, wait)) co_return {};
  co_return co_await runtime::sleep_until(until);
}

std::optional<TargetId> StorageClient::choose(const RoutingView& view, const Chain& chain,
                                              std::span<const TargetId> avoid) {
  std::vector<TargetId> serving = chain.serving();
  std::vector<TargetId> fresh;
  std::ranges::copy_if(serving, std::back_inserter(fresh),
                       [&](TargetId id) { return std::ranges::find(avoid, id) == avoid.end(); });
  if (fresh.empty()) fresh = std::move(serving);
  if (fresh.empty()) return std::nullopt;
  const auto load = [&](TargetId id) -> std::uint64_t {
    const TargetInfo* const info = view.target(id);
    const auto found = info == nullptr ? outstanding_.end() : outstanding_.find(NodeId{info->node()});
    return found == outstanding_.end() ? 0 : found->second;
  };
  std::uint64_t least = UINT64_MAX;
  std::vector<TargetId> best;
  for (const TargetId id : fresh) {
    const std::uint64_t here = load(id);
    if (here < least) best.clear();
    if (here <= least) best.push_back(id), least = here;
  }
  return best[env_.rng().below(best.size())];
}

Task<Result<FileOnChain>> StorageClient::last_chunk(ChainId chain, InodeId inode) {
  const runtime::Time until = deadline(co_await runtime::current_context());
  Attempts attempts;
  for (;;) {
    const auto view = routing_.current();
    const Chain* const found = view ? view->chain(chain) : nullptr;
    if (view && found == nullptr)
      co_return fail(Errc::kNotFound, fmt::format("chain {}: no such chain", number(chain)));
    const auto head = found ? found->head() : std::nullopt;
    rpc::Client* const client = head ? peers_->of(*view, *head) : nullptr;
    std::string why = "the chain has no head";
    attempts.stale = true;
    if (client != nullptr) {
      LastChunkRequest request;
      request.set_chain(number(chain));
      request.set_chain_version(found->version);
      request.set_target(number(*head));
      request.set_inode(number(inode));
      const auto reply = co_await ChunksClient(*client).last_chunk(
          request, {.timeout = std::min(options_.attempt_timeout, until - env_.now()), .attempts = 1});
      if (reply && reply->code() == STORAGE_OK)
        co_return FileOnChain{reply->found(), reply->index(), reply->length(), reply->chunks(), reply->used_bytes()};
      why = reply ? std::string(StorageCode_Name(reply->code())) + " " + reply->detail() : reply.error().message();
    }
    FF_CO_TRY_CTX(co_await pause(attempts, view ? view->version() : 0, until),
                  fmt::format("chain {}: {}", number(chain), why));
  }
}

Task<Result<std::uint64_t>> StorageClient::remove_chunks(ChainId chain, InodeId inode, std::uint64_t from,
                                                         std::uint64_t truncate_epoch, bool older_only) {
  constexpr std::uint32_t kLimit = 256;
  const runtime::Time until = deadline(co_await runtime::current_context());
  std::uint64_t removed = 0;
  Attempts attempts;
  for (;;) {
    const auto view = routing_.current();
    const Chain* const found = view ? view->chain(chain) : nullptr;
    if (view && found == nullptr)
      co_return fail(Errc::kNotFound, fmt::format("chain {}: no such chain", number(chain)));
    const auto head = found ? found->head() : std::nullopt;
    rpc::Client* const client = head ? peers_->of(*view, *head) : nullptr;
    std::string why = "the chain has no head";
    attempts.stale = true;
    if (client != nullptr) {
      RemoveChunksRequest request;
      request.set_chain(number(chain));
      request.set_chain_version(found->version);
      request.set_target(number(*head));
      request.set_inode(number(inode));
      request.set_from(from);
      request.set_truncate_epoch(truncate_epoch);
      request.set_limit(kLimit);
      request.set_older_only(older_only);
      const auto reply = co_await ChunksClient(*client).remove_chunks(
          request, {.timeout = std::min(options_.attempt_timeout * 2, until - env_.now()), .attempts = 1});
      if (reply) removed += reply->removed();
      if (reply && reply->code() == STORAGE_OK) {
        if (!reply->more()) co_return removed;
        attempts.failures = 0;
        continue;
      }
      why = reply ? std::string(StorageCode_Name(reply->code())) + " " + reply->detail() : reply.error().message();
    }
    FF_CO_TRY_CTX(co_await pause(attempts, view ? view->version() : 0, until),
                  fmt::format("chain {}: {}", number(chain), why));
  }
}

}  // namespace ff::ffs
