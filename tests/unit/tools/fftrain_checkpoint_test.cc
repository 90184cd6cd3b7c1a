// Round trips, damage of every kind that a disk or a crash can do, and a writer that is killed at random instants.
#include "tools/fftrain/checkpoint.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <thread>

#include "libcommon/base/crc32c.hpp"
#include "libcommon/base/file.hpp"
#include "libcommon/base/rng.hpp"
#include "tests/unit/tools/fftrain_testing.hpp"

namespace ff::fftrain {
namespace {

constexpr ModelConfig kModel{.layers = 1, .heads = 1, .dim = 1, .ctx = 2};

struct State {
  std::vector<float> weights, first, second;
  explicit State(std::size_t count) : weights(count), first(count), second(count) {}
  // Recognisable by its number, so that a mixture of two checkpoints shows.
  State(std::size_t count, float number) : State(count) {
    std::iota(weights.begin(), weights.end(), number);
    std::iota(first.begin(), first.end(), number + 0.25f);
    std::iota(second.begin(), second.end(), number + 0.5f);
  }
  TrainingState<float> view() { return {weights, first, second}; }
  TrainingState<const float> read_view() const { return {weights, first, second}; }
  friend bool operator==(const State&, const State&) = default;
};

std::size_t parameters(const ModelConfig& model = kModel) { return ParameterLayout(model).count(); }

CheckpointHeader header_of(std::uint64_t step, const ModelConfig& model = kModel) {
  return {.model = model,
          .step = step,
          .seed = 0x1122334455667788,
          .batch = 6,
          .text_bytes = 1000,
          .text_crc = 0xCAFE,
          .ranks = 3,
          .parameters = parameters(model)};
}

std::string slurp(const std::string& path) { return read_file(path, 1 << 24).value(); }
void spill(const std::string& path, std::string_view bytes) { std::ofstream(path, std::ios::binary) << bytes; }

TEST(Checkpoint, ReadsBackWhatWasWritten) {
  testing::TemporaryFolder folder;
  const std::string path = folder.path() + "/c";
  const State written(parameters(), 7.0f);
  ASSERT_TRUE(write_checkpoint(path, header_of(12), written.read_view()));
  State read(parameters());
  const auto header = read_checkpoint(path, kModel, read.view());
  ASSERT_TRUE(header) << header.error().message();
  EXPECT_EQ(*header, header_of(12));
  EXPECT_EQ(read, written);
  for (const auto& entry : std::filesystem::directory_iterator(folder.path()))
    EXPECT_EQ(entry.path().filename(), "c") << "the temporary file stayed";
}

// The page checkpoint.md, byte for byte.
TEST(Checkpoint, LaysOutTheHeaderAsDocumented) {
  const auto bytes = encode_header(header_of(0x0102));
  auto at = [&](std::size_t i) { return static_cast<unsigned>(bytes[i]); };
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(bytes.data()), 8), "FFTRAIN\n");
  EXPECT_EQ(at(8), 1u);     // version
  EXPECT_EQ(at(12), 128u);  // header size
  EXPECT_EQ(at(24), 1u);    // layers
  EXPECT_EQ(at(36), 2u);    // ctx
  EXPECT_EQ(at(40) | at(41) << 8, 256u);
  EXPECT_EQ(at(44), 3u);  // ranks
  EXPECT_EQ(at(48), 2u);  // step, low byte first
  EXPECT_EQ(at(49), 1u);
  EXPECT_EQ(at(56), 0x88u);
  EXPECT_EQ(at(64), 6u);
  EXPECT_EQ(at(72) | at(73) << 8, 1000u);
  EXPECT_EQ(at(88), 0xFEu);
  const std::uint32_t crc = crc32c(0, bytes.data(), 124);
  EXPECT_EQ(at(124) | at(125) << 8 | at(126) << 16 | at(127) << 24, crc);
}

