#include "tests/sim/replicated_counter.hpp"

#include <filesystem>

#include "libcommon/rpc/server.hpp"
#include "libcommon/runtime/scope.hpp"

namespace ff::sim {

using namespace std::chrono_literals;
using runtime::Task;

namespace {

// True when `into` has grown.
bool join(CounterState& into, const CounterState& from) {
  bool grown = false;
  for (const auto& [client, count] : from.increments()) {
    std::uint64_t& known = (*into.mutable_increments())[client];
    if (count > known) known = count, grown = true;
  }
  return grown;
}

struct Votes {
  CounterState joined;
  std::size_t count = 0;
};

// One replica's vote. When the quorum is complete the others are not waited for.
Task<void> ask(rpc::Client& client, const CounterState& state, Votes& votes, std::size_t quorum,
               runtime::Scope& scope) {
  const auto reply =
      co_await CounterClient(client).merge(state, {.timeout = 60s, .attempt_timeout = 1s, .attempts = 1000});
  if (!reply) co_return;
  join(votes.joined, *reply);
  if (++votes.count == quorum) scope.cancel();
}

}  // namespace

Replica::Replica(runtime::Disk& disk, std::string folder)
    : disk_(disk), folder_(std::move(folder)), path_(std::filesystem::path(folder_) / "state") {}

Task<Result<CounterState>> Replica::merge(rpc::ServerCall&, const CounterState& request) {
  FF_CO_TRY_ASSIGN(const auto lock, co_await mutex_.lock());
  CounterState joined = state_;
  if (join(joined, request)) {
    FF_CO_TRY(co_await save(joined));
    state_ = joined;
  }
  co_return joined;
}

Task<Result<>> Replica::load() {
  auto file = co_await disk_.open(path_, {});
  if (!file) co_return file.error().code() == Errc::kNotFound ? Result<>() : fail(file.error());
  FF_CO_TRY_ASSIGN(const auto bytes, co_await (*file)->size());
  std::string text(bytes, '\0');
  FF_CO_TRY_ASSIGN(const auto got, co_await (*file)->read(0, std::as_writable_bytes(std::span(text))));
  if (got != bytes || !state_.ParseFromString(text)) co_return fail(Errc::kCorrupt, path_ + ": cannot be read");
  co_return co_await (*file)->close();
}

// The whole state in a new file, which takes the old one's name when it is durable.
Task<Result<>> Replica::save(const CounterState& state) {
  const std::string text = state.SerializeAsString();
  FF_CO_TRY_ASSIGN(auto file, co_await disk_.open(path_ + ".new", {.write = true, .create = true, .truncate = true}));
  FF_CO_TRY(co_await file->write(0, std::as_bytes(std::span(text))));
  FF_CO_TRY(co_await file->sync());
  FF_CO_TRY(co_await file->close());
  FF_CO_TRY(co_await disk_.rename(path_ + ".new", path_));
  co_return co_await disk_.sync_folder(folder_);
}

Task<Result<>> serve(runtime::Env& env, Replica& replica, net::Address at) {
  FF_CO_TRY(co_await replica.load());
  rpc::Server server(env);
  FF_CO_TRY(server.add(replica));
  FF_CO_TRY(co_await server.listen(std::move(at)));
  runtime::Event forever;
  (void)co_await forever.wait();
  co_await server.stop(1s);
  co_return {};
}

Counter::Counter(runtime::Env& env, const std::vector<net::PeerAddress>& replicas, std::uint64_t id, std::size_t quorum)
    : id_(id), quorum_(quorum > 0 ? quorum : replicas.size() / 2 + 1) {
  for (const net::PeerAddress& replica : replicas) clients_.push_back(std::make_unique<rpc::Client>(env, replica));
}

Task<Result<>> Counter::increment() {
  CounterState mine;
  (*mine.mutable_increments())[id_] = ++count_;
  FF_CO_TRY(co_await merge_quorum(std::move(mine)));
  co_return {};
}

Task<Result<std::uint64_t>> Counter::read() {
  FF_CO_TRY_ASSIGN(CounterState known, co_await merge_quorum({}));
  FF_CO_TRY(co_await merge_quorum(known));
  std::uint64_t sum = 0;
  for (const auto& [client, count] : known.increments()) sum += count;
  co_return sum;
}

Task<Result<CounterState>> Counter::merge_quorum(CounterState state) {
  Votes votes;
  runtime::Scope scope(co_await runtime::current_context());
  for (const auto& client : clients_) scope.spawn(ask(*client, state, votes, quorum_, scope));
  (void)co_await scope.join();
  if (votes.count < quorum_) co_return fail(Errc::kUnavailable, "counter: too few replicas answer");
  co_return std::move(votes.joined);
}

Task<void> Counter::stop() {
  for (const auto& client : clients_) co_await client->stop();
}

}  // namespace ff::sim
