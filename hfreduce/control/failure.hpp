// How an engine learns that the communicator is broken, and how it says that something is wrong with a peer.
//
// The rule: no engine decides alone who is at fault. It reports what it saw; the control plane asks every rank, decides
// once, and every rank returns the same verdict. After a verdict the communicator only serves abort, shrink and
// destruction.
#pragma once

#include <string>

#include "libcommon/base/result.hpp"

namespace ff::hfreduce {

struct Trouble {
  enum class Kind { kTimeout, kLinkLost, kMismatch, kCorrupt, kAborted };
  Kind kind = Kind::kTimeout;
  int suspect = -1;    // rank of the communicator, if the engine has one in mind
  std::string detail;  // "no data from rank 3 for 5s in tree pass up", for the message
};

class FailureSource {
 public:
  virtual ~FailureSource() = default;
  // One relaxed load; engines look at it in every wait loop.
  virtual bool failed() const noexcept = 0;
  // The common verdict. REQUIRES failed().
  virtual Error verdict() const = 0;
  // Tells the control plane and waits (a bounded grace period, about two seconds at most) for the common verdict, which
  // it returns; without an answer the verdict is that the coordinator is unreachable. Thread-safe.
  virtual Error report(const Trouble& trouble) = 0;
};

}  // namespace ff::hfreduce
