// hfr_shm_bench: times allreduce on each data path of the shared-memory engine, ranks as processes.
//   hfr_shm_bench [ranks] [path: window staged cma auto] [chunk bytes] [bytes max]
// One row a size: the median over calls of rank 0's time, in us, and bytes / time.

#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "hfreduce/shm/shm_engine.hpp"
#include "libcommon/base/aligned_buffer.hpp"

namespace ff::hfreduce {
namespace {

using Clock = std::chrono::steady_clock;

class NoFailure final : public FailureSource {
 public:
  bool failed() const noexcept override { return false; }
  Error verdict() const override { return {Errc::kInternal, "none"}; }
  Error report(const Trouble& trouble) override { return {Errc::kTimeout, trouble.detail}; }
};

struct Settings {
  int size = 2;
  std::string_view path = "window";
  std::uint64_t chunk_bytes = 0;
  std::uint64_t bytes_max = 64 << 20;
};

Result<double> median_us(ShmEngine& engine, OpDesc op, std::uint64_t& seq, int size) {
  constexpr int kBatches = 15;
  const std::uint64_t bytes = op.count * 4;
  // Short calls in batches: the clock itself costs as much as one of them.
  const int calls =
      static_cast<int>(std::clamp<std::uint64_t>((4u << 20) / (bytes + 1024), 1, 2000 / static_cast<unsigned>(size)));
  std::vector<double> samples;
  Progress progress;
  for (int batch = 0; batch < kBatches; ++batch) {
    const auto begin = Clock::now();
    for (int i = 0; i < calls; ++i) {
      op.seq = ++seq;
      FF_TRY(engine.run(op, progress));
    }
    const std::chrono::duration<double, std::micro> elapsed = Clock::now() - begin;
    if (batch > 1) samples.push_back(elapsed.count() / calls);
  }
  std::nth_element(samples.begin(), samples.begin() + static_cast<std::ptrdiff_t>(samples.size() / 2), samples.end());
  return samples[samples.size() / 2];
}

// A core for each rank where there are enough, as launchers do: the kernel may leave two spinning ranks on one.
void bind(int rank, int ranks) {
  const auto cores = static_cast<int>(::sysconf(_SC_NPROCESSORS_ONLN));
  if (ranks > cores) return;
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<unsigned>(rank), &set);
  ::sched_setaffinity(0, sizeof set, &set);
}

Result<> run_rank(int rank, const Settings& settings) {
  bind(rank, settings.size);
  NoFailure failure;
  ShmOptions options;
  options.rank = rank;
  options.size = settings.size;
  for (int r = 0; r < settings.size; ++r) options.global_ranks.push_back(r);
  options.failure = &failure;
  options.chunk_bytes = settings.chunk_bytes;
  if (settings.path == "staged") options.ordinary = ShmPath::kStaged;
  if (settings.path == "cma") options.ordinary = ShmPath::kCma;
  const Deadline deadline = Deadline::after(std::chrono::minutes(5));
  FF_TRY_ASSIGN(auto engine, ShmEngine::create(options, "hfr-shm-bench-" + std::to_string(::getppid()), deadline));
  const ShmEngine::Facts facts = engine->facts();
  if (rank == 0)
    std::printf("# %d ranks, path %.*s, ordinary %s (staged %.1f GB/s, cma %.1f GB/s), huge pages %s\n", settings.size,
                static_cast<int>(settings.path.size()), settings.path.data(), shm_path_name(facts.ordinary).data(),
                facts.staged_gbs, facts.cma_gbs, facts.huge_pages ? "yes" : "no");
  AlignedBuffer send_buffer, recv_buffer;
  OpDesc op;
  op.kind = Collective::kAllReduce;
  op.deadline = deadline;
  if (settings.path == "window") {
    FF_TRY_ASSIGN(op.send, engine->alloc(settings.bytes_max));
    FF_TRY_ASSIGN(op.recv, engine->alloc(settings.bytes_max));
  } else {
    send_buffer = AlignedBuffer(settings.bytes_max, 2 << 20);
    recv_buffer = AlignedBuffer(settings.bytes_max, 2 << 20);
    op.send = send_buffer.data();
    op.recv = recv_buffer.data();
  }
  std::uint64_t seq = 0;
  for (std::uint64_t bytes = 4; bytes <= settings.bytes_max; bytes *= 4) {
    op.count = bytes / 4;
    op.signature = static_cast<std::uint32_t>(op.count);
    FF_TRY_ASSIGN(const double us, median_us(*engine, op, seq, settings.size));
    if (rank == 0)
      std::printf("%12llu %12.2f us %8.2f GB/s\n", static_cast<unsigned long long>(bytes), us,
                  static_cast<double>(bytes) / us / 1e3);
  }
  return {};
}

}  // namespace
}  // namespace ff::hfreduce

int main(int argc, char** argv) {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  ff::hfreduce::Settings settings;
  if (argc > 1) settings.size = std::atoi(argv[1]);
  if (argc > 2) settings.path = argv[2];
  if (argc > 3) settings.chunk_bytes = std::strtoull(argv[3], nullptr, 10);
  if (argc > 4) settings.bytes_max = std::strtoull(argv[4], nullptr, 10);
  for (int rank = 0; rank < settings.size; ++rank) {
    if (::fork() != 0) continue;
    const auto outcome = ff::hfreduce::run_rank(rank, settings);
    if (!outcome) std::fprintf(stderr, "hfr_shm_bench: rank %d: %s\n", rank, outcome.error().message().c_str());
    std::fflush(stdout);
    ::_exit(outcome ? 0 : 1);
  }
  int failures = 0;
  for (int status = 0; ::wait(&status) > 0;) failures += status != 0;
  return failures == 0 ? 0 : 1;
}
