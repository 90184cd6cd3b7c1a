// Overlay: the checksum blocks of a chunk that are in the journal and not yet in the chunk's block, by their index in
// the chunk. Every update of a chunk copies it (what readers hold never changes), so it is a sorted array: a copy is
// one allocation and a count for each block, where a tree would allocate each.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace ff::ffs {

class Overlay {
 public:
  using Bytes = std::shared_ptr<const std::vector<std::byte>>;  // of one whole checksum block
  using Entry = std::pair<std::uint32_t, Bytes>;
  using const_iterator = std::vector<Entry>::const_iterator;

  Overlay() = default;
  // Of another one.
  Overlay(const_iterator from, const_iterator to) : entries_(from, to) {}

  bool empty() const noexcept { return entries_.empty(); }
  std::size_t size() const noexcept { return entries_.size(); }
  const_iterator begin() const noexcept { return entries_.begin(); }
  const_iterator end() const noexcept { return entries_.end(); }
  // REQUIRES: not empty.
  const Entry& back() const noexcept { return entries_.back(); }
  const_iterator lower_bound(std::uint32_t index) const noexcept {
    return std::ranges::lower_bound(entries_, index, {}, &Entry::first);
  }
  const_iterator find(std::uint32_t index) const noexcept {
    const auto it = lower_bound(index);
    return it != end() && it->first == index ? it : end();
  }

  void set(std::uint32_t index, Bytes bytes) {
    const auto it = entries_.begin() + (lower_bound(index) - begin());
    if (it != entries_.end() && it->first == index) {
      it->second = std::move(bytes);
    } else {
      entries_.emplace(it, index, std::move(bytes));
    }
  }
  // Removes the entries for which `gone(entry)`.
  template <class Gone>
  void erase_if(Gone gone) {
    std::erase_if(entries_, gone);
  }

 private:
  std::vector<Entry> entries_;  // by index
};

}  // namespace ff::ffs
