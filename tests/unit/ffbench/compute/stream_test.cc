#include "ffbench/compute/stream.hpp"

#include <gtest/gtest.h>

#include <vector>

#include "ffbench/compute/stream_kernels.hpp"
#include "libcommon/base/aligned_buffer.hpp"

namespace ff::bench {
namespace {

constexpr auto kShort = std::chrono::milliseconds(2);

// Every instruction set and both kinds of stores against the definition, with guards on both sides of the target.
TEST(StreamKernels, AllSetsComputeTheDefinition) {
  for (const StreamKernels* const* set = stream_kernels(); *set != nullptr; ++set) {
    for (const std::size_t count : {kStreamUnit, 3 * kStreamUnit, 17 * kStreamUnit}) {
      for (const bool nt : {false, true}) {
        AlignedBuffer x(count * 8), y(count * 8), to((count + 16) * 8);
        double total = 0;
        for (std::size_t i = 0; i < count; ++i) {
          x.as<double>()[i] = static_cast<double>(i % 100);
          y.as<double>()[i] = static_cast<double>(1000 + i % 7);
          total += static_cast<double>(i % 100);
        }
        double* const target = to.as<double>() + 8;
        const auto expect = [&](const char* what, auto value) {
          for (std::size_t i = 0; i < count; ++i) ASSERT_EQ(target[i], value(i)) << (*set)->name << what << i;
          ASSERT_EQ(target[-1], 0) << what;
          ASSERT_EQ(target[count], 0) << what;
        };
        const double* const xs = x.as<double>();
        const double* const ys = y.as<double>();
        (*set)->copy(target, xs, count, nt);
        expect("copy", [&](std::size_t i) { return xs[i]; });
        (*set)->scale(target, xs, 5, count, nt);
        expect("scale", [&](std::size_t i) { return 5 * xs[i]; });
        (*set)->add(target, xs, ys, count, nt);
        expect("add", [&](std::size_t i) { return xs[i] + ys[i]; });
        (*set)->triad(target, xs, ys, 5, count, nt);
        expect("triad", [&](std::size_t i) { return xs[i] + 5 * ys[i]; });
        (*set)->write(target, 9, count, nt);
        expect("write", [&](std::size_t) { return 9.0; });
        EXPECT_EQ((*set)->read(xs, count), total) << (*set)->name;
      }
    }
  }
}

TEST(Stream, MeasuresEveryKernelAndFindsItsResultsRight) {
  for (const Stores stores : {Stores::kNormal, Stores::kNonTemporal}) {
    auto stream = Stream::open({.cpus = {}, .bytes_per_array = 3 << 20, .stores = stores});
    ASSERT_TRUE(stream) << stream.error().message();
    EXPECT_EQ(stream->non_temporal(), stores == Stores::kNonTemporal);
    for (int i = 0; i < kStreamKernelCount; ++i) {
      const auto rate = stream->measure(static_cast<StreamKernel>(i), kShort, {});
      ASSERT_TRUE(rate) << rate.error().message();
      EXPECT_GT(*rate, 1e6);
    }
  }
}

TEST(Stream, SmallSlicesWork) {
  const auto rate = measure_stream(StreamKernel::kTriad, {.cpus = {0}, .bytes_per_array = 4608}, kShort, {});
  ASSERT_TRUE(rate) << rate.error().message();
}

TEST(Stream, RefusesWhatItCannotDo) {
  EXPECT_EQ(Stream::open({.cpus = {0}, .bytes_per_array = 100}).error().code(), Errc::kInvalidArgument);
  EXPECT_EQ(Stream::open({.cpus = {0}, .bytes_per_array = 1ull << 58}).error().code(), Errc::kExhausted);
  EXPECT_EQ(Stream::open({.cpus = {0, 0}, .bytes_per_array = 1 << 20}).error().code(), Errc::kInvalidArgument);
  EXPECT_EQ(parse_stores("fast").error().code(), Errc::kInvalidArgument);
  std::stop_source stop;
  stop.request_stop();
  EXPECT_EQ(measure_stream(StreamKernel::kCopy, {.cpus = {0}, .bytes_per_array = 1 << 20}, std::chrono::seconds(60),
                           stop.get_token())
                .error()
                .code(),
            Errc::kCancelled);
}

}  // namespace
}  // namespace ff::bench
