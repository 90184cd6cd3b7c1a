// Median time of all_reduce over 127.0.0.1 by size and algorithm, one process a rank. For tuning, not installed.
//   hfr_net_bench RANKS [BYTES_MAX]
#include <fmt/core.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <thread>
#include <vector>

#include "hfreduce/net/net_engine.hpp"
#include "libcommon/base/aligned_buffer.hpp"
#include "libcommon/base/byte_size.hpp"

namespace {

using namespace ff;
using namespace ff::hfreduce;

constexpr int kRanksMax = 64;
const std::string kToken = "0123456789abcdef0123456789abcdef";

// Meeting place of the processes during setup, in memory shared by fork.
struct Shared {
  std::atomic<int> bound;
  std::atomic<std::uint16_t> ports[kRanksMax];
};

class AbortOnFailure final : public FailureSource {
 public:
  bool failed() const noexcept override { return false; }
  Error verdict() const override { return Error(Errc::kInternal, "no verdict"); }
  Error report(const Trouble& trouble) override { return Error(Errc::kUnavailable, trouble.detail); }
};

double median_us(NetEngine& engine, std::uint64_t bytes, std::uint64_t& seq, const std::byte* send, std::byte* recv) {
  using Clock = std::chrono::steady_clock;
  const int repeats = bytes <= 65536 ? 400 : bytes <= (4 << 20) ? 40 : 9;
  Progress progress;
  std::vector<double> times;
  for (int i = -repeats / 4 - 1; i < repeats; ++i) {
    OpDesc op{.kind = Collective::kAllReduce, .send = send, .recv = recv, .count = bytes / 4, .seq = ++seq};
    op.signature = op_signature(op);
    op.deadline = Deadline::after(std::chrono::seconds(60));
    const auto begin = Clock::now();
    if (const auto result = engine.run(op, progress, {}); !result) {
      fmt::print(stderr, "all_reduce of {} bytes: {}\n", bytes, result.error().message());
      std::_Exit(1);
    }
    if (i >= 0) times.push_back(std::chrono::duration<double, std::micro>(Clock::now() - begin).count());
  }
  std::nth_element(times.begin(), times.begin() + repeats / 2, times.end());
  return times[static_cast<std::size_t>(repeats / 2)];
}

int run_rank(int rank, int size, std::uint64_t bytes_max, Shared& shared) {
  if (size <= static_cast<int>(std::thread::hardware_concurrency())) {
    // As launchers do: the kernel may leave two spinning ranks on one core.
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(static_cast<unsigned>(rank), &set);
    ::sched_setaffinity(0, sizeof set, &set);
  }
  auto listener = NetListener::create("127.0.0.1", kToken);
  if (!listener) return 1;
  shared.ports[rank] = (*listener)->endpoint().port;
  ++shared.bound;
  while (shared.bound < size) sched_yield();
  AbortOnFailure failure;
  NetOptions options{.rank = rank, .size = size, .token = kToken, .failure = &failure};
  options.oversubscribed = size > static_cast<int>(::sysconf(_SC_NPROCESSORS_ONLN));
  for (int r = 0; r < size; ++r) {
    options.global_ranks.push_back(r);
    options.endpoints.push_back({"127.0.0.1", shared.ports[r]});
    options.same_machine.push_back(true);
  }
  AlignedBuffer send(bytes_max), recv(bytes_max);
  std::vector<std::unique_ptr<NetEngine>> engines;
  const NetAlgorithm algorithms[] = {NetAlgorithm::kAuto,   NetAlgorithm::kFlat, NetAlgorithm::kRecursiveDoubling,
                                     NetAlgorithm::kDirect, NetAlgorithm::kTree, NetAlgorithm::kRing};
  if (rank == 0) fmt::print("{} ranks, median us of rank 0\n{:>10}", size, "bytes");
  for (const NetAlgorithm algorithm : algorithms) {
    options.algorithm = algorithm;
    ++options.group_id;
    auto engine = NetEngine::create(options, **listener);
    if (!engine) return 1;
    engines.push_back(std::move(*engine));
    if (rank == 0) fmt::print(" {:>10}", net_algorithm_name(algorithm));
  }
  std::uint64_t seq = 0;
  for (std::uint64_t bytes = 4; bytes <= bytes_max; bytes *= 4) {
    if (rank == 0) fmt::print("\n{:>10}", format_byte_size(bytes));
    for (std::size_t a = 0; a < engines.size(); ++a) {
      const bool too_large = bytes > (4 << 20) && (a == 1 || a == 2);
      const double us = too_large ? 0 : median_us(*engines[a], bytes, seq, send.data(), recv.data());
      if (rank == 0) fmt::print(" {:>10.1f}", us);
      if (rank == 0) std::fflush(stdout);
    }
  }
  if (rank == 0) fmt::print("\n");
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const int size = argc > 1 ? std::atoi(argv[1]) : 2;
  const auto bytes_max = argc > 2 ? parse_byte_size(argv[2]) : Result<std::uint64_t>(16 * kMiB);
  if (size < 1 || size > kRanksMax || !bytes_max || *bytes_max < 4) {
    fmt::print(stderr, "usage: hfr_net_bench RANKS(1-{}) [BYTES_MAX]\n", kRanksMax);
    return 2;
  }
  auto* shared =
      static_cast<Shared*>(mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
  if (shared == MAP_FAILED) return 1;
  for (int rank = 1; rank < size; ++rank)
    if (fork() == 0) return run_rank(rank, size, *bytes_max, *shared);
  int worst = run_rank(0, size, *bytes_max, *shared);
  for (int status = 0; wait(&status) > 0;) worst = std::max(worst, WIFEXITED(status) ? WEXITSTATUS(status) : 1);
  return worst;
}
