// What this machine could do at best, measured beside the libraries: one JSON object on stdout, GB/s (10^9 bytes).
//
//   memory_copy, memory_add   all cores; non-temporal stores; bytes read plus bytes written. 128 MiB an array and core.
//   arithmetic.DTYPE.K        all cores, in the first caches: K inputs summed into K outputs by our kernel; bytes read.
//   tcp_cold, tcp_hot         one loopback connection, both ways at once, a thread an end; bytes of both directions.
//                             cold: from and to 32 MiB of memory; hot: from and to 256 KiB.
// The memory figures use a loop of their own and not our kernel, which would judge itself.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <barrier>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "hfreduce/cpu/reduce.hpp"
#include "libcommon/base/aligned_buffer.hpp"
#include "libcommon/base/unique_fd.hpp"

namespace {

using namespace ff;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kHugePage = 2 << 20;
constexpr int kPasses = 7;

#if defined(__clang__)
using Vector = float __attribute__((vector_size(64), aligned(64)));
void store(Vector* to, Vector value) { __builtin_nontemporal_store(value, to); }
#else
using Vector = float __attribute__((vector_size(16), aligned(16)));
void store(Vector* to, Vector value) {
#if defined(__x86_64__)
  __builtin_ia32_movntps(reinterpret_cast<float*>(to), value);
#else
  *to = value;
#endif
}
#endif

// Runs pass(core) on all cores at once, kPasses times after a warm-up; the median of the slowest core's time, in s.
double median_seconds(const std::function<void(int core)>& pass) {
  const int cores = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  std::vector<double> times;
  std::barrier meet(cores);
  const auto body = [&](int core) {
    for (int i = -1; i < kPasses; ++i) {
      meet.arrive_and_wait();
      const auto begin = Clock::now();
      pass(core);
      meet.arrive_and_wait();
      if (core == 0 && i >= 0) times.push_back(std::chrono::duration<double>(Clock::now() - begin).count());
    }
  };
  {
    std::vector<std::jthread> threads;
    for (int core = 1; core < cores; ++core) threads.emplace_back(body, core);
    body(0);
  }
  std::sort(times.begin(), times.end());
  return times[times.size() / 2];
}

int core_count() { return static_cast<int>(std::max(1u, std::thread::hardware_concurrency())); }

struct Arrays {
  AlignedBuffer a, b, out;
};

double memory_gbs(std::vector<Arrays>& arrays, bool add) {
  const double seconds = median_seconds([&](int core) {
    Arrays& mine = arrays[static_cast<std::size_t>(core)];
    const Vector* a = mine.a.as<Vector>();
    const Vector* b = mine.b.as<Vector>();
    Vector* out = mine.out.as<Vector>();
    const std::size_t count = mine.a.size() / sizeof(Vector);
    if (add)
      for (std::size_t i = 0; i < count; ++i) store(out + i, a[i] + b[i]);
    else
      for (std::size_t i = 0; i < count; ++i) store(out + i, a[i]);
  });
  const double bytes = static_cast<double>(arrays.size()) * static_cast<double>(arrays[0].a.size()) * (add ? 3 : 2);
  return bytes / seconds / 1e9;
}

double arithmetic_gbs(hfreduce::DType dtype, std::size_t inputs) {
  constexpr std::size_t kWorkingSet = 256 << 10;
  constexpr int kRepeats = 400;
  const std::size_t bytes = kWorkingSet / (2 * inputs);
  const auto cores = static_cast<std::size_t>(core_count());
  std::vector<AlignedBuffer> memory(cores);
  for (AlignedBuffer& one : memory) one = AlignedBuffer(kWorkingSet, 4096);
  const double seconds = median_seconds([&](int core) {
    std::vector<const void*> in;
    std::vector<void*> out;
    std::byte* base = memory[static_cast<std::size_t>(core)].data();
    for (std::size_t i = 0; i < inputs; ++i) in.push_back(base + i * bytes);
    for (std::size_t i = inputs; i < 2 * inputs; ++i) out.push_back(base + i * bytes);
    const hfreduce::cpu::ReduceArgs args{.dtype = dtype, .count = bytes / hfreduce::dtype_size(dtype)};
    for (int i = 0; i < kRepeats; ++i) hfreduce::cpu::reduce(args, in, out);
  });
  return static_cast<double>(cores * inputs * bytes) * kRepeats / seconds / 1e9;
}

[[noreturn]] void stop(const char* what) {
  std::perror(what);
  std::exit(1);
}

UniqueFd tuned_socket() {
  UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const int one = 1, bytes = 4 << 20;
  if (fd.get() < 0 || ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) != 0 ||
      ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes)) != 0 ||
      ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes)) != 0)
    stop("socket");
  return fd;
}

