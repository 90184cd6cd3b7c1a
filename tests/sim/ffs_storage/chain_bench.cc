#include "tests/sim/ffs_storage/chain_bench.hpp"

#include <fmt/core.h>

#include "ffs/storage/storage.ff.hpp"
#include "ffs/storage/storage_convert.hpp"
#include "ffs/storage/storage_peers.hpp"
#include "ffs/storage/storage_service.hpp"
#include "libcommon/base/crc32c.hpp"
#include "libcommon/rpc/server.hpp"

namespace ff::ffs {

using namespace std::chrono_literals;
using runtime::Task;
using testing::SimEnv;

namespace {

constexpr std::uint16_t kPort = 7000;

Task<Result<>> for_ever() {
  runtime::Event never;
  co_return co_await never.wait();
}

std::vector<std::byte> filled(char letter, std::size_t bytes) {
  return std::vector<std::byte>(bytes, static_cast<std::byte>(letter));
}

}  // namespace

// The bench's routing, as one node sees it.
class ChainBench::Routes final : public RoutingSource {
 public:
  Routes(runtime::Env& env, ChainBench& bench) : env_(env), bench_(bench) {}
  std::shared_ptr<const RoutingView> current() const noexcept override { return bench_.view_; }
  Task<Result<std::shared_ptr<const RoutingView>>> newer_than(std::uint64_t version,
                                                              runtime::Duration timeout) override {
    const runtime::Time until = env_.now() + timeout;
    while (!bench_.view_ || bench_.view_->version() <= version) {
      if (env_.now() >= until) co_return fail(Errc::kTimeout, "no newer routing");
      FF_CO_TRY(co_await runtime::sleep(1ms));
    }
    co_return bench_.view_;
  }

