#include "ffs/store/block_space.hpp"

#include <algorithm>
#include <bit>

namespace ff::ffs {

Block::~Block() { space_->release(place_); }

BlockRef BlockSpace::mark(BlockPlace place) {
  Class& c = classes_[place.size_class];
  c.taken[place.index / 64] |= std::uint64_t{1} << (place.index % 64);
  ++c.used;
  return std::make_shared<const Block>(shared_from_this(), place);
}

BlockRef BlockSpace::take(unsigned size_class) {
  Class& c = classes_[size_class];
  for (; c.first_word < c.taken.size(); ++c.first_word) {
    const std::uint64_t taken = c.taken[c.first_word];
    if (taken == ~std::uint64_t{0}) continue;
    const auto index = static_cast<std::uint32_t>(c.first_word * 64 + static_cast<unsigned>(std::countr_one(taken)));
    if (index >= c.blocks) return nullptr;
    return mark({static_cast<std::uint8_t>(size_class), index});
  }
  return nullptr;
}

BlockRef BlockSpace::take_at(BlockPlace place) {
  if (place.size_class >= kSizeClasses || place.index >= blocks(place.size_class)) return nullptr;
  const Class& c = classes_[place.size_class];
  if ((c.taken[place.index / 64] >> (place.index % 64) & 1) != 0) return nullptr;
  return mark(place);
}

void BlockSpace::grow(unsigned size_class, std::uint32_t blocks) {
  Class& c = classes_[size_class];
  c.blocks += blocks;
  c.taken.resize((std::size_t{c.blocks} + 63) / 64);
}

void BlockSpace::release(BlockPlace place) noexcept {
  Class& c = classes_[place.size_class];
  const std::size_t word = place.index / 64;
  c.taken[word] &= ~(std::uint64_t{1} << (place.index % 64));
  --c.used;
  c.first_word = std::min(c.first_word, word);
}

std::uint64_t BlockSpace::used_bytes() const noexcept {
  std::uint64_t bytes = 0;
  for (unsigned c = 1; c < kSizeClasses; ++c) bytes += used(c) * class_bytes(c);
  return bytes;
}

std::uint64_t BlockSpace::grown_bytes() const noexcept {
  std::uint64_t bytes = 0;
  for (unsigned c = 1; c < kSizeClasses; ++c) bytes += blocks(c) * class_bytes(c);
  return bytes;
}

std::uint64_t BlockSpace::data_blocks() const noexcept {
  std::uint64_t count = 0;
  for (unsigned c = 1; c < kSizeClasses; ++c) count += blocks(c);
  return count;
}

std::uint64_t BlockSpace::data_blocks_used() const noexcept {
  std::uint64_t count = 0;
  for (unsigned c = 1; c < kSizeClasses; ++c) count += used(c);
  return count;
}

}  // namespace ff::ffs
