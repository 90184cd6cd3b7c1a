// The engine: setup, the choice of the path, and the frame that every call runs in (see layout.hpp for the invariants).

#include "hfreduce/shm/shm_engine.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>

#include "hfreduce/shm/claiming.hpp"
#include "hfreduce/shm/group.hpp"
#include "hfreduce/shm/p2p_rings.hpp"
#include "hfreduce/shm/paths.hpp"
#include "hfreduce/shm/plan.hpp"
#include "hfreduce/shm/setup.hpp"
#include "hfreduce/shm/tuning.hpp"
#include "hfreduce/shm/windows.hpp"

namespace ff::hfreduce {
namespace shm {
namespace {

class Engine final : public ShmEngine {
 public:
  Engine(Group group, const Tuning& tuning)
      : group_(std::move(group)),
        tuning_(tuning),
        windows_(group_.arena,
                 group_.layout.windows + static_cast<std::uint64_t>(group_.rank) * group_.shape.arena_bytes,
                 group_.shape.arena_bytes) {
    const auto n = static_cast<std::size_t>(group_.size);
    group_.mapped.resize(n);
    group_.inputs.resize(n);
    group_.outputs.reserve(n + 1);
    facts_.flat_bytes_max = tuning.flat_max;
    facts_.chunk_bytes = tuning.chunk_max;
    facts_.ordinary = ShmPath::kStaged;
  }

  // Agrees with the others on how ordinary buffers go; the last step of the setup. Collective.
  Result<> settle(const ShmOptions& options, const Deadline& deadline);

  Result<> run(const OpDesc& op, Progress& progress) override {
    FF_TRY(check_alive());
    progress.phase.store(Phase::kEntered, std::memory_order_relaxed);
    Result<> outcome = run_call(op, progress);
    if (!outcome) give_up(outcome.error());
    progress.phase.store(Phase::kDone, std::memory_order_relaxed);
    return outcome;
  }

  Result<> run_p2p(std::span<const P2pOp> ops, std::uint64_t seq, Deadline deadline, Progress& progress) override {
    FF_TRY(check_alive());
    OpDesc op;
    op.kind = Collective::kSendRecv;
    op.dtype = DType::kUint8;
    op.seq = seq;
    op.deadline = deadline;
    progress.phase.store(Phase::kEntered, std::memory_order_relaxed);
    const TraceSpan span(group_.trace, "send/recv", Lane::kIntra, -1, static_cast<std::int64_t>(seq));
    Result<> outcome = shm::run_p2p(group_, ops, Call{.op = op, .progress = progress});
    if (!outcome && outcome.error().code() != Errc::kInvalidArgument) give_up(outcome.error());
    progress.phase.store(Phase::kDone, std::memory_order_relaxed);
    return outcome;
  }

  Result<void*> alloc(std::uint64_t bytes) override { return windows_.alloc(bytes); }
  Result<> free(void* pointer) override { return windows_.free(pointer); }
  bool in_window(const void* pointer, std::uint64_t bytes) const noexcept override {
    return window_offset(pointer, bytes) != Buffers::kNoWindow;
  }

  ShmPath path_for(Collective kind, std::uint64_t bytes, bool windows) const noexcept override {
    if (kind != Collective::kAllToAllV && bytes <= tuning_.flat_max) return ShmPath::kFlat;
    return windows ? ShmPath::kWindow : ordinary_path(bytes);
  }
  Facts facts() const override { return facts_; }

 private:
  // Before the caller has its buffers back: peers that are late must leave them alone.
  void give_up(const Error& error) {
    broken_ = error;
    group_.control(0).broken.flag.value.store(1, std::memory_order_release);
  }

  Result<> check_alive() const {
    if (group_.failure->failed()) return fail(group_.failure->verdict());
    if (broken_) return fail(*broken_);
    return {};
  }

  ShmPath ordinary_path(std::uint64_t total) const noexcept {
    return facts_.ordinary == ShmPath::kCma && total >= tuning_.cma_from ? ShmPath::kCma : ShmPath::kStaged;
  }

