#include "libcommon/blas/blas.hpp"

#include <cblas.h>

namespace ff::blas {

void multiply(float* c, std::int64_t c_stride, Matrix a, Matrix b, std::int64_t m, std::int64_t n, std::int64_t k,
              float alpha, float beta) {
  cblas_sgemm(CblasRowMajor, a.transposed ? CblasTrans : CblasNoTrans, b.transposed ? CblasTrans : CblasNoTrans,
              static_cast<blasint>(m), static_cast<blasint>(n), static_cast<blasint>(k), alpha, a.data,
              static_cast<blasint>(a.stride), b.data, static_cast<blasint>(b.stride), beta, c,
              static_cast<blasint>(c_stride));
}

void use_one_thread() { openblas_set_num_threads(1); }

}  // namespace ff::blas
