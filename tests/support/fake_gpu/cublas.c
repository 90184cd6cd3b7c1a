// The functions of libcublas that ffbench calls, on the host. A plain triple
// loop is quick enough for the orders that are asked for.
#include <stddef.h>

#include "tests/support/fake_gpu/fault.h"

int cublasCreate_v2(void** handle) {
  static int only;
  *handle = &only;
  return fake_status("cublasCreate_v2", 1);
}

int cublasDestroy_v2(void* handle) { return (void)handle, 0; }

int cublasSgemm_v2(void* handle, int transpose_a, int transpose_b, int m, int n, int k, const float* alpha,
                   const float* a, int lda, const float* b, int ldb, const float* beta, float* c, int ldc) {
  (void)handle;
  if (transpose_a != 0 || transpose_b != 0 || *alpha != 1 || *beta != 0) return 7;
  for (int column = 0; column < n; ++column) {
    float* out = c + (size_t)column * (size_t)ldc;
    for (int row = 0; row < m; ++row) out[row] = 0;
    for (int p = 0; p < k; ++p) {
      const float factor = b[(size_t)column * (size_t)ldb + (size_t)p];
      const float* in = a + (size_t)p * (size_t)lda;
      for (int row = 0; row < m; ++row) out[row] += in[row] * factor;
    }
  }
  const long wrong = fake_number("FAKE_GPU_WRONG", -1);
  if (wrong >= 0 && wrong < (long)m * n) c[wrong] += 1;
  return fake_status("cublasSgemm_v2", 14);
}