TEST(Checkpoint, RefusesEveryTruncationAndTrailingBytes) {
  testing::TemporaryFolder folder;
  const std::string path = folder.path() + "/c";
  ASSERT_TRUE(write_checkpoint(path, header_of(1), State(parameters(), 1.0f).read_view()));
  const std::string bytes = slurp(path);
  State read(parameters());
  for (std::size_t length = bytes.size(); length-- > 0;) {
    std::filesystem::resize_file(path, length);
    const auto header = read_checkpoint(path, kModel, read.view());
    ASSERT_FALSE(header) << length;
    ASSERT_EQ(header.error().code(), Errc::kCorrupt) << length;
  }
  spill(path, bytes + "x");
  EXPECT_FALSE(read_checkpoint(path, kModel, read.view()));
  spill(path, bytes);
  EXPECT_TRUE(read_checkpoint(path, kModel, read.view()));
}

TEST(Checkpoint, RefusesAFlipOfAnyByte) {
  testing::TemporaryFolder folder;
  const std::string path = folder.path() + "/c";
  ASSERT_TRUE(write_checkpoint(path, header_of(1), State(parameters(), 1.0f).read_view()));
  const std::string bytes = slurp(path);
  State read(parameters());
  Rng rng(1);
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  auto put = [&file](std::size_t at, char byte) {
    file.seekp(static_cast<std::streamoff>(at));
    file.put(byte).flush();
  };
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    put(at, static_cast<char>(bytes[at] ^ static_cast<char>(1 + rng.below(255))));
    ASSERT_FALSE(read_checkpoint(path, kModel, read.view())) << at;
    put(at, bytes[at]);
  }
  EXPECT_TRUE(read_checkpoint(path, kModel, read.view()));
}

TEST(Checkpoint, TellsAnotherModelFromDamage) {
  testing::TemporaryFolder folder;
  const std::string path = folder.path() + "/c";
  ASSERT_TRUE(write_checkpoint(path, header_of(1), State(parameters(), 1.0f).read_view()));
  const ModelConfig other{.layers = 1, .heads = 1, .dim = 2, .ctx = 2};
  State read(parameters(other));
  const auto header = read_checkpoint(path, other, read.view());
  ASSERT_FALSE(header);
  EXPECT_EQ(header.error().code(), Errc::kInvalidArgument);
  EXPECT_NE(header.error().message().find("--dim 1"), std::string::npos);
}

TEST(CheckpointFolder, KeepsTheLastTwo) {
  testing::TemporaryFolder root;
  auto folder = CheckpointFolder::open(root.path() + "/c");
  ASSERT_TRUE(folder) << folder.error().message();
  for (const std::uint64_t step : {5u, 10u, 15u, 20u})
    ASSERT_TRUE(folder->save(header_of(step), State(parameters(), static_cast<float>(step)).read_view()));
  EXPECT_EQ(folder->steps().value(), (std::vector<std::uint64_t>{15, 20}));
  State read(parameters());
  const auto header = folder->load_latest(kModel, read.view(), [](const Error&) { FAIL(); });
  ASSERT_TRUE(header && *header);
  EXPECT_EQ((*header)->step, 20u);
  EXPECT_EQ(read, State(parameters(), 20.0f));
}

TEST(CheckpointFolder, IsEmptyAtFirstAndIgnoresForeignNames) {
  testing::TemporaryFolder root;
  for (const char* name : {"step-7.ckpt", "step-0000000x.ckpt", "step-00000007.ckpt.bak", "notes"})
    spill(root.path() + "/" + name, "x");
  auto folder = CheckpointFolder::open(root.path());
  ASSERT_TRUE(folder);
  EXPECT_TRUE(folder->steps()->empty());
  State read(parameters());
  const auto header = folder->load_latest(kModel, read.view(), [](const Error&) { FAIL(); });
  ASSERT_TRUE(header);
  EXPECT_FALSE(*header);
  EXPECT_TRUE(std::filesystem::exists(root.path() + "/notes"));
}

