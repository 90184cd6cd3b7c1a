#include "libcommon/kv/etcd_store.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "libcommon/kv/etcd_leases.hpp"
#include "libcommon/kv/etcd_transaction.hpp"
#include "libcommon/kv/etcd_watches.hpp"
#include "libcommon/kv/key_range.hpp"
#include "libcommon/kv/lease_rules.hpp"

namespace ff::kv {

using runtime::Task;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t kPrefixBytesMax = 256;

Result<> check_options(const EtcdOptions& options) {
  if (options.endpoints.empty()) {
    return fail(Errc::kInvalidArgument, "etcd: no endpoint (name at least one member as host:port)");
  }
  for (const std::string& endpoint : options.endpoints) {
    const auto colon = endpoint.rfind(':');
    const bool port = colon != std::string::npos && colon + 1 < endpoint.size() &&
                      std::ranges::all_of(endpoint.substr(colon + 1), [](char c) { return c >= '0' && c <= '9'; });
    if (!port || colon == 0 || endpoint.find('/') != std::string::npos) {
      return fail(Errc::kInvalidArgument, fmt::format("etcd: endpoint '{}': is not host:port", endpoint));
    }
    if (std::ranges::count(options.endpoints, endpoint) > 1) {
      return fail(Errc::kInvalidArgument, fmt::format("etcd: endpoint '{}': is named twice", endpoint));
    }
  }
  if (options.prefix.empty() || options.prefix.size() > kPrefixBytesMax ||
      options.prefix.find('\0') != std::string::npos) {
    return fail(Errc::kInvalidArgument,
                fmt::format("etcd: a prefix of {} bytes (1 to {} are allowed, none of them zero)",
                            options.prefix.size(), kPrefixBytesMax));
  }
  for (const auto timeout : {options.attempt_timeout, options.call_timeout, options.commit_timeout}) {
    if (timeout < 100ms || timeout > 1h) {
      return fail(Errc::kInvalidArgument, "etcd: a timeout is out of range (100 ms to 1 h)");
    }
  }
  return {};
}

class EtcdStore final : public KvStore {
 public:
  EtcdStore(runtime::Env& env, EtcdOptions options)
      : options_(std::move(options)),
        keys_(options_.prefix),
        client_(EtcdClient::create(env, options_)),
        scope_(env),
        reads_(*client_, scope_, options_.endpoints.size()),
        watches_(*client_, scope_),
        leases_(this, {env, *client_, keys_, watches_, scope_}),
        parts_{env, *client_, keys_, reads_, locks_} {}

  Task<Result<>> connect() { co_return co_await client_->connect(); }

  std::unique_ptr<Transaction> begin() override { return std::make_unique<EtcdTransaction>(this, limits(), parts_); }

  Limits limits() const override {
    return {.value_bytes_max = 1u << 20,
            .transaction_bytes_max = 5u << 18,
            .transaction_operations_max = kEtcdOperationsMax,
            .data_bytes_max = 8ULL << 30,
            .note =
                "etcd's quota is 2 GiB unless --quota-backend-bytes raises it, at most to some 8 GiB: about 571 bytes "
                "for each small file, 15 million files at 8 GiB. A transaction has 128 writes, counting a marker for "
                "removals, and 128 comparisons of what it read"};
  }

  Task<Result<std::unique_ptr<Watch>>> watch(KeyRange range, Version after) override {
    // An empty range would be one that etcd refuses.
    EtcdRange stored = is_empty(range) ? EtcdRange{keys_.data(range.begin), {}} : keys_.data(range);
    if (is_empty(range)) after = ~Version{0};
    co_return watches_.add(std::move(stored), after);
  }
  Task<Result<std::unique_ptr<Lease>>> acquire_lease(std::string name, std::string holder,
                                                     runtime::Duration ttl) override {
    co_return co_await leases_.acquire(std::move(name), std::move(holder), ttl);
  }
  Task<Result<std::optional<std::string>>> current_holder(std::string name) override {
    co_return co_await leases_.holder(std::move(name));
  }
  std::string describe() const override {
    return fmt::format("{}, prefix {}", client_->describe(), printable_key(options_.prefix));
  }
  Task<void> stop() override {
    watches_.fail_all({Errc::kCancelled, "etcd: the store has been stopped"});
    scope_.cancel();
    co_await client_->stop();
    (void)co_await scope_.join();
  }

 private:
  const EtcdOptions options_;
  EtcdKeys keys_;
  std::unique_ptr<EtcdClient> client_;
  runtime::Scope scope_;
  EtcdReads reads_;
  EtcdWatches watches_;
  EtcdLeases leases_;
  EtcdKeyLocks locks_;
  EtcdParts parts_;
};

}  // namespace

Task<Result<std::unique_ptr<KvStore>>> open_etcd_store(runtime::Env& env, EtcdOptions options) {
  FF_CO_TRY(check_options(options));
  auto store = std::make_unique<EtcdStore>(env, std::move(options));
  if (auto connected = co_await store->connect(); !connected) {
    co_await store->stop();
    co_return std::unexpected(std::move(connected).error());
  }
  co_return store;
}

}  // namespace ff::kv
