#include "ffs/store/content_reader.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cstring>

#include "libcommon/base/crc32c.hpp"

namespace ff::ffs {

using runtime::Task;

namespace {

bool covered(const Overlay& overlay, std::uint32_t first, std::uint32_t count) {
  auto it = overlay.lower_bound(first);
  for (std::uint32_t i = 0; i < count; ++i, ++it) {
    if (it == overlay.end() || it->first != first + i) return false;
  }
  return true;
}

}  // namespace

Task<Result<>> ContentReader::read_blocks(ContentRef content, std::uint32_t first, std::uint32_t count,
                                          std::span<std::byte> into) {
  const BlockPlace place = content->block->place();
  const std::uint64_t unit = checksum_bytes_;
  std::size_t got = into.size();
  if (!covered(content->overlay, first, count)) {
    auto read = co_await files_.blocks(place.size_class).read(place.offset() + first * unit, into);
    if (!read && read.error().code() == Errc::kIo) {
      read = co_await files_.blocks(place.size_class).read(place.offset() + first * unit, into);
    }
    // A sector that cannot be read is lost like one whose bytes have changed: another replica has it.
    if (!read && read.error().code() == Errc::kIo) {
      co_return fail(Errc::kCorrupt, fmt::format("{}: block {}: {}", StoreFiles::blocks_name(place.size_class),
                                                 place.index, read.error().message()));
    }
    FF_CO_TRY_ASSIGN(got, std::move(read));
  }
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::uint32_t index = first + i;
    const auto block = into.subspan(i * unit, unit);
    const auto overlaid = content->overlay.find(index);
    if (overlaid != content->overlay.end()) std::ranges::copy(*overlaid->second, block.begin());
    const std::size_t inside = std::min<std::uint64_t>(unit, content->length - index * unit);
    const bool there = overlaid != content->overlay.end() || (i + 1) * unit <= got;
    if (!there || crc32c(0, block.data(), inside) != content->crcs[index]) {
      co_return fail(Errc::kCorrupt, fmt::format("{}: block {}: checksum of bytes {}..{} is wrong",
                                                 StoreFiles::blocks_name(place.size_class), place.index, index * unit,
                                                 index * unit + inside));
    }
    std::ranges::fill(block.subspan(inside), std::byte{0});
  }
  co_return {};
}

Task<Result<>> ContentReader::read(ContentRef content, std::uint32_t offset, std::span<std::byte> into) {
  if (into.empty()) co_return {};
  const std::uint32_t unit = checksum_bytes_;
  const std::uint64_t end = std::uint64_t{offset} + into.size();
  const std::uint32_t first = offset / unit;
  const std::uint32_t count = checksum_blocks(end, unit) - first;
  const std::size_t alignment = files_.blocks(content->block->place().size_class).alignment();
  if (offset % unit == 0 && end % unit == 0 && reinterpret_cast<std::uintptr_t>(into.data()) % alignment == 0) {
    co_return co_await read_blocks(std::move(content), first, count, into);
  }
  FF_CO_TRY_ASSIGN(auto buffer, disk_.buffer(std::size_t{count} * unit));
  FF_CO_TRY(co_await read_blocks(std::move(content), first, count, buffer.span()));
  std::memcpy(into.data(), buffer.data() + (offset - first * unit), into.size());
  co_return {};
}

}  // namespace ff::ffs
