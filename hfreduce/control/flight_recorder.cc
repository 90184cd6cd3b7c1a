#include "hfreduce/control/flight_recorder.hpp"

#include "libcommon/report/json.hpp"

namespace ff::hfreduce::control {

using std::memory_order_relaxed;

void FlightRecorder::begin(const OpDesc& op, std::int64_t now_ns) noexcept {
  const std::uint64_t call = calls_.load(memory_order_relaxed);
  Entry& e = entries_[call % kCallsKept];
  e.seq.store(op.seq, memory_order_relaxed);
  e.kind.store(op.kind, memory_order_relaxed);
  e.dtype.store(op.dtype, memory_order_relaxed);
  e.op.store(op.op, memory_order_relaxed);
  e.root.store(op.root, memory_order_relaxed);
  e.count.store(op.count, memory_order_relaxed);
  e.begin_ns.store(now_ns, memory_order_relaxed);
  e.end_ns.store(0, memory_order_relaxed);
  progress_.phase.store(Phase::kEntered, memory_order_relaxed);
  progress_.waiting_for.store(-1, memory_order_relaxed);
  calls_.store(call + 1, std::memory_order_release);
}

void FlightRecorder::end(bool ok, std::int64_t now_ns) noexcept {
  Entry& e = entries_[(calls_.load(memory_order_relaxed) - 1) % kCallsKept];
  e.ok.store(ok, memory_order_relaxed);
  e.end_ns.store(now_ns, memory_order_relaxed);
  progress_.phase.store(Phase::kDone, memory_order_relaxed);
}

void FlightRecorder::load(const Entry& e, OpState& s) noexcept {
  s.seq = e.seq.load(memory_order_relaxed);
  s.kind = e.kind.load(memory_order_relaxed);
  s.dtype = e.dtype.load(memory_order_relaxed);
  s.op = e.op.load(memory_order_relaxed);
  s.root = e.root.load(memory_order_relaxed);
  s.count = e.count.load(memory_order_relaxed);
  s.running = e.end_ns.load(memory_order_relaxed) == 0;
}

OpState FlightRecorder::state() const noexcept {
  OpState s;
  const std::uint64_t calls = calls_.load(std::memory_order_acquire);
  if (calls == 0) return s;
  load(entries_[(calls - 1) % kCallsKept], s);
  s.phase = s.running ? progress_.phase.load(memory_order_relaxed) : Phase::kIdle;
  s.waiting_for = s.running ? progress_.waiting_for.load(memory_order_relaxed) : -1;
  return s;
}

std::string FlightRecorder::json_lines(int rank) const {
  std::string out;
  const std::uint64_t calls = calls_.load(std::memory_order_acquire);
  const std::uint64_t first = calls > kCallsKept ? calls - kCallsKept : 0;
  for (std::uint64_t c = first; c < calls; ++c) {
    const Entry& e = entries_[c % kCallsKept];
    OpState s;
    load(e, s);
    report::JsonWriter json;
    json.begin_object().field("schema", "ff.flight/1").field("rank", rank).field("seq", s.seq);
    json.field("call", collective_name(s.kind)).field("dtype", dtype_name(s.dtype)).field("op", op_name(s.op));
    json.field("count", s.count).field("root", static_cast<std::int64_t>(s.root));
    json.field("state", s.running ? "running" : e.ok.load(memory_order_relaxed) ? "done" : "failed");
    json.field("begin_ns", e.begin_ns.load(memory_order_relaxed)).field("end_ns", e.end_ns.load(memory_order_relaxed));
    if (s.running) {
      json.field("phase", phase_name(progress_.phase.load(memory_order_relaxed)));
      json.field("waiting_for", static_cast<std::int64_t>(progress_.waiting_for.load(memory_order_relaxed)));
    }
    out += json.end_object().take() + "\n";
  }
  return out;
}

}  // namespace ff::hfreduce::control
