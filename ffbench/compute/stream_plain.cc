// One element at a time, as STREAM is written: the truth for the others, and the only set off x86.
#include "ffbench/compute/stream_kernels.hpp"

namespace ff::bench {
namespace {

void copy(double* to, const double* from, std::size_t count, bool) {
  for (std::size_t i = 0; i < count; ++i) to[i] = from[i];
}
void scale(double* to, const double* from, double s, std::size_t count, bool) {
  for (std::size_t i = 0; i < count; ++i) to[i] = s * from[i];
}
void add(double* to, const double* x, const double* y, std::size_t count, bool) {
  for (std::size_t i = 0; i < count; ++i) to[i] = x[i] + y[i];
}
void triad(double* to, const double* x, const double* y, double s, std::size_t count, bool) {
  for (std::size_t i = 0; i < count; ++i) to[i] = x[i] + s * y[i];
}
double read(const double* from, std::size_t count) {
  double sums[8] = {};
  for (std::size_t i = 0; i < count; i += 8) {
    for (std::size_t j = 0; j < 8; ++j) sums[j] += from[i + j];
  }
  double sum = 0;
  for (const double part : sums) sum += part;
  return sum;
}
void write(double* to, double value, std::size_t count, bool) {
  for (std::size_t i = 0; i < count; ++i) to[i] = value;
}

}  // namespace

const StreamKernels kPlainStream = {"plain", copy, scale, add, triad, read, write};

}  // namespace ff::bench