  std::uint64_t window_offset(const void* pointer, std::uint64_t bytes) const noexcept {
    const auto all = static_cast<std::uint64_t>(group_.size) * group_.shape.arena_bytes;
    const auto at = reinterpret_cast<std::uintptr_t>(pointer) -
                    reinterpret_cast<std::uintptr_t>(group_.arena.base() + group_.layout.windows);
    return at < all && bytes <= all - at ? at : Buffers::kNoWindow;
  }

  Result<> run_call(const OpDesc& op, Progress& progress) {
    plan_.prepare(op, group_.rank, group_.size);
    Call call{.op = op, .progress = progress, .number = ++calls_};
    call.divisor = op.divisor > 0 ? op.divisor : static_cast<std::uint64_t>(group_.size);
    if (group_.size == 1) {
      if (op.kind == Collective::kAllToAllV) FF_TRY(exchange_tables(call));
      run_alone(call, plan_);
      return {};
    }
    const bool tables = op.kind == Collective::kAllToAllV;
    const bool flat = !tables && plan_.slot_bytes() <= tuning_.flat_max;
    publish(call, flat);
    FF_TRY(group_.await_entries(call));
    if (flat) {
      flat_collect(group_, call, plan_);
      return {};
    }
    if (tables) FF_TRY(exchange_tables(call));
    return move_chunks(call);
  }

  // Writes what the others need to know; await_entries makes it visible.
  void publish(const Call& call, bool flat) {
    const OpDesc& op = call.op;
    const std::size_t parity = call.parity();
    RankControl& mine = group_.mine();
    mine.record[parity] = {op.seq,
                           op.count,
                           op.root,
                           static_cast<std::uint8_t>(op.kind),
                           static_cast<std::uint8_t>(op.dtype),
                           static_cast<std::uint8_t>(op.op)};
    Entry& entry = mine.entry[parity];
    entry.signature = op.signature;
    if (flat) return flat_deposit(group_, call, plan_);
    reset_claims(group_, call);
    Buffers buffers{.send = reinterpret_cast<std::uint64_t>(op.send), .recv = reinterpret_cast<std::uint64_t>(op.recv)};
    const std::uint64_t send_bytes = plan_.send_extent(), recv_bytes = plan_.recv_extent();
    buffers.send_window = window_offset(op.send, send_bytes);
    buffers.recv_window = window_offset(op.recv, recv_bytes);
    buffers.in_windows = (send_bytes == 0 || buffers.send_window != Buffers::kNoWindow) &&
                         (recv_bytes == 0 || buffers.recv_window != Buffers::kNoWindow);
    entry.buffers = buffers;
    if (op.kind == Collective::kAllToAllV) write_table(op, group_.table(group_.rank, parity));
  }

  void write_table(const OpDesc& op, std::uint64_t* row) const {
    const auto n = static_cast<std::size_t>(group_.size);
    for (const auto& column : {op.send_counts, op.send_displs, op.recv_counts, op.recv_displs}) {
      std::copy_n(column.begin(), n, row);
      row += n;
    }
  }

  // all_to_all_v: everybody's counts, and so everybody's segments.
  Result<> exchange_tables(const Call& call) {
    const auto n = static_cast<std::size_t>(group_.size);
    std::vector<std::uint64_t> columns[4];
    for (auto& column : columns) column.resize(n * n);
    std::vector<std::uint64_t> own(4 * n);
    write_table(call.op, own.data());
    for (std::size_t r = 0; r < n; ++r) {
      const std::uint64_t* row =
          static_cast<int>(r) == group_.rank ? own.data() : group_.table(static_cast<int>(r), call.parity());
      for (std::size_t k = 0; k < 4; ++k)
        std::copy_n(row + k * n, n, columns[k].begin() + static_cast<std::ptrdiff_t>(r * n));
    }
    auto segments = all_to_all_v_segments(call.op.dtype, group_.size, columns[0], columns[1], columns[2], columns[3]);
    // All ranks see the same tables, so all report the same.
    if (!segments)
      return fail(group_.trouble(Trouble::Kind::kMismatch, -1,
                                 fmt::format("call {}: {}", call.op.seq, segments.error().message())));
    plan_.set_segments(std::move(*segments));
    return {};
  }

