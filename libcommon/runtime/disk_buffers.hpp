// DiskBuffers: gives out DiskBuffer memory. While `registered_bytes` last it is cut from slabs that are made known to
// the kernel when first needed; beyond that, and where the kernel refuses (locked memory limit), it is plain pages.
//
// Ownership  Buffers keep the memory alive, also beyond this object.  Threads  the Env's.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>

#include "libcommon/runtime/disk.hpp"

namespace ff::runtime {

class DiskBuffers {
 public:
  static constexpr std::size_t kAlignment = 4096;
  static constexpr std::size_t kSlabBytes = std::size_t{2} << 20;

  // Makes `memory` known to the kernel as fixed buffer `slot`.
  using Register = std::function<Result<>(std::uint32_t slot, std::span<std::byte> memory)>;

  // `registered_bytes` 0: `registrar` is never called.
  DiskBuffers(std::uint64_t registered_bytes, Register registrar);
  ~DiskBuffers();

  // Slots that may be registered: what the kernel's table must hold.
  static std::uint32_t slots(std::uint64_t registered_bytes) noexcept;

  // Zeroed, aligned. kInvalidArgument for 0 bytes, kExhausted without memory.
  Result<DiskBuffer> allocate(std::size_t bytes);
  // The fixed buffer in which all of `memory` lies.
  std::optional<std::uint16_t> slot_of(std::span<const std::byte> memory) const noexcept;

 private:
  class Slabs;
  std::shared_ptr<Slabs> slabs_;
};

}  // namespace ff::runtime
