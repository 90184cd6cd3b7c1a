#include "ffs/mgmt/mgmt_service.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "ffs/mgmt/manager_plan.hpp"
#include "libcommon/base/assert.hpp"
#include "libcommon/net/address.hpp"

namespace ff::ffs {

using namespace std::chrono_literals;
using runtime::Duration;
using runtime::Task;
using runtime::Time;

namespace {

constexpr const char* kLeaseName = "mgmtd";

// The wait must be made inside the task that awaits it.
Task<Result<>> wait_for(runtime::Event& event) { co_return co_await event.wait(); }
Task<Result<>> wait_for(runtime::WaitQueue& queue) { co_return co_await queue.wait(); }

std::uint64_t milliseconds(Duration time) {
  return static_cast<std::uint64_t>(std::max<std::int64_t>(0, time / std::chrono::milliseconds(1)));
}

bool equal(const NodeInfo& a, const NodeInfo& b) { return a.SerializeAsString() == b.SerializeAsString(); }

}  // namespace

Manager::Manager(runtime::Env& env, kv::KvStore& store, ManagerOptions options)
    : env_(env),
      kv_(store),
      options_(std::move(options)),
      store_(env, store, options_.prefix),
      members_(options_.failure_timeout, options_.session_timeout),
      scope_(env) {
  FF_ASSERT(options_.cluster.size() == 16 && options_.node != 0 && options_.failure_timeout >= 100ms);
}

Manager::~Manager() = default;

void Manager::start() {
  FF_ASSERT(!started_);
  started_ = true;
  scope_.spawn(run());
}

Task<void> Manager::stop() {
  stopping_ = true;
  newer_.fail_all(Error(Errc::kUnavailable, "manager: stops"));
  scope_.cancel();
  (void)co_await scope_.join();
}

bool Manager::primary() const noexcept { return lease_ != nullptr && loaded_ && lease_->held() && !stopping_; }

Result<> Manager::check_primary() const {
  if (primary()) return {};
  return fail(Errc::kUnavailable, fmt::format("manager {}: not primary ({})", options_.node,
                                              other_.empty() ? std::string("no other one is known") : other_ + " is"));
}

Result<> Manager::check_cluster(const std::string& cluster) const {
  if (cluster == options_.cluster) return {};
  return fail(Errc::kInvalidArgument, "request: of another cluster (is this the right manager?)");
}

// ---- becoming primary, and staying it -------------------------------------------------------------------------------

Task<void> Manager::run() {
  const std::string self = fmt::format("node {} at {}", options_.node, options_.address);
  while (!scope_.context().cancelled()) {
    auto holder = co_await runtime::with_timeout(2s, "primary's name", kv_.current_holder(kLeaseName));
    other_ = holder && *holder && **holder != self ? **holder : std::string();
    // In rounds, so that the name of the primary does not grow old.
    auto lease = co_await runtime::with_timeout(2 * options_.primary_ttl, "campaign",
                                                kv_.acquire_lease(kLeaseName, self, options_.primary_ttl));
    if (!lease) {
      if (lease.error().code() != Errc::kTimeout) trouble_ = lease.error();
      if (!co_await runtime::sleep(100ms)) co_return;
      continue;
    }
    other_.clear();
    if (Result<> led = co_await lead(**lease); !led && !scope_.context().cancelled()) trouble_ = led.error();
    lease_ = nullptr;
    loaded_ = false;
    newer_.fail_all(Error(Errc::kUnavailable, "manager: is no longer primary"));
    // Whoever still writes needs the lease; then it is given up, also when we are being stopped.
    runtime::Context root(env_);
    auto idle = co_await writing_.lock().under(root);
    (void)co_await runtime::with_timeout(1s, "release", (*lease)->release()).under(root);
    (void)co_await runtime::sleep(100ms);
  }
}

Task<Result<>> Manager::until_lost(kv::Lease& lease) {
  co_await lease.lost();
  co_return fail(Errc::kUnavailable, "lease of the primary: lost");
}

Task<Result<>> Manager::lead(kv::Lease& lease) {
  members_.begin(env_.now());
  runtime::Scope scope(co_await runtime::current_context());
  scope.spawn(until_lost(lease));
  scope.spawn(maintain(lease));
  co_return co_await scope.join();
}

Task<Result<>> Manager::reload(kv::Lease& lease) {
  FF_CO_TRY_ASSIGN(ManagerState state, co_await runtime::with_timeout(options_.primary_ttl, "reading the state",
                                                                      store_.load(lease, options_.cluster)));
  state_ = std::move(state);
  for (const auto& [id, chain] : state_.chains) members_.chain_changed(chain, state_.version);
  dying_.clear();
  lease_ = &lease;
  loaded_ = true;
  trouble_.reset();
  if (options_.observe && lease.held()) options_.observe(state_);
  newer_.wake_all();
  co_return {};
}

Task<Result<>> Manager::maintain(kv::Lease& lease) {
  for (;;) {
    dirty_.reset();
    {
      FF_CO_TRY_ASSIGN(const auto lock, co_await writing_.lock());
      if (!loaded_) {
        if (Result<> read = co_await reload(lease); !read) {
          if (read.error().code() != Errc::kUnavailable && read.error().code() != Errc::kTimeout) co_return read;
          trouble_ = read.error();
        }
      }
      while (loaded_) {
        ManagerChange change = due_changes();
        if (change.empty()) break;
        if (!co_await store_change(std::move(change))) break;
      }
      if (loaded_) dying_.clear();
    }
    const Time now = env_.now();
    const Time next =
        loaded_ ? std::min(members_.next_death(state_, now), now + options_.failure_timeout / 5) : now + 50ms;
    (void)co_await runtime::with_deadline(next, "next look", wait_for(dirty_));
    FF_CO_TRY(co_await runtime::not_cancelled());
  }
}

// REQUIRES: writing_ is held.
Task<Result<>> Manager::store_change(ManagerChange change) {
  std::vector<ChainInfo> chains = change.chains;
  std::vector<std::uint64_t> installed;  // members of new chains
  for (const ChainInfo& chain : chains) {
    if (state_.chains.contains(chain.chain())) continue;
    for (const ChainMember& member : chain.members()) installed.push_back(member.target());
  }
  Result<> done = co_await runtime::with_timeout(options_.primary_ttl, "storing the state",
                                                 store_.commit(*lease_, state_, std::move(change)));
  if (!done) {
    loaded_ = false;
    dirty_.set();
    co_return done;
  }
  for (const ChainInfo& chain : chains) members_.chain_changed(chain, state_.version);
  // Now, not before: until now their nodes may have reported that they are offline.
  for (const std::uint64_t target : installed) members_.target_installed(target, env_.now());
  if (options_.observe && lease_ != nullptr && lease_->held()) options_.observe(state_);  // it may have ended meanwhile
  newer_.wake_all();
  co_return {};
}

template <class Make>
Task<Result<>> Manager::change(Make make) {
  FF_CO_TRY(check_primary());
  FF_CO_TRY_ASSIGN(const auto lock, co_await writing_.lock());
  FF_CO_TRY(check_primary());
  Result<ManagerChange> change = make();
  if (!change) co_return fail(std::move(change).error());
  if (change->empty()) co_return {};
  // Not under the caller's context: a client that goes away must not leave us without knowing what is stored.
  runtime::Context root(scope_.context());
  Result<> stored = co_await store_change(std::move(*change)).under(root);
  dirty_.set();
  co_return stored;
}

// ---- what changes by itself -----------------------------------------------------------------------------------------

ManagerChange Manager::due_changes() {
  ManagerChange change;
  note_nodes(change);
  note_chains(change);
  note_stores(change);
  note_spares(change);
  if (change.empty()) note_replacements(change);
  return change;
}

void Manager::note_nodes(ManagerChange& change) {
  const Time now = env_.now();
  std::set<std::uint64_t> all;
  for (const auto& [id, node] : state_.nodes) all.insert(id);
  for (const std::uint64_t id : members_.heard_nodes()) all.insert(id);
  dying_.clear();
  for (const std::uint64_t id : all) {
    const auto record = state_.nodes.find(id);
    const NodeInfo* heard = members_.heard_info(id);
    const std::optional<bool> alive = members_.alive(id, now);
    if (alive.has_value() && !*alive) dying_.insert(id);
    if (record == state_.nodes.end() && (heard == nullptr || !alive.value_or(false))) continue;  // forgotten
    NodeInfo next = heard != nullptr ? *heard : record->second;
    next.clear_silent_ms();
    next.set_disabled(record != state_.nodes.end() && record->second.disabled());
    next.set_draining(record != state_.nodes.end() && record->second.draining());
    next.set_alive(alive.value_or(record != state_.nodes.end() && record->second.alive()));
    if (record == state_.nodes.end() || !equal(next, record->second)) change.nodes.push_back(std::move(next));
  }
}

std::vector<MemberView> Manager::views(const ChainInfo& chain, bool any_store) const {
  const Time now = env_.now();
  std::vector<MemberView> out;
  for (const ChainMember& member : chain.members()) {
    MemberView view{.member = {.target = TargetId{member.target()}, .state = member.state()}};
    if (const auto target = state_.targets.find(member.target()); target != state_.targets.end()) {
      view.local = members_.local(target->second, chain.version(), now);
      if (!any_store && replaced(target->second, member.state())) view.local = LOCAL_OFFLINE;
      view.set_offline = target->second.set_offline() || target->second.leaving();
    }
    out.push_back(view);
  }
  return out;
}

bool Manager::replaced(const TargetInfo& target, PublicState state) const {
  if (state != SERVING && state != LASTSRV) return false;
  const TargetReport* const report = members_.report(target.target());
  return report != nullptr && report->generation() != 0 && target.generation() != 0 &&
         report->generation() != target.generation();
}

void Manager::note_stores(ManagerChange& change) {
  std::map<std::uint64_t, PublicState> states;
  for (const auto& [id, chain] : state_.chains)
    for (const ChainMember& member : chain.members()) states[member.target()] = member.state();
  for (const auto& [id, record] : state_.targets) {
    const TargetReport* const report = members_.report(id);
    if (report == nullptr || report->generation() == 0 || report->generation() == record.generation()) continue;
    const auto state = states.find(id);
    if (replaced(record, state == states.end() ? PUBLIC_NONE : state->second)) continue;
    change.targets.push_back(record);
    change.targets.back().set_generation(report->generation());
  }
}

void Manager::note_chains(ManagerChange& change) {
  for (const auto& [id, chain] : state_.chains) {
    const std::vector<Member> next = next_members(views(chain), preferred_order(chain));
    if (!same_members(next, members_of(chain))) change.chains.push_back(with_members(chain, next));
  }
}

void Manager::note_spares(ManagerChange& change) {
  const Time now = env_.now();
  for (const TargetReport* const report : members_.reports()) {
    if (state_.targets.contains(report->target())) continue;
    TargetInfo spare;
    spare.set_target(report->target());
    spare.set_node(members_.node_of(report->target()));
    if (!state_.nodes.contains(spare.node()) || members_.local(spare, 0, now) != LOCAL_ONLINE) continue;
    spare.set_path(report->path());
    spare.set_generation(report->generation());
    change.targets.push_back(std::move(spare));
  }
}

void Manager::note_replacements(ManagerChange& change) {
  const bool any = std::ranges::any_of(state_.nodes, [](const auto& node) { return node.second.draining(); }) ||
                   std::ranges::any_of(state_.targets, [](const auto& target) {
                     return target.second.draining() && target.second.chain() != 0;
                   });
  if (!any) return;
  const Routing now = make_routing();
  const auto step = Replacements(now, options_.share_hosts).next(options_.replacements_max);
  if (!step) return;
  if (auto planned = plan_step(state_, *step)) change = std::move(*planned);
}

// ---- nodes and clients ----------------------------------------------------------------------------------------------

Result<> Manager::check_request(const HeartbeatRequest& request) const {
  FF_TRY(check_cluster(request.cluster()));
  if (request.node().node() == 0 || request.incarnation() == 0)
    return fail(Errc::kInvalidArgument, "heartbeat: without the node's number or incarnation");
  if (request.node().addresses().empty()) return {};
  std::string planes;
  for (const std::string& address : request.node().addresses()) planes += (planes.empty() ? "" : ",") + address;
  if (auto peer = net::parse_peer_address(planes); !peer)
    return fail(std::move(peer).error().context(fmt::format("node {}", request.node().node())));
  return {};
}

Task<Result<HeartbeatReply>> Manager::heartbeat(rpc::ServerCall&, const HeartbeatRequest& request) {
  FF_CO_TRY(check_primary());
  FF_CO_TRY(check_request(request));
  const std::uint64_t node = request.node().node();
  if (dying_.contains(node))
    co_return fail(Errc::kUnavailable, fmt::format("node {}: is being declared dead, try again", node));
  FF_CO_TRY_ASSIGN(const Membership::Heard heard, members_.hear(request, state_, env_.now(), env_.rng()));
  HeartbeatReply reply;
  reply.set_interval_ms(milliseconds(options_.failure_timeout / 5));
  reply.set_challenge(heard.challenge);
  if (heard.challenge != 0) co_return reply;
  const auto record = state_.nodes.find(node);
  if (heard.changed || (heard.current && record != state_.nodes.end() && [&] {
        NodeInfo told = request.node();
        told.set_alive(record->second.alive());
        told.set_disabled(record->second.disabled());
        told.set_draining(record->second.draining());
        told.clear_silent_ms();
        return !equal(told, record->second);
      }()))
    dirty_.set();
  reply.set_lease_ms(heard.current ? milliseconds(options_.failure_timeout / 2) : 0);
  if (state_.version > request.routing_version()) *reply.mutable_routing() = make_routing();
  co_return reply;
}

Routing Manager::make_routing() const {
  const Time now = env_.now();
  Routing routing;
  routing.set_version(state_.version);
  routing.set_cluster(state_.cluster);
  routing.set_primary(options_.node);
  for (const auto& [id, record] : state_.nodes) {
    NodeInfo& node = *routing.add_nodes();
    node = record;
    if (const auto silence = members_.silence(id, now)) node.set_silent_ms(milliseconds(*silence));
  }
  std::map<std::uint64_t, std::pair<PublicState, std::uint64_t>> places;  // state, chain version
  for (const auto& [id, chain] : state_.chains) {
    *routing.add_chains() = chain;
    for (const ChainMember& member : chain.members()) places[member.target()] = {member.state(), chain.version()};
  }
  for (const auto& [id, record] : state_.targets) {
    TargetInfo& target = *routing.add_targets();
    target = record;
    target.set_set_offline(record.set_offline() || record.leaving());
    const auto [state, version] = places[id];
    target.set_state(state);
    target.set_local(members_.local(record, version, now));
    const TargetReport* report = members_.report(id);
    if (report == nullptr) continue;
    target.set_capacity_bytes(report->capacity_bytes());
    target.set_used_bytes(report->used_bytes());
    target.set_chunks(report->chunks());
    target.set_generation(report->generation());
    if (!report->path().empty()) target.set_path(report->path());
    target.set_trouble(report->trouble());
    if (replaced(record, state)) {
      target.set_local(LOCAL_OFFLINE);
      target.set_trouble("its store is not the one that was complete (put that one back, or give it up by rotating)");
    }
    target.set_sync_done_bytes(report->sync_done_bytes());
    target.set_sync_left_bytes(report->sync_left_bytes());
  }
  for (const auto& [id, table] : state_.tables) *routing.add_tables() = table;
  return routing;
}

Task<Result<GetRoutingReply>> Manager::get_routing(rpc::ServerCall& call, const GetRoutingRequest& request) {
  constexpr std::uint64_t kWaitMsMax = 60'000;
  FF_CO_TRY(check_primary());
  const Duration wait = std::chrono::milliseconds(std::min(request.wait_ms(), kWaitMsMax));
  const Time until = std::min(env_.now() + wait, call.deadline() - 20ms);
  GetRoutingReply reply;
  while (state_.version <= request.known_version()) {
    if (env_.now() >= until) co_return reply;
    Result<> woken = co_await runtime::with_deadline(until, "newer routing", wait_for(newer_));
    if (!woken && (woken.error().code() != Errc::kTimeout || call.context().cancelled()))
      co_return fail(std::move(woken).error());
    FF_CO_TRY(check_primary());
  }
  *reply.mutable_routing() = make_routing();
  co_return reply;
}

Task<Result<ExtendSessionReply>> Manager::extend_session(rpc::ServerCall&, const ExtendSessionRequest& request) {
  FF_CO_TRY(check_primary());
  if (!request.cluster().empty()) FF_CO_TRY(check_cluster(request.cluster()));
  FF_CO_TRY(members_.extend(request.session(), request.end(), env_.now()));
  ExtendSessionReply reply;
  reply.set_timeout_ms(milliseconds(options_.session_timeout));
  co_return reply;
}

Task<Result<ListSessionsReply>> Manager::list_sessions(rpc::ServerCall&, const ListSessionsRequest&) {
  FF_CO_TRY(check_primary());
  ListSessionsReply reply;
  for (ClientSession& session : members_.sessions(env_.now())) *reply.add_sessions() = std::move(session);
  reply.set_settling(members_.settling(env_.now()));
  co_return reply;
}

// ---- administrators -------------------------------------------------------------------------------------------------

Task<Result<>> Manager::check_administrator(std::string token) const {
  FF_CO_TRY(check_primary());  // another manager will ask
  if (options_.administrators != nullptr) FF_CO_TRY(co_await options_.administrators->check(std::move(token)));
  co_return {};
}

Task<Result<InstallChainsReply>> Manager::install_chains(rpc::ServerCall&, const InstallChainsRequest& request) {
  FF_CO_TRY(co_await check_administrator(request.token()));
  FF_CO_TRY(check_cluster(request.cluster()));
  FF_CO_TRY(co_await change([&]() -> Result<ManagerChange> { return plan_install(state_, request); }));
  InstallChainsReply reply;
  reply.set_routing_version(state_.version);
  reply.set_table_version(latest_table_version(state_, request.table().table()));
  co_return reply;
}

Task<Result<UpdateChainReply>> Manager::update_chain(rpc::ServerCall&, const UpdateChainRequest& request) {
  FF_CO_TRY(co_await check_administrator(request.token()));
  FF_CO_TRY(co_await change([&]() -> Result<ManagerChange> {
    const auto chain = state_.chains.find(request.chain());
    if (chain == state_.chains.end())
      return fail(Errc::kNotFound, fmt::format("chain {}: no such chain", request.chain()));
    // Who gives up on the complete copies may take any store instead.
    const bool rotates = request.change() == UpdateChainRequest::ROTATE_LASTSRV;
    auto change = plan_update(state_, chain->second, views(chain->second, rotates), request);
    if (!change) return fail(std::move(change).error().context(fmt::format("chain {}", request.chain())));
    const TargetReport* const report = members_.report(request.target());
    const auto target = state_.targets.find(request.target());
    if (rotates && !change->chains.empty() && report != nullptr && target != state_.targets.end()) {
      change->targets.push_back(target->second);
      change->targets.back().set_generation(report->generation());
    }
    return change;
  }));
  UpdateChainReply reply;
  *reply.mutable_chain() = state_.chains[request.chain()];
  co_return reply;
}

template <class Plan>
Result<ManagerChange> Manager::plan_drain(Plan plan) {
  const Routing now = make_routing();
  Result<ManagerChange> change = plan(Replacements(now, options_.share_hosts));
  if (!change && change.error().code() == Errc::kExhausted && members_.is_new(env_.now()))
    return fail(Errc::kUnavailable, "manager: has just become primary, and has not heard of all targets (try again)");
  return change;
}

Task<Result<SetNodeReply>> Manager::set_node(rpc::ServerCall&, const SetNodeRequest& request) {
  FF_CO_TRY(co_await check_administrator(request.token()));
  FF_CO_TRY(co_await change([&]() -> Result<ManagerChange> {
    return plan_drain([&](const Replacements& now) {
      return plan_set_node(state_, request, members_.alive(request.node(), env_.now()), now);
    });
  }));
  co_return SetNodeReply();
}

Task<Result<SetTargetReply>> Manager::set_target(rpc::ServerCall&, const SetTargetRequest& request) {
  FF_CO_TRY(co_await check_administrator(request.token()));
  FF_CO_TRY(co_await change([&]() -> Result<ManagerChange> {
    return plan_drain([&](const Replacements& now) { return plan_set_target(state_, request, now); });
  }));
  co_return SetTargetReply();
}

Task<Result<SetConfigReply>> Manager::set_config(rpc::ServerCall&, const SetConfigRequest& request) {
  FF_CO_TRY(co_await check_administrator(request.token()));
  FF_CO_TRY(co_await change([&]() -> Result<ManagerChange> { return plan_set_config(state_, request); }));
  SetConfigReply reply;
  reply.set_version(state_.configs[request.role()].version());
  co_return reply;
}

Task<Result<GetConfigReply>> Manager::get_config(rpc::ServerCall&, const GetConfigRequest& request) {
  FF_CO_TRY(check_primary());
  const auto found = state_.configs.find(request.role());
  co_return found == state_.configs.end() ? GetConfigReply() : found->second;
}

}  // namespace ff::ffs
