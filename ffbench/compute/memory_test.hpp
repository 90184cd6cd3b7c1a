// Test of memory: writes and reads back every byte of a buffer with patterns that show stuck bits, coupled bits, lost
// writes and address lines that do not answer.
//
// Patterns  address, ~address   each word holds its own offset (or the complement): shows words that share a cell
//           address-line        powers of two apart from a base: names the line that is stuck or shorted
//           walk-1, walk-0      one bit set (cleared) in each word, at `walk_steps` of the 64 positions a pass
//           checker             0101.. and 1010.., alternating between words
//           random              words of a seeded stream
//           inversions          0 and 0x5555..: read, check, write the complement, upwards and then downwards
// Paths     Each pattern by ordinary and by non-temporal stores. Before a check the lines are flushed from the caches,
//           so that what is compared comes from memory, however small the buffer.
// Reach     What the operating system lends. Not its own pages, nor what other processes hold; an address line above
//           the size of a page is tested only as far as the kernel laid pages side by side.
// Threads   One a processor, bound to it, each with a slice; all meet between writing and checking, so that a word that
//           somebody else overwrote is seen.
// Source    van de Goor, "Testing Semiconductor Memories", 1991 (stuck-at, coupling, address decoder faults).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "libcommon/base/result.hpp"

namespace ff::bench {

// Flips one bit between the writing and the checking of a pattern: proof that the test finds it.
struct InjectedFault {
  std::uint64_t offset = 0;  // byte
  int bit = 0;               // 0..7 of that byte
  std::string pattern = {};  // empty: the first one that covers the byte
};

struct MemoryTestOptions {
  std::uint64_t bytes = 0;  // multiple of 4 KiB, rounded down
  std::vector<int> cpus = {};
  int passes = 1;
  std::uint64_t seed = 1;
  int walk_steps = 8;  // 1..64 positions of the walking bit a pass; the next pass takes others
  std::optional<InjectedFault> inject = {};
  // Share done, 0..1; called on the caller's thread, some times a second.
  std::function<void(double)> progress = {};
};

enum class FaultKind : std::uint8_t {
  kTransient,  // the word holds any value now: the bit flipped once
  kStuckAt0,
  kStuckAt1,
  kAliased,  // the word answers for another offset, `other`
};
std::string_view fault_kind_name(FaultKind kind) noexcept;  // "flipped once", "stuck at 0", ...

struct MemoryFault {
  std::uint64_t offset = 0;                      // bytes from the start of the buffer, of the 64-bit word
  std::optional<std::uint64_t> page_frame = {};  // physical address / page size, where /proc/self/pagemap tells
  std::uint64_t expected = 0;
  std::uint64_t found = 0;
  std::string pattern;
  FaultKind kind = FaultKind::kTransient;
  std::optional<std::uint64_t> other = {};  // kAliased: the offset whose cell it shares
  std::uint64_t flipped() const noexcept { return expected ^ found; }
};
// "offset 0x1f40 (page frame 0x3fa2): expected 0x.., found 0x.., flipped 0x.. in walk-1: stuck at 0"
std::string describe_fault(const MemoryFault& fault);

struct MemoryTestReport {
  std::uint64_t bytes_tested = 0;
  std::uint64_t bytes_moved = 0;   // written and read
  std::uint64_t faults = 0;        // words found wrong, counted in each pattern anew
  std::vector<MemoryFault> first;  // up to 16
  bool locked = false;             // pages stayed in place (mlock)
  bool complete = true;            // false: stopped
  double seconds = 0;
  std::vector<std::string> patterns;     // those that ran
  std::vector<std::string> not_covered;  // sentences for a reader
};
inline constexpr std::size_t kMemoryFaultsKept = 16;

// kInvalidArgument: sizes, processors, an injection outside the buffer; kExhausted: the memory is not there.
// Faults are no error: see the report.
Result<MemoryTestReport> test_memory(const MemoryTestOptions& options, std::stop_token stop);
// The same over a memory of the caller's, for models of broken memory: options.bytes is not used, pages have no frames
// and are not locked. REQUIRES: memory.words() >= 1024.
class MemoryAccess;
Result<MemoryTestReport> test_memory(MemoryAccess& memory, const MemoryTestOptions& options, std::stop_token stop);

// What to test where nobody said: 3/4 of what is available, and at least 64 MiB of it left for others (0 below that).
// Pure; in bytes.
std::uint64_t default_test_bytes(std::uint64_t available) noexcept;

}  // namespace ff::bench
