// The loops that every x86 path shares, as templates over a codec (how one element type is loaded, combined and stored
// with one instruction set).
//
// Linkage  Everything is in an unnamed namespace on purpose: each including file is compiled with its own -m flags, and
// no
//          template may be merged with another file's copy. For the same reason nothing inline of std:: is called.
// Unit     A line: 64 bytes of every input and output. A codec turns a line into kRaws registers of codes, each decoded
//          into kAccs accumulators in kAccs / kLoad steps (`load` with its step number), and encodes the accumulators
//          back.
// Tree     Up to eight inputs combine in registers in the order of types.hpp (tree()). Beyond that each aligned group
// of
//          eight is one partial over a block that stays in L1, and partials merge as in a binary counter; folding what
//          is pending at the end, from the right, finishes the tree.
// Tails    A line that is not full, at the end or before the first aligned line, is staged through padded copies.
#pragma once

#include <cstddef>
#include <cstdint>

#include "hfreduce/cpu/kernels.hpp"

namespace ff::hfreduce::cpu {
namespace {

constexpr std::size_t kLine = 64;
constexpr std::size_t kGroup = 8;            // inputs combined in registers
constexpr std::size_t kScratchBytes = 4096;  // of one partial over a block
constexpr std::size_t kScratchLevels =
    13;  // 4096 inputs: at most 9 partials of whole groups and 3 of what is left over

// One pass: up to eight inputs, the partials to fold in afterwards (rightmost first), and where the result goes.
struct Pass {
  const char* in[kGroup];
  const char* pending[kScratchLevels];
  std::size_t pending_count = 0;
  std::size_t lines = 0;
  char* scratch = nullptr;     // of a partial result
  char* const* out = nullptr;  // [m], of a finished one
  std::size_t m = 0;
  std::size_t out_offset = 0;
  bool non_temporal = false;
};

// A run of lines, or (partial_bytes > 0) one line that is not full.
struct Stretch {
  std::size_t offset;
  std::size_t lines;
  std::size_t partial_bytes;
  bool non_temporal;
};

template <class C, ReduceOp Op, std::size_t Lo, std::size_t N, std::size_t Step>
[[gnu::always_inline]] inline void tree(const char* const* in, std::size_t offset, typename C::Acc* result) {
  if constexpr (N == 1) {
    C::template load<Op, Step>(in[Lo] + offset, result);
  } else {
    constexpr std::size_t kLeft = N > 4 ? 4 : N > 2 ? 2 : 1;  // the largest power of two below N
    typename C::Acc right[C::kLoad];
    tree<C, Op, Lo, kLeft, Step>(in, offset, result);
    tree<C, Op, Lo + kLeft, N - kLeft, Step>(in, offset, right);
    for (std::size_t i = 0; i < C::kLoad; ++i) result[i] = C::template combine<Op>(result[i], right[i]);
  }
}

template <class C, ReduceOp Op, std::size_t K, std::size_t Step = 0>
[[gnu::always_inline]] inline void tree_steps(const char* const* in, std::size_t offset, typename C::Acc* acc) {
  if constexpr (Step * C::kLoad < C::kAccs) {
    tree<C, Op, 0, K, Step>(in, offset, acc + Step * C::kLoad);
    tree_steps<C, Op, K, Step + 1>(in, offset, acc);
  }
}

// The pending partials, from the right, into the accumulators of one register.
template <class C, ReduceOp Op>
[[gnu::always_inline]] inline void fold_pending(const Pass& pass, std::size_t from, std::size_t scratch_at,
                                                typename C::Acc* acc) {
  for (std::size_t p = from; p < pass.pending_count; ++p) {
    for (std::size_t i = 0; i < C::kAccs; ++i) {
      typename C::Acc left;
      __builtin_memcpy(&left, pass.pending[p] + scratch_at + i * sizeof(left), sizeof(left));
      acc[i] = C::template combine<Op>(left, acc[i]);
    }
  }
}

template <class C, ReduceOp Op, std::size_t K, std::size_t R = 0>
[[gnu::always_inline]] inline void encode_line(const typename C::Finish& finish, const char* const* in, std::size_t at,
                                               typename C::Raw* raw) {
  if constexpr (R * sizeof(typename C::Raw) < kLine) {
    typename C::Acc acc[C::kAccs];
    tree_steps<C, Op, K>(in, at + R * sizeof(typename C::Raw), acc);
    raw[R] = C::template encode<Op>(acc, finish);
    encode_line<C, Op, K, R + 1>(finish, in, at, raw);
  }
}

// One finished line to every output; whole lines back to back, as write combining wants them.
template <class C>
[[gnu::always_inline]] inline void put_line(const Pass& pass, std::size_t at, const typename C::Raw* raw) {
  constexpr std::size_t kRawBytes = sizeof(typename C::Raw);
  for (std::size_t j = 0; j < pass.m; ++j) {
    char* const to = pass.out[j] + pass.out_offset + at;
    for (std::size_t r = 0; r < kLine / kRawBytes; ++r) {
      if (pass.non_temporal)
        C::stream(to + r * kRawBytes, raw[r]);
      else
        C::store(to + r * kRawBytes, raw[r]);
    }
  }
}
// All inputs in registers, straight to the first output. REQUIRES pass.m == 1 (see run_copies for more).
template <class C, ReduceOp Op, std::size_t K>
[[gnu::noinline]] void run_direct(const Pass& pass, const KernelCall& call) {
  constexpr std::size_t kRawBytes = sizeof(typename C::Raw);
  const char* in[K];
  for (std::size_t i = 0; i < K; ++i) in[i] = pass.in[i];
  const typename C::Finish finish = C::finish_of(call);
  char* const out = pass.out[0] + pass.out_offset;
  const bool non_temporal = pass.non_temporal;
  const std::size_t end = pass.lines * kLine;
  for (std::size_t at = 0; at < end; at += kLine) {
    typename C::Raw raw[kLine / kRawBytes];
    encode_line<C, Op, K>(finish, in, at, raw);
    for (std::size_t r = 0; r < kLine / kRawBytes; ++r) {
      if (non_temporal)
        C::stream(out + at + r * kRawBytes, raw[r]);
      else
        C::store(out + at + r * kRawBytes, raw[r]);
    }
  }
}

// Some of the inputs, and the partials that they complete, to a partial.
template <class C, ReduceOp Op, std::size_t K>
[[gnu::noinline]] void run_partial(const Pass& pass) {
  constexpr std::size_t kRawBytes = sizeof(typename C::Raw);
  const char* in[K];
  for (std::size_t i = 0; i < K; ++i) in[i] = pass.in[i];
  const std::size_t end = pass.lines * kLine;
  for (std::size_t at = 0; at < end; at += kRawBytes) {
    typename C::Acc acc[C::kAccs];
    const std::size_t scratch_at = at / kRawBytes * sizeof(acc);
    tree_steps<C, Op, K>(in, at, acc);
    fold_pending<C, Op>(pass, 0, scratch_at, acc);
    __builtin_memcpy(pass.scratch + scratch_at, acc, sizeof(acc));
  }
}

// The last partials to the outputs.
template <class C, ReduceOp Op>
[[gnu::noinline]] void run_fold(const Pass& pass, const KernelCall& call) {
  constexpr std::size_t kRawBytes = sizeof(typename C::Raw);
  const typename C::Finish finish = C::finish_of(call);
  const std::size_t end = pass.lines * kLine;
  for (std::size_t at = 0; at < end; at += kLine) {
    typename C::Raw raw[kLine / kRawBytes];
    for (std::size_t r = 0; r < kLine / kRawBytes; ++r) {
      typename C::Acc acc[C::kAccs];
      const std::size_t scratch_at = (at / kRawBytes + r) * sizeof(acc);
      __builtin_memcpy(acc, pass.pending[0] + scratch_at, sizeof(acc));
      fold_pending<C, Op>(pass, 1, scratch_at, acc);
      raw[r] = C::template encode<Op>(acc, finish);
    }
    put_line<C>(pass, at, raw);
  }
}

// The numbers of inputs worth a loop of their own; the rest goes through partials in L1.
constexpr bool is_direct(ReduceOp op, std::size_t k) {
  if (op == ReduceOp::kSum || op == ReduceOp::kAvg) return k <= 4 || k == kGroup;
  return k == 2;
}

template <class C, ReduceOp Op>
void run_direct_of(std::size_t k, const Pass& pass, const KernelCall& call) {
  if constexpr (is_direct(Op, 8)) {
    if (k == 1) return run_direct<C, Op, 1>(pass, call);
    if (k == 3) return run_direct<C, Op, 3>(pass, call);
    if (k == 4) return run_direct<C, Op, 4>(pass, call);
    if (k == 8) return run_direct<C, Op, 8>(pass, call);
  }
  return run_direct<C, Op, 2>(pass, call);
}

// To several outputs: a block that stays in the first-level cache is made once and copied from there. Storing each line
// to every output at once keeps more write streams open than a core has buffers for: it was three times slower.
template <class C, ReduceOp Op>
void run_copies(const KernelCall& call, const Pass& whole) {
  constexpr std::size_t kBlockLines = 64;
  constexpr std::size_t kRawBytes = sizeof(typename C::Raw);
  alignas(kLine) char block[kBlockLines * kLine];
  char* const block_out[1] = {block};
  for (std::size_t line = 0; line < whole.lines; line += kBlockLines) {
    Pass pass = whole;
    pass.lines = whole.lines - line < kBlockLines ? whole.lines - line : kBlockLines;
    pass.m = 1;
    const std::size_t offset = line * kLine, bytes = pass.lines * kLine;
    for (std::size_t i = 0; i < call.k; ++i) pass.in[i] += offset;
    pass.out_offset = whole.out_offset + offset;
    if (!whole.non_temporal) {
      run_direct_of<C, Op>(call.k, pass, call);
      // An output may be an input too; this block of it has been read.
      for (std::size_t j = 1; j < whole.m; ++j)
        __builtin_memcpy(whole.out[j] + pass.out_offset, whole.out[0] + pass.out_offset, bytes);
      continue;
    }
    const std::size_t to = pass.out_offset;
    pass.out = block_out;
    pass.out_offset = 0;
    pass.non_temporal = false;
    run_direct_of<C, Op>(call.k, pass, call);
    for (std::size_t j = 0; j < whole.m; ++j) {
      for (std::size_t at = 0; at < bytes; at += kRawBytes) {
        typename C::Raw raw;
        __builtin_memcpy(&raw, block + at, kRawBytes);
        C::stream(whole.out[j] + to + at, raw);
      }
    }
  }
}

// The inputs [from, from + k) of a pass: in place, or padded copies of a line that is not full.
struct Padded {
  alignas(kLine) char lines[kGroup][kLine];
};
inline void take_inputs(const KernelCall& call, std::size_t from, std::size_t k, std::size_t offset,
                        std::size_t partial_bytes, Padded& padded, Pass& pass) {
  for (std::size_t i = 0; i < k; ++i) {
    const char* in = static_cast<const char*>(call.in[from + i]) + offset;
    if (partial_bytes != 0) {
      __builtin_memset(padded.lines[i], 0, kLine);
      __builtin_memcpy(padded.lines[i], in, partial_bytes);
      in = padded.lines[i];
    }
    pass.in[i] = in;
  }
}

// All k inputs over one block of lines, through partials: full groups of eight count in a binary counter, and so do the
// single inputs that are left over.
template <class C, ReduceOp Op>
void run_block(const KernelCall& call, const Pass& destination, std::size_t offset, std::size_t partial_bytes,
               Padded& padded) {
  alignas(kLine) char scratch[kScratchLevels][kScratchBytes];
  Pass pass = destination;
  std::size_t top = 0;
  for (std::size_t from = 0; from < call.k;) {
    const std::size_t width = call.k - from >= kGroup ? kGroup : 1;
    take_inputs(call, from, width, offset, partial_bytes, padded, pass);
    from += width;
    // As many equal partials are pending as the number of this group, or of this input in its group, has trailing ones.
    pass.pending_count = static_cast<std::size_t>(__builtin_ctzll(width == kGroup ? from / kGroup : from % kGroup));
    for (std::size_t i = 0; i < pass.pending_count; ++i) pass.pending[i] = scratch[top - 1 - i];
    top -= pass.pending_count;
    pass.scratch = scratch[top++];
    if (width == kGroup)
      run_partial<C, Op, kGroup>(pass);
    else
      run_partial<C, Op, 1>(pass);
  }
  pass.pending_count = top;
  for (std::size_t i = 0; i < top; ++i) pass.pending[i] = scratch[top - 1 - i];
  run_fold<C, Op>(pass, call);
}

template <class C, ReduceOp Op>
void run_stretch(const KernelCall& call, const Stretch& stretch) {
  constexpr std::size_t kScratchPerLine = kLine / sizeof(typename C::Raw) * C::kAccs * sizeof(typename C::Acc);
  constexpr std::size_t kBlockLines = kScratchBytes / kScratchPerLine;
  Padded padded;
  alignas(kLine) char result[kLine];
  char* const staged_out[1] = {result};
  Pass pass;
  pass.lines = stretch.lines;
  pass.non_temporal = stretch.non_temporal;
  pass.out = stretch.partial_bytes != 0 ? staged_out : reinterpret_cast<char* const*>(call.out);
  pass.m = stretch.partial_bytes != 0 ? 1 : call.m;
  const std::size_t out_base = stretch.partial_bytes != 0 ? 0 : stretch.offset;
  if (is_direct(Op, call.k)) {
    pass.out_offset = out_base;
    take_inputs(call, 0, call.k, stretch.offset, stretch.partial_bytes, padded, pass);
    if (pass.m == 1)
      run_direct_of<C, Op>(call.k, pass, call);
    else
      run_copies<C, Op>(call, pass);
  } else {
    for (std::size_t line = 0; line < stretch.lines; line += kBlockLines) {
      pass.lines = stretch.lines - line < kBlockLines ? stretch.lines - line : kBlockLines;
      pass.out_offset = out_base + line * kLine;
      run_block<C, Op>(call, pass, stretch.offset + line * kLine, stretch.partial_bytes, padded);
    }
  }
  if (stretch.partial_bytes != 0) {
    for (std::size_t j = 0; j < call.m; ++j) {
      __builtin_memcpy(static_cast<char*>(call.out[j]) + stretch.offset, result, stretch.partial_bytes);
    }
  }
}

// Bytes up to the first line boundary of every output, if they all have it in the same place.
inline bool common_misalignment(const KernelCall& call, std::size_t element_bytes, std::size_t* head) {
  const std::size_t misaligned = reinterpret_cast<std::uintptr_t>(call.out[0]) % kLine;
  for (std::size_t j = 1; j < call.m; ++j) {
    if (reinterpret_cast<std::uintptr_t>(call.out[j]) % kLine != misaligned) return false;
  }
  *head = misaligned == 0 ? 0 : kLine - misaligned;
  return *head % element_bytes == 0;
}

template <class C, ReduceOp Op>
void run(const KernelCall& call) {
  const std::size_t bytes = static_cast<std::size_t>(call.count) * C::kElementBytes;
  std::size_t head = 0;
  const bool non_temporal =
      call.non_temporal && common_misalignment(call, C::kElementBytes, &head) && bytes >= head + kLine;
  if (!non_temporal) head = 0;
  const std::size_t lines = (bytes - head) / kLine;
  const std::size_t tail = (bytes - head) % kLine;
  if (head != 0) run_stretch<C, Op>(call, {0, 1, head, false});
  if (lines != 0) run_stretch<C, Op>(call, {head, lines, 0, non_temporal});
  if (tail != 0) run_stretch<C, Op>(call, {head + lines * kLine, 1, tail, false});
  if (non_temporal) C::fence();
}

template <class C>
void run_op(const KernelCall& call) {
  switch (call.op) {
    case ReduceOp::kSum: return run<C, ReduceOp::kSum>(call);
    case ReduceOp::kAvg: return run<C, ReduceOp::kAvg>(call);
    case ReduceOp::kMin: return run<C, ReduceOp::kMin>(call);
    case ReduceOp::kMax: return run<C, ReduceOp::kMax>(call);
    case ReduceOp::kProd: return run<C, ReduceOp::kProd>(call);
  }
}

// Integers of any width, left to the compiler's vectors. `Ops` stores and streams registers of the instruction set.
template <class Ops, class T, class U, class Quotient>
struct IntCodec {
  using Raw = typename Ops::Raw;
  typedef T Acc __attribute__((vector_size(sizeof(Raw))));
  typedef U Unsigned __attribute__((vector_size(sizeof(Raw))));
  struct Finish {
    std::uint64_t divisor;
  };
  static constexpr std::size_t kElementBytes = sizeof(T);
  static constexpr std::size_t kLoad = 1;
  static constexpr std::size_t kAccs = 1;

