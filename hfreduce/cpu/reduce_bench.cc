// hfr_reduce_bench: one thread's reduction speed by type, number of inputs and instruction set, hot (everything in L2)
// and from DRAM (64 MiB a buffer, non-temporal stores). Median of several batches in the thread's CPU time, so that
// being preempted does not count. Not installed; --json prints one object a line.
#include <fmt/core.h>
#include <time.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <utility>
#include <vector>

#include "hfreduce/cpu/reduce.hpp"
#include "libcommon/base/assert.hpp"

using namespace ff::hfreduce;

namespace {

constexpr std::size_t kHotBytes = 512 << 10;  // all buffers together
constexpr std::size_t kDramBytes = 64 << 20;  // each buffer
constexpr int kBatches = 9;

class Buffer {
 public:
  explicit Buffer(std::size_t bytes) : data_(static_cast<std::uint8_t*>(std::aligned_alloc(2 << 20, rounded(bytes)))) {
    FF_ASSERT(data_ != nullptr, bytes);
    std::memset(data_, 0x31, bytes);  // a small normal number in every type
  }
  ~Buffer() { std::free(data_); }
  Buffer(Buffer&& other) noexcept : data_(std::exchange(other.data_, nullptr)) {}
  Buffer& operator=(Buffer&&) = delete;
  void* data() const { return data_; }

 private:
  static std::size_t rounded(std::size_t bytes) { return (bytes + (2 << 20) - 1) & ~std::size_t{(2 << 20) - 1}; }
  std::uint8_t* data_;
};

double thread_seconds() {
  timespec now{};
  FF_ASSERT(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now) == 0, now.tv_sec);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

// Seconds of one reduction of `bytes` a buffer: the median over batches of at least a few milliseconds.
double seconds_per_pass(cpu::Isa isa, const cpu::ReduceArgs& args, const std::vector<const void*>& in,
                        const std::vector<void*>& out, int passes) {
  std::vector<double> times;
  for (int batch = 0; batch <= kBatches; ++batch) {
    const double start = thread_seconds();
    for (int pass = 0; pass < passes; ++pass) cpu::reduce_on(isa, args, in, out);
    if (batch > 0) times.push_back((thread_seconds() - start) / passes);  // the first warms up
  }
  std::nth_element(times.begin(), times.begin() + kBatches / 2, times.end());
  return times[kBatches / 2];
}

struct Row {
  double read_gbps;
  double written_gbps;
};

Row measure(cpu::Isa isa, DType dtype, ReduceOp op, std::size_t k, const std::vector<Buffer>& buffers, bool hot) {
  const std::size_t bytes = hot ? kHotBytes / (k + 1) / 4096 * 4096 : kDramBytes;
  std::vector<const void*> in;
  for (std::size_t i = 0; i < k; ++i) in.push_back(buffers[i].data());
  const std::vector<void*> out{buffers[k].data()};
  const cpu::ReduceArgs args{
      .dtype = dtype, .op = op, .count = bytes / dtype_size(dtype), .divisor = k, .non_temporal = !hot};
  const double seconds = seconds_per_pass(isa, args, in, out, hot ? 100 : 1);
  const double written = static_cast<double>(bytes) / seconds / 1e9;
  return {written * static_cast<double>(k), written};
}

}  // namespace

int main(int argc, char** argv) {
  bool json = false;
  bool hot_only = false;
  ReduceOp op = ReduceOp::kSum;
  std::vector<DType> types;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    const auto named = ff::hfreduce::parse_op(argument);
    if (argument == "--json")
      json = true;
    else if (argument == "--hot-only")
      hot_only = true;
    else if (named)
      op = *named;
    else if (const auto type = ff::hfreduce::parse_dtype(argument))
      types.push_back(*type);
    else {
      fmt::print(stderr, "{}: unknown argument (use [--json] [--hot-only] [sum|avg|min|max|prod] [types])\n", argument);
      return 2;
    }
  }
  const bool all_types = types.empty();
  for (int type = 0; all_types && type < kDTypeCount; ++type) types.push_back(static_cast<DType>(type));
  std::vector<Buffer> buffers;
  for (int i = 0; i < 9; ++i) buffers.emplace_back(hot_only ? kHotBytes : kDramBytes);
  if (!json) {
    fmt::print(
        "# {}, one thread, one output, GB/s; hot: {} KiB in all, regular stores; dram: {} MiB a buffer, non-temporal\n",
        op_name(op), kHotBytes >> 10, kDramBytes >> 20);
    fmt::print("{:<10} {:>3} {:<7} {:>9} {:>9} {:>10} {:>10}\n", "dtype", "k", "isa", "hot_read", "hot_write",
               "dram_read", "dram_write");
  }
  for (const DType type : types) {
    for (const std::size_t k : {2, 8}) {
      for (const cpu::Isa isa : {cpu::Isa::kScalar, cpu::Isa::kAvx2, cpu::Isa::kAvx512}) {
        if (!cpu::isa_available(isa)) continue;
        const Row hot = measure(isa, type, op, k, buffers, true);
        const Row dram = hot_only ? Row{} : measure(isa, type, op, k, buffers, false);
        if (json) {
          fmt::print(
              "{{\"dtype\":\"{}\",\"op\":\"{}\",\"k\":{},\"isa\":\"{}\",\"hot_read_gbps\":{:.2f},"
              "\"hot_write_gbps\":{:.2f},\"dram_read_gbps\":{:.2f},\"dram_write_gbps\":{:.2f}}}\n",
              dtype_name(type), op_name(op), k, cpu::isa_name(isa), hot.read_gbps, hot.written_gbps, dram.read_gbps,
              dram.written_gbps);
        } else {
          fmt::print("{:<10} {:>3} {:<7} {:>9.2f} {:>9.2f} {:>10.2f} {:>10.2f}\n", dtype_name(type), k,
                     cpu::isa_name(isa), hot.read_gbps, hot.written_gbps, dram.read_gbps, dram.written_gbps);
        }
      }
    }
  }
}