std::pair<UniqueFd, UniqueFd> loopback_connection() {
  UniqueFd listener = tuned_socket(), one = tuned_socket();
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof(address);
  auto* generic = reinterpret_cast<sockaddr*>(&address);
  if (::bind(listener.get(), generic, length) != 0 || ::listen(listener.get(), 1) != 0 ||
      ::getsockname(listener.get(), generic, &length) != 0 || ::connect(one.get(), generic, length) != 0)
    stop("127.0.0.1");
  UniqueFd other(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  if (other.get() < 0) stop("accept");
  for (const UniqueFd* fd : {&one, &other}) ::fcntl(fd->get(), F_SETFL, O_NONBLOCK);
  return {std::move(one), std::move(other)};
}

// Sends and receives `total` bytes through `fd`, round and round through the two buffers.
void exchange(int fd, AlignedBuffer& from, AlignedBuffer& to, std::size_t chunk, std::size_t total) {
  std::size_t sent = 0, received = 0;
  const auto piece = [&](std::size_t done, const AlignedBuffer& buffer) {
    return std::min({chunk, buffer.size() - done % buffer.size(), total - done});
  };
  while (sent < total || received < total) {
    bool moved = false;
    if (sent < total) {
      const auto n = ::send(fd, from.data() + sent % from.size(), piece(sent, from), MSG_NOSIGNAL);
      if (n > 0) sent += static_cast<std::size_t>(n), moved = true;
      if (n < 0 && errno != EAGAIN) stop("send");
    }
    if (received < total) {
      const auto n = ::recv(fd, to.data() + received % to.size(), piece(received, to), 0);
      if (n > 0) received += static_cast<std::size_t>(n), moved = true;
      if (n == 0 || (n < 0 && errno != EAGAIN)) stop("recv");
    }
    if (moved) continue;
    pollfd waiting{fd, static_cast<short>((sent < total ? POLLOUT : 0) | (received < total ? POLLIN : 0)), 0};
    if (::poll(&waiting, 1, 10'000) == 0) stop("loopback: nothing moved for 10 s");
  }
}

double tcp_gbs(std::size_t buffer_bytes, std::size_t chunk) {
  constexpr std::size_t kTotal = 256 << 20;
  const auto connection = loopback_connection();
  std::vector<AlignedBuffer> buffers;
  for (int i = 0; i < 4; ++i) buffers.emplace_back(buffer_bytes, kHugePage);
  std::vector<double> rates;
  for (int pass = 0; pass < 4; ++pass) {
    const auto begin = Clock::now();
    {
      std::jthread peer([&] { exchange(connection.second.get(), buffers[2], buffers[3], chunk, kTotal); });
      exchange(connection.first.get(), buffers[0], buffers[1], chunk, kTotal);
    }
    const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    if (pass > 0) rates.push_back(2.0 * kTotal / seconds / 1e9);
  }
  std::sort(rates.begin(), rates.end());
  return rates[rates.size() / 2];
}

}  // namespace

int main() {
  using hfreduce::DType;
  std::vector<Arrays> arrays(static_cast<std::size_t>(core_count()));
  for (Arrays& one : arrays)
    for (AlignedBuffer* array : {&one.a, &one.b, &one.out}) *array = AlignedBuffer(128 << 20, kHugePage);
  std::printf("{\"memory_copy\":%.2f,\"memory_add\":%.2f,", memory_gbs(arrays, false), memory_gbs(arrays, true));
  arrays.clear();
  std::printf("\"arithmetic\":{");
  const char* separator = "";
  for (const DType dtype : {DType::kFloat32, DType::kFloat16, DType::kBfloat16}) {
    const std::string name(hfreduce::dtype_name(dtype));
    std::printf("%s\"%s\":{\"2\":%.2f,\"4\":%.2f,\"8\":%.2f}", separator, name.c_str(), arithmetic_gbs(dtype, 2),
                arithmetic_gbs(dtype, 4), arithmetic_gbs(dtype, 8));
    separator = ",";
  }
  const double cold = std::max(tcp_gbs(32 << 20, 256 << 10), tcp_gbs(32 << 20, 1 << 20));
  std::printf("},\"tcp_cold\":%.2f,\"tcp_hot\":%.2f}\n", cold, tcp_gbs(256 << 10, 256 << 10));
  return 0;
}
