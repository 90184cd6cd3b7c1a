#include "tools/fftrain/checkpoint_format.hpp"

#include <fmt/core.h>

#include <bit>
#include <cstring>

#include "libcommon/base/crc32c.hpp"
#include "tools/fftrain/parameters.hpp"

namespace ff::fftrain {
namespace {

static_assert(std::endian::native == std::endian::little, "the format is little-endian and written as memory lies");

constexpr char kMagic[8] = {'F', 'F', 'T', 'R', 'A', 'I', 'N', '\n'};

// Offsets of the header; see checkpoint.md.
constexpr std::size_t kMagicAt = 0, kVersionAt = 8, kHeaderBytesAt = 12, kFileBytesAt = 16, kLayersAt = 24,
                      kHeadsAt = 28, kDimAt = 32, kCtxAt = 36, kVocabAt = 40, kRanksAt = 44, kStepAt = 48, kSeedAt = 56,
                      kBatchAt = 64, kTextBytesAt = 72, kParametersAt = 80, kTextCrcAt = 88, kHeaderCrcAt = 124;

template <class T>
void put(std::span<std::byte> bytes, std::size_t at, T value) {
  std::memcpy(bytes.data() + at, &value, sizeof value);
}

template <class T>
T get(std::span<const std::byte> bytes, std::size_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

}  // namespace

std::uint64_t checkpoint_bytes(std::uint64_t parameters) noexcept {
  return kHeaderBytes + 3 * parameters * sizeof(float) + kTrailerBytes;
}

std::array<std::byte, kHeaderBytes> encode_header(const CheckpointHeader& header) {
  std::array<std::byte, kHeaderBytes> bytes{};
  std::memcpy(bytes.data() + kMagicAt, kMagic, sizeof kMagic);
  put(bytes, kVersionAt, kFormatVersion);
  put(bytes, kHeaderBytesAt, static_cast<std::uint32_t>(kHeaderBytes));
  put(bytes, kFileBytesAt, checkpoint_bytes(header.parameters));
  put(bytes, kLayersAt, static_cast<std::uint32_t>(header.model.layers));
  put(bytes, kHeadsAt, static_cast<std::uint32_t>(header.model.heads));
  put(bytes, kDimAt, static_cast<std::uint32_t>(header.model.dim));
  put(bytes, kCtxAt, static_cast<std::uint32_t>(header.model.ctx));
  put(bytes, kVocabAt, static_cast<std::uint32_t>(kVocab));
  put(bytes, kRanksAt, header.ranks);
  put(bytes, kStepAt, header.step);
  put(bytes, kSeedAt, header.seed);
  put(bytes, kBatchAt, header.batch);
  put(bytes, kTextBytesAt, header.text_bytes);
  put(bytes, kParametersAt, header.parameters);
  put(bytes, kTextCrcAt, header.text_crc);
  put(bytes, kHeaderCrcAt, crc32c(0, bytes.data(), kHeaderCrcAt));
  return bytes;
}

Result<CheckpointHeader> decode_header(std::span<const std::byte, kHeaderBytes> bytes, std::uint64_t file_bytes) {
  if (std::memcmp(bytes.data() + kMagicAt, kMagic, sizeof kMagic) != 0)
    return fail(Errc::kCorrupt, "not a checkpoint of fftrain (wrong magic)");
  if (const auto version = get<std::uint32_t>(bytes, kVersionAt); version != kFormatVersion)
    return fail(Errc::kUnsupported, fmt::format("checkpoint version {} is not {} (use the fftrain that wrote it)",
                                                version, kFormatVersion));
  if (crc32c(0, bytes.data(), kHeaderCrcAt) != get<std::uint32_t>(bytes, kHeaderCrcAt))
    return fail(Errc::kCorrupt, "header checksum does not match");

  CheckpointHeader header;
  header.model = {get<std::uint32_t>(bytes, kLayersAt), get<std::uint32_t>(bytes, kHeadsAt),
                  get<std::uint32_t>(bytes, kDimAt), get<std::uint32_t>(bytes, kCtxAt)};
  header.ranks = get<std::uint32_t>(bytes, kRanksAt);
  header.step = get<std::uint64_t>(bytes, kStepAt);
  header.seed = get<std::uint64_t>(bytes, kSeedAt);
  header.batch = get<std::uint64_t>(bytes, kBatchAt);
  header.text_bytes = get<std::uint64_t>(bytes, kTextBytesAt);
  header.parameters = get<std::uint64_t>(bytes, kParametersAt);
  header.text_crc = get<std::uint32_t>(bytes, kTextCrcAt);

  if (auto shape = check(header.model); !shape)
    return fail(Errc::kCorrupt, "impossible model shape: " + shape.error().message());
  if (get<std::uint32_t>(bytes, kHeaderBytesAt) != kHeaderBytes || get<std::uint32_t>(bytes, kVocabAt) != kVocab ||
      header.parameters != ParameterLayout(header.model).count() ||
      get<std::uint64_t>(bytes, kFileBytesAt) != checkpoint_bytes(header.parameters))
    return fail(Errc::kCorrupt, "header fields contradict one another");
  if (file_bytes != checkpoint_bytes(header.parameters))
    return fail(Errc::kCorrupt, fmt::format("file has {} bytes instead of {} (torn write)", file_bytes,
                                            checkpoint_bytes(header.parameters)));
  return header;
}

}  // namespace ff::fftrain