 private:
  runtime::Env& env_;
  ChainBench& bench_;
};

struct ChainBench::Driver {
  Routes routes;
  StoragePeers peers;
  StorageClient client;
  Driver(SimEnv& env, ChainBench& bench)
      : routes(env, bench),
        peers(env),
        client(env, routes, {.timeout = 8s, .attempt_timeout = 700ms, .retry_base = 5ms, .retry_most = 100ms}) {}
};

TargetOptions ChainBench::quick_options() {
  return {.forward_timeout = 300ms,
          .update_timeout = 2s,
          .routing_wait = 100ms,
          .settle_every = 50ms,
          .resync_pause = 50ms,
          .scrub_bytes_per_second = 0,
          .hazards = {}};
}

ChainBench::ChainBench(std::size_t targets, TargetOptions options)
    : world_(1), options_(options), disks_(targets), targets_(targets) {
  world_.add_nodes(targets + 1, {});
  for (std::size_t i = 0; i < targets; ++i) disks_[i].identity = {.cluster = {}, .target = id(i), .generation = 1};
  publish(std::vector<PublicState>(targets, OFFLINE));
}

ChainBench::~ChainBench() {
  for (testing::NodeId node = 0; node < world_.nodes(); ++node) world_.kill(node);
}

void ChainBench::publish(const std::vector<PublicState>& states) {
  Routing routing;
  routing.set_version(++version_);
  ChainInfo& chain = *routing.add_chains();
  chain.set_chain(number(kChain));
  chain.set_version(version_);
  std::vector<std::size_t> order;
  for (const PublicState state : {SERVING, LASTSRV, SYNCING, WAITING, OFFLINE})
    for (std::size_t i = 0; i < states.size(); ++i)
      if (states[i] == state) order.push_back(i);
  for (const std::size_t i : order) {
    NodeInfo& node = *routing.add_nodes();
    node.set_node(i + 1);
    node.add_roles(ROLE_STORED);
    node.set_alive(true);
    node.add_addresses(world_.address(this->node(i), kPort).text());
    TargetInfo& target = *routing.add_targets();
    target.set_target(number(id(i)));
    target.set_node(i + 1);
    target.set_chain(number(kChain));
    ChainMember& member = *chain.add_members();
    member.set_target(number(id(i)));
    member.set_state(states[i]);
  }
  auto view = RoutingView::make(std::move(routing));
  if (!view) {
    world_.convict(view.error().message());
    return;
  }
  view_ = std::move(*view);
}

Task<Result<>> ChainBench::run_target(SimEnv& env, std::size_t i) {
  Routes routes(env, *this);
  StoragePeers peers(env);
  ChunkTargets service(env);
  Target target({.env = env, .routing = routes, .peers = peers, .has_lease = [] { return true; }, .report_soon = [] {}},
                id(i), fmt::format("target{}", i), std::make_unique<ModelStore>(env, disks_[i]), options_);
  targets_[i] = &target;
  service.add(target);
  rpc::Server server(env);
  FF_CO_TRY(server.add(service));
  FF_CO_TRY(co_await server.listen(net::Address::tcp("", kPort)));
  target.start();
  for (;;) {
    target.routing_changed();
    FF_CO_TRY(co_await runtime::sleep(1ms));
  }
}

Result<> ChainBench::run(Task<Result<>> (*body)(ChainBench&)) {
  for (std::size_t i = 0; i < disks_.size(); ++i)
    world_.start(node(i), [this, i](SimEnv& env) -> Task<Result<>> { co_return co_await run_target(env, i); });
  FF_TRY(world_.run_for(50ms));
  Result<> result;
  bool ended = false;
  world_.start(node(disks_.size()), [this, body, &result, &ended](SimEnv& env) -> Task<Result<>> {
    driver_ = std::make_unique<Driver>(env, *this);
    result = co_await body(*this);
    ended = true;
    co_return co_await for_ever();
  });
  FF_TRY(world_.run_until([&] { return ended; }, 120s, "the body ends"));
  for (testing::NodeId node = 0; node < world_.nodes(); ++node) world_.kill(node);
  driver_.reset();
  return result;
}

Task<void> ChainBench::route(std::vector<PublicState> states) {
  publish(states);
  (void)co_await runtime::sleep(5ms);
}

Task<Result<>> ChainBench::until(std::function<bool()> done, const char* what) {
  for (int i = 0; i < 100'000; ++i) {
    if (done()) co_return {};
    FF_CO_TRY(co_await runtime::sleep(100us));
  }
  co_return fail(Errc::kTimeout, fmt::format("{}: not within ten seconds", what));
}

Task<Result<ChunkVersion>> ChainBench::write(ChunkId chunk, char letter, std::size_t bytes) {
  const std::vector<std::byte> data = filled(letter, bytes);
  auto done = co_await client().update({{.chain = kChain, .chunk = chunk, .data = data, .chunk_bytes = kChunkBytes}});
  if (!done.front()) co_return fail(done.front().error());
  co_return done.front()->version;
}

Task<Result<ChunkVersion>> ChainBench::remove(ChunkId chunk) {
  auto done = co_await client().update(
      {{.chain = kChain, .chunk = chunk, .kind = UpdateKind::kRemove, .chunk_bytes = kChunkBytes}});
  if (!done.front()) co_return fail(done.front().error());
  co_return done.front()->version;
}

Task<ChainBench::Seen> ChainBench::read_at(std::size_t i, ChunkId chunk, bool relaxed) {
  std::vector<std::byte> memory(kChunkBytes);
  ReadRequest request;
  request.set_relaxed(relaxed);
  ReadOp& op = *request.add_ops();
  set(*op.mutable_chunk(), chunk);
  op.set_chain(number(kChain));
  op.set_chain_version(version_);
  op.set_target(number(id(i)));
  op.set_bytes(kChunkBytes);
  const auto reply = co_await ChunksClient(peer(i)).read(request, {.timeout = 2s, .bulk_receive = memory});
  if (!reply || reply->ops_size() != 1) co_return Seen{};
  const ReadOpReply& one = reply->ops(0);
  co_return Seen{one.code(), one.version(), one.bytes() == 0 ? '\0' : static_cast<char>(memory.front())};
}

rpc::Client& ChainBench::peer(std::size_t i) { return *driver_->peers.of(*view_, id(i)); }
StorageClient& ChainBench::client() { return driver_->client; }

ChunkVersion ChainBench::committed(std::size_t i, ChunkId chunk) const {
  const auto found = disks_[i].chunks.find(chunk);
  return found == disks_[i].chunks.end() ? 0 : found->second.info.version;
}

void ChainBench::put(std::size_t i, ChunkId chunk, ChunkVersion version, char letter, std::size_t bytes) {
  ModelDisk::Chunk& out = disks_[i].chunks[chunk];
  out = {};
  out.content = filled(letter, bytes);
  out.info.chunk = chunk;
  out.info.version = version;
  out.info.chain_version = 1;
  out.info.length = static_cast<std::uint32_t>(bytes);
  out.info.chunk_bytes = kChunkBytes;
  out.info.crc = crc32c(0, out.content.data(), out.content.size());
  out.info.recent.front() = {{99, version}, version};
}

}  // namespace ff::ffs
