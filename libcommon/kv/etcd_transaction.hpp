// A transaction of the etcd engine: see etcd_store.hpp for what it promises, etcd_commit.hpp for what is sent.
#pragma once

#include <optional>
#include <string>

#include "libcommon/kv/buffered_transaction.hpp"
#include "libcommon/kv/etcd_commit.hpp"
#include "libcommon/kv/etcd_key_locks.hpp"
#include "libcommon/kv/etcd_reads.hpp"

namespace ff::kv {

// What the transactions of a store share.
struct EtcdParts {
  runtime::Env& env;
  EtcdClient& client;
  EtcdKeys& keys;
  EtcdReads& reads;
  EtcdKeyLocks& locks;
};

class EtcdTransaction final : public BufferedTransaction {
 public:
  // `owner`: the store's address.
  EtcdTransaction(const void* owner, const Limits& limits, EtcdParts parts);

  // The first one names the key that rides on the read which takes the snapshot.
  [[clang::coro_wrapper]] runtime::Task<Result<std::optional<std::string>>> get(std::string key, Read mode) override {
    if (!first_ && !key.empty()) first_key_ = parts_.keys.data(key);
    return BufferedTransaction::get(std::move(key), mode);
  }

 private:
  runtime::Task<Result<Version>> take_snapshot() override;
  runtime::Task<Result<std::optional<std::string>>> read(const std::string& key) override;
  runtime::Task<Result<RangeResult>> scan(const KeyRange& range, std::size_t limit, std::size_t bytes_limit,
                                          bool reverse) override;
  runtime::Task<Result<Commit>> submit(Submission submission) override;

  // Learns the keys of ranges that must not have changed but were not read.
  runtime::Task<Result<>> learn_ranges(EtcdCommit& commit);
  runtime::Task<Result<Commit>> commit_plainly(const EtcdCommit& commit);
  runtime::Task<Result<Commit>> commit_computed(const EtcdCommit& commit, std::vector<std::string> operands);

  EtcdParts parts_;
  std::string first_key_;
  std::optional<EtcdReads::Fresh> first_;  // the read that took the snapshot
  std::string first_read_;                 // its key; empty once its value was used
  EtcdReadRecord record_;
  std::size_t page_;  // pairs to ask for at a time
};

}  // namespace ff::kv
