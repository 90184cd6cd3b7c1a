// What a File makes of answers that come late, or out of order.
#include <gtest/gtest.h>

#include <cerrno>

#include "libcommon/runtime/scope.hpp"
#include "tests/unit/ffs/client/scripted_world.hpp"

namespace ff::ffs {
namespace {

using namespace std::chrono_literals;
using runtime::Task;
using testing::SimEnv;

std::span<const std::byte> bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

// Open, with a session, of what these attributes are.
auto opens(Attributes attributes) {
  return [attributes](const OpenRequest&) -> ScriptedMeta::Answer<OpenReply> {
    OpenReply reply;
    reply.set_handle(1);
    *reply.mutable_attributes() = attributes;
    return {reply};
  };
}

ScriptedMeta::Answer<StatReply> told(const Attributes& attributes, runtime::Duration time = {}) {
  StatReply reply;
  *reply.mutable_attributes() = attributes;
  return {reply, time};
}

ScriptedMeta::Answer<CloseReply> closed(Attributes attributes, runtime::Duration time = {}) {
  attributes.clear_inline_data();
  CloseReply reply;
  *reply.mutable_attributes() = std::move(attributes);
  return {reply, time};
}

Task<Result<>> read_some(File& file, std::uint64_t offset, std::size_t count) {
  std::vector<std::byte> into(count);
  FF_CO_TRY(co_await file.read(offset, into));
  co_return {};
}
Task<Result<>> after(runtime::Duration wait, Task<Result<>> then) {
  FF_CO_TRY(co_await runtime::sleep(wait));
  co_return co_await std::move(then);
}
Task<Result<>> both(Task<Result<>> a, Task<Result<>> b) {
  std::vector<Task<Result<>>> tasks;
  tasks.push_back(std::move(a));
  tasks.push_back(std::move(b));
  for (const Result<>& done : co_await runtime::when_all(std::move(tasks))) FF_CO_TRY(done);
  co_return {};
}

TEST(File, ALateAnswerDoesNotRollItBack) {
  ScriptedWorld world;
  world.meta().on_open = opens(ScriptedWorld::in_chunks(5, 3, 100));
  // What was so before the truncate, told after it.
  world.meta().on_stat = [](const StatRequest&) { return told(ScriptedWorld::in_chunks(5, 3, 100), 1s); };
  world.meta().on_truncate = [](const TruncateRequest&) { return told(ScriptedWorld::in_chunks(7, 4, 50)); };
  world.meta().on_close = [](const CloseRequest&) { return closed(ScriptedWorld::in_chunks(7, 4, 50)); };
  world.run([](SimEnv&, FileSystem& fs) -> Task<Result<>> {
    FF_CO_TRY_ASSIGN(const auto file, co_await fs.open("/f", {.write = true}));
    FF_CO_TRY(co_await both(read_some(*file, 100, 10), after(100ms, file->truncate(50))));
    EXPECT_EQ(file->size(), 50u);
    EXPECT_EQ(file->attributes().truncate_epoch(), 4u);
    EXPECT_EQ(file->attributes().version(), 7u);
    co_return co_await file->close();
  });
}

// A write that comes after the truncate took effect, and before its answer does.
TEST(File, ATruncateThatIsAnsweredLateTakesNoLaterWriteAway) {
  ScriptedWorld world;
  world.meta().on_open = opens(ScriptedWorld::in_chunks(5, 3, 100'000));
  world.meta().on_truncate = [](const TruncateRequest&) { return told(ScriptedWorld::in_chunks(7, 4, 0), 1s); };
  world.meta().on_stat = [](const StatRequest&) { return told(ScriptedWorld::in_chunks(7, 4, 0)); };
  std::uint64_t seen = 0;
  world.meta().on_close = [&](const CloseRequest& request) {
    seen = request.length_seen();
    EXPECT_EQ(request.truncate_epoch(), 4u);
    return closed(ScriptedWorld::in_chunks(8, 4, request.length_seen()));
  };
  world.run([](SimEnv&, FileSystem& fs) -> Task<Result<>> {
    FF_CO_TRY_ASSIGN(const auto file, co_await fs.open("/f", {.write = true}));
    // By this read the file has heard of the new epoch.
    FF_CO_TRY(co_await both(file->truncate(0), after(100ms, read_some(*file, 100'000, 1))));
    co_return co_await file->close();
  });
  EXPECT_EQ(seen, 0u);
  world.run([](SimEnv&, FileSystem& fs) -> Task<Result<>> {
    FF_CO_TRY_ASSIGN(const auto file, co_await fs.open("/f", {.write = true}));
    const auto hear_and_write = [](File& f) -> Task<Result<>> {
      FF_CO_TRY(co_await read_some(f, 100'000, 1));
      co_return co_await f.write(0, bytes("after the truncate"));
    };
    FF_CO_TRY(co_await both(file->truncate(0), after(100ms, hear_and_write(*file))));
    co_return co_await file->close();
  });
  EXPECT_EQ(seen, 18u);
}

// A read beyond the end asks for the content anew; that must not be taken for what is being synced.
TEST(File, AReadBesideASyncDoesNotBringTheContentBackThatWasBefore) {
  ScriptedWorld world;
  world.meta().on_open = opens(ScriptedWorld::in_inode(5, "AAAA"));
  world.meta().on_stat = [](const StatRequest&) { return told(ScriptedWorld::in_inode(5, "AAAA")); };
  std::string stored = "AAAA";
  std::uint64_t version = 5;
  world.meta().on_close = [&](const CloseRequest& request) {
    if (request.inline_write()) {
      EXPECT_EQ(request.inline_version(), version);
      stored = request.inline_data();
      ++version;
    }
    return closed(ScriptedWorld::in_inode(version, stored), 1s);
  };
  world.run([](SimEnv&, FileSystem& fs) -> Task<Result<>> {
    FF_CO_TRY_ASSIGN(const auto file, co_await fs.open("/f", {.write = true}));
    FF_CO_TRY(co_await file->write(0, bytes("BBBB")));
    // The answer to the read's question is of the time before the sync.
    FF_CO_TRY(co_await both(file->sync(), after(100ms, read_some(*file, 0, 100))));
    FF_CO_TRY(co_await file->write(4, bytes("C")));
    co_return co_await file->close();
  });
  EXPECT_EQ(stored, "BBBBC");
}

// The service's side of a quota of so many bytes, in which this file counts alone.
TEST(File, AWriterStopsWhereItsQuotaEnds) {
  ScriptedWorld world;
  std::uint64_t limit = 10'000'000, size = 0;
  int told = 0;
  const auto left = [&] {
    QuotaLeft quota;
    quota.set_size(size);
    quota.set_bytes(limit - std::min(limit, size));
    return quota;
  };
  world.meta().on_open = [&](const OpenRequest&) -> ScriptedMeta::Answer<OpenReply> {
    OpenReply reply;
    reply.set_handle(1);
    *reply.mutable_attributes() = ScriptedWorld::in_chunks(5, 0, 0);
    *reply.mutable_quota() = left();
    return {reply};
  };
  world.meta().on_close = [&](const CloseRequest& request) -> ScriptedMeta::Answer<CloseReply> {
    ++told;
    size = std::max(size, request.length_seen());
    CloseReply reply;
    *reply.mutable_attributes() = ScriptedWorld::in_chunks(5 + static_cast<std::uint64_t>(told), 0, size);
    *reply.mutable_quota() = left();
    return {reply};
  };
  world.run([&](SimEnv&, FileSystem& fs) -> Task<Result<>> {
    FF_CO_TRY_ASSIGN(const auto file, co_await fs.open("/f", {.write = true}));
    const std::vector<std::byte> piece(100'000, std::byte{1});
    for (std::uint64_t at = 0; at < 10'000'000; at += piece.size()) FF_CO_TRY(co_await file->write(at, piece));
    // Half of what is left, and a step at least: 5, 2.5, 1.25, 1, and what is left then.
    EXPECT_LE(told, 5);
    EXPECT_GE(told, 4) << "what it writes counts for others, too";
    const auto refused = co_await file->write(10'000'000, bytes("x"));
    EXPECT_FALSE(refused.has_value());
    if (!refused) EXPECT_EQ(refused.error().sys_errno(), EDQUOT) << refused.error().message();
    EXPECT_EQ(size, 10'000'000u);
    // What does not make it longer is no matter of the quota.
    FF_CO_TRY(co_await file->write(0, piece));
    // Nor is the service asked at each attempt; more room is found a little later.
    FF_CO_TRY(co_await file->sync());
    const int before = told;
    for (int i = 0; i < 100; ++i) EXPECT_FALSE((co_await file->write(10'000'000, bytes("x"))).has_value());
    EXPECT_LE(told, before + 1);
    limit = 20'000'000;
    FF_CO_TRY(co_await runtime::sleep(2s));
    FF_CO_TRY(co_await file->write(10'000'000, bytes("x")));
    co_return co_await file->close();
  });
  EXPECT_EQ(size, 10'000'001u);
}

}  // namespace
}  // namespace ff::ffs
