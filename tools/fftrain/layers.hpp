// The layers of the GPT, forward and backward, on plain row-major fp32 arrays. Each function is pure in its arguments.
//
// Shapes  n: rows (batch * length), d: width. Names: dx is the gradient of the loss by x. Gradients of weights are
//         overwritten, never added to, so nothing has to be zeroed between steps, except where "+=" is said.
// Source  GPT-2's pre-norm block (Radford et al., 2019) and GELU by tanh (Hendrycks and Gimpel, 2016); derivations in
//         README.md.
#pragma once

#include <cstdint>

namespace ff::fftrain {

// y[n,out] = x[n,in] w[out,in]^T + b[out].
void linear_forward(float* y, const float* x, const float* w, const float* b, std::int64_t n, std::int64_t in,
                    std::int64_t out);
// dx[n,in] = dy[n,out] w[out,in].
void linear_backward_input(float* dx, const float* dy, const float* w, std::int64_t n, std::int64_t in,
                           std::int64_t out);
// dw[out,in] = dy^T x, db[out] = column sums of dy.
void linear_backward_weights(float* dw, float* db, const float* dy, const float* x, std::int64_t n, std::int64_t in,
                             std::int64_t out);

// y = gain * (x - mean) * rstd + bias for each row; mean[n] and rstd[n] are kept for backward.
void layer_norm_forward(float* y, float* mean, float* rstd, const float* x, const float* gain, const float* bias,
                        std::int64_t n, std::int64_t d);
// dx += (the residual stream's gradient passes beside the norm); dgain and dbias are overwritten.
void layer_norm_backward(float* dx, float* dgain, float* dbias, const float* dy, const float* x, const float* mean,
                         const float* rstd, const float* gain, std::int64_t n, std::int64_t d);

// y = x * sigmoid(2 u), u = sqrt(2/pi) (x + 0.044715 x^3): equal to x/2 (1 + tanh u).
void gelu_forward(float* y, const float* x, std::int64_t count);
// dy becomes dx in place.
void gelu_backward(float* dy, const float* x, std::int64_t count);

// sum = a + b.
void add(float* sum, const float* a, const float* b, std::int64_t count);

// x[batch*length,d] = token[tokens] + position[0..length).
void embedding_forward(float* x, const std::uint8_t* tokens, const float* token, const float* position,
                       std::int64_t batch, std::int64_t length, std::int64_t d);
// dtoken += (it already holds the tied head's part); dposition[ctx,d] is overwritten, rows from length on with zero.
void embedding_backward(float* dtoken, float* dposition, const float* dx, const std::uint8_t* tokens,
                        std::int64_t batch, std::int64_t length, std::int64_t ctx, std::int64_t d);

// logits[n,256] become probabilities; returns the sum of -ln p(target) over the rows.
double cross_entropy_forward(float* logits, const std::uint8_t* targets, std::int64_t n);
// Probabilities become scale * dlogits in place.
void cross_entropy_backward(float* probabilities, const std::uint8_t* targets, std::int64_t n, float scale);

}  // namespace ff::fftrain
