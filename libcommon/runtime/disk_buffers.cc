#include "libcommon/runtime/disk_buffers.hpp"

#include <algorithm>
#include <cstring>
#include <map>

#include "libcommon/runtime/mapped_memory.hpp"

namespace ff::runtime {

namespace {

constexpr std::size_t kFixedBytesMax = std::size_t{1} << 30;  // the kernel's limit for one fixed buffer
constexpr std::uint32_t kSlotsMax = 16384;                    // and for their number

std::size_t round_up(std::size_t bytes, std::size_t unit) noexcept { return (bytes + unit - 1) / unit * unit; }

}  // namespace

class DiskBuffers::Slabs {
 public:
  Slabs(std::uint64_t bytes_max, Register registrar) : left_(bytes_max), registrar_(std::move(registrar)) {}

  // Empty when none is free and no slab can be added.
  std::span<std::byte> take(std::size_t bytes) {
    auto place = find(bytes);
    if (place == free_.end()) {
      if (!add_slab(round_up(bytes, kSlabBytes))) return {};
      place = find(bytes);
    }
    const std::span<std::byte> memory(place->first, bytes);
    const std::size_t rest = place->second - bytes;
    free_.erase(place);
    if (rest > 0) free_.emplace(memory.data() + bytes, rest);
    std::memset(memory.data(), 0, bytes);
    return memory;
  }

  void give_back(std::span<std::byte> memory) {
    const auto slab = slab_of(memory.data());
    auto here = free_.emplace(memory.data(), memory.size()).first;
    // Joined with its neighbours, but never across slabs: those are different fixed buffers.
    const auto next = std::next(here);
    if (next != free_.end() && here->first + here->second == next->first && slab_of(next->first) == slab) {
      here->second += next->second;
      free_.erase(next);
    }
    if (here == free_.begin()) return;
    const auto previous = std::prev(here);
    if (previous->first + previous->second == here->first && slab_of(previous->first) == slab) {
      previous->second += here->second;
      free_.erase(here);
    }
  }

  std::optional<std::uint16_t> slot_of(std::span<const std::byte> memory) const noexcept {
    const auto slab = slab_of(memory.data());
    if (slab == slabs_.end()) return std::nullopt;
    const auto whole = slab->second.memory.span();
    if (memory.data() + memory.size() > whole.data() + whole.size()) return std::nullopt;
    return slab->second.slot;
  }

  void stop_registering() noexcept { left_ = 0; }

 private:
  struct Slab {
    MappedMemory memory;
    std::uint16_t slot;
  };
  using SlabMap = std::map<const std::byte*, Slab>;

  std::map<std::byte*, std::size_t>::iterator find(std::size_t bytes) {
    return std::ranges::find_if(free_, [&](const auto& extent) { return extent.second >= bytes; });
  }

  bool add_slab(std::size_t bytes) {
    if (bytes > left_ || bytes > kFixedBytesMax || slabs_.size() >= kSlotsMax) return false;
    auto memory = MappedMemory::map(bytes);
    const auto slot = static_cast<std::uint16_t>(slabs_.size());
    if (!memory || !registrar_(slot, memory->span())) {
      left_ = 0;  // what the kernel refused once it will refuse again; plain memory serves as well
      return false;
    }
    left_ -= bytes;
    const auto whole = memory->span();
    free_.emplace(whole.data(), whole.size());
    slabs_.emplace(whole.data(), Slab{std::move(*memory), slot});
    return true;
  }

  SlabMap::const_iterator slab_of(const std::byte* address) const noexcept {
    auto after = slabs_.upper_bound(address);
    if (after == slabs_.begin()) return slabs_.end();
    const auto slab = std::prev(after);
    const auto whole = slab->second.memory.span();
    return address < whole.data() + whole.size() ? slab : slabs_.end();
  }

  std::uint64_t left_;  // bytes that may still be registered
  Register registrar_;
  SlabMap slabs_;
  std::map<std::byte*, std::size_t> free_;
};

DiskBuffers::DiskBuffers(std::uint64_t registered_bytes, Register registrar)
    : slabs_(std::make_shared<Slabs>(registered_bytes, std::move(registrar))) {}

// Buffers that outlive this find nobody to register with.
DiskBuffers::~DiskBuffers() { slabs_->stop_registering(); }

std::uint32_t DiskBuffers::slots(std::uint64_t registered_bytes) noexcept {
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(registered_bytes / kSlabBytes, kSlotsMax));
}

Result<DiskBuffer> DiskBuffers::allocate(std::size_t bytes) {
  if (bytes == 0) return fail(Errc::kInvalidArgument, "disk buffer: 0 bytes asked (ask for at least one)");
  if (bytes > SIZE_MAX / 2) return fail(Errc::kExhausted, "disk buffer: more bytes asked than there is address space");
  const std::size_t rounded = round_up(bytes, kAlignment);
  if (const auto memory = slabs_->take(rounded); !memory.empty()) {
    std::shared_ptr<void> owner(memory.data(), [slabs = slabs_, memory](void*) { slabs->give_back(memory); });
    return DiskBuffer(std::move(owner), memory.first(bytes));
  }
  auto mapped = MappedMemory::map(rounded);
  if (!mapped) return fail(std::move(mapped).error().context("disk buffer"));
  auto owner = std::make_shared<MappedMemory>(std::move(*mapped));
  const auto memory = owner->span();
  return DiskBuffer(std::move(owner), memory.first(bytes));
}

std::optional<std::uint16_t> DiskBuffers::slot_of(std::span<const std::byte> memory) const noexcept {
  return slabs_->slot_of(memory);
}

}  // namespace ff::runtime
