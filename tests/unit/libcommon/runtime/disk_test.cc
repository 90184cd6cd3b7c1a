#include "libcommon/runtime/disk.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>

#include "tests/unit/libcommon/runtime/real_env_fixture.hpp"

namespace ff::runtime {
namespace {

class DiskTest : public RealEnvTest {
 protected:
  void SetUp() override {
    RealEnvTest::SetUp();
    std::string name = testing::TempDir() + "ff-disk-XXXXXX";
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override {
    if (!folder_.empty()) std::filesystem::remove_all(folder_);
  }
  std::string path(const std::string& name) const { return folder_ + "/" + name; }
  Disk& disk() { return env().disk(); }

  std::string folder_;
};
FF_TEST_ON_BOTH_BACKENDS(DiskTest);

constexpr OpenOptions kNew{.write = true, .create = true, .truncate = true};
constexpr OpenOptions kNewDirect{.write = true, .create = true, .truncate = true, .direct = true};

std::vector<std::byte> contents(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  const std::string text((std::istreambuf_iterator<char>(in)), {});
  const auto* bytes = reinterpret_cast<const std::byte*>(text.data());
  return {bytes, bytes + text.size()};
}

TEST_P(DiskTest, ReadsBackWhatWasWrittenAndOnlyThat) {
  const auto data = pattern(100'000);
  auto program = [&]() -> Task<Result<>> {
    FF_CO_TRY_ASSIGN(auto file, co_await disk().open(path("a"), kNew));
    EXPECT_EQ(file->alignment(), 1u);
    FF_CO_TRY(co_await file->write(0, data));
    FF_CO_TRY(co_await file->write(200'000, std::span(data).first(7)));
    FF_CO_TRY(co_await file->sync());
    FF_CO_TRY_ASSIGN(const auto size, co_await file->size());
    EXPECT_EQ(size, 200'007u);
    std::vector<std::byte> got(data.size());
    FF_CO_TRY_ASSIGN(std::size_t n, co_await file->read(0, got));
    EXPECT_EQ(n, data.size());
    EXPECT_EQ(got, data);
    FF_CO_TRY_ASSIGN(n, co_await file->read(200'000, got));  // short: the file ends
    EXPECT_EQ(n, 7u);
    FF_CO_TRY_ASSIGN(n, co_await file->read(200'007, got));
    EXPECT_EQ(n, 0u);
    FF_CO_TRY_ASSIGN(n, co_await file->read(1 << 30, got));
    EXPECT_EQ(n, 0u);
    FF_CO_TRY_ASSIGN(n, co_await file->read(0, {}));
    EXPECT_EQ(n, 0u);
    co_return co_await file->close();
  };
  expect_ok(program());
  const auto on_disk = contents(path("a"));
  ASSERT_EQ(on_disk.size(), 200'007u);
  EXPECT_TRUE(std::ranges::equal(std::span(on_disk).first(data.size()), data));
}

// Registered memory is chosen by where it lies; the bytes must be the same either way.
TEST_P(DiskTest, DirectFilesWorkWithRegisteredAndWithPlainMemory) {
  for (const std::uint64_t registered : {std::uint64_t{0}, std::uint64_t{32} << 20}) {
    make({.registered_bytes = registered});
    auto program = [&]() -> Task<Result<>> {
      FF_CO_TRY_ASSIGN(auto file, co_await disk().open(path("direct"), kNewDirect));
      const std::size_t unit = std::max<std::size_t>(file->alignment(), 512);
      FF_CO_TRY_ASSIGN(DiskBuffer out, disk().buffer(3 << 20));
      FF_CO_TRY_ASSIGN(DiskBuffer in, disk().buffer(3 << 20));
      const auto data = pattern(out.size());
      std::ranges::copy(data, out.data());
      FF_CO_TRY(co_await file->write(unit, out.span()));
      FF_CO_TRY_ASSIGN(std::size_t n, co_await file->read(unit, in.span()));
      EXPECT_EQ(n, in.size());
      EXPECT_TRUE(std::ranges::equal(in.span(), data));
      // A part of a buffer, at the end of the file.
      FF_CO_TRY_ASSIGN(n, co_await file->read(unit + (2 << 20), in.span().subspan(unit, 2 << 20)));
      EXPECT_EQ(n, std::size_t{1} << 20);
      EXPECT_TRUE(std::ranges::equal(in.span().subspan(unit, n), std::span(data).subspan(2 << 20)));
      co_return co_await file->close();
    };
    expect_ok(program());
  }
}

TEST_P(DiskTest, ADirectFileWithAnOddEndIsReadToThatEnd) {
  auto program = [&]() -> Task<Result<>> {
    FF_CO_TRY_ASSIGN(auto file, co_await disk().open(path("odd"), kNewDirect));
    FF_CO_TRY_ASSIGN(DiskBuffer buffer, disk().buffer(64 << 10));
    FF_CO_TRY(co_await file->write(0, buffer.span()));
    FF_CO_TRY(co_await file->truncate(10'001));
    FF_CO_TRY_ASSIGN(const std::size_t n, co_await file->read(0, buffer.span()));
    EXPECT_EQ(n, 10'001u);
    co_return {};
  };
  expect_ok(program());
}

TEST_P(DiskTest, DirectFilesRefuseWhatIsNotAligned) {
  auto program = [&]() -> Task<Result<>> {
    FF_CO_TRY_ASSIGN(auto file, co_await disk().open(path("direct"), kNewDirect));
    if (file->alignment() == 1) co_return {};  // no direct I/O on this file system
    FF_CO_TRY_ASSIGN(DiskBuffer buffer, disk().buffer(8192));
    const auto memory = buffer.span();
    const std::size_t unit = file->alignment();
    EXPECT_EQ(code_of(co_await file->write(1, memory.first(unit))), Errc::kInvalidArgument);
    EXPECT_EQ(code_of(co_await file->write(0, memory.first(unit + 1))), Errc::kInvalidArgument);
    auto odd = co_await file->read(0, memory.subspan(1, unit));
    EXPECT_EQ(code_of(odd), Errc::kInvalidArgument);
    EXPECT_NE(odd.error().message().find(std::to_string(unit)), std::string::npos) << odd.error().message();
    co_return {};
  };
  expect_ok(program());
}

// What the kernel says of the descriptor of ours that has this file open.
bool is_open_direct(const std::string& path) {
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code gone;
    if (std::filesystem::read_symlink(entry.path(), gone) != path) continue;
    return (::fcntl(std::stoi(entry.path().filename().string()), F_GETFL) & O_DIRECT) != 0;
  }
  ADD_FAILURE() << path << " is not open";
  return false;
}

TEST_P(DiskTest, OpenOptionsMeanWhatTheySay) {
  auto program = [&]() -> Task<Result<>> {
    EXPECT_EQ(code_of(co_await disk().open(path("a"), {})), Errc::kNotFound);
    EXPECT_EQ(code_of(co_await disk().open(path("none/a"), kNew)), Errc::kNotFound);
    FF_CO_TRY_ASSIGN(auto file, co_await disk().open(path("a"), kNew));
    FF_CO_TRY(co_await file->write(0, pattern(100)));
    auto again = co_await disk().open(path("a"), {.write = true, .create = true, .exclusive = true});
    EXPECT_EQ(code_of(again), Errc::kAlreadyExists);
    EXPECT_NE(again.error().message().find(path("a") + ": open"), std::string::npos) << again.error().message();
    FF_CO_TRY_ASSIGN(auto reader, co_await disk().open(path("a"), {}));
    EXPECT_FALSE(co_await reader->write(0, pattern(1)));
    FF_CO_TRY_ASSIGN(auto size, co_await reader->size());
    EXPECT_EQ(size, 100u);
    FF_CO_TRY_ASSIGN(auto truncated, co_await disk().open(path("a"), {.write = true, .truncate = true}));
    FF_CO_TRY_ASSIGN(size, co_await truncated->size());
    EXPECT_EQ(size, 0u);
    FF_CO_TRY_ASSIGN(auto fresh, co_await disk().open(
                                     path("x"), {.write = true, .create = true, .exclusive = true, .direct = true}));
    EXPECT_EQ(is_open_direct(path("x")), fresh->alignment() > 1);
    FF_CO_TRY_ASSIGN(auto again_direct, co_await disk().open(path("x"), {.write = true, .direct = true}));
    EXPECT_EQ(fresh->alignment(), again_direct->alignment());
    co_return {};
  };
  expect_ok(program());
}

TEST_P(DiskTest, TruncateAllocateAndPunchChangeSizeAndSpace) {
  auto program = [&]() -> Task<Result<>> {
    FF_CO_TRY_ASSIGN(auto file, co_await disk().open(path("a"), kNew));
    FF_CO_TRY(co_await file->allocate(0, 1 << 20));
    FF_CO_TRY_ASSIGN(auto size, co_await file->size());
    EXPECT_EQ(size, 1u << 20);
    struct stat before{};
    EXPECT_EQ(::stat(path("a").c_str(), &before), 0);
    EXPECT_GE(before.st_blocks * 512, 1 << 20);
    const auto data = pattern(1 << 20);
    FF_CO_TRY(co_await file->write(0, data));
    auto punched = co_await file->punch(65536, 1 << 19);
    if (punched) {
      struct stat after{};
      EXPECT_EQ(::stat(path("a").c_str(), &after), 0);
      EXPECT_LT(after.st_blocks, before.st_blocks);
      std::vector<std::byte> got(1 << 20);
      FF_CO_TRY(co_await file->read(0, got));
      EXPECT_TRUE(std::ranges::all_of(std::span(got).subspan(65536, 1 << 19), [](auto b) { return b == std::byte{}; }));
      EXPECT_EQ(got[65535], data[65535]);
      EXPECT_EQ(got[65536 + (1 << 19)], data[65536 + (1 << 19)]);
    } else {
      EXPECT_EQ(code_of(punched), Errc::kUnsupported);
    }
    FF_CO_TRY(co_await file->truncate(10));
    FF_CO_TRY_ASSIGN(size, co_await file->size());
    EXPECT_EQ(size, 10u);
    EXPECT_EQ(code_of(co_await file->allocate(~0ull, 10)), Errc::kInvalidArgument);
    EXPECT_EQ(code_of(co_await file->truncate(~0ull)), Errc::kInvalidArgument);
    std::array<std::byte, 1> one;
    EXPECT_EQ(code_of(co_await file->read(~0ull, one)), Errc::kInvalidArgument);
    FF_CO_TRY(co_await file->allocate(0, 0));
    co_return {};
  };
  expect_ok(program());
}

TEST_P(DiskTest, FoldersNamesAndTheirErrors) {
  auto program = [&]() -> Task<Result<>> {
    FF_CO_TRY(co_await disk().make_folder(path("d")));
    EXPECT_EQ(code_of(co_await disk().make_folder(path("d"))), Errc::kAlreadyExists);
    for (const char* name : {"d/b", "d/a", "d/c"}) {
      FF_CO_TRY_ASSIGN(auto file, co_await disk().open(path(name), kNew));
      FF_CO_TRY(co_await file->write(0, pattern(name[2] == 'b' ? 5 : 1)));
    }
    FF_CO_TRY_ASSIGN(auto names, co_await disk().list(path("d")));
    EXPECT_EQ(names, (std::vector<std::string>{"a", "b", "c"}));
    FF_CO_TRY_ASSIGN(auto about, co_await disk().info(path("d")));
    EXPECT_TRUE(about.folder);
    EXPECT_FALSE(co_await disk().remove(path("d")));              // not empty
    FF_CO_TRY(co_await disk().rename(path("d/b"), path("d/a")));  // replaces
    FF_CO_TRY_ASSIGN(about, co_await disk().info(path("d/a")));
    EXPECT_FALSE(about.folder);
    EXPECT_EQ(about.bytes, 5u);
    auto missing = co_await disk().rename(path("d/b"), path("d/x"));
    EXPECT_EQ(code_of(missing), Errc::kNotFound);
    EXPECT_NE(missing.error().message().find(path("d/x")), std::string::npos) << missing.error().message();
    FF_CO_TRY(co_await disk().sync_folder(path("d")));
    FF_CO_TRY(co_await disk().remove(path("d/a")));
    FF_CO_TRY(co_await disk().remove(path("d/c")));
    FF_CO_TRY(co_await disk().remove(path("d")));
    EXPECT_EQ(code_of(co_await disk().remove(path("d"))), Errc::kNotFound);
    EXPECT_EQ(code_of(co_await disk().list(path("d"))), Errc::kNotFound);
    EXPECT_EQ(code_of(co_await disk().info(path("d"))), Errc::kNotFound);
    EXPECT_EQ(code_of(co_await disk().sync_folder(path("d"))), Errc::kNotFound);
    EXPECT_EQ(code_of(co_await disk().space(path("d"))), Errc::kNotFound);
    FF_CO_TRY_ASSIGN(const auto space, co_await disk().space(folder_));
    EXPECT_GT(space.total_bytes, 0u);
    EXPECT_LE(space.free_bytes, space.total_bytes);
    co_return {};
  };
  expect_ok(program());
}

TEST_P(DiskTest, AFullDiskIsExhaustedAndTheErrorNamesFileOperationAndPlace) {
  auto program = [&]() -> Task<Result<>> {
    FF_CO_TRY_ASSIGN(auto file, co_await disk().open("/dev/full", {.write = true}));
    auto result = co_await file->write(4096, pattern(10));
    EXPECT_EQ(code_of(result), Errc::kExhausted);
    EXPECT_EQ(result.error().sys_errno(), ENOSPC);
    EXPECT_EQ(result.error().message(), "/dev/full: write 10 bytes at 4096: No space left on device");
    co_return {};
  };
  expect_ok(program());
}

TEST_P(DiskTest, ManyOperationsAtOnceDoNotMixUp) {
  make({.queue_entries = 8});  // so that the submission queue overflows
  constexpr std::size_t kBlocks = 500, kBlock = 4096;
  auto program = [&]() -> Task<Result<>> {
    FF_CO_TRY_ASSIGN(auto file, co_await disk().open(path("many"), kNewDirect));
    FF_CO_TRY_ASSIGN(DiskBuffer all, disk().buffer(kBlocks * kBlock));
    auto block = [&](std::size_t i) { return all.span().subspan(i * kBlock, kBlock); };
    for (std::size_t i = 0; i < kBlocks; ++i)
      std::ranges::copy(pattern(kBlock, static_cast<unsigned>(i)), block(i).data());
    auto write = [&](std::size_t i) -> Task<Result<>> {
      co_return co_await file->write((kBlocks - 1 - i) * kBlock, block(i));
    };
    auto writes = [&](Scope& scope) -> Task<Result<>> {
      for (std::size_t i = 0; i < kBlocks; ++i) scope.spawn(write(i));
      co_return {};
    };
    FF_CO_TRY(co_await with_scope(writes));
    std::memset(all.data(), 0, all.size());
    auto read = [&](std::size_t i) -> Task<Result<>> {
      FF_CO_TRY_ASSIGN(const std::size_t n, co_await file->read((kBlocks - 1 - i) * kBlock, block(i)));
      EXPECT_EQ(n, kBlock);
      co_return {};
    };
    auto reads = [&](Scope& scope) -> Task<Result<>> {
      for (std::size_t i = 0; i < kBlocks; ++i) scope.spawn(read(i));
      co_return {};
    };
    FF_CO_TRY(co_await with_scope(reads));
    for (std::size_t i = 0; i < kBlocks; ++i) {
      EXPECT_TRUE(std::ranges::equal(block(i), pattern(kBlock, static_cast<unsigned>(i)))) << i;
    }
    co_return {};
  };
  expect_ok(program());
}

TEST_P(DiskTest, CancelledOperationsEndAndLetGoOfTheirMemory) {
  auto program = [&]() -> Task<Result<>> {
    FF_CO_TRY_ASSIGN(auto file, co_await disk().open(path("a"), kNewDirect));
    FF_CO_TRY_ASSIGN(DiskBuffer out, disk().buffer(1 << 20));
    FF_CO_TRY(co_await file->write(0, out.span()));
    for (int round = 0; round < 30; ++round) {
      Scope scope(co_await current_context());
      std::vector<DiskBuffer> buffers;
      auto read = [&](std::span<std::byte> into) -> Task<void> {
        auto result = co_await file->read(0, into);
        EXPECT_TRUE(result || result.error().code() == Errc::kCancelled) << result.error().message();
      };
      for (int i = 0; i < 8; ++i) {
        FF_CO_TRY_ASSIGN(DiskBuffer buffer, disk().buffer(1 << 20));
        buffers.push_back(buffer);
        scope.spawn(read(buffer.span()));
      }
      for (int i = 0; i < round % 4; ++i) co_await yield();
      scope.cancel();
      FF_CO_TRY(co_await scope.join());
    }
    co_return co_await file->close();
  };
  expect_ok(program());
}

TEST_P(DiskTest, CloseWaitsForWhatRunsAndRefusesWhatComesLater) {
  std::string log;
  auto program = [&]() -> Task<Result<>> {
    FF_CO_TRY_ASSIGN(auto file, co_await disk().open(path("a"), kNew));
    const auto data = pattern(4 << 20);
    auto write = [&]() -> Task<Result<>> {
      FF_CO_TRY(co_await file->write(0, data));
      log += "written ";
      co_return {};
    };
    Scope scope(co_await current_context());
    scope.spawn(write());
    co_await yield();
    auto closed = co_await file->close();
    log += closed ? "closed" : closed.error().message();
    FF_CO_TRY(co_await scope.join());
    EXPECT_EQ(code_of(co_await file->write(0, data)), Errc::kInvalidArgument);
    EXPECT_EQ(code_of(co_await file->sync()), Errc::kInvalidArgument);
    EXPECT_EQ(code_of(co_await file->size()), Errc::kInvalidArgument);
    EXPECT_EQ(code_of(co_await file->close()), Errc::kInvalidArgument);
    co_return {};
  };
  expect_ok(program());
  EXPECT_EQ(log, "written closed");
}

TEST_P(DiskTest, OperationsOfACancelledContextDoNothing) {
  Context over(env());
  over.cancel(Error(Errc::kCancelled, "over"));
  auto program = [&]() -> Task<Result<>> {
    EXPECT_EQ(code_of(co_await disk().open(path("a"), kNew).under(over)), Errc::kCancelled);
    EXPECT_EQ(code_of(co_await disk().info(path("a"))), Errc::kNotFound);
    EXPECT_EQ(code_of(co_await disk().list(folder_).under(over)), Errc::kCancelled);
    co_return {};
  };
  expect_ok(program());
}

}  // namespace
}  // namespace ff::runtime
