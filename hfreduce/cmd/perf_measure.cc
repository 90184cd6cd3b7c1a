#include "hfreduce/cmd/perf_measure.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>

#include "libcommon/base/byte_size.hpp"

namespace ff::hfreduce::cmd {

int calls_per_batch(const PerfPlan& plan, std::uint64_t size) {
  return plan.iters_per_batch * (size <= 16 * kKiB ? 25 : size <= 256 * kKiB ? 5 : 1);
}

PerfTimes summarise(std::vector<double> batch_s) {
  std::ranges::sort(batch_s);
  const std::size_t n = batch_s.size();
  PerfTimes times;
  times.median_s = (batch_s[(n - 1) / 2] + batch_s[n / 2]) / 2;
  times.min_s = batch_s.front();
  times.max_s = batch_s.back();
  times.p99_s = batch_s[static_cast<std::size_t>(std::ceil(0.99 * static_cast<double>(n))) - 1];
  return times;
}

Result<PerfRunner> PerfRunner::create(Communicator& comm, const PerfPlan& plan, std::uint64_t bytes_max, bool windows) {
  PerfRunner runner(comm, plan);
  const PerfCase largest = perf_case(plan.kind, comm.size(), plan.dtype, bytes_max);
  // In place both are one buffer, so each is as large as the larger.
  const std::uint64_t bytes = std::max(largest.send_bytes, largest.recv_bytes);
  if (windows) {
    FF_TRY_ASSIGN(void* const send, comm.alloc(bytes));
    FF_TRY_ASSIGN(void* const recv, comm.alloc(bytes));
    runner.send_ = static_cast<std::byte*>(send);
    runner.recv_ = static_cast<std::byte*>(recv);
  } else {
    runner.ordinary_send_ = AlignedBuffer(bytes);
    runner.ordinary_recv_ = AlignedBuffer(bytes);
    runner.send_ = runner.ordinary_send_.data();
    runner.recv_ = runner.ordinary_recv_.data();
  }
  return runner;
}

PerfRunner::Buffers PerfRunner::buffers_for(const PerfCase& c, bool in_place) const {
  if (!in_place) return {send_, recv_};
  const std::uint64_t mine = static_cast<std::uint64_t>(comm_->rank()) * c.count * dtype_size(plan_.dtype);
  if (plan_.kind == Collective::kAllGather) return {recv_ + mine, recv_};
  if (plan_.kind == Collective::kReduceScatter) return {recv_, recv_ + mine};
  return {recv_, recv_};
}

Result<> PerfRunner::call(const PerfCase& c, const Buffers& b) {
  const PerfPlan& p = plan_;
  switch (p.kind) {
    case Collective::kAllReduce: return comm_->all_reduce(b.send, b.recv, c.count, p.dtype, p.op);
    case Collective::kReduce: return comm_->reduce(b.send, b.recv, c.count, p.dtype, p.op, p.root);
    case Collective::kBroadcast: return comm_->broadcast(b.send, b.recv, c.count, p.dtype, p.root);
    case Collective::kReduceScatter: return comm_->reduce_scatter(b.send, b.recv, c.count, p.dtype, p.op);
    case Collective::kAllGather: return comm_->all_gather(b.send, b.recv, c.count, p.dtype);
    case Collective::kAllToAll: return comm_->all_to_all(b.send, b.recv, c.count, p.dtype);
    case Collective::kGather: return comm_->gather(b.send, b.recv, c.count, p.dtype, p.root);
    case Collective::kScatter: return comm_->scatter(b.send, b.recv, c.count, p.dtype, p.root);
    default: break;
  }
  // sendrecv: everyone to the next and from the previous, at once.
  const int n = comm_->size(), r = comm_->rank();
  comm_->group_start();
  const Result<> sent = comm_->send(b.send, c.count, p.dtype, (r + 1) % n);
  const Result<> received = comm_->recv(b.recv, c.count, p.dtype, (r + n - 1) % n);
  const Result<> ended = comm_->group_end();
  FF_TRY(sent);
  FF_TRY(received);
  return ended;
}

void PerfRunner::fill(const PerfCase& c, const Buffers& b) const {
  // A result that was never written must not pass for a right one.
  std::memset(b.recv, 0xa5, c.recv_bytes);
  pattern_.fill(comm_->rank(), 0, {b.send, c.send_bytes});
}

std::uint64_t PerfRunner::count_wrong(const PerfCase& c, const Buffers& b) const {
  const int n = comm_->size(), r = comm_->rank();
  const std::span<const std::byte> got(b.recv, c.recv_bytes);
  const std::uint64_t part_bytes = c.count * dtype_size(plan_.dtype);
  const std::uint64_t my_first = static_cast<std::uint64_t>(r) * c.count;
  // Part s of the result came from rank s, which sent its elements from `first` on.
  auto parts = [&](std::uint64_t first) {
    std::uint64_t wrong = 0;
    for (int s = 0; s < n; ++s)
      wrong += pattern_.count_wrong(s, first, got.subspan(static_cast<std::uint64_t>(s) * part_bytes, part_bytes));
    return wrong;
  };
  switch (plan_.kind) {
    case Collective::kAllReduce: return pattern_.count_wrong_reduced(0, got);
    case Collective::kReduce: return r == plan_.root ? pattern_.count_wrong_reduced(0, got) : 0;
    case Collective::kBroadcast: return pattern_.count_wrong(plan_.root, 0, got);
    case Collective::kReduceScatter: return pattern_.count_wrong_reduced(my_first, got);
    case Collective::kAllGather: return parts(0);
    case Collective::kAllToAll: return parts(my_first);
    case Collective::kGather: return r == plan_.root ? parts(0) : 0;
    case Collective::kScatter: return pattern_.count_wrong(plan_.root, my_first, got);
    default: return pattern_.count_wrong((r + n - 1) % n, 0, got);
  }
}

Result<std::uint64_t> PerfRunner::check(const PerfCase& c, bool in_place) {
  const Buffers b = buffers_for(c, in_place);
  std::int64_t wrong = 0;
  for (int i = 0; i < plan_.check_iters; ++i) {
    fill(c, b);
    FF_TRY(comm_->barrier());  // nobody reads what is still being filled, in whatever way the call is implemented
    FF_TRY(call(c, b));
    wrong += static_cast<std::int64_t>(count_wrong(c, b));
  }
  std::int64_t total = 0;
  FF_TRY(comm_->all_reduce(&wrong, &total, 1, DType::kInt64, ReduceOp::kSum));
  return static_cast<std::uint64_t>(total);
}

Result<PerfTimes> PerfRunner::measure(const PerfCase& c, bool in_place) {
  using Clock = std::chrono::steady_clock;
  const Buffers b = buffers_for(c, in_place);
  fill(c, b);
  for (int i = 0; i < plan_.warmup_iters; ++i) FF_TRY(call(c, b));
  const int calls = calls_per_batch(plan_, c.size);
  std::vector<double> mine, slowest(static_cast<std::size_t>(plan_.batches));
  for (int batch = 0; batch < plan_.batches; ++batch) {
    FF_TRY(comm_->barrier());
    FF_TRY(call(c, b));  // untimed: ranks leave a barrier further apart than one of these calls takes
    const auto begin = Clock::now();
    for (int i = 0; i < calls; ++i) FF_TRY(call(c, b));
    mine.push_back(std::chrono::duration<double>(Clock::now() - begin).count() / calls);
  }
  FF_TRY(comm_->all_reduce(mine.data(), slowest.data(), slowest.size(), DType::kFloat64, ReduceOp::kMax));
  PerfTimes times = summarise(std::move(slowest));
  if (plan_.check_iters > 0) {
    FF_TRY_ASSIGN(times.wrong, check(c, in_place));
  }
  return times;
}

}  // namespace ff::hfreduce::cmd
