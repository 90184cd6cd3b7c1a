// The bytes of a checkpoint file: header, weights, moments, trailer. Types, encode, decode, check; no I/O.
// checkpoint.md has the grammar. Little-endian. Field offsets are never reused with another meaning.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "libcommon/base/result.hpp"
#include "tools/fftrain/model_config.hpp"

namespace ff::fftrain {

inline constexpr std::size_t kHeaderBytes = 128;
inline constexpr std::size_t kTrailerBytes = 4;  // CRC-32C of everything before it
inline constexpr std::uint32_t kFormatVersion = 1;

struct CheckpointHeader {
  ModelConfig model;
  std::uint64_t step = 0;        // steps done; training goes on with step number `step`
  std::uint64_t seed = 0;        // of weights and batches: with `step` it is the state of the generator
  std::uint64_t batch = 0;       // sequences of a step, all ranks
  std::uint64_t text_bytes = 0;  // the text's size and CRC-32C
  std::uint32_t text_crc = 0;
  std::uint32_t ranks = 0;       // that wrote it; with as many, resuming is bit-exact
  std::uint64_t parameters = 0;  // elements of each of the three arrays
  friend bool operator==(const CheckpointHeader&, const CheckpointHeader&) = default;
};

// Size of the whole file.
std::uint64_t checkpoint_bytes(std::uint64_t parameters) noexcept;

std::array<std::byte, kHeaderBytes> encode_header(const CheckpointHeader& header);
// kCorrupt for a wrong magic or checksum, a size that does not follow from the shape, and `file_bytes` that is not the
// size that the header promises; kUnsupported for another version.
Result<CheckpointHeader> decode_header(std::span<const std::byte, kHeaderBytes> bytes, std::uint64_t file_bytes);

}  // namespace ff::fftrain
