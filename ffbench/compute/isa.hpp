// What this processor and its kernel can run beyond the baseline of the build. False off x86-64.
#pragma once

namespace ff::bench {

bool have_avx2() noexcept;    // and FMA
bool have_avx512() noexcept;  // F, BW, DQ, VL
bool have_clflushopt() noexcept;

}  // namespace ff::bench