  Result<> move_chunks(Call& call) {
    const std::uint64_t total = plan_.total_bytes();
    if (total == 0) return {};
    call.non_temporal = total * static_cast<std::uint64_t>(group_.size) > tuning_.around_cache_from;
    const auto bytes = static_cast<std::int64_t>(total);
    const auto seq = static_cast<std::int64_t>(call.op.seq);
    if (all_in_windows(call)) {
      const TraceSpan span(group_.trace, "window", Lane::kIntra, bytes, seq);
      plan_.cut(tuning_.claimed_chunk(total, group_.size), ChunkOrder::kByHome);
      return run_window(group_, call, plan_);
    }
    if (ordinary_path(total) == ShmPath::kCma) {
      const TraceSpan span(group_.trace, "cma", Lane::kIntra, bytes, seq);
      plan_.cut(tuning_.claimed_chunk(total, group_.size), ChunkOrder::kByHome);
      return run_cma(group_, call, plan_);
    }
    const TraceSpan span(group_.trace, "staged", Lane::kIntra, bytes, seq);
    plan_.cut(tuning_.staged_chunk(total, group_.size), ChunkOrder::kInterleaved);
    return run_staged(group_, call, plan_);
  }

  // Every rank comes to the same answer, from the entries.
  bool all_in_windows(const Call& call) {
    std::byte* windows = group_.arena.base() + group_.layout.windows;
    for (int r = 0; r < group_.size; ++r) {
      const Buffers& b = group_.control(r).entry[call.parity()].buffers;
      if (!b.in_windows) return false;
      Mapped& mapped = group_.mapped[static_cast<std::size_t>(r)];
      mapped.send = b.send_window == Buffers::kNoWindow ? nullptr : windows + b.send_window;
      mapped.recv = b.recv_window == Buffers::kNoWindow ? nullptr : windows + b.recv_window;
    }
    return true;
  }

  Result<> barrier(const Deadline& deadline);
  Result<double> time_path(ShmPath path, std::span<std::byte> buffers, const Deadline& deadline);
  Result<ShmPath> probe(const Deadline& deadline);

