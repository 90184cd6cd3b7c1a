#include "libcommon/kv/memory_store.hpp"
#include "tests/support/virtual_env.hpp"
#include "tests/unit/ffs/meta/meta_world.hpp"

namespace ff::ffs {

namespace {

class MemoryMetaEngine final : public MetaEngine {
 public:
  MemoryMetaEngine() : cluster_({.seed = 1, .clock = [this] { return env_.now(); }}), store_(cluster_.connect(env_)) {}
  ~MemoryMetaEngine() override { run(stop(*store_)); }
  runtime::Env& env() override { return env_; }
  kv::KvStore& store() override { return *store_; }
  // The post lets the Env look up once more, where it would else miss that nothing is left to do.
  void run(runtime::Task<Result<>> task) override { (void)env_.run(posting(env_, std::move(task))); }
  bool next_commit_in_doubt(bool applied) override {
    store_->faults().next_commit = applied ? kv::NextCommit::kMaybeApplied : kv::NextCommit::kMaybeLost;
    store_->faults().maybe_late = 0;
    return true;
  }
  bool commits_late(bool on) override {
    store_->faults().maybe_committed = on ? 0.5 : 0;
    store_->faults().maybe_applied = store_->faults().maybe_late = 1;
    store_->faults().late_max = std::chrono::milliseconds(50);
    return true;
  }

 private:
  static runtime::Task<Result<>> posting(tests::VirtualEnv& env, runtime::Task<Result<>> inner) {
    Result<> result = co_await std::move(inner);
    env.post([] {});
    co_return result;
  }
  static runtime::Task<Result<>> stop(kv::KvStore& store) {
    co_await store.stop();
    co_return {};
  }
  tests::VirtualEnv env_;
  kv::MemoryCluster cluster_;
  std::unique_ptr<kv::MemoryStore> store_;
};

}  // namespace

std::unique_ptr<MetaEngine> make_memory_engine() { return std::make_unique<MemoryMetaEngine>(); }

}  // namespace ff::ffs
