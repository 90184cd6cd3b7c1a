// What is wrong with a word that was found wrong: asked of the memory itself, by writing and reading the word and those
// that may share its cell. Overwrites what it probes.
#pragma once

#include <cstdint>
#include <optional>

#include "ffbench/compute/memory_access.hpp"
#include "ffbench/compute/memory_patterns.hpp"
#include "ffbench/compute/memory_test.hpp"

namespace ff::bench {

struct Diagnosis {
  FaultKind kind = FaultKind::kTransient;
  std::optional<std::uint64_t> other_word = {};
};

Diagnosis diagnose(MemoryAccess& memory, const Mismatch& mismatch);

}  // namespace ff::bench