  Group group_;
  Tuning tuning_;
  Windows windows_;
  Facts facts_;
  Plan plan_;
  std::uint32_t calls_ = 0;
  std::optional<Error> broken_;
};

// Calls of the setup itself: number 0 for messages, the same on all ranks.
OpDesc setup_op(Collective kind, const Deadline& deadline) {
  OpDesc op;
  op.kind = kind;
  op.signature = 1;
  op.deadline = deadline;
  return op;
}

Result<> Engine::barrier(const Deadline& deadline) {
  Progress progress;
  return run_call(setup_op(Collective::kBarrier, deadline), progress);
}

Result<> Engine::settle(const ShmOptions& options, const Deadline& deadline) {
  group_.mine().member = describe_member();
  FF_TRY(barrier(deadline));
  group_.wait_policy = WaitPolicy::choose(group_.size, usable_cores(group_));
  const auto asked = static_cast<ShmPath>(group_.shape.ordinary);
  bool cma = asked != ShmPath::kStaged;
  if (cma && group_.size > 1) {
    group_.mine().member.sees_peers = cma_works(group_) ? 1 : 0;
    FF_TRY(barrier(deadline));
    for (int r = 0; r < group_.size; ++r) cma = cma && group_.control(r).member.sees_peers != 0;
  }
  if (asked == ShmPath::kCma && !cma)
    return fail(Errc::kUnsupported,
                "shared memory: path 'cma': the kernel does not let the ranks read each other's memory (same user and "
                "PID namespace, no seccomp filter on process_vm_readv; or use 'staged')");
  facts_.ordinary = cma ? ShmPath::kCma : ShmPath::kStaged;
  if (asked == ShmPath::kCma) tuning_.cma_from = 0;
  if (cma) group_.scratch = AlignedBuffer(static_cast<std::size_t>(group_.size) * tuning_.chunk_max, 4096);
  if (asked == ShmPath::kAuto && cma && group_.size > 1) {
    FF_TRY_ASSIGN(facts_.ordinary, probe(deadline));
  }
  if (facts_.ordinary != ShmPath::kCma) group_.scratch = AlignedBuffer();
  facts_.huge_pages = group_.shape.huge_pages != 0;
  group_.failure = options.failure;
  return {};
}

// The shortest of a few allreduces, in seconds.
Result<double> Engine::time_path(ShmPath path, std::span<std::byte> buffers, const Deadline& deadline) {
  constexpr int kRuns = 4;  // the first warms up
  facts_.ordinary = path;
  OpDesc op = setup_op(Collective::kAllReduce, deadline);
  op.count = buffers.size() / 2 / sizeof(float);
  op.send = buffers.data();
  op.recv = buffers.data() + buffers.size() / 2;
  Progress progress;
  double best = 1e9;
  for (int i = 0; i < kRuns; ++i) {
    FF_TRY(barrier(deadline));
    const auto begin = Deadline::Clock::now();
    FF_TRY(run_call(op, progress));
    const std::chrono::duration<double> elapsed = Deadline::Clock::now() - begin;
    if (i > 0) best = std::min(best, elapsed.count());
  }
  return best;
}

// Which is faster depends on which caches the cores share, so both are tried; rank 0's clock decides for all.
Result<ShmPath> Engine::probe(const Deadline& deadline) {
  constexpr std::size_t kBytes = 1 << 20;
  AlignedBuffer buffers(2 * kBytes, 4096);
  FF_TRY_ASSIGN(const double staged, time_path(ShmPath::kStaged, buffers.span(), deadline));
  FF_TRY_ASSIGN(const double cma, time_path(ShmPath::kCma, buffers.span(), deadline));
  facts_.staged_gbs = static_cast<double>(kBytes) / staged / 1e9;
  facts_.cma_gbs = static_cast<double>(kBytes) / cma / 1e9;
  Flag& decision = group_.control(0).decision.flag;
  if (group_.rank == 0)
    decision.value.store(static_cast<std::uint32_t>(cma < staged ? ShmPath::kCma : ShmPath::kStaged));
  FF_TRY(barrier(deadline));
  return static_cast<ShmPath>(decision.value.load());
}

// During the setup there is no verdict to ask for yet: what an engine reports is returned as it is.
class SetupFailure final : public FailureSource {
 public:
  explicit SetupFailure(FailureSource& real) : real_(real) {}
  bool failed() const noexcept override { return real_.failed(); }
  Error verdict() const override { return real_.verdict(); }
  Error report(const Trouble& trouble) override { return {Errc::kTimeout, trouble.detail}; }

 private:
  FailureSource& real_;
};

}  // namespace
}  // namespace shm

std::string_view shm_path_name(ShmPath path) noexcept {
  switch (path) {
    case ShmPath::kAuto: return "auto";
    case ShmPath::kFlat: return "flat";
    case ShmPath::kWindow: return "window";
    case ShmPath::kStaged: return "staged";
    case ShmPath::kCma: return "cma";
  }
  return "unknown";
}

Result<std::unique_ptr<ShmEngine>> ShmEngine::create(const ShmOptions& options, const std::string& token,
                                                     const Deadline& deadline) {
  FF_TRY(shm::check(options, token));
  shm::SetupFailure failure(*options.failure);
  FF_TRY_ASSIGN(shm::Group group, shm::set_up_group(options, token, failure, deadline));
  const shm::Tuning tuning = shm::Tuning::choose(options.size, group.shape.flat_bytes, group.shape.chunk_bytes);
  auto engine = std::make_unique<shm::Engine>(std::move(group), tuning);
  FF_TRY(engine->settle(options, deadline));
  return engine;
}

}  // namespace ff::hfreduce
