// Runs the ranks of a communicator as threads of this process, and makes the reference results they are compared with.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "hfreduce/communicator.hpp"
#include "hfreduce/cpu/reduce.hpp"
#include "libcommon/base/rng.hpp"

namespace ff::hfreduce::testing {

using RankBody = std::function<void(Communicator&)>;
using ConfigOf = std::function<Config(int rank)>;

inline Config test_config() {
  Config config;
  config.timeout = std::chrono::seconds(30);
  config.connect_timeout = std::chrono::seconds(30);
  return config;
}

// Each rank in a thread of its own; a rank that cannot be created fails the test.
inline void run_ranks(int size, const ConfigOf& config_of, const RankBody& body) {
  const auto id = Communicator::create_id();
  ASSERT_TRUE(id.has_value()) << id.error().message();
  std::vector<std::thread> threads;
  for (int rank = 0; rank < size; ++rank)
    threads.emplace_back([&, rank] {
      auto communicator = Communicator::create(*id, rank, size, config_of(rank));
      ASSERT_TRUE(communicator.has_value()) << "rank " << rank << ": " << communicator.error().message();
      body(**communicator);
    });
  for (std::thread& thread : threads) thread.join();
}

inline void run_ranks(int size, const Config& config, const RankBody& body) {
  run_ranks(size, [&](int) { return config; }, body);
}

// Ranks spread in blocks over `hosts` pretended hosts.
inline ConfigOf on_hosts(int size, int hosts, Config config) {
  return [=](int rank) {
    Config mine = config;
    mine.host_id = "host" + std::to_string(rank * hosts / size);
    return mine;
  };
}

// The elements of a rank: small integers, exact in every type, different on every rank and position.
template <class T>
std::vector<T> pattern(int rank, std::size_t count, int modulus = 13) {
  std::vector<T> values(count);
  for (std::size_t i = 0; i < count; ++i)
    values[i] = static_cast<T>(
        static_cast<int>((i * 7 + static_cast<std::size_t>(rank) * 3) % static_cast<std::size_t>(modulus)) -
        modulus / 2);
  return values;
}

// Random finite floats of mixed magnitude: sums of them show any change of order.
inline std::vector<float> rough_floats(int rank, std::size_t count) {
  Rng rng(static_cast<std::uint64_t>(rank) * 7919 + 1);
  std::vector<float> values(count);
  for (float& v : values) v = static_cast<float>(rng.normal() * std::exp2(static_cast<double>(rng.below(20)) - 10.0));
  return values;
}

// The sum in the documented pairwise order, by a plain recursion.
inline float pairwise_sum(const std::vector<std::vector<float>>& inputs, std::size_t i, std::size_t lo, std::size_t n) {
  if (n == 1) return inputs[lo][i];
  std::size_t m = 1;
  while (m * 2 < n) m *= 2;
  return pairwise_sum(inputs, i, lo, m) + pairwise_sum(inputs, i, lo + m, n - m);
}

}  // namespace ff::hfreduce::testing
