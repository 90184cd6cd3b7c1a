// UringEnv: RealEnv on one io_uring.
#pragma once

#include <memory>
#include <optional>

#include "libcommon/runtime/disk_buffers.hpp"
#include "libcommon/runtime/real_env.hpp"
#include "libcommon/runtime/uring_disk.hpp"
#include "libcommon/runtime/uring_receive.hpp"
#include "libcommon/runtime/uring_ring.hpp"

namespace ff::runtime {

class UringEnv final : public RealEnv, private UringCompletion {
 public:
  // Errors as UringRing::create().
  static Result<std::unique_ptr<UringEnv>> create(const RealEnvOptions& options);
  ~UringEnv() override;

  Backend backend() const noexcept override { return Backend::kUring; }
  Disk& disk() override { return disk_; }
  std::unique_ptr<Socket> adopt(UniqueFd fd) override;
  Task<Result<UniqueFd>> accept(int listening_fd) override;
  Task<Result<>> connect(int fd, const sockaddr_storage& to, socklen_t length) override;

 private:
  UringEnv(const RealEnvOptions& options, std::unique_ptr<Mailbox> mailbox, std::unique_ptr<UringRing> ring,
           std::unique_ptr<UringReceiveBuffers> receive_buffers);

  void begin_run() override;
  void end_run() override;
  void poll(Time until) override;

  // The mailbox is watched by a read of its eventfd that is always in flight while run() runs.
  void watch_mailbox();
  void completed(int result, std::uint32_t flags) override;

  std::unique_ptr<UringReceiveBuffers> receive_buffers_;
  std::unique_ptr<UringRing> ring_;  // goes before the memory that it uses
  UringDisk disk_;
  std::uint64_t wakes_ = 0;
  bool watching_ = false;
};

}  // namespace ff::runtime
