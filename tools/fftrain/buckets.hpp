// Which gradients travel together. A bucket is one contiguous piece of memory and one all_reduce; it holds whole
// tensors, in the order in which backward completes them, so that a bucket is complete early and is sent while
// backward goes on. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "tools/fftrain/parameters.hpp"

namespace ff::fftrain {

struct TensorPlace {
  int bucket = 0;
  std::size_t offset = 0;  // elements from the start of the bucket
};

struct BucketPlan {
  std::vector<std::size_t> counts;  // elements of each bucket
  std::vector<int> tensors;         // tensors in each bucket
  std::vector<TensorPlace> places;  // by tensor
};

// Closes a bucket before it would grow beyond `bucket_bytes` of fp32; a larger tensor gets a bucket of its own.
BucketPlan plan_buckets(const ParameterLayout& layout, std::uint64_t bucket_bytes);

}  // namespace ff::fftrain
