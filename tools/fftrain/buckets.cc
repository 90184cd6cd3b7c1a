#include "tools/fftrain/buckets.hpp"

namespace ff::fftrain {

BucketPlan plan_buckets(const ParameterLayout& layout, std::uint64_t bucket_bytes) {
  const std::vector<TensorSpec>& tensors = layout.tensors();
  BucketPlan plan;
  plan.places.resize(tensors.size());
  for (std::size_t t = tensors.size(); t-- > 0;) {
    const std::size_t size = tensors[t].size();
    if (plan.counts.empty() || (plan.counts.back() + size) * sizeof(float) > bucket_bytes) {
      plan.counts.push_back(0);
      plan.tensors.push_back(0);
    }
    plan.places[t] = {static_cast<int>(plan.counts.size()) - 1, plan.counts.back()};
    plan.counts.back() += size;
    ++plan.tensors.back();
  }
  return plan;
}

}  // namespace ff::fftrain
