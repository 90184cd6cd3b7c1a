// What is written and in which order: the patterns of the memory test as a list of phases, and the code that runs one
// phase over a part of the memory.
//
// Between two phases every thread has ended the first: what one thread wrote, another may check.
// Threads   run_phase() on parts that do not overlap, at once; the Recorder takes mismatches from all.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <stop_token>
#include <string_view>
#include <vector>

#include "ffbench/compute/memory_access.hpp"

namespace ff::bench {

// The value of each word, from its position alone.
struct Pattern {
  enum class Kind : std::uint8_t { kAddress, kWalk, kChecker, kRandom, kConstant };
  Kind kind = Kind::kConstant;
  bool inverted = false;
  std::uint64_t parameter = 0;  // kWalk: position of the bit; kRandom: seed; kConstant: the value

  void fill(std::uint64_t first, std::span<std::uint64_t> values) const noexcept;
};

enum class Action : std::uint8_t {
  kWrite,           // `pattern`, upwards
  kCheck,           // for `pattern`, upwards
  kCheckWriteUp,    // block by block: check for `pattern`, write its complement
  kCheckWriteDown,  // the same from the end
};

struct Phase {
  std::string_view name;  // "walk-1"
  Action action = Action::kWrite;
  Pattern pattern;
  StorePath path = StorePath::kCached;
};

// All phases of one pass but those of the address lines. Pure. REQUIRES: 1 <= walk_steps <= 64.
std::vector<Phase> phases_of_pass(int pass, int walk_steps, std::uint64_t seed);

struct Mismatch {
  std::uint64_t word = 0;
  std::uint64_t expected = 0;
  std::uint64_t found = 0;
  std::string_view pattern;
};

// Counts all mismatches and keeps those of the first words that have any: one each, the first.
class Recorder {
 public:
  explicit Recorder(std::size_t kept_max) : kept_max_(kept_max) {}
  void record(const Mismatch& mismatch);
  std::uint64_t count() const noexcept { return count_; }
  // In the order of being found. REQUIRES: nobody records any more.
  const std::vector<Mismatch>& kept() const noexcept { return kept_; }

 private:
  std::size_t kept_max_;
  std::atomic<std::uint64_t> count_ = 0;
  std::mutex mutex_;
  std::vector<Mismatch> kept_;  // guarded by mutex_
};

// Words [first, last). Returns early once stop is requested.
void run_phase(const Phase& phase, MemoryAccess& memory, std::uint64_t first, std::uint64_t last, Recorder& recorder,
               const std::stop_token& stop);

// The address lines: from each of some bases (the start and seeded places), the words that lie a power of two away are
// written and checked one against another, as Barr's test does, so that a mismatch is recorded at the word that the
// line at fault reaches. Single words; runs on one thread.
inline constexpr std::string_view kAddressLinePattern = "address-line";
void test_address_lines(MemoryAccess& memory, std::uint64_t seed, Recorder& recorder, const std::stop_token& stop);

}  // namespace ff::bench
