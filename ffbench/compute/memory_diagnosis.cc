#include "ffbench/compute/memory_diagnosis.hpp"

#include <vector>

namespace ff::bench {
namespace {

std::uint64_t reads_after(MemoryAccess& memory, std::uint64_t word, std::uint64_t value) {
  memory.write(word, {&value, 1}, StorePath::kCached);
  std::uint64_t found = 0;
  memory.read(word, {&found, 1});
  return found;
}

// Whether a write to `other` changes `word`, for two values, so that a chance flip does not count.
bool shares_cell(MemoryAccess& memory, std::uint64_t word, std::uint64_t other) {
  for (const std::uint64_t value : {0x0123'4567'89ab'cdefULL, 0xfedc'ba98'7654'3210ULL}) {
    reads_after(memory, word, ~value);
    reads_after(memory, other, value);
    std::uint64_t found = 0;
    memory.read(word, {&found, 1});
    if (found != value) return false;
  }
  return true;
}

// The words that may answer for this one: the one whose address was read in its place, and those one line away.
std::vector<std::uint64_t> suspects(const MemoryAccess& memory, const Mismatch& mismatch) {
  std::vector<std::uint64_t> words;
  const auto add = [&](std::uint64_t word) {
    if (word < memory.words() && word != mismatch.word) words.push_back(word);
  };
  if (mismatch.pattern == "address") add(mismatch.found / sizeof(std::uint64_t));
  if (mismatch.pattern == "~address") add(~mismatch.found / sizeof(std::uint64_t));
  for (std::uint64_t line = 1; line != 0 && line < memory.words(); line <<= 1) add(mismatch.word ^ line);
  return words;
}

}  // namespace

Diagnosis diagnose(MemoryAccess& memory, const Mismatch& mismatch) {
  const bool never_1 = reads_after(memory, mismatch.word, ~std::uint64_t{0}) != ~std::uint64_t{0};
  const bool never_0 = reads_after(memory, mismatch.word, 0) != 0;
  // With bits of both kinds, the one that this mismatch shows.
  const bool shows_0 = (mismatch.expected & ~mismatch.found) != 0;
  if (never_1 && (shows_0 || !never_0)) return {FaultKind::kStuckAt0};
  if (never_0) return {FaultKind::kStuckAt1};
  for (const std::uint64_t other : suspects(memory, mismatch)) {
    if (shares_cell(memory, mismatch.word, other)) return {FaultKind::kAliased, other};
  }
  return {FaultKind::kTransient};
}

}  // namespace ff::bench
