// BufferedTransaction: the half of a Transaction that is the same for every engine that keeps versions: buffered
// writes, reads through them, what was read. An engine adds reads of a snapshot and the commit.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "libcommon/kv/kv_store.hpp"
#include "libcommon/kv/resolver.hpp"
#include "libcommon/kv/write_set.hpp"

namespace ff::kv {

// "Commits only while this is the lease's current holder."
struct LeaseGuard {
  std::string name;
  std::uint64_t epoch = 0;
};

class BufferedTransaction : public Transaction {
 public:
  runtime::Task<Result<std::optional<std::string>>> get(std::string key, Read mode) override;
  runtime::Task<Result<RangeResult>> get_range(KeyRange range, RangeOptions options) override;
  runtime::Task<Result<Version>> read_version() override;
  void set(std::string key, std::string value) override { writes_.set(std::move(key), std::move(value)); }
  void clear(std::string key) override { writes_.clear(std::move(key)); }
  void clear_range(KeyRange range) override { writes_.clear_range(std::move(range)); }
  void atomic(Atomic operation, std::string key, std::uint64_t operand) override {
    writes_.atomic(operation, std::move(key), operand);
  }
  void set_versionstamped_key(std::string prefix, std::string suffix, std::string value) override {
    writes_.stamp(std::move(prefix), std::move(suffix), std::move(value));
  }
  void add_read_conflict(KeyRange range) override;
  runtime::Task<Result<Commit>> commit() override;

  // Tells the transactions of one store from those of another; the store's address.
  const void* owner() const noexcept { return owner_; }
  void add_guard(LeaseGuard guard) { guards_.push_back(std::move(guard)); }

 protected:
  // What commit() gives to the engine.
  struct Submission {
    std::optional<Version> snapshot;  // nothing was read: none
    ReadSet reads;
    WriteSet writes;
    std::vector<LeaseGuard> guards;
  };

  BufferedTransaction(const void* owner, const Limits& limits) : owner_(owner), limits_(limits) {}

  // Called once, before the first read.
  virtual runtime::Task<Result<Version>> take_snapshot() = 0;
  // REQUIRES of both: the snapshot was taken, the key or range is valid and not empty.
  virtual runtime::Task<Result<std::optional<std::string>>> read(const std::string& key) = 0;
  // At least one pair unless there is none; `more` when a limit ended it.
  virtual runtime::Task<Result<RangeResult>> scan(const KeyRange& range, std::size_t limit, std::size_t bytes_limit,
                                                  bool reverse) = 0;
  // The writes are valid; there are some.
  virtual runtime::Task<Result<Commit>> submit(Submission submission) = 0;

 private:
  runtime::Task<Result<>> ensure_snapshot();

  const void* owner_;
  Limits limits_;
  std::optional<Version> snapshot_;
  ReadSet reads_;
  WriteSet writes_;
  std::vector<LeaseGuard> guards_;
  bool finished_ = false;
};

}  // namespace ff::kv
