// The one timing protocol of all drivers. A driver adapts a library to `Library` and hands it to run_driver().
//
//   DRIVER --meet FILE --cases VARIANT:DTYPE:BYTES,... [--ranks N] [--budget-ms MS] [--limit-s S]
//
// For each case: fill, one call that is verified, calls until a batch of n of them lasts 4 ms, then batches of n
// back-to-back calls until the budget is spent (at least two). The time of a batch is that of its slowest rank.
// Rank 0 prints JSON lines:  {"begin":CASE}  before a case, {"case":CASE,"calls":n,"us":[...],"correct":true} after it;
// "us" is the time of one call in each batch. A case that the library cannot do: {"case":CASE,"unsupported":true}.
// A case that lasts longer than the limit ends the process by SIGALRM, even where the library is stuck.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "tests/peers/meeting.hpp"

namespace ff::peers {

enum class Element : std::uint8_t { kFloat, kHalf, kBfloat16 };

struct Case {
  std::string text;     // as on the command line
  std::string variant;  // the library's algorithm, or kind of memory
  Element element = Element::kFloat;
  std::uint64_t bytes = 0;
  std::uint64_t count() const { return bytes / (element == Element::kFloat ? 4 : 2); }
};

struct DriverOptions {
  std::string meet;
  std::vector<Case> cases;  // sizes of one variant and type in a row share buffers
  int ranks = 0;            // for drivers that start their ranks themselves
  int budget_ms = 100;
  int limit_s = 30;
};

// A sum over all ranks by some library, seen from one rank. Out of place.
class Library {
 public:
  using Call = std::function<bool()>;  // false: failed, said on stderr

  virtual ~Library() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;
  // What to time; empty: this library cannot do it. The buffers outlive the call.
  virtual Call prepare(const Case& one, const void* in, void* out) = 0;
  // Memory for buffers, kept until the process ends. The default is ordinary_memory().
  virtual void* allocate(const std::string& variant, std::uint64_t bytes);
};

// Private anonymous memory in huge pages, where the kernel gives them.
void* ordinary_memory(std::uint64_t bytes);

// Exits with status 2 and a line on stderr on wrong usage.
DriverOptions parse_driver_options(int argc, char** argv);

// Returns the exit status of this rank: 0 done (whatever the data), 1 a call failed.
int run_driver(Library& library, const DriverOptions& options, Meeting& meeting);

// Forks the ranks, runs body(rank) in each and returns the worst exit status. Ranks die with the caller.
int fork_ranks(int ranks, const std::function<int(int rank)>& body);

}  // namespace ff::peers
