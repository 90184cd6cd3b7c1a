#include <fmt/core.h>

#include <array>
#include <cstring>
#include <set>

#include "libcommon/base/crc32c.hpp"
#include "libcommon/testing/fault_plan.hpp"
#include "tests/sim/toy_rpc.hpp"
#include "tests/sim/toys.hpp"

namespace ff::sim {

namespace {

constexpr int kRecords = 12;
constexpr std::size_t kRecordBytes = 24;  // does not divide a sector: records may be torn
using Record = std::array<std::byte, kRecordBytes>;

std::uint32_t checksum(const Record& record) { return crc32c(0, record.data(), 16); }

Record encode(std::int64_t id, std::uint64_t place) {
  Record record{};
  std::memcpy(record.data(), &id, 8);
  std::memcpy(record.data() + 8, &place, 8);
  const std::uint32_t sum = ~checksum(record);  // not that of zeros
  std::memcpy(record.data() + 16, &sum, 4);
  return record;
}

class Log final : public Service {
 public:
  Log(SimEnv& env, bool broken) noexcept : env_(env), broken_(broken) {}

  // What is whole is kept; the first torn record ends the log.
  Task<Result<>> recover() {
    FF_CO_TRY_ASSIGN(file_, co_await env_.disk().open("log", {.write = true, .create = true}));
    FF_CO_TRY(co_await env_.disk().sync_folder(""));
    for (;;) {
      Record record{};
      FF_CO_TRY_ASSIGN(const std::size_t got, co_await file_->read(ids_.size() * kRecordBytes, record));
      std::int64_t id = 0;
      std::memcpy(&id, record.data(), 8);
      if (got < kRecordBytes || record != encode(id, ids_.size())) break;
      ids_.push_back(id);
    }
    FF_CO_TRY(co_await file_->truncate(ids_.size() * kRecordBytes));
    co_return co_await file_->sync();
  }

  Task<Result<std::string>> answer(std::string request) override {
    const Words words = split(request);
    if (words.verb == "has") {
      for (const std::int64_t id : ids_) {
        if (id == words.a) co_return "yes";
      }
      co_return "no";
    }
    FF_CO_TRY_ASSIGN(const auto turn, co_await writing_.lock());
    const Record record = encode(words.a, ids_.size());
    FF_CO_TRY(co_await file_->write(ids_.size() * kRecordBytes, record));
    if (!broken_) FF_CO_TRY(co_await file_->sync());
    ids_.push_back(words.a);
    co_return "yes";
  }

 private:
  SimEnv& env_;
  bool broken_;
  std::unique_ptr<runtime::File> file_;
  std::vector<std::int64_t> ids_;
  runtime::Mutex writing_;
};

Task<Result<>> append(SimEnv& env, SimWorld& world) {
  Client server(env, 0);
  std::vector<std::int64_t> acknowledged;
  for (std::int64_t id = 1; acknowledged.size() < kRecords; ++id) {
    const auto reply = co_await server.call(fmt::format("append {}", id));
    if (reply) {
      acknowledged.push_back(id);
    } else {
      FF_CO_TRY(co_await runtime::sleep(5ms));
    }
  }
  for (std::size_t i = 0; i < acknowledged.size();) {
    const auto reply = co_await server.call(fmt::format("has {}", acknowledged[i]));
    if (reply && *reply == "no") world.convict(fmt::format("record {} was acknowledged and is lost", acknowledged[i]));
    if (reply) {
      ++i;
    } else {
      FF_CO_TRY(co_await runtime::sleep(5ms));
    }
  }
  co_return {};
}

}  // namespace

Result<> log_scenario(SimWorld& world, bool broken) {
  world.add_nodes(2);
  world.start(0, [broken](SimEnv& env) -> Task<Result<>> {
    Log log(env, broken);
    FF_CO_TRY(co_await log.recover());
    co_return co_await serve(env, log);
  });
  world.start(1, [&world](SimEnv& env) -> Task<Result<>> { co_return co_await append(env, world); });
  testing::FaultPlan faults(world, {.kill = 10ms, .lasting = 10ms, .heal_at = 200ms, .nodes = {0}});
  FF_TRY(world.run_until([&] { return world.exited(1); }, 60s, "all records"));
  return world.exit_result(1);
}

}  // namespace ff::sim
