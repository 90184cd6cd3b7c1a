// ScriptedWorld: a FileSystem in a simulated world, with a real manager and one real chain of one target, and a
// metadata service that says what the test wants.
//
//   ScriptedWorld world;
//   world.meta().on_open = ...;
//   world.run([](SimEnv& env, FileSystem& fs) -> Task<Result<>> { ... });
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>

#include "ffs/client/file_system.hpp"
#include "libcommon/testing/sim_env.hpp"
#include "libcommon/testing/sim_world.hpp"
#include "tests/unit/ffs/client/scripted_meta.hpp"

namespace ff::ffs {

class ScriptedWorld {
 public:
  ScriptedWorld();
  ~ScriptedWorld();

  ScriptedMeta& meta() noexcept { return meta_; }
  // Of a file in chunks: inode 2000, with a layout that can be written to.
  static Attributes in_chunks(std::uint64_t version, std::uint64_t epoch, std::uint64_t size);
  static Attributes in_inode(std::uint64_t version, std::string content);

  // Runs `body`, a coroutine of (SimEnv&, FileSystem&), on a client.
  template <class Body>
  void run(Body body) {
    run_main([this, body](testing::SimEnv& env) -> runtime::Task<Result<>> {
      FF_CO_TRY_ASSIGN(const auto fs, co_await FileSystem::connect(env, options()));
      const Result<> done = co_await body(env, *fs);
      co_await fs->stop();
      co_return done;
    });
  }

 private:
  class Cluster;
  FileSystemOptions options() const;
  void run_main(testing::Main main);

  testing::SimWorld world_;
  ScriptedMeta meta_;
  std::unique_ptr<Cluster> cluster_;
};

}  // namespace ff::ffs
