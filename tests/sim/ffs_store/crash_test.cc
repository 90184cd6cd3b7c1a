// Power cuts: all sequences of two calls, and a sample of longer ones, are recorded on a simulated disk; for a cut
// after each of its operations the store is opened on every kind of disk that the cut may leave (bounded). What it
// shows must be what it was before or after the call that the cut came into, and nothing acknowledged may be missing.
//
// FF_STORE_CRASH_IMAGES   disks tried at each cut where there are more than that (default 6)
// FF_STORE_CRASH_SAMPLES  sequences of three to six calls (default 40)
#include <fmt/core.h>

#include <cstdlib>

#include "libcommon/testing/crash_images.hpp"
#include "tests/unit/ffs/store/store_testing.hpp"

namespace ff::ffs {
namespace {

using runtime::Task;
using testing::CrashImage;
using testing::DiskOp;
using testing::SimEnv;
using testing::SimStorage;
using testing::SimWorld;
using testing::SparseBytes;

enum class Call { kWhole, kSmall, kLarge, kAppend, kAppendLarge, kDown, kUp, kRemove, kCommit, kAbort, kCheckpoint };
constexpr int kCalls = 11;
constexpr const char* kNames[] = {"whole", "small",  "large",  "append", "append-large", "down",
                                  "up",    "remove", "commit", "abort",  "checkpoint"};
using Sequence = std::vector<Call>;

std::string text(const Sequence& calls) {
  std::string out;
  for (const Call call : calls) out += fmt::format(" {}", kNames[static_cast<int>(call)]);
  return out;
}

std::uint64_t setting(const char* name, std::uint64_t otherwise) {
  const char* value = std::getenv(name);
  return value == nullptr ? otherwise : std::strtoull(value, nullptr, 10);
}

// What a reader of the store can see of the chunk.
struct Seen {
  ChunkVersion version = 0;
  bool removed = false;
  std::vector<std::byte> content;
  std::optional<UpdateKind> pending;
  std::vector<std::byte> pending_content;
  friend bool operator==(const Seen&, const Seen&) = default;
};
std::string text(const Seen& seen) {
  return fmt::format("version {}{} of {} bytes, {} pending of {} bytes", seen.version, seen.removed ? " (removed)" : "",
                     seen.content.size(), seen.pending ? "one" : "none", seen.pending_content.size());
}

constexpr std::uint32_t kFirstBytes = 21'000;
StoreOptions crash_options() {
  return {.capacity_bytes = 16u << 20, .checksum_bytes = 4096, .journal_bytes = 256u << 10, .direct = true};
}

// The update that `call` makes of `now`; its data in `data`.
std::optional<ChunkUpdate> update_of(Call call, const Seen& now, std::uint64_t seed, std::vector<std::byte>& data) {
  const ChunkVersion version = now.version + 1;
  const auto length = static_cast<std::uint32_t>(now.content.size());
  const auto write = [&](std::uint32_t offset, std::size_t bytes) {
    data = pattern(bytes, seed);
    return write_update(kOne, version, offset, data);
  };
  switch (call) {
    case Call::kWhole: return write(0, 40'000);
    case Call::kSmall: return write(std::min(length, 5000u), 3000);
    case Call::kLarge: return write(std::min(length, 4096u), 14'000);
    case Call::kAppend: return write(length, 2000);
    case Call::kAppendLarge: return write(length, 12'000);
    case Call::kDown: return truncate_update(kOne, version, length / 2);
    case Call::kUp: return truncate_update(kOne, version, length + 9'000);
    case Call::kRemove: return remove_update(kOne, version);
    default: return std::nullopt;
  }
}

std::vector<std::byte> content_after(const ChunkUpdate& update, std::vector<std::byte> content) {
  if (update.kind == UpdateKind::kRemove) return {};
  if (update.kind == UpdateKind::kTruncate) {
    content.resize(update.length);
    return content;
  }
  content.resize(std::max<std::size_t>(content.size(), update.offset + update.data.size()));
  std::ranges::copy(update.data, content.begin() + update.offset);
  return content;
}

struct History {
  std::vector<Seen> states;        // states[n]: after n calls
  std::vector<std::size_t> floor;  // floor[n]: what is durable at least when n calls have returned
  SimStorage::Recording recording;
  std::map<std::string, std::vector<std::byte>> before;  // all files when the recording began
};

Task<Result<Seen>> look(ChunkStore& store) {
  Seen seen;
  const auto info = store.info(kOne);
  if (!info) co_return seen;
  seen.version = info->version;
  seen.removed = info->removed;
  if (info->bad) co_return fail(Errc::kCorrupt, "the chunk is marked bad");
  if (info->version > 0 && !info->removed) {
    FF_CO_TRY_ASSIGN(seen.content, co_await read_all(store, kOne));
    FF_CO_TRY(co_await store.verify(kOne));
  }
  if (info->pending) {
    seen.pending = info->pending->kind;
    seen.pending_content.resize(info->pending->length);
    FF_CO_TRY_ASSIGN(const ReadResult read, co_await store.read_pending(kOne, 0, seen.pending_content));
    if (read.bytes != info->pending->length) co_return fail(Errc::kInternal, "pending: short read");
  }
  co_return seen;
}

Task<Result<>> record_calls(SimEnv& env, Sequence calls, History* history) {
  FF_CO_TRY(co_await ChunkStore::format(env, kFolder, test_identity(), crash_options()));
  FF_CO_TRY_ASSIGN(auto store, co_await ChunkStore::open(env, kFolder));
  Seen now;
  {
    const auto data = pattern(kFirstBytes, 99);
    FF_CO_TRY(co_await stage_and_commit(*store, write_update(kOne, 1, 0, data)));
    now.version = 1;
    now.content = data;
  }
  FF_CO_TRY(co_await store->stop());
  FF_CO_TRY_ASSIGN(store, co_await ChunkStore::open(env, kFolder));
  // A write to it tells, among the recorded operations, that one more call has returned.
  FF_CO_TRY_ASSIGN(auto marker, co_await env.disk().open("marker", {.write = true, .create = true}));
  SimStorage& storage = env.world().storage(env.node());
  FF_CO_TRY_ASSIGN(const auto names, co_await env.disk().list(kFolder));
  for (const std::string& name : names) {
    const std::string path = std::string(kFolder) + "/" + name;
    FF_CO_TRY_ASSIGN(history->before[path], storage.contents(path));
  }
  const std::vector<std::byte> mark(1);
  storage.start_recording();
  history->states.push_back(now);
  history->floor.push_back(0);
  for (std::size_t i = 0; i < calls.size(); ++i) {
    std::size_t floor = history->floor.back();
    std::vector<std::byte> data;
    if (auto update = update_of(calls[i], now, i, data)) {
      FF_CO_TRY(co_await store->stage(*update));
      now.pending = update->kind;
      now.pending_content = content_after(*update, now.content);
      floor = i + 1;
    } else if (calls[i] == Call::kCheckpoint) {
      FF_CO_TRY(co_await store->stop());
      FF_CO_TRY_ASSIGN(store, co_await ChunkStore::open(env, kFolder));
      floor = i + 1;
    } else if (calls[i] == Call::kAbort) {
      FF_CO_TRY(store->abort(kOne));
      now.pending.reset();
      now.pending_content.clear();
    } else if (now.pending) {
      FF_CO_TRY(store->commit(kOne, now.version + 1, 1));
      now = {.version = now.version + 1,
             .removed = *now.pending == UpdateKind::kRemove,
             .content = std::move(now.pending_content),
             .pending = std::nullopt,
             .pending_content = {}};
    }
    history->states.push_back(now);
    history->floor.push_back(floor);
    FF_CO_TRY(co_await marker->write(i, mark));
  }
  FF_CO_TRY(co_await store->sync());
  history->recording = storage.stop_recording();
  co_return co_await store->stop();
}

struct Verdict {
  std::string error;
  std::uint64_t images = 0;
};

// Opens the store of one image; what it shows; and that it goes on working.
Task<Result<>> reopen(SimEnv& env, Seen* seen, bool go_on) {
  FF_CO_TRY_ASSIGN(auto store, co_await ChunkStore::open(env, kFolder));
  auto looked = co_await look(*store);
  if (!looked) {
    (void)co_await store->stop();
    co_return std::unexpected(std::move(looked).error());
  }
  *seen = std::move(*looked);
  if (go_on) {
    const auto tail = pattern(13'000, 5);
    const auto offset = static_cast<std::uint32_t>(seen->content.size());
    FF_CO_TRY(co_await stage_and_commit(*store, write_update(kOne, seen->version + 1, offset, tail)));
    FF_CO_TRY(co_await store->stop());
    FF_CO_TRY_ASSIGN(store, co_await ChunkStore::open(env, kFolder));
    FF_CO_TRY_ASSIGN(const Seen after, co_await look(*store));
    auto expected = seen->content;
    expected.insert(expected.end(), tail.begin(), tail.end());
    if (after.content != expected) co_return fail(Errc::kInternal, "it does not go on as it should");
  }
  co_return co_await store->stop();
}

Verdict try_sequence(const Sequence& calls) {
  Verdict verdict;
  History history;
  {
    SimWorld world(1);
    const testing::NodeId node = world.add_node();
    const Result<> recorded = run_node(
        world, node, [&](SimEnv& env) -> Task<Result<>> { co_return co_await record_calls(env, calls, &history); });
    if (!recorded) return {.error = "recording:" + text(calls) + ": " + recorded.error().message(), .images = 0};
  }
  std::optional<std::uint32_t> marker;
  for (std::uint32_t f = 0; f < history.recording.paths.size(); ++f) {
    if (history.recording.paths[f] == "marker") marker = f;
  }
  const testing::CrashImageOptions options{
      .sector_bytes = 4096, .images_max = 1'000'000, .images_per_point = setting("FF_STORE_CRASH_IMAGES", 6)};
  const auto try_image = [&](const CrashImage& image) {
    std::size_t returned = 0;
    for (std::size_t i = 0; i < image.operations; ++i) {
      const DiskOp& op = history.recording.operations[i];
      if (op.file == marker && op.kind == DiskOp::Kind::kWrite) ++returned;
    }
    SimWorld world(image.operations + 1);
    const testing::NodeId node = world.add_node();
    for (const auto& [path, bytes] : history.before) {
      world.storage(node).install(path, SparseBytes::of(bytes));
    }
    for (std::size_t f = 0; f < image.files.size(); ++f) {
      if (f != marker) world.storage(node).install(history.recording.paths[f], image.files[f].copy());
    }
    Seen seen;
    const bool go_on = ++verdict.images % 8 == 0;
    const Result<> opened =
        run_node(world, node, [&](SimEnv& env) -> Task<Result<>> { co_return co_await reopen(env, &seen, go_on); });
    const std::size_t most = std::min(returned + 1, calls.size());
    bool legal = false;
    for (std::size_t n = history.floor[returned]; n <= most; ++n) legal = legal || history.states[n] == seen;
    if (opened && legal) return true;
    verdict.error =
        fmt::format("calls:{}; cut after operation {}, {} calls returned; {}", text(calls), image.operations, returned,
                    opened ? "it shows " + text(seen) : "error: " + opened.error().message());
    return false;
  };
  for_each_crash_image(history.recording.initial, history.recording.operations, options, try_image);
  return verdict;
}

void try_all(const std::vector<Sequence>& sequences) {
  std::uint64_t images = 0;
  for (const Sequence& calls : sequences) {
    const Verdict verdict = try_sequence(calls);
    images += verdict.images;
    ASSERT_EQ(verdict.error, "");
  }
  ::testing::Test::RecordProperty("images", std::to_string(images));
  std::fprintf(stderr, "%zu sequences, %llu disks\n", sequences.size(), static_cast<unsigned long long>(images));
}

TEST(StoreCrash, AllSequencesOfTwoCallsShowOldOrNew) {
  std::vector<Sequence> sequences;
  for (int a = 0; a < kCalls; ++a) {
    for (int b = 0; b < kCalls; ++b) sequences.push_back({static_cast<Call>(a), static_cast<Call>(b)});
  }
  try_all(sequences);
}

// Enough small updates for checkpoints that nobody asked for: each is cut at a batch that has a commit and the next
// update of the same chunk, and its writes into the block are under way while later batches are written.
TEST(StoreCrash, CheckpointsAmongSmallUpdatesShowOldOrNew) {
  Sequence same, growing;
  for (int i = 0; i < 12; ++i) {
    same.insert(same.end(), {Call::kSmall, Call::kCommit});
    growing.insert(growing.end(), {i % 2 == 0 ? Call::kAppend : Call::kSmall, Call::kCommit});
  }
  try_all({same, growing});
}

// A block that goes free is taken by the next update: not before the record that frees it is durable.
TEST(StoreCrash, FreedBlocksAreNotWrittenTooEarly) {
  using enum Call;
  try_all({{kWhole, kCommit, kWhole, kCommit, kWhole},
           {kRemove, kCommit, kWhole, kCommit, kWhole},
           {kWhole, kAbort, kWhole, kCommit, kRemove, kCommit, kWhole}});
}

TEST(StoreCrash, SampledLongerSequencesShowOldOrNew) {
  std::vector<Sequence> sequences;
  Rng rng(11);
  for (std::uint64_t n = setting("FF_STORE_CRASH_SAMPLES", 40); n > 0; --n) {
    Sequence calls;
    for (std::uint64_t i = 3 + rng.below(4); i > 0; --i) {
      // Updates that are committed, and sometimes not, reach further.
      const bool commit = !calls.empty() && calls.back() < Call::kCommit && rng.below(3) > 0;
      calls.push_back(commit ? Call::kCommit : static_cast<Call>(rng.below(kCalls)));
    }
    sequences.push_back(std::move(calls));
  }
  try_all(sequences);
}

}  // namespace
}  // namespace ff::ffs
