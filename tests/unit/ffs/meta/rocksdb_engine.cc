#include <gtest/gtest.h>

#include <filesystem>

#include "libcommon/kv/rocksdb_store.hpp"
#include "libcommon/runtime/real_env.hpp"
#include "libcommon/testing/temp_folder.hpp"
#include "tests/unit/ffs/meta/rocksdb_engine.hpp"

namespace ff::ffs {

namespace {

class RocksdbMetaEngine final : public MetaEngine {
 public:
  RocksdbMetaEngine() {
    auto env = runtime::RealEnv::create({.offload_threads = 2});
    EXPECT_TRUE(env.has_value());
    env_ = std::move(*env);
    run(open(*env_, folder_.path() + "/store", store_));
    EXPECT_NE(store_, nullptr);
  }
  ~RocksdbMetaEngine() override { run(stop(*store_)); }
  runtime::Env& env() override { return *env_; }
  kv::KvStore& store() override { return *store_; }
  void run(runtime::Task<Result<>> task) override {
    const Result<> result = env_->run(std::move(task));
    EXPECT_TRUE(result.has_value()) << (result ? "" : result.error().message());
  }
  bool next_commit_in_doubt(bool) override { return false; }
  bool commits_late(bool) override { return false; }

 private:
  static runtime::Task<Result<>> open(runtime::Env& env, std::string path, std::unique_ptr<kv::KvStore>& out) {
    FF_CO_TRY_ASSIGN(out,
                     co_await kv::open_rocksdb_store(env, {.path = std::move(path), .create = true, .sync = false}));
    co_return {};
  }
  static runtime::Task<Result<>> stop(kv::KvStore& store) {
    co_await store.stop();
    co_return {};
  }
  testing::TempFolder folder_;
  std::unique_ptr<runtime::RealEnv> env_;
  std::unique_ptr<kv::KvStore> store_;
};

}  // namespace

std::unique_ptr<MetaEngine> make_rocksdb_engine() { return std::make_unique<RocksdbMetaEngine>(); }

}  // namespace ff::ffs
