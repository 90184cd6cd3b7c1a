#include "tools/fftrain/data_parallel.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <utility>

#include "libcommon/base/assert.hpp"
#include "tools/fftrain/bfloat16.hpp"

namespace ff::fftrain {

using hfreduce::DType;
using hfreduce::ReduceOp;
using hfreduce::Request;
using hfreduce::Trace;

double CommTimes::hidden() const noexcept {
  if (total_ns <= 0) return 0.0;
  return std::clamp(1.0 - static_cast<double>(exposed_ns) / static_cast<double>(total_ns), 0.0, 1.0);
}

Result<std::unique_ptr<DataParallel>> DataParallel::create(hfreduce::Communicator& communicator,
                                                           const ParameterLayout& layout, std::uint64_t bucket_bytes,
                                                           DType wire) {
  if (wire != DType::kFloat32 && wire != DType::kBfloat16)
    return fail(Errc::kInvalidArgument,
                fmt::format("--grad-dtype: {} is neither float nor bfloat16", hfreduce::dtype_name(wire)));
  std::unique_ptr<DataParallel> parallel(new DataParallel(communicator, wire));
  FF_TRY_CTX(parallel->allocate(layout, bucket_bytes), "allocate gradient buckets");
  return parallel;
}

DataParallel::~DataParallel() {
  // A step that was left in the middle may still have transfers under way; their memory must outlive them. A rank that
  // leaves early would let the others run into their deadline, so it says so.
  if (in_step_) {
    abort("a rank left in the middle of a training step");
    CommTimes ignored;
    for (Bucket& bucket : buckets_)
      if (bucket.missing == 0) (void)collect(bucket.request, ignored);
    (void)collect(totals_request_, ignored);
  }
  for (void* window : windows_) (void)communicator_.free(window);
}

Result<void*> DataParallel::window(std::uint64_t bytes) {
  FF_TRY_ASSIGN(void* const memory, communicator_.alloc(bytes));
  windows_.push_back(memory);
  return memory;
}

Result<> DataParallel::allocate(const ParameterLayout& layout, std::uint64_t bucket_bytes) {
  plan_ = plan_buckets(layout, bucket_bytes);
  const bool narrowed = wire_ != DType::kFloat32;
  if (narrowed) local_ = AlignedBuffer(layout.count() * sizeof(float));
  float* next_local = local_.as<float>();
  for (std::size_t b = 0; b < plan_.counts.size(); ++b) {
    Bucket& bucket = buckets_.emplace_back();
    bucket.count = plan_.counts[b];
    bucket.tensors = bucket.missing = plan_.tensors[b];
    FF_TRY_ASSIGN(bucket.wire, window(bucket.count * hfreduce::dtype_size(wire_)));
    bucket.gradients =
        narrowed ? std::exchange(next_local, next_local + bucket.count) : static_cast<float*>(bucket.wire);
  }
  for (const TensorPlace& place : plan_.places)
    gradients_.push_back(buckets_[static_cast<std::size_t>(place.bucket)].gradients + place.offset);
  FF_TRY_ASSIGN(void* const totals, window(2 * sizeof(double)));
  totals_ = static_cast<double*>(totals);
  return {};
}

Result<> DataParallel::all_reduce(void* data, std::size_t count, DType dtype, ReduceOp op, Request* request) {
  return communicator_.all_reduce(data, data, count, dtype, op, request);
}

void DataParallel::start(Result<> started) {
  if (!started && !start_error_) start_error_ = std::move(started).error();
}

void DataParallel::begin_step(double local_loss_sum, bool stop) {
  FF_ASSERT(!in_step_);
  in_step_ = true;
  start_error_.reset();
  for (Bucket& bucket : buckets_) {
    bucket.missing = bucket.tensors;
    bucket.request = Request();
  }
  totals_[0] = local_loss_sum;
  totals_[1] = stop ? 1.0 : 0.0;
  totals_request_ = Request();
  start(all_reduce(totals_, 2, DType::kFloat64, ReduceOp::kSum, &totals_request_));
}

void DataParallel::gradient_ready(int tensor) {
  Bucket& bucket = buckets_[static_cast<std::size_t>(plan_.places[static_cast<std::size_t>(tensor)].bucket)];
  FF_ASSERT(in_step_ && bucket.missing > 0, tensor, bucket.missing);
  if (--bucket.missing > 0 || start_error_) return;
  if (wire_ == DType::kBfloat16) narrow(static_cast<std::uint16_t*>(bucket.wire), bucket.gradients, bucket.count);
  start(all_reduce(bucket.wire, bucket.count, wire_, ReduceOp::kSum, &bucket.request));
}

Result<> DataParallel::collect(Request& request, CommTimes& times) {
  auto waited = request.wait();
  if (waited) times.total_ns += request.end_ns() - request.begin_ns();
  return waited;
}

Result<StepTotals> DataParallel::finish_step() {
  FF_ASSERT(in_step_);
  StepTotals totals;
  const std::int64_t begin_ns = Trace::now_ns();
  // Every request is waited for, also after an error: the memory must be quiet when this returns.
  Result<> result = start_error_ ? Result<>(fail(*start_error_)) : Result<>();
  auto keep_first = [&](Result<> waited) {
    if (result && !waited) result = std::move(waited);
  };
  keep_first(collect(totals_request_, totals.times));
  for (Bucket& bucket : buckets_) keep_first(collect(bucket.request, totals.times));
  totals.times.exposed_ns = Trace::now_ns() - begin_ns;
  in_step_ = false;
  if (!result) return fail(std::move(result).error().context("gradient all_reduce"));
  if (wire_ == DType::kBfloat16)
    for (Bucket& bucket : buckets_)
      widen(bucket.gradients, static_cast<const std::uint16_t*>(bucket.wire), bucket.count);
  totals.loss_sum = totals_[0];
  totals.stop = totals_[1] > 0.0;
  return totals;
}

Result<> DataParallel::require_equal(std::uint64_t value, std::string_view what, std::string_view hint) {
  // One call answers "are the maximum and the minimum the same?": max(v) and max(-v). A bit is given up for the sign.
  const auto positive = static_cast<std::int64_t>(value >> 1);
  std::int64_t extremes[2] = {positive, -positive};
  FF_TRY_CTX(all_reduce(extremes, 2, DType::kInt64, ReduceOp::kMax), fmt::format("compare {}", what));
  if (extremes[0] == -extremes[1]) return {};
  return fail(Errc::kCorrupt, fmt::format("{} differ between ranks: {}", what, hint));
}

Result<> DataParallel::broadcast(std::span<std::byte> bytes) {
  if (bytes.empty()) return {};
  return communicator_.broadcast(bytes.data(), bytes.data(), bytes.size(), DType::kUint8, 0);
}

}  // namespace ff::fftrain
