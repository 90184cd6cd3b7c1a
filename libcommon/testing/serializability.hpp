// Is a history of transactions serializable? Builds the graph of dependencies between committed transactions and looks
// for cycles. Sound: what it reports cannot have happened under serializability. Complete for histories in which the
// order of each key's versions is known.
//
// Input      Every written value of a key is unique in the history (deletions aside). Reads are those of the store, not
//            of the transaction's own writes; a read of an absent key has no value. An own key may be written once.
// Versions   The order of a key's versions comes from TxnRecord::version where all its writers have one, else from
//            read-modify-writes (who read v and wrote w made w the successor of v) and from the initial value.
// Edges      ww: overwrote its version; wr: read its version; rw: read a version that the other one overwrote;
//            rt: had ended before the other one began (only with `real_time`).
// Finds      G1a (read from an aborted transaction), garbage reads (a value that nobody wrote), G0 (a cycle of ww), G1c
//            (ww and wr), G-single (one rw: lost update, read skew), G2-item (write skew), and with real_time cycles
//            through rt (stale reads). Phantoms only as far as the reads list absent keys.
// Unknown    A transaction of unknown outcome counts as committed when somebody read from it, else it is left out: it
//            could not contradict anything. A read of "absent" that could be of several versions (the key was deleted)
//            gives no edge.
// Source     Adya, "Weak Consistency", 1999; Kingsbury and Alvaro, "Elle", VLDB 2020.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "libcommon/base/result.hpp"
#include "libcommon/runtime/time.hpp"

namespace ff::testing {

enum class TxnOutcome : std::uint8_t { kCommitted, kAborted, kUnknown };

struct TxnRecord {
  struct Access {
    std::string key;
    std::optional<std::string> value;  // nullopt: absent, or a deletion
  };
  std::string name;  // for messages; empty: "#index"
  TxnOutcome outcome = TxnOutcome::kCommitted;
  std::vector<Access> reads;
  std::vector<Access> writes;            // the last one of each key
  std::optional<std::uint64_t> version;  // of the commit, if the store tells
  runtime::Time began{}, ended{};        // the world's; `ended` of an unknown one does not count
};

struct SerializabilityOptions {
  bool real_time = true;                   // strict serializability
  std::vector<TxnRecord::Access> initial;  // keys that existed before
};

// kCorrupt: not serializable; the message names the anomaly and the transactions of one shortest cycle.
// kInvalidArgument: the history breaks a rule of the input (a value written twice).
Result<> check_serializable(const std::vector<TxnRecord>& history, const SerializabilityOptions& options = {});

}  // namespace ff::testing
