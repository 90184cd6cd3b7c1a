// Random updates of a few chunks with kills, power cuts and bad disks, against a model in memory.
//
// Model   After each call that returned, and after each start, the chunk must be as the model has it; where a kill came
//         into a call, as before or after it. A commit that nothing followed may be undone by a power cut.
// Faults  Clean: kills and power cuts. Dirty: also EIO, damaged sectors, flipped bits: then a call may fail, a read may
//         say that it cannot be read, but what is read must be right.
#include <fmt/core.h>

#include "libcommon/testing/seeds.hpp"
#include "tests/unit/ffs/store/store_testing.hpp"

namespace ff::ffs {
namespace {

using runtime::Task;
using testing::SimEnv;
using testing::SimWorld;

constexpr std::size_t kChunks = 4;
constexpr int kStarts = 5;
constexpr int kCallsEach = 60;

struct State {
  ChunkVersion version = 0;
  bool removed = false;
  std::vector<std::byte> content;
  bool pending = false;
  bool pending_removes = false;
  std::vector<std::byte> pending_content;
};
struct ChunkModel {
  // What it may be: the last is what it is if no power cut came. Longer than one: since the last durable call.
  std::vector<State> may{State{}};
};
struct Model {
  std::array<ChunkModel, kChunks> chunks;
  bool faulty = false;
};

State after_update(const State& now, const ChunkUpdate& update) {
  State next = now;
  next.pending = true;
  next.pending_removes = update.kind == UpdateKind::kRemove;
  next.pending_content = now.content;
  if (update.kind == UpdateKind::kRemove) {
    next.pending_content.clear();
  } else if (update.kind == UpdateKind::kTruncate) {
    next.pending_content.resize(update.length);
  } else {
    next.pending_content.resize(std::max<std::size_t>(now.content.size(), update.offset + update.data.size()));
    std::ranges::copy(update.data, next.pending_content.begin() + update.offset);
  }
  return next;
}
State after_commit(const State& now) {
  return {.version = now.version + 1,
          .removed = now.pending_removes,
          .content = now.pending_content,
          .pending = false,
          .pending_removes = false,
          .pending_content = {}};
}

bool unreadable(const Error& error) { return error.code() == Errc::kCorrupt || error.code() == Errc::kIo; }

// Whether the store shows `state`; with bad disks, nothing to the contrary.
Task<Result<bool>> shows(ChunkStore& store, ChunkId id, const State& state, bool faulty) {
  const auto info = store.info(id);
  const bool pending = info && info->pending;
  if ((info ? info->version : 0) != state.version || (info && info->removed) != state.removed) co_return false;
  if (pending != state.pending) co_return false;
  if (state.version > 0 && !state.removed) {
    auto got = co_await read_all(store, id);
    if (!got && !(faulty && unreadable(got.error()))) co_return std::unexpected(got.error());
    if (got && *got != state.content) co_return false;
  }
  if (state.pending) {
    std::vector<std::byte> bytes(state.pending_content.size());
    if (info->pending->length != bytes.size()) co_return false;
    auto got = co_await store.read_pending(id, 0, bytes);
    if (!got && !(faulty && unreadable(got.error()))) co_return std::unexpected(got.error());
    if (got && bytes != state.pending_content) co_return false;
  }
  co_return true;
}

Task<Result<>> settle_model(ChunkStore& store, Model& model) {
  for (std::size_t c = 0; c < kChunks; ++c) {
    const ChunkId id{InodeId{5}, c};
    auto& may = model.chunks[c].may;
    bool found = false;
    for (std::size_t i = may.size(); i-- > 0 && !found;) {
      const State state = may[i];
      FF_CO_TRY_ASSIGN(found, co_await shows(store, id, state, model.faulty));
      if (found) may = {state};
    }
    if (!found) {
      const auto info = store.info(id);
      co_return fail(Errc::kInternal,
                     fmt::format("chunk {}: version {} of {} bytes, pending {}, is none of the {} that it "
                                 "may be (the newest: version {} of {} bytes, pending {})",
                                 to_text(id), info ? info->version : 0, info ? info->length : 0, info && info->pending,
                                 may.size(), may.back().version, may.back().content.size(), may.back().pending));
    }
  }
  co_return {};
}

ChunkUpdate random_update(Rng& rng, ChunkId id, const State& now, std::vector<std::byte>& data) {
  const auto length = static_cast<std::uint32_t>(now.content.size());
  const std::uint64_t what = rng.below(12);
  if (what == 0) return remove_update(id, now.version + 1);
  if (what == 1) return truncate_update(id, now.version + 1, static_cast<std::uint32_t>(rng.below(length + 1)));
  if (what == 2) return truncate_update(id, now.version + 1, static_cast<std::uint32_t>(rng.below(150'000)));
  std::uint32_t offset = static_cast<std::uint32_t>(rng.below(100'000));
  if (what < 7) offset = length < 800'000 ? length : 0;
  data = pattern(rng.below(what % 2 == 0 ? 6'000 : 90'000) + 1, rng.next());
  return write_update(id, now.version + 1, offset, data);
}

// One chunk's life: the caller serialises the updates of a chunk.
Task<Result<>> live(SimEnv& env, ChunkStore& store, Model& model, std::size_t c, std::uint64_t seed) {
  const ChunkId id{InodeId{5}, c};
  Rng rng(seed);
  auto& may = model.chunks[c].may;
  for (int i = 0; i < kCallsEach; ++i) {
    const State now = may.back();
    if (now.pending && rng.below(5) > 0) {
      FF_CO_TRY(store.commit(id, now.version + 1, 1));
      may.push_back(after_commit(now));
    } else if (now.pending && rng.below(3) == 0) {
      State next = now;
      next.pending = false;
      FF_CO_TRY(store.abort(id));
      may.push_back(next);
    } else {
      std::vector<std::byte> data;
      const ChunkUpdate update = random_update(rng, id, now, data);
      const State next = after_update(now, update);
      may.push_back(next);
      auto staged = co_await store.stage(update);
      const bool full = !staged && (staged.error().code() == Errc::kExhausted ||  // the disk; the journal
                                    staged.error().code() == Errc::kUnavailable);
      if (full && !store.failed()) {
        may.pop_back();
        continue;
      }
      if (!staged && model.faulty && !store.failed()) {  // what it needs cannot be read
        may.pop_back();
        continue;
      }
      if (!staged) co_return std::unexpected(staged.error());
      may = {next};
    }
    FF_CO_TRY_ASSIGN(const bool same, co_await shows(store, id, may.back(), model.faulty));
    if (!same) co_return fail(Errc::kInternal, fmt::format("chunk {}: not what was written", to_text(id)));
    if (rng.below(4) == 0) FF_CO_TRY(co_await runtime::sleep(std::chrono::milliseconds(rng.below(300))));
  }
  (void)env;
  co_return {};
}

Task<Result<>> one_life(SimEnv& env, Model* model, std::uint64_t seed) {
  FF_CO_TRY_ASSIGN(auto store, co_await ChunkStore::open(env, kFolder));
  Result<> lived = co_await settle_model(*store, *model);
  if (lived) {
    lived = co_await runtime::with_scope([&](runtime::Scope& scope) -> Task<Result<>> {
      for (std::size_t c = 0; c < kChunks; ++c) scope.spawn(live(env, *store, *model, c, seed + c));
      co_return {};
    });
  }
  const bool disk_failed = store->failed().has_value();
  Result<> stopped = co_await store->stop();
  if (disk_failed || (!stopped && model->faulty)) co_return {};
  if (!lived) co_return lived;
  co_return stopped;
}

Result<> run_lives(SimWorld& world, bool faulty) {
  const testing::NodeId node = world.add_node();
  Rng& rng = world.rng();
  FF_TRY(run_node(world, node, [](SimEnv& env) -> Task<Result<>> {
    StoreOptions options = small_options();
    options.journal_bytes = 256u << 10;
    options.capacity_bytes = 8u << 20;
    co_return co_await ChunkStore::format(env, kFolder, test_identity(), options);
  }));
  Model model;
  for (int start = 0; start < kStarts; ++start) {
    if (faulty && start > 0) {
      world.storage(node).model().write_error = start % 2 == 1 ? 0.002 : 0;
      world.storage(node).model().sync_error = start % 2 == 1 ? 0.002 : 0;
      if (start == 3) {
        FF_TRY(world.storage(node).flip_bit("store/blocks.128KiB", rng.below(512u << 10), 3));
        model.faulty = true;
      }
    }
    const std::uint64_t seed = rng.next();
    Model* shared = &model;
    world.start(node,
                [shared, seed](SimEnv& env) -> Task<Result<>> { co_return co_await one_life(env, shared, seed); });
    const auto life = std::chrono::milliseconds(rng.below(faulty ? 4000 : 3000));
    FF_TRY(world.run_for(life));
    if (world.exited(node)) {
      const Result<>& ended = world.exit_result(node);
      if (!ended && !(faulty && unreadable(ended.error()))) return ended;
    }
    world.storage(node).model().write_error = world.storage(node).model().sync_error = 0;
    world.kill(node, rng.below(3) == 0 ? testing::Kill::kProcess : testing::Kill::kPowerCut);
  }
  return run_node(world, node, [&model](SimEnv& env) -> Task<Result<>> {
    FF_CO_TRY_ASSIGN(auto store, co_await ChunkStore::open(env, kFolder));
    Result<> settled = co_await settle_model(*store, model);
    Result<> stopped = co_await store->stop();
    co_return settled ? stopped : settled;
  });
}

TEST(StoreSoak, NothingIsLostInKillsAndPowerCuts) {
  const testing::SeedRun run = testing::run_seeds("StoreSoak.NothingIsLostInKillsAndPowerCuts", 1, 60,
                                                  [](SimWorld& world) { return run_lives(world, false); });
  EXPECT_TRUE(run.ok()) << run.report;
}

TEST(StoreSoak, NoWrongByteIsReadFromABadDisk) {
  const testing::SeedRun run = testing::run_seeds("StoreSoak.NoWrongByteIsReadFromABadDisk", 1, 100,
                                                  [](SimWorld& world) { return run_lives(world, true); });
  EXPECT_TRUE(run.ok()) << run.report;
}

}  // namespace
}  // namespace ff::ffs
