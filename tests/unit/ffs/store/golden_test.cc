// The bytes on the disk: a store that this format's first release wrote is read for ever, and written the same.
//
// golden/store.hex has every byte that is not zero of a store's files, made by the scenario below and a power cut.
// Where the format changes on purpose, kStoreMajor changes, and FF_STORE_GOLDEN_WRITE=FILE writes a new one.
#include <fmt/core.h>
#include <fmt/format.h>

#include <cstdlib>

#include "ffs/store/journal.hpp"
#include "ffs/store/store_files.hpp"
#include "ffs/store/superblock.hpp"
#include "ffs/store/table_record.hpp"
#include "libcommon/base/crc32c.hpp"
#include "libcommon/base/file.hpp"
#include "libcommon/testing/sim_disk.hpp"
#include "tests/unit/ffs/store/store_testing.hpp"

namespace ff::ffs {
namespace {

using runtime::Task;
using testing::SimEnv;

constexpr ChunkId kText{InodeId{17}, 3}, kLarge{InodeId{17}, 4}, kRemoved{InodeId{18}, 0}, kNew{InodeId{19}, 1};
using Image = std::map<std::string, std::vector<std::byte>>;

std::vector<std::byte> text(std::string_view words) {
  std::vector<std::byte> out(words.size());
  std::memcpy(out.data(), words.data(), words.size());
  return out;
}
// Mostly zeros, so that the image is small.
std::vector<std::byte> large_content(std::uint32_t bytes) {
  std::vector<std::byte> out(70'000);
  for (std::size_t i = 0; i < out.size(); i += 10'007) out[i] = std::byte(1 + i / 10'007);
  out.resize(bytes);
  return out;
}
StoreOptions golden_options() {
  return {.capacity_bytes = 8u << 20, .checksum_bytes = 4096, .journal_bytes = 256u << 10, .direct = true};
}

Task<Result<>> before_the_stop(ChunkStore& store) {
  const auto hello = text("what was written first"), again = text("!"), large = large_content(70'000);
  FF_CO_TRY(co_await stage_and_commit(store, write_update(kText, 1, 0, hello)));
  FF_CO_TRY(co_await stage_and_commit(store, write_update(kText, 2, 22, again)));
  FF_CO_TRY(co_await stage_and_commit(store, write_update(kLarge, 1, 0, large)));
  FF_CO_TRY(co_await stage_and_commit(store, write_update(kRemoved, 1, 0, hello)));
  co_return co_await stage_and_commit(store, remove_update(kRemoved, 2));
}
Task<Result<>> before_the_cut(ChunkStore& store) {
  const auto later = text("is pending"), fresh = text("new");
  FF_CO_TRY(co_await stage_and_commit(store, truncate_update(kLarge, 2, 50'000)));
  FF_CO_TRY(co_await stage_and_commit(store, write_update(kNew, 1, 5000, fresh)));
  FF_CO_TRY(co_await store.stage(write_update(kText, 3, 9, later)));
  co_return {};
}
Task<Result<>> expect_golden_chunks(ChunkStore& store) {
  const auto info = store.info(kText);
  STORE_CHECK(info && info->version == 2 && info->pending && info->pending->version == 3 && info->length == 23);
  STORE_CHECK((info->recent[0] == RememberedUpdate{{5, 2}, 2}) && (info->recent[1] == RememberedUpdate{{5, 1}, 1}));
  FF_CO_TRY_ASSIGN(const auto words, co_await read_all(store, kText));
  STORE_CHECK(words == text("what was written first!"));
  std::vector<std::byte> pending(23);
  FF_CO_TRY(co_await store.read_pending(kText, 0, pending));
  STORE_CHECK(pending == text("what was is pendingrst!"));
  FF_CO_TRY_ASSIGN(const auto large, co_await read_all(store, kLarge));
  STORE_CHECK(large == large_content(50'000) && store.info(kLarge)->version == 2);
  STORE_CHECK(store.info(kRemoved) && store.info(kRemoved)->removed && store.info(kRemoved)->version == 2);
  auto expected = std::vector<std::byte>(5000);
  const auto fresh = text("new");
  expected.insert(expected.end(), fresh.begin(), fresh.end());
  FF_CO_TRY_ASSIGN(const auto got, co_await read_all(store, kNew));
  STORE_CHECK(got == expected && store.list({}, 10).size() == 4);
  co_return {};
}

// "file NAME BYTES", then "OFFSET: BYTES" for each row of 32 that is not all zeros.
std::string to_hex(const Image& image) {
  std::string out;
  for (const auto& [name, bytes] : image) {
    fmt::format_to(std::back_inserter(out), "file {} {}\n", name, bytes.size());
    for (std::size_t at = 0; at < bytes.size(); at += 32) {
      auto row = std::span(bytes).subspan(at, std::min<std::size_t>(32, bytes.size() - at));
      while (!row.empty() && row.back() == std::byte{0}) row = row.first(row.size() - 1);
      if (row.empty()) continue;
      fmt::format_to(std::back_inserter(out), "{:x}: ", at);
      for (const std::byte b : row) fmt::format_to(std::back_inserter(out), "{:02x}", static_cast<unsigned>(b));
      out += '\n';
    }
  }
  return out;
}
Image from_hex(std::string_view hex) {
  Image image;
  std::vector<std::byte>* file = nullptr;
  while (!hex.empty()) {
    const std::size_t end = std::min(hex.find('\n'), hex.size() - 1);
    const std::string line(hex.substr(0, end));
    hex.remove_prefix(end + 1);
    if (line.starts_with("#")) continue;
    if (line.starts_with("file ")) {
      const std::size_t space = line.find(' ', 5);
      file = &image[line.substr(5, space - 5)];
      file->resize(std::strtoull(line.c_str() + space, nullptr, 10));
      continue;
    }
    const std::size_t colon = line.find(':');
    std::size_t at = std::strtoull(line.c_str(), nullptr, 16);
    for (std::size_t i = colon + 2; i + 1 < line.size(); i += 2) {
      file->at(at++) = std::byte(std::strtoul(line.substr(i, 2).c_str(), nullptr, 16));
    }
  }
  return image;
}

Image golden() {
  const auto hex = read_file(FF_STORE_GOLDEN, 1u << 20);
  EXPECT_TRUE(hex) << hex.error().message();
  return hex ? from_hex(*hex) : Image{};
}
Result<> open_image(const Image& image, std::optional<StoreOwner> owner, bool look) {
  testing::SimWorld world(1);
  const testing::NodeId node = world.add_node();
  for (const auto& [name, bytes] : image) {
    world.storage(node).install(store_path(kFolder, name), testing::SparseBytes::of(bytes));
  }
  return run_node(world, node, [owner, look](SimEnv& env) -> Task<Result<>> {
    FF_CO_TRY_ASSIGN(const auto store, co_await ChunkStore::open(env, kFolder, owner));
    Result<> looked = look ? co_await expect_golden_chunks(*store) : Result<>{};
    FF_CO_TRY(co_await store->stop());
    co_return looked;
  });
}

TEST(StoreGolden, TodaysCodeReadsTheStoreOfThen) {
  const Result<> read = open_image(golden(), StoreOwner{test_identity().cluster, test_identity().target}, true);
  EXPECT_TRUE(read) << read.error().message();
}

TEST(StoreGolden, TheScenarioMakesAStoreThatReadsTheSame) {
  testing::SimWorld world(1);
  const testing::NodeId node = world.add_node();
  const auto formatted = run_node(world, node, [](SimEnv& env) -> Task<Result<>> {
    co_return co_await ChunkStore::format(env, kFolder, test_identity(), golden_options());
  });
  ASSERT_TRUE(formatted) << formatted.error().message();
  const auto first = with_store(
      world, node, [](SimEnv&, ChunkStore& store) -> Task<Result<>> { co_return co_await before_the_stop(store); });
  ASSERT_TRUE(first) << first.error().message();
  const auto second = with_store_cut(
      world, node, [](SimEnv&, ChunkStore& store) -> Task<Result<>> { co_return co_await before_the_cut(store); });
  ASSERT_TRUE(second) << second.error().message();
  Image image;
  for (const auto& [name, bytes] : golden()) {
    const auto made = world.storage(node).contents(store_path(kFolder, name));
    ASSERT_TRUE(made) << name;
    image[name] = *made;
  }
  if (const char* path = std::getenv("FF_STORE_GOLDEN_WRITE")) {
    std::vector<std::string> names = {"superblock", "journal", StoreFiles::table_name(0)};
    for (unsigned c = 1; c < kSizeClasses; ++c) {
      names.push_back(StoreFiles::table_name(c));
      names.push_back(StoreFiles::blocks_name(c));
    }
    for (const std::string& name : names) image[name] = *world.storage(node).contents(store_path(kFolder, name));
    ASSERT_TRUE(write_file_atomic(
        path,
        "# A chunk store, format 2.0; tests/unit/ffs/store/golden_test.cc tells what is in it.\n" + to_hex(image)));
  }
  const Result<> read = open_image(image, std::nullopt, true);
  EXPECT_TRUE(read) << read.error().message();
}

TEST(StoreGolden, TheSuperblockIsWrittenTheSame) {
  EXPECT_EQ(encode_superblock({test_identity(), golden_options()}), golden()["superblock"]);
}

// A state without its block becomes one with it, as the store has it.
ContentRef with_block(BlockSpace& space, BlockPlace place, std::uint32_t length, std::vector<std::uint32_t> crcs) {
  while (place.index >= space.blocks(place.size_class)) space.grow(place.size_class, 1);
  auto content = std::make_shared<StoredContent>();
  content->block = space.take_at(place);
  content->length = length;
  content->crcs = std::move(crcs);
  return content;
}
std::vector<std::byte> encode_again(JournalRecord record) {
  if (record.kind == RecordKind::kCommit) return encode_commit(record.chunk, record.version, record.chain_version);
  if (record.kind == RecordKind::kBad) return encode_bad(record.chunk, record.version);
  if (record.kind != RecordKind::kState) return encode_mark(record.kind, record.chunk);
  auto space = std::make_shared<BlockSpace>();
  StateRecord& state = record.state;
  const ContentRecord& c = state.committed_content;
  const ContentRecord& p = state.pending_content;
  if (state.committed) state.committed->content = with_block(*space, c.place, c.length, c.crcs);
  if (state.pending) {
    if (state.committed && c.place == p.place) space = std::make_shared<BlockSpace>();
    state.pending->content = with_block(*space, p.place, p.length, p.crcs);
  }
  return encode_state(record.chunk, state.committed ? &*state.committed : nullptr,
                      state.pending ? &*state.pending : nullptr);
}

TEST(StoreGolden, EveryBatchOfTheJournalIsWrittenTheSame) {
  const auto journal = golden()["journal"];
  int batches = 0, records = 0;
  for (std::size_t at = kJournalRingAt; at < journal.size(); at += kJournalUnit) {
    BatchHeader header;
    if (look_at_batch_start(std::span(journal).subspan(at, kSectorBytes), header) != BatchState::kWhole) continue;
    const auto bytes = std::span(journal).subspan(at, batch_bytes(header.payload_bytes));
    const BatchLook look = look_at_batch(header, bytes);
    ASSERT_EQ(look.state, BatchState::kWhole);
    auto decoded = decode_records(look.payload, header.records, 4096);
    ASSERT_TRUE(decoded) << decoded.error().message();
    std::vector<std::vector<std::byte>> encoded;
    for (JournalRecord& record : *decoded) encoded.push_back(encode_again(std::move(record)));
    std::vector<std::byte> again(bytes.size());
    encode_batch({.generation = header.generation,
                  .sequence = header.sequence,
                  .position = header.position,
                  .flags = header.flags},
                 encoded, again);
    EXPECT_TRUE(std::ranges::equal(again, bytes)) << "batch " << header.sequence;
    ++batches;
    records += static_cast<int>(encoded.size());
  }
  EXPECT_GE(batches, 5);
  EXPECT_GE(records, 12);
}

TEST(StoreGolden, TableRecordsAreWrittenTheSame) {
  Image image = golden();
  int records = 0;
  for (unsigned c = 0; c < kSizeClasses; ++c) {
    const auto& table = image[StoreFiles::table_name(c)];
    const std::size_t size = table_record_bytes(c, 4096);
    for (std::uint32_t index = 0; (index + 1) * size <= table.size(); ++index) {
      const auto bytes = std::span(table).subspan(index * size, size);
      auto record = decode_table_record(bytes, c, 4096);
      ASSERT_TRUE(record) << record.error().message();
      if (!*record) continue;
      auto space = std::make_shared<BlockSpace>();
      CommittedState state = (*record)->state;
      state.content = with_block(*space, {static_cast<std::uint8_t>(c), index}, (*record)->length, (*record)->crcs);
      EXPECT_TRUE(std::ranges::equal(encode_table_record((*record)->chunk, state, 4096), bytes));
      ++records;
    }
  }
  EXPECT_EQ(records, 3);
}

void expect_refused(const Image& image, std::optional<StoreOwner> owner, Errc code, std::string_view words) {
  const Result<> opened = open_image(image, owner, false);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code(), code);
  EXPECT_NE(opened.error().message().find(words), std::string::npos) << opened.error().message();
}

TEST(StoreGolden, AnotherFormatIsRefused) {
  for (const auto& [major, words] : {std::pair{1, "older than 2.x"}, std::pair{3, "newer than 2.x"}}) {
    Image image = golden();
    auto& superblock = image["superblock"];
    for (const std::size_t copy : {std::size_t{0}, kSuperblockCopyBytes}) {
      superblock[copy + 8] = std::byte(major);
      const std::uint32_t crc = crc32c(0, superblock.data() + copy, kSuperblockCopyBytes - 4);
      std::memcpy(superblock.data() + copy + kSuperblockCopyBytes - 4, &crc, sizeof crc);
    }
    expect_refused(image, std::nullopt, Errc::kUnsupported, words);
  }
}

TEST(StoreGolden, AForeignStoreIsRefused) {
  StoreOwner owner{test_identity().cluster, TargetId{8}};
  expect_refused(golden(), owner, Errc::kInvalidArgument, "belongs to target 7, not 8");
  owner.target = TargetId{7};
  owner.cluster[0] = std::byte{99};
  expect_refused(golden(), owner, Errc::kInvalidArgument, "belongs to another cluster");
}

TEST(StoreGolden, AJournalOfAnotherStoreIsRefused) {
  Image image = golden();
  StoreIdentity other = test_identity();
  other.generation += 1;
  image["superblock"] = encode_superblock({other, golden_options()});
  expect_refused(image, std::nullopt, Errc::kCorrupt, "another store's");
}

}  // namespace
}  // namespace ff::ffs
