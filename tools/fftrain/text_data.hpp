// TextData: the bytes to learn, and which of them a step sees.
//
// Sampling  Sequence i of step s starts at a position drawn from (seed, s, i) alone, so the global batch does not
//           depend on the number of ranks, and nothing but the step has to be kept to resume.
// Sharding  Rank r of `world` takes the sequences with i mod world == r.
// Threads   Immutable after loading.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "libcommon/base/result.hpp"

namespace ff::fftrain {

inline constexpr char kDefaultTextFolder[] = "/usr/share/common-licenses";

class TextData {
 public:
  explicit TextData(std::string text);
  // The files (of files.hpp's places), one after another. Empty: every regular file of kDefaultTextFolder, sorted by
  // name. kNotFound, kIo...
  static Result<TextData> load(const std::vector<std::string>& paths);

  std::span<const std::uint8_t> bytes() const noexcept;
  std::uint32_t crc() const noexcept { return crc_; }
  // Entropy of the distribution of single bytes: what a model that knows only byte frequencies pays a byte.
  double unigram_bits() const noexcept { return unigram_bits_; }

 private:
  std::string text_;
  std::uint32_t crc_;
  double unigram_bits_;
};

// The regular files of a folder, sorted by name; a file that is reachable under several names (symbolic or hard links)
// is taken once, under the first name.
Result<std::vector<std::string>> list_text_files(const std::string& folder);

struct BatchShape {
  std::int64_t sequences = 0;  // of all ranks together
  std::int64_t length = 0;
  std::uint64_t seed = 0;
};

// First byte of sequence `index` of `step` in a text of `text_bytes`. REQUIRES: text_bytes > length.
std::uint64_t sequence_start(const BatchShape& shape, std::int64_t step, std::int64_t index, std::uint64_t text_bytes);

// A rank's share of a step's batch. REQUIRES: sequences divisible by world; text longer than `length`.
struct Batch {
  std::vector<std::uint8_t> tokens;   // [sequences / world, length]
  std::vector<std::uint8_t> targets;  // the byte after each token
};
void fill_batch(Batch& batch, const TextData& text, const BatchShape& shape, std::int64_t step, int rank, int world);

}  // namespace ff::fftrain
