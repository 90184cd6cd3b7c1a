#include "ffbench/compute/memory_patterns.hpp"

#include <algorithm>
#include <array>
#include <bit>

#include "libcommon/base/rng.hpp"

namespace ff::bench {
namespace {

constexpr std::uint64_t kAlternating = 0x5555'5555'5555'5555;
constexpr int kAddressBases = 32;

// A word of a random stream by its position, so that writer and checker need no common state (splitmix64's mixer).
std::uint64_t random_word(std::uint64_t seed, std::uint64_t position) noexcept {
  std::uint64_t z = seed + position * 0x9e3779b97f4a7c15;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

using Block = std::array<std::uint64_t, kBlockWords>;

void check_block(const Phase& phase, MemoryAccess& memory, std::uint64_t first, std::span<std::uint64_t> expected,
                 Recorder& recorder) {
  alignas(64) Block read;
  const std::span<std::uint64_t> found(read.data(), expected.size());
  phase.pattern.fill(first, expected);
  memory.read(first, found);
  if (std::equal(found.begin(), found.end(), expected.begin())) return;
  for (std::size_t i = 0; i < found.size(); ++i) {
    if (found[i] != expected[i]) recorder.record({first + i, expected[i], found[i], phase.name});
  }
}

void run_block(const Phase& phase, MemoryAccess& memory, std::uint64_t first, std::size_t count, Recorder& recorder) {
  alignas(64) Block block;
  const std::span<std::uint64_t> values(block.data(), count);
  if (phase.action == Action::kWrite) {
    phase.pattern.fill(first, values);
    return memory.write(first, values, phase.path);
  }
  check_block(phase, memory, first, values, recorder);
  if (phase.action == Action::kCheck) return;
  for (std::uint64_t& value : values) value = ~value;
  memory.write(first, values, phase.path);
}

// Phases of one pattern that is written and then checked.
void add_write_check(std::vector<Phase>& phases, std::string_view name, Pattern pattern, StorePath path) {
  phases.push_back({name, Action::kWrite, pattern, path});
  phases.push_back({name, Action::kCheck, pattern, path});
}

std::uint64_t word_at(MemoryAccess& memory, std::uint64_t word) {
  std::uint64_t value = 0;
  memory.read(word, {&value, 1});
  return value;
}

void put_word(MemoryAccess& memory, std::uint64_t word, std::uint64_t value) {
  memory.write(word, {&value, 1}, StorePath::kCached);
}

// The words one address line away from `base`, and `base` itself.
void test_lines_from(MemoryAccess& memory, std::uint64_t base, Recorder& recorder) {
  std::vector<std::uint64_t> reached;
  for (std::uint64_t line = 1; line < memory.words(); line <<= 1) {
    if ((base ^ line) < memory.words()) reached.push_back(base ^ line);
  }
  const auto check = [&](std::uint64_t word, std::uint64_t expected, std::uint64_t blame) {
    if (const std::uint64_t found = word_at(memory, word); found != expected)
      recorder.record({blame, expected, found, kAddressLinePattern});
  };
  // A base that does not even hold what was written to it would put the blame on every line.
  for (const std::uint64_t value : {kAlternating, ~kAlternating}) {
    put_word(memory, base, value);
    if (const std::uint64_t found = word_at(memory, base); found != value)
      return recorder.record({base, value, found, kAddressLinePattern});
  }
  for (const std::uint64_t word : reached) put_word(memory, word, kAlternating);
  put_word(memory, base, ~kAlternating);
  for (const std::uint64_t word : reached) check(word, kAlternating, word);
  put_word(memory, base, kAlternating);
  for (const std::uint64_t written : reached) {
    put_word(memory, written, ~kAlternating);
    check(base, kAlternating, written);
    for (const std::uint64_t other : reached) {
      if (other != written) check(other, kAlternating, other);
    }
    put_word(memory, written, kAlternating);
  }
}

}  // namespace

void Pattern::fill(std::uint64_t first, std::span<std::uint64_t> values) const noexcept {
  const std::uint64_t flip = inverted ? ~std::uint64_t{0} : 0;
  const std::size_t count = values.size();
  switch (kind) {
    case Kind::kAddress:
      for (std::size_t i = 0; i < count; ++i) values[i] = (first + i) * sizeof(std::uint64_t) ^ flip;
      return;
    case Kind::kWalk:
      for (std::size_t i = 0; i < count; ++i)
        values[i] = std::rotl(std::uint64_t{1}, static_cast<int>((first + i + parameter) % 64)) ^ flip;
      return;
    case Kind::kChecker:
      for (std::size_t i = 0; i < count; ++i) values[i] = ((first + i) % 2 == 0 ? kAlternating : ~kAlternating) ^ flip;
      return;
    case Kind::kRandom:
      for (std::size_t i = 0; i < count; ++i) values[i] = random_word(parameter, first + i) ^ flip;
      return;
    case Kind::kConstant: std::fill(values.begin(), values.end(), parameter ^ flip); return;
  }
}

std::vector<Phase> phases_of_pass(int pass, int walk_steps, std::uint64_t seed) {
  using enum Pattern::Kind;
  std::vector<Phase> phases;
  for (const StorePath path : {StorePath::kCached, StorePath::kNonTemporal}) {
    add_write_check(phases, "address", {kAddress, false, 0}, path);
    add_write_check(phases, "~address", {kAddress, true, 0}, path);
    add_write_check(phases, "checker", {kChecker, false, 0}, path);
    add_write_check(phases, "checker", {kChecker, true, 0}, path);
    add_write_check(phases, "random", {kRandom, false, seed + static_cast<std::uint64_t>(pass)}, path);
    for (const std::uint64_t value : {std::uint64_t{0}, kAlternating}) {
      phases.push_back({"inversions", Action::kWrite, {kConstant, false, value}, path});
      phases.push_back({"inversions", Action::kCheckWriteUp, {kConstant, false, value}, path});
      phases.push_back({"inversions", Action::kCheckWriteDown, {kConstant, true, value}, path});
      phases.push_back({"inversions", Action::kCheck, {kConstant, false, value}, path});
    }
  }
  // Evenly spread over the word; each pass moves on by one, so that 64 / walk_steps passes see every position.
  for (int step = 0; step < walk_steps; ++step) {
    const auto position = static_cast<std::uint64_t>((step * 64 / walk_steps + pass) % 64);
    const StorePath path = (step + pass) % 2 == 0 ? StorePath::kCached : StorePath::kNonTemporal;
    add_write_check(phases, "walk-1", {kWalk, false, position}, path);
    add_write_check(phases, "walk-0", {kWalk, true, position}, path);
  }
  return phases;
}

void Recorder::record(const Mismatch& mismatch) {
  ++count_;
  const std::lock_guard lock(mutex_);
  if (kept_.size() >= kept_max_) return;
  const auto same_word = [&](const Mismatch& kept) { return kept.word == mismatch.word; };
  if (std::none_of(kept_.begin(), kept_.end(), same_word)) kept_.push_back(mismatch);
}

void run_phase(const Phase& phase, MemoryAccess& memory, std::uint64_t first, std::uint64_t last, Recorder& recorder,
               const std::stop_token& stop) {
  const std::uint64_t blocks = (last - first + kBlockWords - 1) / kBlockWords;
  for (std::uint64_t i = 0; i < blocks && !stop.stop_requested(); ++i) {
    const std::uint64_t block = phase.action == Action::kCheckWriteDown ? blocks - 1 - i : i;
    const std::uint64_t start = first + block * kBlockWords;
    run_block(phase, memory, start, static_cast<std::size_t>(std::min<std::uint64_t>(kBlockWords, last - start)),
              recorder);
  }
}

void test_address_lines(MemoryAccess& memory, std::uint64_t seed, Recorder& recorder, const std::stop_token& stop) {
  Rng rng(seed);
  for (int i = 0; i < kAddressBases && !stop.stop_requested(); ++i)
    test_lines_from(memory, i == 0 ? 0 : rng.below(memory.words()), recorder);
}

}  // namespace ff::bench
