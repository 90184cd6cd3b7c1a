// SparseBytes: the content of a simulated file. Pages that were never written take no memory and read as zeros.
//
// Invariant  Bytes at and beyond size() are zero in every page that exists.
// Threads    A value type (moved, copied by copy()).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <vector>

namespace ff::testing {

class SparseBytes {
 public:
  static constexpr std::uint64_t kPage = 4096;

  SparseBytes() = default;
  SparseBytes(SparseBytes&&) noexcept = default;
  SparseBytes& operator=(SparseBytes&&) noexcept = default;
  SparseBytes copy() const;
  static SparseBytes of(std::span<const std::byte> bytes);

  std::uint64_t size() const noexcept { return size_; }
  std::uint64_t pages() const noexcept { return pages_.size(); }
  // Pages that a write there would add.
  std::uint64_t missing_pages(std::uint64_t offset, std::uint64_t bytes) const;

  // How many bytes were there to read; fewer than asked only at the end.
  std::size_t read(std::uint64_t offset, std::span<std::byte> into) const;
  // Grows the file where needed.
  void write(std::uint64_t offset, std::span<const std::byte> from);
  // Zeros from there on (pages are given back where whole); never grows or shrinks the file.
  void zero(std::uint64_t offset, std::uint64_t bytes);
  void reserve(std::uint64_t offset, std::uint64_t bytes);
  void resize(std::uint64_t bytes);
  std::vector<std::byte> bytes() const;

 private:
  using Page = std::array<std::byte, kPage>;
  Page& page(std::uint64_t index);

  std::uint64_t size_ = 0;
  std::map<std::uint64_t, std::unique_ptr<Page>> pages_;
};

}  // namespace ff::testing
