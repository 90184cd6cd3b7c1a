// BlockSpace: which blocks of a store's files are free. Block: one that is not.
//
// Size classes  0: no bytes (a place in a table for what has no content), 1..11: 64 KiB..64 MiB.
// Ownership     A block returns to its space when the last BlockRef to it goes: readers of an old version keep its
//               block, and so does a journal record that is not durable yet. The space lives as long as its blocks.
// No I/O.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <memory>
#include <vector>

namespace ff::ffs {

inline constexpr unsigned kSizeClasses = 12;

constexpr std::uint64_t class_bytes(unsigned size_class) noexcept {
  return size_class == 0 ? 0 : (std::uint64_t{32} << 10) << size_class;
}
// The smallest class whose blocks hold `length` bytes. REQUIRES: length <= 64 MiB.
constexpr unsigned class_for(std::uint64_t length) noexcept {
  unsigned size_class = 0;
  while (class_bytes(size_class) < length) ++size_class;
  return size_class;
}

struct BlockPlace {
  std::uint8_t size_class = 0;
  std::uint32_t index = 0;
  std::uint64_t bytes() const noexcept { return class_bytes(size_class); }
  std::uint64_t offset() const noexcept { return bytes() * index; }
  friend auto operator<=>(const BlockPlace&, const BlockPlace&) = default;
};

class BlockSpace;

class Block {
 public:
  Block(std::shared_ptr<BlockSpace> space, BlockPlace place) noexcept : space_(std::move(space)), place_(place) {}
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;
  ~Block();
  BlockPlace place() const noexcept { return place_; }
  // A checkpoint is writing remembered bytes into it: nobody else may write there.
  void begin_apply() const noexcept { ++applying_; }
  void end_apply() const noexcept { --applying_; }
  bool applying() const noexcept { return applying_ > 0; }

 private:
  std::shared_ptr<BlockSpace> space_;
  BlockPlace place_;
  mutable std::uint32_t applying_ = 0;
};
using BlockRef = std::shared_ptr<const Block>;

class BlockSpace : public std::enable_shared_from_this<BlockSpace> {
 public:
  // The lowest free block; null when none is.
  BlockRef take(unsigned size_class);
  // That block; null when it is taken or beyond the end.
  BlockRef take_at(BlockPlace place);
  void grow(unsigned size_class, std::uint32_t blocks);

  std::uint32_t blocks(unsigned size_class) const noexcept { return classes_[size_class].blocks; }
  std::uint32_t used(unsigned size_class) const noexcept { return classes_[size_class].used; }
  std::uint32_t free(unsigned size_class) const noexcept { return blocks(size_class) - used(size_class); }
  std::uint64_t used_bytes() const noexcept;
  std::uint64_t grown_bytes() const noexcept;
  // Of all classes but 0.
  std::uint64_t data_blocks() const noexcept;
  std::uint64_t data_blocks_used() const noexcept;

 private:
  friend class Block;
  struct Class {
    std::uint32_t blocks = 0;
    std::uint32_t used = 0;
    std::size_t first_word = 0;        // no free block in the words before it
    std::vector<std::uint64_t> taken;  // bit per block
  };
  void release(BlockPlace place) noexcept;
  BlockRef mark(BlockPlace place);

  std::array<Class, kSizeClasses> classes_;
};

}  // namespace ff::ffs
