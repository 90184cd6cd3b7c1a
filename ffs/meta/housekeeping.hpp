// Housekeeping: what the namespace has to do without being asked: destroy what has no name any more, finish truncates
// that were interrupted, end the sessions of clients that are gone, forget old answers and old trash.
//
// Interrupted at any point it can be run again, by any process: every step is a transaction, and what it asks of chunk
// storage may be repeated. run() does it in one process at a time (by the lease "ffs/housekeeping"); that is for
// economy, nothing depends on it. Errors     of the rounds: the store's, the storage's; run() reports none and tries
// again. Threads    Those of the Env. Ownership: namespace and sessions outlive it.
#pragma once

#include <cstdint>
#include <set>
#include <string>

#include "ffs/meta/namespace.hpp"
#include "ffs/meta/session_source.hpp"

namespace ff::ffs {

struct HousekeepingOptions {
  runtime::Duration pause = std::chrono::seconds(5);  // between rounds
  runtime::Duration lease = std::chrono::seconds(10);
  runtime::Duration round_limit = std::chrono::minutes(2);      // for one kind of work
  runtime::Duration item_limit = std::chrono::seconds(20);      // for one file: a chain may be down
  runtime::Duration truncate_grace = std::chrono::seconds(30);  // who decided it may still be at it
  runtime::Duration session_grace = std::chrono::minutes(1);    // a session this young is left alone
  runtime::Duration open_garbage_pause =
      std::chrono::minutes(1);                                // until a removed file that is open is looked at again
  runtime::Duration trash_kept = std::chrono::hours(24 * 7);  // 0: for ever
};

class Housekeeping {
 public:
  Housekeeping(Namespace& names, SessionSource& sessions, HousekeepingOptions options = {});

  // Until it is cancelled.
  runtime::Task<Result<>> run();

  // One pass over what is due; the number of things done.
  runtime::Task<Result<std::uint64_t>> collect_garbage();
  runtime::Task<Result<std::uint64_t>> finish_truncates();
  runtime::Task<Result<std::uint64_t>> prune_sessions();
  runtime::Task<Result<std::uint64_t>> forget_answers();
  runtime::Task<Result<std::uint64_t>> empty_trash();

  // Records that were passed over because they cannot be read, each counted once (and told in the log).
  std::size_t bad_records() const noexcept { return noted_.size(); }

 private:
  enum class Step : std::uint8_t { kGone, kMore, kLater };

  runtime::Task<Result<>> rounds(kv::Lease& lease);
  runtime::Task<Result<>> mend_garbage_times();
  void note_bad(const char* what, const std::string& key, const Error& error);
  runtime::Task<Result<Step>> destroy_one(std::string key, InodeId id, GarbageRecord garbage);
  runtime::Task<Result<Step>> take_apart(std::string key, InodeId id, GarbageRecord garbage);
  // False: not yet.
  runtime::Task<Result<bool>> end_session(std::uint64_t client, InodeId inode, std::uint64_t handle);

  Namespace& names_;
  SessionSource& sessions_;
  const HousekeepingOptions options_;
  // Where a round that was cut off goes on.
  std::string garbage_from_, truncates_from_, sessions_from_;
  std::set<std::string> noted_;  // keys of records that were told to be bad
};

}  // namespace ff::ffs
