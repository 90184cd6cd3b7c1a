#include "libcommon/testing/crash_images.hpp"

#include <algorithm>
#include <map>
#include <set>

#include "libcommon/base/assert.hpp"

namespace ff::testing {

namespace {

struct Range {
  std::uint64_t begin, end;
};

// The bytes whose content an operation decides, given the size before it.
Range touched(const DiskOp& op, std::uint64_t size) {
  switch (op.kind) {
    case DiskOp::Kind::kWrite: return {op.offset, op.offset + op.data.size()};
    case DiskOp::Kind::kZero: return {op.offset, std::max(op.offset, std::min(size, op.offset + op.bytes))};
    case DiskOp::Kind::kTruncate: return {std::min(op.bytes, size), size};
    case DiskOp::Kind::kAllocate:
    case DiskOp::Kind::kSync: return {0, 0};
  }
  return {0, 0};
}

// A sector of every version of the file, as the cumulative effect of the operations on it.
class Versions {
 public:
  Versions(const SparseBytes& durable, std::span<const DiskOp* const> ops, std::uint32_t sector_bytes)
      : sector_bytes_(sector_bytes), content_(durable.copy()) {
    sizes_.push_back(content_.size());
    for (const DiskOp* op : ops) add(*op);
  }

  const std::map<std::uint64_t, std::vector<std::vector<std::byte>>>& sectors() const noexcept { return sectors_; }
  const std::vector<std::uint64_t>& sizes() const noexcept { return sizes_; }

 private:
  void add(const DiskOp& op) {
    const Range range = touched(op, content_.size());
    const std::uint64_t first = range.begin / sector_bytes_;
    const std::uint64_t last = (range.end + sector_bytes_ - 1) / sector_bytes_;
    for (std::uint64_t s = first; range.begin < range.end && s < last; ++s) {
      if (!sectors_.contains(s)) sectors_[s].push_back(sector(s));
    }
    apply_op(content_, op);
    for (std::uint64_t s = first; range.begin < range.end && s < last; ++s) sectors_[s].push_back(sector(s));
    if (content_.size() != sizes_.back()) sizes_.push_back(content_.size());
  }
  std::vector<std::byte> sector(std::uint64_t index) const {
    std::vector<std::byte> out(sector_bytes_);
    content_.read(index * sector_bytes_, out);
    return out;
  }

  std::uint32_t sector_bytes_;
  SparseBytes content_;
  std::map<std::uint64_t, std::vector<std::vector<std::byte>>> sectors_;  // version 0 is the durable one
  std::vector<std::uint64_t> sizes_;
};

bool all_zero(std::span<const std::byte> bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](std::byte b) { return b == std::byte{0}; });
}

void put(SparseBytes& image, const Versions& versions, std::uint32_t sector_bytes, const ChooseVersion& choose) {
  std::uint64_t size_max = 0;
  for (const std::uint64_t size : versions.sizes()) size_max = std::max(size_max, size);
  image.resize(std::max(image.size(), size_max));
  for (const auto& [sector, contents] : versions.sectors()) {
    const std::uint64_t version = choose(sector, contents.size() - 1);
    FF_ASSERT(version < contents.size(), version, contents.size());
    if (version == 0) continue;
    const auto& bytes = contents[version];
    if (all_zero(bytes)) {
      image.zero(sector * sector_bytes, sector_bytes);
    } else {
      image.write(sector * sector_bytes, bytes);
    }
  }
  std::uint64_t size = versions.sizes().front();
  if (versions.sizes().size() > 1) {
    const std::uint64_t version = choose(kSizeChoice, versions.sizes().size() - 1);
    FF_ASSERT(version < versions.sizes().size(), version, versions.sizes().size());
    size = versions.sizes()[version];
  }
  image.resize(size);
}

std::uint64_t image_hash(const CrashImage& image) {
  std::uint64_t hash = 0xcbf29ce484222325ULL;
  for (const SparseBytes& file : image.files) {
    hash = (hash ^ file.size()) * 0x9e3779b97f4a7c15ULL;
    for (const std::byte b : file.bytes()) hash = (hash ^ std::to_integer<std::uint64_t>(b)) * 0x100000001b3ULL;
  }
  return hash;
}

// All images of one instant.
class Point {
 public:
  Point(std::span<const SparseBytes> durable, const std::vector<std::vector<const DiskOp*>>& unsynced,
        std::size_t operations, const CrashImageOptions& options)
      : durable_(durable), operations_(operations), options_(options) {
    for (std::size_t f = 0; f < durable.size(); ++f) {
      versions_.emplace_back(durable[f], unsynced[f], options.sector_bytes);
      for (const auto& [sector, contents] : versions_[f].sectors()) radix_.push_back(contents.size());
      if (versions_[f].sizes().size() > 1) radix_.push_back(versions_[f].sizes().size());
    }
  }

