#include "ffbench/net/loopback.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include <thread>
#include <vector>

#include "ffbench/measure/clock.hpp"
#include "ffbench/net/socket_loops.hpp"
#include "libcommon/base/defer.hpp"
#include "libcommon/net/socket.hpp"

namespace ff::bench {
namespace {

constexpr std::size_t kBlockBytes = 128u << 10;

struct Ends {
  UniqueFd sender, receiver;
};

Result<Ends> connected_ends() {
  FF_TRY_ASSIGN(const UniqueFd listener, net::listen_on(net::Address::tcp("127.0.0.1", 0)));
  FF_TRY_ASSIGN(const net::Address at, net::local_address(listener.get()));
  Ends ends;
  FF_TRY_ASSIGN(ends.sender, net::connect_to(at, Deadline::after(std::chrono::seconds(5))));
  pollfd waiting{listener.get(), POLLIN, 0};
  if (::poll(&waiting, 1, 5000) <= 0) return fail(Errc::kTimeout, "loopback: no connection in 5 s");
  ends.receiver.reset(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (!ends.receiver) return fail(errno_error("loopback: accept"));
  for (const int fd : {ends.sender.get(), ends.receiver.get()})
    ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) & ~O_NONBLOCK);
  return ends;
}

bool sleep_for(std::chrono::nanoseconds time, const std::stop_token& stop) {
  const Deadline until = Deadline::after(time);
  while (!until.expired()) {
    if (stop.stop_requested()) return false;
    std::this_thread::sleep_for(std::min(until.remaining(), std::chrono::nanoseconds(std::chrono::milliseconds(10))));
  }
  return !stop.stop_requested();
}

}  // namespace

Result<double> measure_loopback_bandwidth(std::chrono::nanoseconds duration, std::stop_token stop) {
  if (duration <= std::chrono::nanoseconds(0))
    return fail(Errc::kInvalidArgument, "loopback: the duration is not positive (give 1ms or more)");
  FF_TRY_ASSIGN(const Ends ends, connected_ends());
  SocketLoop sending, receiving;
  Result<> sent, received;
  std::jthread sender([&] {
    const std::vector<std::byte> block(kBlockBytes, std::byte{0x5a});
    sent = send_loop(ends.sender.get(), block, sending);
  });
  std::jthread receiver([&] {
    std::vector<std::byte> buffer(kReceiveBytes);
    received = receive_loop(ends.receiver.get(), buffer, receiving);
  });
  const auto end = [&] {
    sending.stop = true;
    ::shutdown(ends.sender.get(), SHUT_RDWR);
    ::shutdown(ends.receiver.get(), SHUT_RDWR);
    if (sender.joinable()) sender.join();
    if (receiver.joinable()) receiver.join();
  };
  const Defer ended(end);
  const auto cancelled = [] { return fail(Errc::kCancelled, "loopback: stopped on request"); };
  if (!sleep_for(duration / 10, stop)) return cancelled();
  const std::uint64_t bytes_before = receiving.bytes, from = ticks_now();
  if (!sleep_for(duration, stop)) return cancelled();
  const std::uint64_t bytes_after = receiving.bytes, until = ticks_now();
  end();
  if (bytes_after == bytes_before) {
    FF_TRY(received);
    FF_TRY(sent);
    return fail(Errc::kIo, "loopback: nothing arrived (is the loopback interface up? ip link set lo up)");
  }
  return static_cast<double>(bytes_after - bytes_before) * 1e9 / static_cast<double>(ticks_to_ns(until - from));
}

}  // namespace ff::bench
