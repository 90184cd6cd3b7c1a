#include "ffbench/compute/core_stress.hpp"

#include <algorithm>
#include <numeric>
#include <span>
#include <utility>

#include "ffbench/compute/cpu_team.hpp"
#include "ffbench/compute/sha256.hpp"
#include "libcommon/base/crc32c.hpp"

namespace ff::bench {
namespace {

using Clock = std::chrono::steady_clock;

// x -> kMultiplier x + kIncrement modulo 2^64 (Knuth's MMIX).
constexpr std::uint64_t kMultiplier = 6364136223846793005;
constexpr std::uint64_t kIncrement = 1442695040888963407;
constexpr int kDoublings = 20;

// 2^kDoublings steps at once: a step taken twice is x -> m^2 x + (m + 1) c.
constexpr std::uint64_t leap(std::uint64_t x) {
  std::uint64_t m = kMultiplier;
  std::uint64_t c = kIncrement;
  for (int i = 0; i < kDoublings; ++i) {
    c *= m + 1;
    m *= m;
  }
  return m * x + c;
}

bool run_integer(bool inject) noexcept {
  constexpr std::uint64_t kStart = 42;
  constexpr std::uint64_t kAnswer = leap(kStart);
  constexpr std::uint64_t kSteps = std::uint64_t{1} << kDoublings;
  std::uint64_t x = kStart;
  bool divided_well = true;
  for (std::uint64_t i = 0; i < kSteps; ++i) {
    x = kMultiplier * x + kIncrement;
    if (inject && i == kSteps / 2) x ^= 1u << 7;
    if (i % 16 != 0) continue;
    std::uint64_t divisor = (x >> 32 & 0xffff'fffe) | 1;
    std::uint64_t quotient = x / divisor;
    std::uint64_t rest = x % divisor;
    // Without these the compiler knows the outcome.
    asm volatile("" : "+r"(divisor), "+r"(quotient), "+r"(rest));
    divided_well &= quotient * divisor + rest == x && rest < divisor;
  }
  return divided_well && x == kAnswer;
}

bool run_sha256(bool inject) noexcept {
  constexpr std::array<std::uint8_t, 32> kAnswer = {0xcd, 0xc7, 0x6e, 0x5c, 0x99, 0x14, 0xfb, 0x92, 0x81, 0xa1, 0xc7,
                                                    0xe2, 0x84, 0xd7, 0x3e, 0x67, 0xf1, 0x80, 0x9a, 0x48, 0xa4, 0x97,
                                                    0x20, 0x0e, 0x04, 0x6d, 0x39, 0xcc, 0xc7, 0x11, 0x2c, 0xd0};
  std::array<std::uint8_t, 1000> letters;
  letters.fill('a');
  Sha256 hash;
  for (int i = 0; i < 1000; ++i) {
    hash.update(letters);
    if (inject && i == 500) hash.disturb();
  }
  return hash.finish() == kAnswer;
}

std::uint32_t crc_of(std::span<const std::uint8_t> bytes) noexcept { return crc32c(0, bytes.data(), bytes.size()); }

bool crc_vectors_hold() noexcept {
  std::array<std::uint8_t, 32> zeros{};
  std::array<std::uint8_t, 32> ones;
  std::array<std::uint8_t, 32> up;
  ones.fill(0xff);
  std::iota(up.begin(), up.end(), std::uint8_t{0});
  const std::array<std::uint8_t, 32> down = [&] {
    auto turned = up;
    std::reverse(turned.begin(), turned.end());
    return turned;
  }();
  return crc_of(zeros) == 0x8a9136aa && crc_of(ones) == 0x62a8ab43 && crc_of(up) == 0x46dd794e &&
         crc_of(down) == 0x113fdb5c;
}

bool run_crc32c(bool inject) noexcept {
  constexpr std::size_t kBytes = 1 << 20;
  static const std::vector<std::uint8_t> kText = [] {
    std::vector<std::uint8_t> text(kBytes);
    std::uint64_t x = 1;
    for (std::uint8_t& byte : text) {
      x = kMultiplier * x + kIncrement;
      byte = static_cast<std::uint8_t>(x >> 56);
    }
    return text;
  }();
  const std::span<const std::uint8_t> text(kText);
  std::uint32_t pieces = 0;
  for (std::size_t at = 0, length = 1; at < kBytes; at += length, length = length % 4099 + 97)
    pieces = crc32c(pieces, text.data() + at, std::min(length, kBytes - at));
  if (inject) pieces ^= 1;
  return crc_vectors_hold() && crc_of(text) == pieces;
}

}  // namespace

std::string_view core_work_name(CoreWork work) noexcept {
  constexpr std::array<std::string_view, kCoreWorkCount> kNames = {"integer", "sha256", "crc32c"};
  return kNames[static_cast<std::size_t>(work)];
}

bool run_core_work(CoreWork work, bool inject) noexcept {
  switch (work) {
    case CoreWork::kInteger: return run_integer(inject);
    case CoreWork::kSha256: return run_sha256(inject);
    case CoreWork::kCrc32c: return run_crc32c(inject);
  }
  return false;
}

Result<CoreStressReport> stress_cores(const CoreStressOptions& options, std::chrono::nanoseconds duration,
                                      std::stop_token stop) {
  CoreStressReport report;
  FF_TRY_ASSIGN(report.cpus, usable_cpus(options.cpus));
  const std::size_t cpus = report.cpus.size();
  if (options.inject && options.inject->cpu_index >= cpus)
    return fail(Errc::kInvalidArgument, "injected fault: there is no such processor in the list");
  for (int w = 0; w < kCoreWorkCount; ++w) {
    const auto at = static_cast<std::size_t>(w);
    const auto work = static_cast<CoreWork>(w);
    report.rate[at].assign(cpus, 0);
    report.wrong[at].assign(cpus, 0);
    std::vector<std::uint64_t> rounds(cpus);
    FF_TRY(run_on_cpus(report.cpus, [&](std::size_t i) {
      bool inject = options.inject && options.inject->work == work && options.inject->cpu_index == i;
      const auto begin = Clock::now();
      auto now = begin;
      while (!stop.stop_requested() && (rounds[i] == 0 || now - begin < duration / kCoreWorkCount)) {
        if (!run_core_work(work, std::exchange(inject, false))) ++report.wrong[at][i];
        ++rounds[i];
        now = Clock::now();
      }
      if (rounds[i] > 0)
        report.rate[at][i] = static_cast<double>(rounds[i]) / std::chrono::duration<double>(now - begin).count();
    }));
    if (*std::min_element(rounds.begin(), rounds.end()) == 0) return fail(Errc::kCancelled, "core stress: stopped");
    report.rounds += std::accumulate(rounds.begin(), rounds.end(), std::uint64_t{0});
    report.wrong_rounds += std::accumulate(report.wrong[at].begin(), report.wrong[at].end(), std::uint64_t{0});
  }
  return report;
}

}  // namespace ff::bench
