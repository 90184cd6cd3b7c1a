// UringReceiveBuffers: receive buffers of which the kernel takes one when data has come (a provided-buffer ring).
#pragma once

#include "libcommon/runtime/receive_buffers.hpp"
#include "libcommon/runtime/uring_ring.hpp"

namespace ff::runtime {

class UringReceiveBuffers final : public ReceiveBuffers {
 public:
  static constexpr std::uint16_t kGroup = 0;

  // REQUIRES: ring outlives the buffers in use, and ends before they go.
  static Result<std::unique_ptr<UringReceiveBuffers>> create(UringRing& ring, std::uint32_t count, std::uint32_t bytes);

  // The buffer that a completion with these flags has filled with `bytes`; nothing when it took none.
  std::optional<Received> taken(std::uint32_t flags, std::size_t bytes) noexcept;

 private:
  UringReceiveBuffers(MappedMemory memory, std::uint32_t count, std::uint32_t bytes, MappedMemory shared,
                      std::uint32_t entries) noexcept;
  void returned(std::uint32_t index) noexcept override;

  MappedMemory shared_;  // with the kernel: which buffers are free
  std::uint32_t entries_;
};

}  // namespace ff::runtime
