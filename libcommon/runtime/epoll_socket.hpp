// EpollSocket: Socket by readiness.
#pragma once

#include <vector>

#include "libcommon/runtime/epoll_poller.hpp"
#include "libcommon/runtime/receive_buffers.hpp"
#include "libcommon/runtime/socket.hpp"

namespace ff::runtime {

class EpollReceiveBuffers final : public ReceiveBuffers {
 public:
  EpollReceiveBuffers(MappedMemory memory, std::uint32_t count, std::uint32_t bytes);
  // A buffer to fill, to be lent or put back; nothing when all are in use.
  std::optional<std::uint32_t> take() noexcept;
  void put_back(std::uint32_t index) noexcept;

 private:
  void returned(std::uint32_t index) noexcept override { free_.push_back(index); }
  std::vector<std::uint32_t> free_;
};

class EpollSocket final : public Socket {
 public:
  EpollSocket(EpollPoller& poller, EpollReceiveBuffers& buffers, UniqueFd fd) noexcept
      : buffers_(buffers), fd_(std::move(fd)), watch_(poller, fd_.get()) {}
  ~EpollSocket() override;

  Task<Result<Received>> receive() override;
  Task<Result<>> read_exact(std::span<std::byte> into) override;
  Task<Result<>> write(std::span<const iovec> parts) override;
  void shutdown() noexcept override;
  int fd() const noexcept override { return fd_.get(); }

 private:
  EpollReceiveBuffers& buffers_;
  UniqueFd fd_;
  EpollWatch watch_;  // goes before the descriptor
  bool reading_ = false;
  bool writing_ = false;
};

}  // namespace ff::runtime