  // False when `visit` asked to stop.
  bool walk(CrashImageCount& count, const std::function<bool(const CrashImage&)>& visit) {
    std::vector<std::uint64_t> none(radix_.size(), 0), all = radix_;
    for (auto& digit : all) --digit;
    if (!show(none, count, visit) || !show(all, count, visit)) return false;
    for (std::size_t i = 0; i < radix_.size(); ++i) {
      auto one = none, but_one = all;
      one[i] = all[i];
      but_one[i] = 0;
      if (!show(one, count, visit) || !show(but_one, count, visit)) return false;
    }
    return combinations() <= options_.images_per_point ? walk_all(none, count, visit) : walk_sample(none, count, visit);
  }

 private:
  std::uint64_t combinations() const {
    std::uint64_t product = 1;
    for (const std::uint64_t radix : radix_) {
      product *= radix;
      if (product > options_.images_per_point) return product;
    }
    return product;
  }
  bool walk_all(std::vector<std::uint64_t> digits, CrashImageCount& count,
                const std::function<bool(const CrashImage&)>& visit) {
    for (;;) {
      if (!show(digits, count, visit)) return false;
      std::size_t i = 0;
      while (i < digits.size() && ++digits[i] == radix_[i]) digits[i++] = 0;
      if (i == digits.size()) return true;
    }
  }
  bool walk_sample(std::vector<std::uint64_t> digits, CrashImageCount& count,
                   const std::function<bool(const CrashImage&)>& visit) {
    count.exhaustive = false;
    Rng rng(options_.seed ^ operations_);
    for (std::uint64_t n = seen_.size(); n < options_.images_per_point; ++n) {
      for (std::size_t i = 0; i < digits.size(); ++i) digits[i] = rng.below(radix_[i]);
      if (!show(digits, count, visit)) return false;
    }
    return true;
  }
  bool show(const std::vector<std::uint64_t>& digits, CrashImageCount& count,
            const std::function<bool(const CrashImage&)>& visit) {
    if (count.images >= options_.images_max) {
      count.exhaustive = false;
      return false;
    }
    CrashImage image;
    image.operations = operations_;
    std::size_t next = 0;
    for (std::size_t f = 0; f < durable_.size(); ++f) {
      image.files.push_back(durable_[f].copy());
      put(image.files.back(), versions_[f], options_.sector_bytes, [&](auto...) { return digits[next++]; });
    }
    if (!seen_.insert(image_hash(image)).second) return true;
    ++count.images;
    return visit(image);
  }

  std::span<const SparseBytes> durable_;
  std::size_t operations_;
  const CrashImageOptions& options_;
  std::vector<Versions> versions_;
  std::vector<std::uint64_t> radix_;  // versions of each dirty sector and size, in the order of the choices
  std::set<std::uint64_t> seen_;
};

}  // namespace

void apply_op(SparseBytes& content, const DiskOp& op) {
  switch (op.kind) {
    case DiskOp::Kind::kWrite: content.write(op.offset, op.data); break;
    case DiskOp::Kind::kZero: content.zero(op.offset, op.bytes); break;
    case DiskOp::Kind::kAllocate: content.reserve(op.offset, op.bytes); break;
    case DiskOp::Kind::kTruncate: content.resize(op.bytes); break;
    case DiskOp::Kind::kSync: break;
  }
}

void resolve_crash(SparseBytes& durable, std::span<const DiskOp* const> unsynced, std::uint32_t sector_bytes,
                   const ChooseVersion& choose) {
  if (unsynced.empty()) return;
  const Versions versions(durable, unsynced, sector_bytes);
  put(durable, versions, sector_bytes, choose);
}

CrashImageCount for_each_crash_image(std::span<const SparseBytes> initial, std::span<const DiskOp> operations,
                                     const CrashImageOptions& options,
                                     const std::function<bool(const CrashImage&)>& visit) {
  FF_ASSERT(options.sector_bytes > 0);
  std::vector<SparseBytes> durable;
  for (const SparseBytes& file : initial) durable.push_back(file.copy());
  std::vector<std::vector<const DiskOp*>> unsynced(durable.size());
  CrashImageCount count;
  for (std::size_t done = 0;; ++done) {
    if (!Point(durable, unsynced, done, options).walk(count, visit) || done == operations.size()) return count;
    const DiskOp& op = operations[done];
    FF_ASSERT(op.file < durable.size(), op.file, durable.size());
    if (op.kind == DiskOp::Kind::kSync) {
      auto& pending = unsynced[op.file];
      const std::size_t covered = op.bytes == 0 ? pending.size() : std::min<std::uint64_t>(op.bytes, pending.size());
      for (std::size_t i = 0; i < covered; ++i) apply_op(durable[op.file], *pending[i]);
      pending.erase(pending.begin(), pending.begin() + static_cast<std::ptrdiff_t>(covered));
    } else {
      unsynced[op.file].push_back(&op);
    }
  }
}

}  // namespace ff::testing
