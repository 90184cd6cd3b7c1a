#include "libcommon/runtime/uring_receive.hpp"

#include <liburing.h>

#include <bit>

namespace ff::runtime {

namespace {

io_uring_buf_ring* as_ring(const MappedMemory& memory) noexcept {
  return reinterpret_cast<io_uring_buf_ring*>(memory.span().data());
}

}  // namespace

Result<std::unique_ptr<UringReceiveBuffers>> UringReceiveBuffers::create(UringRing& ring, std::uint32_t count,
                                                                         std::uint32_t bytes) {
  const std::uint32_t entries = std::bit_ceil(count);
  FF_TRY_ASSIGN(auto memory, map(count, bytes));
  FF_TRY_ASSIGN(auto shared, MappedMemory::map(entries * sizeof(io_uring_buf)));
  FF_TRY(ring.register_buffer_ring(shared.span().data(), entries, kGroup));
  return std::unique_ptr<UringReceiveBuffers>(
      new UringReceiveBuffers(std::move(memory), count, bytes, std::move(shared), entries));
}

UringReceiveBuffers::UringReceiveBuffers(MappedMemory memory, std::uint32_t count, std::uint32_t bytes,
                                         MappedMemory shared, std::uint32_t entries) noexcept
    : ReceiveBuffers(std::move(memory), count, bytes), shared_(std::move(shared)), entries_(entries) {
  for (std::uint32_t i = 0; i < count; ++i) UringReceiveBuffers::returned(i);
}

std::optional<Received> UringReceiveBuffers::taken(std::uint32_t flags, std::size_t bytes) noexcept {
  if ((flags & IORING_CQE_F_BUFFER) == 0) return std::nullopt;
  return lend(flags >> IORING_CQE_BUFFER_SHIFT, bytes);
}

void UringReceiveBuffers::returned(std::uint32_t index) noexcept {
  const auto memory = buffer(index);
  io_uring_buf_ring_add(as_ring(shared_), memory.data(), static_cast<unsigned>(memory.size()),
                        static_cast<unsigned short>(index), io_uring_buf_ring_mask(entries_), 0);
  io_uring_buf_ring_advance(as_ring(shared_), 1);
}

}  // namespace ff::runtime
