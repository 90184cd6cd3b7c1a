// A model of memory that is broken in one way, for tests of the test: what is stored and what is read go through the
// fault, word by word, as they would in the chip.
#pragma once

#include <optional>
#include <vector>

#include "ffbench/compute/memory_access.hpp"

namespace ff::bench {

struct FaultModel {
  // Bits of one word that are always 0, or always 1.
  std::optional<std::uint64_t> stuck_word = {};
  std::uint64_t stuck_at_0 = 0;
  std::uint64_t stuck_at_1 = 0;
  // A line of the word's address that does not arrive: two words share one cell.
  std::uint64_t dead_line = 0;
  // A word that loses one bit at the n-th time it is written (counting from 1), once.
  std::optional<std::uint64_t> weak_word = {};
  int weak_write = 0;
  // Writing `aggressor` inverts the lowest bit of `victim`, always.
  std::optional<std::uint64_t> aggressor = {};
  std::uint64_t victim = 0;
};

class FaultyMemory final : public MemoryAccess {
 public:
  FaultyMemory(std::uint64_t words, FaultModel fault) : cells_(words), fault_(fault) {}

  std::uint64_t words() const noexcept override { return cells_.size(); }

  void write(std::uint64_t first, std::span<const std::uint64_t> values, StorePath) noexcept override {
    for (std::size_t i = 0; i < values.size(); ++i) write_word(first + i, values[i]);
  }
  void read(std::uint64_t first, std::span<std::uint64_t> values) noexcept override {
    for (std::size_t i = 0; i < values.size(); ++i) values[i] = read_word(first + i);
  }

 private:
  std::uint64_t& cell(std::uint64_t word) { return cells_[word & ~fault_.dead_line]; }

  void write_word(std::uint64_t word, std::uint64_t value) {
    if (word == fault_.weak_word && ++weak_writes_ == fault_.weak_write) value ^= 1u << 9;
    cell(word) = value;
    if (word == fault_.aggressor) cell(fault_.victim) ^= 1;
  }
  std::uint64_t read_word(std::uint64_t word) {
    const std::uint64_t value = cell(word);
    return word == fault_.stuck_word ? (value & ~fault_.stuck_at_0) | fault_.stuck_at_1 : value;
  }

  std::vector<std::uint64_t> cells_;
  FaultModel fault_;
  int weak_writes_ = 0;
};

}  // namespace ff::bench
