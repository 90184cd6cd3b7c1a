// Any bytes get a verdict as a block and as a journal; nothing but what the encoders write is taken as whole.
#include <array>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "ffbench/storage/verify_block.hpp"
#include "ffbench/storage/verify_journal.hpp"
#include "libcommon/base/assert.hpp"

namespace {

using namespace ff::bench;

void judge(std::span<const std::byte> block, std::uint64_t required) {
  const std::array<std::uint64_t, 2> allowed = {required + 1, required + 3};
  const BlockPromise promise{.run = 1, .seed = 2, .offset = 4096, .required = required, .allowed = allowed};
  const BlockFinding finding = judge_block(block, promise);
  FF_ASSERT(is_failure(finding.verdict) != finding.detail.empty(), name_of(finding.verdict), finding.detail);
  if (const auto identity = decode_block(block); identity && finding.verdict == BlockVerdict::kGood) {
    std::vector<std::byte> again(block.size());
    encode_block(*identity, again);
    FF_ASSERT(std::memcmp(again.data(), block.data(), block.size()) == 0);
  }
}

void read_journal(std::span<const std::byte> bytes) {
  const auto journal = decode_journal(bytes);
  if (!journal) {
    FF_ASSERT(journal.error().code() == ff::Errc::kCorrupt, journal.error().message());
    return;
  }
  FF_ASSERT(check(journal->run).has_value());
  std::vector<std::byte> page(kJournalPageBytes);
  encode_journal_header(journal->run, page);
  FF_ASSERT(std::memcmp(page.data(), bytes.data(), 72) == 0);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  read_journal(bytes);
  std::vector<std::byte> block((size + kVerifySectorBytes - 1) / kVerifySectorBytes * kVerifySectorBytes);
  if (block.empty() || block.size() > 16 * kVerifySectorBytes) return 0;
  // As they are, and laid over a block of ours, so that the fuzzer begins near something.
  std::memcpy(block.data(), bytes.data(), size);
  for (const std::uint64_t required : {0u, 5u}) judge(block, required);
  encode_block({1, 2, 4096, 5}, block);
  for (std::size_t i = 0; i < size; ++i) block[i] ^= bytes[i];
  for (const std::uint64_t required : {0u, 5u, 6u}) judge(block, required);
  return 0;
}
