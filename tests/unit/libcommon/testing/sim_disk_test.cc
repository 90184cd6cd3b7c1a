// What survives a power cut, and how disks fail.
#include "libcommon/testing/sim_disk.hpp"

#include <gtest/gtest.h>

#include <cerrno>
#include <cstring>
#include <set>

#include "libcommon/testing/sim_env.hpp"

namespace ff::testing {
namespace {

using runtime::Task;

std::span<const std::byte> bytes(std::string_view text) { return std::as_bytes(std::span(text.data(), text.size())); }
std::string text(const Result<std::vector<std::byte>>& content) {
  if (!content) return "(" + std::string(errc_name(content.error().code())) + ")";
  return {reinterpret_cast<const char*>(content->data()), content->size()};
}

// Runs `body` on a fresh node to its end; the world stays for what comes after.
template <class F>
std::unique_ptr<SimWorld> run(std::uint64_t seed, F body, DiskModel disk = {}) {
  WorldOptions options;
  options.disk = disk;
  auto world = std::make_unique<SimWorld>(seed, options);
  world->add_node();
  world->start(0, body);
  EXPECT_TRUE(world->run_until([&] { return world->exited(0); }, 1h));
  if (world->exited(0)) {
    EXPECT_TRUE(world->exit_result(0)) << world->exit_result(0).error().message();
  }
  return world;
}

Task<Result<>> write_file(SimEnv& env, std::string path, std::string content, bool sync, bool sync_folder) {
  FF_CO_TRY_ASSIGN(const auto file, co_await env.disk().open(path, {.write = true, .create = true}));
  FF_CO_TRY(co_await file->write(0, bytes(content)));
  if (sync) FF_CO_TRY(co_await file->sync());
  if (sync_folder) FF_CO_TRY(co_await env.disk().sync_folder(""));
  co_return {};
}

// The contents of "f" after a power cut, over many seeds.
template <class F>
std::set<std::string> outcomes(F body) {
  std::set<std::string> out;
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    auto world = run(seed, body);
    world->storage(0).power_cut();
    out.insert(text(world->storage(0).contents("f")));
  }
  return out;
}

TEST(SimDisk, SyncedFileWithSyncedNameSurvives) {
  EXPECT_EQ(
      outcomes([](SimEnv& env) -> Task<Result<>> { co_return co_await write_file(env, "f", "data", true, true); }),
      (std::set<std::string>{"data"}));
}

TEST(SimDisk, NameThatWasNotSyncedMayVanish) {
  EXPECT_EQ(
      outcomes([](SimEnv& env) -> Task<Result<>> { co_return co_await write_file(env, "f", "data", true, false); }),
      (std::set<std::string>{"data", "(not_found)"}));
}

TEST(SimDisk, DataThatWasNotSyncedMayVanishOrBeZeros) {
  EXPECT_EQ(
      outcomes([](SimEnv& env) -> Task<Result<>> { co_return co_await write_file(env, "f", "data", false, true); }),
      (std::set<std::string>{"data", "", std::string(4, '\0')}));
}

TEST(SimDisk, RenameIsAtomic) {
  EXPECT_EQ(outcomes([](SimEnv& env) -> Task<Result<>> {
              FF_CO_TRY(co_await write_file(env, "f", "old", true, true));
              FF_CO_TRY(co_await write_file(env, "g", "new", true, true));
              co_return co_await env.disk().rename("g", "f");
            }),
            (std::set<std::string>{"old", "new"}));
}

// Changes names in the folders a and b, which are durable, as is the file a/old. Gives what there is after a power cut,
// over many seeds.
using Names = std::set<std::vector<std::string>>;
template <class F>
Names names_after(F change) {
  Names out;
  for (std::uint64_t seed = 1; seed <= 200; ++seed) {
    auto world = run(seed, [&](SimEnv& env) -> Task<Result<>> {
      SimDisk& disk = env.disk();
      FF_CO_TRY(co_await disk.make_folder("a"));
      FF_CO_TRY(co_await disk.make_folder("b"));
      FF_CO_TRY(co_await write_file(env, "a/old", "old", true, true));
      FF_CO_TRY(co_await disk.sync_folder("a"));
      co_return co_await change(env);
    });
    world->storage(0).power_cut();
    std::vector<std::string> names;
    for (const char* path : {"a/new", "a/old", "b/folder/file", "b/moved", "b/later", "c/moved"}) {
      if (world->storage(0).contents(path)) names.emplace_back(path);
    }
    out.insert(names);
  }
  return out;
}

TEST(SimDisk, RenameBetweenFoldersIsAtomic) {
  for (const std::vector<std::string>& synced :
       {std::vector<std::string>{"a"}, {"b"}, {"a", "b"}, {"b", "a"}, {"b", "", "a"}}) {
    EXPECT_EQ(names_after([&](SimEnv& env) -> Task<Result<>> {
                FF_CO_TRY(co_await write_file(env, "a/new", "new", true, false));
                FF_CO_TRY(co_await env.disk().rename("a/new", "b/moved"));
                for (const std::string& folder : synced) FF_CO_TRY(co_await env.disk().sync_folder(folder));
                co_return {};
              }),
              (Names{{"a/old", "b/moved"}}))
        << synced.front() << " first of " << synced.size();
  }
  EXPECT_EQ(
      names_after([](SimEnv& env) -> Task<Result<>> { co_return co_await env.disk().rename("a/old", "b/moved"); }),
      (Names{{"a/old"}, {"b/moved"}}));
}

TEST(SimDisk, RenameBetweenFoldersKeepsTheOrderOfBoth) {
  EXPECT_EQ(names_after([](SimEnv& env) -> Task<Result<>> {
              FF_CO_TRY(co_await write_file(env, "a/new", "new", true, false));
              FF_CO_TRY(co_await env.disk().rename("a/old", "b/moved"));
              co_return co_await write_file(env, "b/later", "later", true, false);
            }),
            (Names{{"a/old"}, {"a/new", "a/old"}, {"a/new", "b/moved"}, {"a/new", "b/moved", "b/later"}}));
}

TEST(SimDisk, RenameReplacesWhatWasThereWhicheverFolderIsSynced) {
  for (const char* synced : {"a", "b"}) {
    auto world = run(1, [&](SimEnv& env) -> Task<Result<>> {
      FF_CO_TRY(co_await env.disk().make_folder("a"));
      FF_CO_TRY(co_await env.disk().make_folder("b"));
      FF_CO_TRY(co_await write_file(env, "b/file", "old", true, true));
      FF_CO_TRY(co_await write_file(env, "a/file", "new", true, false));
      FF_CO_TRY(co_await env.disk().rename("a/file", "b/file"));
      FF_CO_TRY(co_await env.disk().sync_folder(synced));
      FF_CO_TRY(co_await env.disk().sync_folder("a"));
      co_return co_await env.disk().sync_folder("b");
    });
    world->storage(0).power_cut();
    EXPECT_EQ(text(world->storage(0).contents("b/file")), "new") << synced;
    EXPECT_EQ(text(world->storage(0).contents("a/file")), "(not_found)") << synced;
  }
}

// Into a folder whose own name is not durable: the file may be under either name, and is never gone.
TEST(SimDisk, RenameIntoANewFolderLosesNothing) {
  const auto rename = [](bool sync) {
    return [sync](SimEnv& env) -> Task<Result<>> {
      FF_CO_TRY(co_await env.disk().make_folder("c"));
      FF_CO_TRY(co_await env.disk().rename("a/old", "c/moved"));
      if (sync) FF_CO_TRY(co_await env.disk().sync_folder("c"));
      co_return {};
    };
  };
  EXPECT_EQ(names_after(rename(false)), (Names{{"a/old"}, {"c/moved"}}));
  EXPECT_EQ(names_after(rename(true)), (Names{{"c/moved"}}));
}

// What was done in a folder before it was renamed is synced with it afterwards.
TEST(SimDisk, FolderThatWasRenamedSyncsWhatIsInIt) {
  for (const std::vector<std::string>& synced : {std::vector<std::string>{"b/folder", "b"}, {"b", "b/folder"}}) {
    EXPECT_EQ(names_after([&](SimEnv& env) -> Task<Result<>> {
                FF_CO_TRY(co_await env.disk().make_folder("a/folder"));
                FF_CO_TRY(co_await write_file(env, "a/folder/file", "data", true, false));
                FF_CO_TRY(co_await env.disk().rename("a/folder", "b/folder"));
                for (const std::string& folder : synced) FF_CO_TRY(co_await env.disk().sync_folder(folder));
                co_return {};
              }),
              (Names{{"a/old", "b/folder/file"}}))
        << synced.front() << " first";
  }
}

TEST(SimDisk, ProcessKillKeepsTheCache) {
  SimWorld world(1);
  world.add_node();
  world.start(0, [](SimEnv& env) -> Task<Result<>> {
    FF_CO_TRY(co_await write_file(env, "f", "data", false, false));
    co_return co_await runtime::sleep(1h);
  });
  ASSERT_TRUE(world.run_for(1s));
  world.kill(0, Kill::kProcess);
  EXPECT_EQ(text(world.storage(0).contents("f")), "data");
}

TEST(SimDisk, ReadsGiveWhatWasWritten) {
  run(1, [](SimEnv& env) -> Task<Result<>> {
    FF_CO_TRY_ASSIGN(const auto file, co_await env.disk().open("f", {.write = true, .create = true}));
    FF_CO_TRY(co_await file->write(5000, bytes("hello")));
    std::array<char, 8> out{};
    FF_CO_TRY_ASSIGN(const std::size_t got, co_await file->read(4998, std::as_writable_bytes(std::span(out))));
    EXPECT_EQ(got, 7u);
    EXPECT_EQ(std::string(out.data(), got), std::string("\0\0hello", 7));
    FF_CO_TRY(co_await file->punch(5000, 2));
    FF_CO_TRY(co_await file->truncate(5004));
    FF_CO_TRY_ASSIGN(const std::size_t again, co_await file->read(5000, std::as_writable_bytes(std::span(out))));
    EXPECT_EQ(std::string(out.data(), again), std::string("\0\0ll", 4));
    co_return {};
  });
}

TEST(SimDisk, FoldersAndErrors) {
  run(1, [](SimEnv& env) -> Task<Result<>> {
    SimDisk& disk = env.disk();
    EXPECT_EQ((co_await disk.open("a/f", {.write = true, .create = true})).error().code(), Errc::kNotFound);
    FF_CO_TRY(co_await disk.make_folder("a"));
    EXPECT_EQ((co_await disk.make_folder("/a/")).error().code(), Errc::kAlreadyExists);
    FF_CO_TRY(co_await write_file(env, "a/f", "x", true, false));
    EXPECT_EQ((co_await disk.open("a/f", {.write = true, .create = true, .exclusive = true})).error().code(),
              Errc::kAlreadyExists);
    EXPECT_EQ((co_await disk.remove("a")).error().sys_errno(), ENOTEMPTY);
    FF_CO_TRY(co_await disk.rename("a", "b"));
    FF_CO_TRY_ASSIGN(const auto names, co_await disk.list("b"));
    EXPECT_EQ(names, std::vector<std::string>{"f"});
    FF_CO_TRY_ASSIGN(const auto reader, co_await disk.open("b/f", {}));
    EXPECT_EQ((co_await reader->write(0, bytes("y"))).error().code(), Errc::kPermission);
    FF_CO_TRY_ASSIGN(const auto direct, co_await disk.open("b/f", {.write = true, .direct = true}));
    EXPECT_EQ((co_await direct->write(1, bytes("y"))).error().code(), Errc::kInvalidArgument);
    FF_CO_TRY(co_await disk.remove("b/f"));
    co_return co_await disk.remove("b");
  });
}

TEST(SimDisk, FullDiskRefusesAndRecovers) {
  auto world = run(1,
                   [](SimEnv& env) -> Task<Result<>> {
                     FF_CO_TRY_ASSIGN(const auto file, co_await env.disk().open("f", {.write = true, .create = true}));
                     FF_CO_TRY(co_await file->allocate(0, 8192));
                     EXPECT_EQ((co_await file->write(8192, bytes("x"))).error().sys_errno(), ENOSPC);
                     FF_CO_TRY(co_await file->write(0, bytes("fits")));
                     FF_CO_TRY_ASSIGN(const auto space, co_await env.disk().space(""));
                     EXPECT_EQ(space.free_bytes, 0u);
                     FF_CO_TRY(co_await env.disk().remove("f"));
                     FF_CO_TRY(co_await file->truncate(0));  // of a file without a name: counted once only
                     co_return co_await write_file(env, "g", "x", true, true);
                   },
                   {.capacity_bytes = 8192});
  EXPECT_EQ(world->storage(0).used_bytes(), 4096u);
}

TEST(SimDisk, DamagedSectorFailsUntilItIsWritten) {
  run(1, [](SimEnv& env) -> Task<Result<>> {
    FF_CO_TRY(co_await write_file(env, "f", std::string(1024, 'a'), true, true));
    FF_CO_TRY(env.world().storage(0).damage("f", 600));
    FF_CO_TRY_ASSIGN(const auto file, co_await env.disk().open("f", {.write = true}));
    std::array<std::byte, 512> out{};
    FF_CO_TRY(co_await file->read(0, out));
    EXPECT_EQ((co_await file->read(512, out)).error().sys_errno(), EIO);
    FF_CO_TRY(co_await file->write(512, out));
    FF_CO_TRY(co_await file->read(512, out));
    co_return {};
  });
}

TEST(SimDisk, FailedSyncIsNotMadeGoodByTheNextOne) {
  std::set<std::string> seen;
  for (std::uint64_t seed = 1; seed <= 100; ++seed) {
    auto world = run(seed, [](SimEnv& env) -> Task<Result<>> {
      FF_CO_TRY(co_await write_file(env, "f", "old", true, true));
      FF_CO_TRY_ASSIGN(const auto file, co_await env.disk().open("f", {.write = true}));
      FF_CO_TRY(co_await file->write(0, bytes("new")));
      DiskModel& model = env.world().storage(0).model();
      model.sync_error = 1;
      EXPECT_EQ((co_await file->sync()).error().sys_errno(), EIO);
      model.sync_error = 0;
      co_return co_await file->sync();
    });
    EXPECT_EQ(text(world->storage(0).contents("f")), "new") << "still in the cache";
    world->storage(0).power_cut();
    seen.insert(text(world->storage(0).contents("f")));
  }
  EXPECT_EQ(seen, (std::set<std::string>{"old", "new"}));
}

TEST(SimDisk, BitFlipsAndDeadDisks) {
  run(1, [](SimEnv& env) -> Task<Result<>> {
    SimStorage& storage = env.world().storage(0);
    FF_CO_TRY(co_await write_file(env, "f", "a", true, true));
    FF_CO_TRY(storage.flip_bit("f", 0, 1));
    EXPECT_EQ(text(storage.contents("f")), "c");
    storage.fail(true);
    EXPECT_EQ((co_await env.disk().open("f", {})).error().code(), Errc::kIo);
    storage.fail(false);
    co_return {};
  });
}

TEST(SimDisk, RecordingFeedsTheEnumerator) {
  SimWorld world(1);
  world.add_node();
  world.storage(0).start_recording();
  world.start(0, [](SimEnv& env) -> Task<Result<>> {
    FF_CO_TRY(co_await write_file(env, "f", "one", true, true));
    co_return co_await write_file(env, "f", "two", false, false);
  });
  ASSERT_TRUE(world.run_until([&] { return world.exited(0); }, 1h));
  const auto recording = world.storage(0).stop_recording();
  ASSERT_EQ(recording.paths, std::vector<std::string>{"f"});
  std::set<std::string> images;
  for_each_crash_image(recording.initial, recording.operations, {}, [&](const CrashImage& image) {
    SimWorld fresh(2);
    fresh.add_node();
    fresh.storage(0).install("f", image.files[0].copy());
    images.insert(text(fresh.storage(0).contents("f")));
    return true;
  });
  EXPECT_EQ(images, (std::set<std::string>{"", std::string(3, '\0'), "one", "two"}));
}

}  // namespace
}  // namespace ff::testing