TEST(CheckpointFolder, FallsBackToTheOneBeforeADamagedOne) {
  testing::TemporaryFolder root;
  auto folder = CheckpointFolder::open(root.path());
  ASSERT_TRUE(folder);
  ASSERT_TRUE(folder->save(header_of(1), State(parameters(), 1.0f).read_view()));
  ASSERT_TRUE(folder->save(header_of(2), State(parameters(), 2.0f).read_view()));
  const std::string newest = slurp(folder->file_of(2));
  spill(folder->file_of(2), newest.substr(0, newest.size() / 2));
  std::vector<std::string> refused;
  State read(parameters());
  const auto header = folder->load_latest(kModel, read.view(), [&](const Error& e) { refused.push_back(e.message()); });
  ASSERT_TRUE(header && *header);
  EXPECT_EQ((*header)->step, 1u);
  EXPECT_EQ(read, State(parameters(), 1.0f));
  ASSERT_EQ(refused.size(), 1u);
  EXPECT_NE(refused[0].find("step-00000002.ckpt"), std::string::npos);

  // An intact file under the wrong name is refused as well.
  spill(folder->file_of(3), newest);
  EXPECT_EQ((**folder->load_latest(kModel, read.view(), [](const Error&) {})).step, 1u);
  spill(folder->file_of(1), "");
  const auto none = folder->load_latest(kModel, read.view(), [](const Error&) {});
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code(), Errc::kCorrupt);
}

// One that cannot be read now may be sound: an older one instead would throw work away unasked.
TEST(CheckpointFolder, DoesNotFallBackOverOneThatCannotBeRead) {
  testing::TemporaryFolder root;
  auto folder = CheckpointFolder::open(root.path());
  ASSERT_TRUE(folder);
  ASSERT_TRUE(folder->save(header_of(1), State(parameters(), 1.0f).read_view()));
  // A link that leads nowhere, since a test that runs as root may read every file.
  std::filesystem::create_symlink(root.path() + "/lost", folder->file_of(2));
  State read(parameters());
  const auto header = folder->load_latest(kModel, read.view(), [](const Error&) { FAIL(); });
  ASSERT_FALSE(header);
  EXPECT_EQ(header.error().code(), Errc::kNotFound);
}

TEST(CheckpointFolder, LetsOneProcessInAtATime) {
  testing::TemporaryFolder root;
  {
    auto folder = CheckpointFolder::open(root.path());
    ASSERT_TRUE(folder);
    const auto second = CheckpointFolder::open(root.path());
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code(), Errc::kUnavailable);
  }
  EXPECT_TRUE(CheckpointFolder::open(root.path()));
}

TEST(CheckpointFolder, NamesAFolderThatCannotBeMade) {
  const auto folder = CheckpointFolder::open("/nonexistent/parent/c");
  ASSERT_FALSE(folder);
  EXPECT_NE(folder.error().message().find("/nonexistent/parent/c"), std::string::npos);
}

TEST(CheckpointFolder, AKilledWriterLeavesAUsableCheckpoint) {
  testing::TemporaryFolder root;
  const ModelConfig model{.layers = 1, .heads = 1, .dim = 32, .ctx = 8};  // 200 KiB a file: kills hit the middle
  const std::size_t count = parameters(model);
  {
    auto folder = CheckpointFolder::open(root.path());
    ASSERT_TRUE(folder && folder->save(header_of(1, model), State(count, 1.0f).read_view()));
  }
  Rng rng(42);
  std::uint64_t latest = 1;
  for (int round = 0; round < 25; ++round) {
    const pid_t child = ::fork();
    if (child == 0) {
      auto folder = CheckpointFolder::open(root.path());
      if (!folder) ::_exit(1);
      for (std::uint64_t step = latest + 1;; ++step)
        if (!folder->save(header_of(step, model), State(count, static_cast<float>(step)).read_view())) ::_exit(2);
    }
    ASSERT_GT(child, 0);
    std::this_thread::sleep_for(std::chrono::microseconds(1000 + rng.below(20000)));
    ASSERT_EQ(::kill(child, SIGKILL), 0);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the writer failed on its own: " << WEXITSTATUS(status);

    auto folder = CheckpointFolder::open(root.path());
    ASSERT_TRUE(folder) << folder.error().message();
    State read(count);
    const auto header = folder->load_latest(model, read.view(), [](const Error& e) { ADD_FAILURE() << e.message(); });
    ASSERT_TRUE(header && *header);
    EXPECT_GE((*header)->step, latest);
    latest = (*header)->step;
    EXPECT_EQ(read, State(count, static_cast<float>(latest)));
    for (const auto& entry : std::filesystem::directory_iterator(root.path()))
      EXPECT_EQ(entry.path().string().find(".tmp"), std::string::npos) << "open() removes what the killed writer left";
  }
  EXPECT_GT(latest, 1u);
}

}  // namespace
}  // namespace ff::fftrain
