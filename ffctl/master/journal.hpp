// Journal: makes changes of the state durable, in order, many in one transaction of the KvStore.
//
//   FF_CO_TRY_ASSIGN(State state, co_await journal.load(lease));
//   scope.spawn(journal.run(lease));
//   journal.append(change);                          // never waits
//   FF_CO_TRY(co_await journal.wait(sequence));      // before anybody is told of it
//
// Guard      Each transaction commits only while the lease is held and the header is the one that we wrote last: who
// has
//            lost the lease changes nothing, and neither does a commit of unknown outcome that comes late.
// Failure    The first error ends run() and all waits; the state in memory is then ahead of the store, and has to be
//            loaded anew, under a new lease.
// Split      A change that exceeds what one transaction takes may only be one of new jobs (see state.hpp, Creation).
// Threads    Those of the Env, which outlives it, as does the store.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>

#include "ffctl/master/state.hpp"
#include "libcommon/kv/kv_store.hpp"
#include "libcommon/runtime/sync.hpp"

namespace ff::ctl {

class Journal {
 public:
  Journal(runtime::Env& env, kv::KvStore& store, std::string prefix);

  // Reads the state and takes it over. Forgets what was appended before.
  runtime::Task<Result<State>> load(kv::Lease& lease);
  // Until an error. REQUIRES: load() has succeeded with this lease.
  runtime::Task<Result<>> run(kv::Lease& lease);

  // REQUIRES: sequences grow.
  void append(Change change);
  std::uint64_t appended() const noexcept { return appended_; }
  std::uint64_t durable() const noexcept { return durable_; }
  // kUnavailable: nobody knows whether it was stored.
  runtime::Task<Result<>> wait(std::uint64_t sequence);
  // Ends all waits.
  void fail(const Error& why);

  std::uint64_t transactions() const noexcept { return transactions_; }

 private:
  struct Batch {
    std::map<std::string, std::optional<std::string>> writes;
    std::string header;
    std::uint64_t sequence = 0;
  };
  std::optional<Batch> take_batch();
  bool fits(std::size_t operations, std::size_t bytes) const noexcept;
  // Without a header the stored one stays.
  runtime::Task<Result<>> write(kv::Lease& lease, std::vector<Write> writes, std::optional<std::string> header);
  runtime::Task<Result<>> write_batch(kv::Lease& lease, Batch batch);

  runtime::Env& env_;
  kv::KvStore& store_;
  const std::string prefix_;
  std::size_t operations_max_ = 0;  // 0: any
  std::size_t bytes_max_ = 0;
  std::deque<Change> queue_;
  std::string header_;  // as stored
  std::uint64_t appended_ = 0;
  std::uint64_t durable_ = 0;
  std::uint64_t transactions_ = 0;
  std::optional<Error> failed_;
  runtime::Event more_;
  runtime::WaitQueue waits_;
};

}  // namespace ff::ctl
