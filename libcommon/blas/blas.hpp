// The one place that calls the BLAS: products of fp32 matrices.
//
// Threads  use_one_thread() is process-wide; call it before the first product. Products may then run in several threads
//          at once. One thread a product also fixes the order of summation: equal inputs give equal bits.
#pragma once

#include <cstdint>

namespace ff::blas {

// A row-major view: rows x cols of the operand as it takes part in the product; `stride` elements from row to row of
// what is stored. With `transposed`, memory holds cols x rows.
struct Matrix {
  const float* data;
  std::int64_t stride;
  bool transposed = false;
};

// c[m,n] := alpha * a[m,k] * b[k,n] + beta * c. With beta 0, what c held does not matter.
void multiply(float* c, std::int64_t c_stride, Matrix a, Matrix b, std::int64_t m, std::int64_t n, std::int64_t k,
              float alpha = 1.0f, float beta = 0.0f);

void use_one_thread();

}  // namespace ff::blas
