#include "tests/support/kv_conformance.hpp"

void KvConformance::run(Body body) {
  using namespace std::chrono_literals;
  const ff::Result<> result = engine_->run(ff::runtime::with_timeout(100s, "test", body(*engine_)));
  EXPECT_TRUE(result.has_value()) << result.error().message();
}

namespace ff::kv::conformance {

Task<Result<Version>> must_commit(Transaction& transaction) {
  FF_CO_TRY_ASSIGN(const Commit commit, co_await transaction.commit());
  const runtime::Context& context = co_await runtime::current_context();
  if (commit.outcome != Outcome::kCommitted && context.cancelled()) co_return std::unexpected(context.why());
  if (commit.outcome != Outcome::kCommitted) co_return fail(Errc::kInternal, "test: a commit did not succeed");
  co_return commit.version;
}

Task<Result<Version>> put(KvStore& store, std::string key, std::string value) {
  const auto transaction = store.begin();
  transaction->set(std::move(key), std::move(value));
  co_return co_await must_commit(*transaction);
}

Task<Result<std::optional<std::string>>> peek(KvStore& store, std::string key) {
  const auto transaction = store.begin();
  co_return co_await transaction->get(std::move(key), Read::kSnapshot);
}

Task<Result<std::vector<KeyValue>>> peek_range(KvStore& store, KeyRange range) {
  const auto transaction = store.begin();
  FF_CO_TRY_ASSIGN(RangeResult result, co_await transaction->get_range(std::move(range), {.mode = Read::kSnapshot}));
  EXPECT_FALSE(result.more);
  co_return std::move(result.pairs);
}

std::string number(std::uint64_t value) {
  std::string bytes;
  for (int shift = 0; shift < 64; shift += 8) bytes.push_back(static_cast<char>(value >> shift));
  return bytes;
}

std::uint64_t number_of(const std::string& bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = bytes.size(); i-- > 0;) value = value << 8 | static_cast<unsigned char>(bytes[i]);
  return value;
}

}  // namespace ff::kv::conformance
