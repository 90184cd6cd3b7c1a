// EpollEnv: RealEnv where io_uring is forbidden: readiness from epoll, files on the offload pool.
#pragma once

#include <memory>
#include <vector>

#include "libcommon/runtime/epoll_poller.hpp"
#include "libcommon/runtime/epoll_socket.hpp"
#include "libcommon/runtime/real_env.hpp"
#include "libcommon/runtime/thread_disk.hpp"

namespace ff::runtime {

class EpollEnv final : public RealEnv {
 public:
  static Result<std::unique_ptr<EpollEnv>> create(const RealEnvOptions& options);

  Backend backend() const noexcept override { return Backend::kEpoll; }
  Disk& disk() override { return disk_; }
  std::unique_ptr<Socket> adopt(UniqueFd fd) override;
  Task<Result<UniqueFd>> accept(int listening_fd) override;
  Task<Result<>> connect(int fd, const sockaddr_storage& to, socklen_t length) override;

 private:
  EpollEnv(const RealEnvOptions& options, std::unique_ptr<Mailbox> mailbox, std::unique_ptr<EpollPoller> poller,
           MappedMemory receive_memory);

  void begin_run() override {}
  void end_run() override {}
  void poll(Time until) override;

  std::unique_ptr<EpollPoller> poller_;
  EpollReceiveBuffers receive_buffers_;
  ThreadDisk disk_;
};

}  // namespace ff::runtime