  static void store(char* to, Raw raw) { Ops::store(to, raw); }
  static void stream(char* to, Raw raw) { Ops::stream(to, raw); }
  static void fence() { Ops::fence(); }
  static Finish finish_of(const KernelCall& call) { return {call.divisor}; }

  template <ReduceOp Op, std::size_t Step>
  static void load(const char* from, Acc* acc) {
    __builtin_memcpy(acc, from, sizeof(Acc));
  }
  template <ReduceOp Op>
  static Acc combine(Acc a, Acc b) {
    if constexpr (Op == ReduceOp::kMin)
      return a < b ? a : b;
    else if constexpr (Op == ReduceOp::kMax)
      return a < b ? b : a;
    else if constexpr (Op == ReduceOp::kProd)
      return (Acc)((Unsigned)a * (Unsigned)b);
    else
      return (Acc)((Unsigned)a + (Unsigned)b);
  }
  template <ReduceOp Op>
  static Raw encode(const Acc* acc, Finish finish) {
    if constexpr (Op != ReduceOp::kAvg) return (Raw)acc[0];
    Acc result = acc[0];
    for (std::size_t i = 0; i < sizeof(Raw) / sizeof(T); ++i) result[i] = Quotient::of(result[i], finish.divisor);
    return (Raw)result;
  }
};

// Truncated division by way of a floating type that holds the dividend exactly: a quotient that is not whole is further
// from the next whole number than that type's rounding reaches, and divisors beyond the type's integers give 0 anyway.
template <class T, class Float, std::uint64_t Limit>
struct FloatQuotient {
  static T of(T value, std::uint64_t divisor) {
    return static_cast<T>(static_cast<Float>(value) / static_cast<Float>(divisor < Limit ? divisor : Limit));
  }
};
struct Int64Quotient {
  static std::int64_t of(std::int64_t value, std::uint64_t divisor) {
    const auto bits = static_cast<std::uint64_t>(value);
    const std::uint64_t quotient = (value < 0 ? 0 - bits : bits) / divisor;
    return static_cast<std::int64_t>(value < 0 ? 0 - quotient : quotient);
  }
};

template <class Ops>
using Int8Codec = IntCodec<Ops, std::int8_t, std::uint8_t, FloatQuotient<std::int8_t, float, 1u << 16>>;
template <class Ops>
using Uint8Codec = IntCodec<Ops, std::uint8_t, std::uint8_t, FloatQuotient<std::uint8_t, float, 1u << 16>>;
template <class Ops>
using Int32Codec = IntCodec<Ops, std::int32_t, std::uint32_t, FloatQuotient<std::int32_t, double, 1ull << 32>>;
template <class Ops>
using Int64Codec = IntCodec<Ops, std::int64_t, std::uint64_t, Int64Quotient>;

// Low codes to fp32 and back, in their order. `Lanes` converts kLanes elements between unaligned places.
template <class Lanes>
void widen_as(const void* in, float* out, std::uint64_t count) {
  const auto* from = static_cast<const char*>(in);
  std::uint64_t i = 0;
  for (; i + Lanes::kLanes <= count; i += Lanes::kLanes) Lanes::widen(from + i * Lanes::kElementBytes, out + i);
  if (i == count) return;
  const auto left = static_cast<std::size_t>(count - i);
  char codes[Lanes::kLanes * Lanes::kElementBytes] = {};
  float values[Lanes::kLanes];
  __builtin_memcpy(codes, from + i * Lanes::kElementBytes, left * Lanes::kElementBytes);
  Lanes::widen(codes, values);
  __builtin_memcpy(out + i, values, left * sizeof(float));
}

template <class Lanes>
void narrow_as(const float* in, void* out, std::uint64_t count) {
  auto* to = static_cast<char*>(out);
  std::uint64_t i = 0;
  for (; i + Lanes::kLanes <= count; i += Lanes::kLanes) Lanes::narrow(in + i, to + i * Lanes::kElementBytes);
  if (i == count) return;
  const auto left = static_cast<std::size_t>(count - i);
  char codes[Lanes::kLanes * Lanes::kElementBytes];
  float values[Lanes::kLanes] = {};
  __builtin_memcpy(values, in + i, left * sizeof(float));
  Lanes::narrow(values, codes);
  __builtin_memcpy(to + i * Lanes::kElementBytes, codes, left * Lanes::kElementBytes);
}

}  // namespace
}  // namespace ff::hfreduce::cpu
