// One suite that every KvStore engine must pass. Link the library `kv_conformance` whole, derive an Engine, and
//
//   INSTANTIATE_TEST_SUITE_P(Memory, KvConformance, ::testing::Values(EngineFactory{make_memory_engine}));
//
// Tests take what limits() allows into account; what an engine cannot be made to do is skipped with a reason.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "libcommon/kv/kv_store.hpp"
#include "libcommon/runtime/scope.hpp"

namespace ff::kv::conformance {

// A running store, empty at first, with handles of two nodes. Its destructor stops all.
class Engine {
 public:
  virtual ~Engine() = default;
  virtual runtime::Env& env() = 0;
  // Runs the task to its end on the engine's Env.
  virtual Result<> run(runtime::Task<Result<>> task) = 0;
  // 0 or 1; the same for an engine that only one process opens.
  virtual KvStore& store(std::size_t node) = 0;
  // Makes the next commit of node 0 end with kMaybeCommitted, applied or not. False: cannot be provoked.
  virtual bool provoke_maybe_committed(bool applied) = 0;
  // Node 0 cannot reach the store, or can again. False: cannot be provoked.
  virtual bool cut_off(bool cut) = 0;
};
using EngineFactory = std::function<std::unique_ptr<Engine>()>;

}  // namespace ff::kv::conformance

class KvConformance : public ::testing::TestWithParam<ff::kv::conformance::EngineFactory> {
 protected:
  using Body = ff::runtime::Task<ff::Result<>> (*)(ff::kv::conformance::Engine&);
  void SetUp() override {
    engine_ = GetParam()();
    ASSERT_NE(engine_, nullptr);
  }
  void TearDown() override { engine_.reset(); }
  // Runs a test's coroutine, with a deadline; its error fails the test.
  void run(Body body);
  ff::kv::conformance::Engine& engine() { return *engine_; }

 private:
  std::unique_ptr<ff::kv::conformance::Engine> engine_;
};

// What the tests say often.
namespace ff::kv::conformance {

using runtime::Task;

// Commits, which must succeed; gives the version.
Task<Result<Version>> must_commit(Transaction& transaction);
Task<Result<Version>> put(KvStore& store, std::string key, std::string value);
Task<Result<std::optional<std::string>>> peek(KvStore& store, std::string key);
Task<Result<std::vector<KeyValue>>> peek_range(KvStore& store, KeyRange range);
// Eight bytes, little-endian.
std::string number(std::uint64_t value);
std::uint64_t number_of(const std::string& bytes);

}  // namespace ff::kv::conformance
