#include "libcommon/testing/sparse_bytes.hpp"

#include <algorithm>
#include <cstring>

namespace ff::testing {

namespace {

// Calls visit(page index, offset in the page, bytes there, bytes before) for each page that the range touches.
template <class F>
void for_pages(std::uint64_t offset, std::uint64_t bytes, F visit) {
  std::uint64_t done = 0;
  while (done < bytes) {
    const std::uint64_t at = offset + done;
    const std::uint64_t inside = at % SparseBytes::kPage;
    const std::uint64_t n = std::min(bytes - done, SparseBytes::kPage - inside);
    visit(at / SparseBytes::kPage, inside, n, done);
    done += n;
  }
}

}  // namespace

SparseBytes SparseBytes::copy() const {
  SparseBytes out;
  out.size_ = size_;
  for (const auto& [index, data] : pages_) out.pages_.emplace(index, std::make_unique<Page>(*data));
  return out;
}

SparseBytes SparseBytes::of(std::span<const std::byte> bytes) {
  SparseBytes out;
  out.write(0, bytes);
  return out;
}

SparseBytes::Page& SparseBytes::page(std::uint64_t index) {
  auto& slot = pages_[index];
  if (!slot) slot = std::make_unique<Page>();
  return *slot;
}

std::uint64_t SparseBytes::missing_pages(std::uint64_t offset, std::uint64_t bytes) const {
  std::uint64_t missing = 0;
  for_pages(offset, bytes, [&](std::uint64_t index, auto...) { missing += pages_.contains(index) ? 0 : 1; });
  return missing;
}

std::size_t SparseBytes::read(std::uint64_t offset, std::span<std::byte> into) const {
  if (offset >= size_) return 0;
  const std::uint64_t bytes = std::min<std::uint64_t>(into.size(), size_ - offset);
  for_pages(offset, bytes, [&](std::uint64_t index, std::uint64_t inside, std::uint64_t n, std::uint64_t done) {
    const auto found = pages_.find(index);
    if (found == pages_.end()) {
      std::memset(into.data() + done, 0, n);
    } else {
      std::memcpy(into.data() + done, found->second->data() + inside, n);
    }
  });
  return bytes;
}

void SparseBytes::write(std::uint64_t offset, std::span<const std::byte> from) {
  for_pages(offset, from.size(), [&](std::uint64_t index, std::uint64_t inside, std::uint64_t n, std::uint64_t done) {
    std::memcpy(page(index).data() + inside, from.data() + done, n);
  });
  if (!from.empty()) size_ = std::max(size_, offset + from.size());
}

void SparseBytes::zero(std::uint64_t offset, std::uint64_t bytes) {
  if (offset >= size_) return;
  for_pages(offset, std::min(bytes, size_ - offset),
            [&](std::uint64_t index, std::uint64_t inside, std::uint64_t n, auto) {
              const auto found = pages_.find(index);
              if (found == pages_.end()) return;
              std::memset(found->second->data() + inside, 0, n);
              if (n == kPage) pages_.erase(found);
            });
}

void SparseBytes::reserve(std::uint64_t offset, std::uint64_t bytes) {
  for_pages(offset, bytes, [&](std::uint64_t index, auto...) { page(index); });
  if (bytes > 0) size_ = std::max(size_, offset + bytes);
}

void SparseBytes::resize(std::uint64_t bytes) {
  if (bytes < size_) {
    const std::uint64_t whole = (bytes + kPage - 1) / kPage;
    pages_.erase(pages_.lower_bound(whole), pages_.end());
    zero(bytes, whole * kPage - bytes);
  }
  size_ = bytes;
}

std::vector<std::byte> SparseBytes::bytes() const {
  std::vector<std::byte> out(size_);
  read(0, out);
  return out;
}

}  // namespace ff::testing
