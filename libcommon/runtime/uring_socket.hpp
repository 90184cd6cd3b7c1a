// UringSocket: Socket on an io_uring.
#pragma once

#include "libcommon/runtime/socket.hpp"
#include "libcommon/runtime/uring_receive.hpp"
#include "libcommon/runtime/uring_ring.hpp"

namespace ff::runtime {

class UringSocket final : public Socket {
 public:
  UringSocket(UringRing& ring, UringReceiveBuffers& buffers, UniqueFd fd) noexcept
      : ring_(ring), buffers_(buffers), fd_(std::move(fd)) {}
  ~UringSocket() override;

  Task<Result<Received>> receive() override;
  Task<Result<>> read_exact(std::span<std::byte> into) override;
  Task<Result<>> write(std::span<const iovec> parts) override;
  void shutdown() noexcept override;
  int fd() const noexcept override { return fd_.get(); }

 private:
  void set_low_water(std::size_t bytes) noexcept;

  UringRing& ring_;
  UringReceiveBuffers& buffers_;
  UniqueFd fd_;
  int low_water_ = 1;
  bool more_waits_ = false;  // the last receive() left something behind
  bool reading_ = false;
  bool writing_ = false;
};

}  // namespace ff::runtime
