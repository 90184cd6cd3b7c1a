// Leading: the lease, the loop, and the orders to nodes. What people ask is in master_service.cc.
#include "ffctl/master/master.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "libcommon/base/assert.hpp"
#include "libcommon/net/address.hpp"

namespace ff::ctl {

using namespace std::chrono_literals;
using runtime::Duration;
using runtime::Task;
using runtime::Time;

namespace {

constexpr const char* kLeaseName = "ctld";
constexpr Duration kRetryFirst = 50ms, kRetryMost = 2s;

Task<Result<>> wait_for(runtime::Event& event) { co_return co_await event.wait(); }

}  // namespace

Master::Master(runtime::Env& env, kv::KvStore& store, Scheduling scheduling, MasterOptions options)
    : env_(env),
      store_(store),
      options_(std::move(options)),
      scheduling_(std::move(scheduling)),
      journal_(env, store, options_.prefix),
      engine_(options_.engine, [this](Change change) { journal_.append(std::move(change)); }),
      scope_(env) {}

Master::~Master() = default;

void Master::start() {
  FF_ASSERT(!started_);
  started_ = true;
  started_ms_ = static_cast<std::uint64_t>(env_.wall_now().time_since_epoch() / 1ms);
  scope_.spawn(run());
}

Task<void> Master::stop() {
  stopping_ = true;
  const Error why(Errc::kUnavailable, "master: stops");
  changed_.fail_all(why);
  scope_.cancel();
  (void)co_await scope_.join();
}

bool Master::leads() const noexcept { return lease_ != nullptr && loaded_ && lease_->held() && !stopping_; }

Result<> Master::check_leads() const {
  if (leads()) return {};
  return fail(Errc::kUnavailable, fmt::format("ffctld {}: not the leader ({})", options_.name,
                                              other_.empty() ? std::string("no other one is known") : other_ + " is"));
}

// The wall clock at the time when this one began to lead, and steady from there.
std::uint64_t Master::now_ms() const { return base_ms_ + static_cast<std::uint64_t>((env_.now() - base_) / 1ms); }

// ---- the lease ------------------------------------------------------------------------------------------------------

Task<void> Master::run() {
  while (!scope_.context().cancelled()) {
    auto holder = co_await runtime::with_timeout(2s, "leader's name", store_.current_holder(kLeaseName));
    other_ = holder && *holder && **holder != options_.name ? **holder : std::string();
    // In rounds, so that the name of the leader does not grow old.
    auto lease = co_await runtime::with_timeout(2 * options_.lease_ttl, "campaign",
                                                store_.acquire_lease(kLeaseName, options_.name, options_.lease_ttl));
    if (!lease) {
      if (lease.error().code() != Errc::kTimeout) trouble_ = lease.error();
      if (!co_await runtime::sleep(100ms)) co_return;
      continue;
    }
    other_.clear();
    if (Result<> led = co_await lead(**lease); !led && !scope_.context().cancelled()) trouble_ = led.error();
    loaded_ = false;
    lease_ = nullptr;
    const Error why(Errc::kUnavailable, "ffctld: does not lead any more");
    changed_.fail_all(why);
    journal_.fail(why);
    runtime::Context root(env_);
    co_await stop_senders().under(root);
    (void)co_await runtime::with_timeout(1s, "release", (*lease)->release()).under(root);
    (void)co_await runtime::sleep(100ms);
  }
}

Task<Result<>> Master::until_lost(kv::Lease& lease) {
  co_await lease.lost();
  co_return fail(Errc::kUnavailable, "lease of the leader: lost");
}

Task<Result<>> Master::lead(kv::Lease& lease) {
  FF_CO_TRY_ASSIGN(State state, co_await runtime::with_timeout(30s, "reading the state", journal_.load(lease)));
  base_ = env_.now();
  base_ms_ = std::max(static_cast<std::uint64_t>(env_.wall_now().time_since_epoch() / 1ms), state.header.now_ms());
  lease_ = &lease;
  engine_.begin(std::move(state), lease.epoch(), now_ms());
  scheduling_.begin(engine_, now_ms());
  loaded_ = true;
  trouble_.reset();
  last_pass_ = Time{};
  runtime::Scope scope(co_await runtime::current_context());
  leading_ = &scope;
  scope.spawn(until_lost(lease));
  scope.spawn(journal_.run(lease));
  scope.spawn(drive());
  Result<> ended = co_await scope.join();
  leading_ = nullptr;
  co_return ended;
}

Task<Result<>> Master::stored() {
  if (leading_ == nullptr) co_return fail(Errc::kUnavailable, "ffctld: does not lead any more");
  co_return co_await journal_.wait(engine_.sequence());
}

// ---- the loop -------------------------------------------------------------------------------------------------------

void Master::step() {
  const std::uint64_t now = now_ms();
  if (engine_.next_tick_ms() <= now) engine_.tick(now);
  const bool due = engine_.plan_needed() || (scheduling_.next_pass_ms() != 0 && scheduling_.next_pass_ms() <= now);
  if (due && env_.now() - last_pass_ >= options_.coalesce) {
    (void)engine_.take_plan_needed();
    const Time began = env_.now();
    const Scheduling::Pass pass = scheduling_.pass(engine_, now);
    last_pass_ = env_.now();
    counts_.last_pass_ms = static_cast<double>((last_pass_ - began) / 1us) / 1000;
    ++counts_.passes;
    counts_.starts += pass.started;
    counts_.preemptions += pass.preempted;
  }
  if (told_ != engine_.sequence()) {
    told_ = engine_.sequence();
    changed_.wake_all();
  }
  dispatch(*leading_);
  if (options_.observe && lease_->held()) options_.observe(engine_, journal_.durable() == engine_.sequence());
}

Task<Result<>> Master::drive() {
  for (;;) {
    work_.reset();
    step();
    const std::uint64_t now = now_ms();
    std::uint64_t next = std::min(engine_.next_tick_ms(), now + 1000);
    if (scheduling_.next_pass_ms() != 0) next = std::min(next, scheduling_.next_pass_ms());
    Time until = env_.now() + std::chrono::milliseconds(next > now ? next - now : 1);
    if (engine_.plan_needed()) until = std::min(until, last_pass_ + options_.coalesce);
    (void)co_await runtime::with_deadline(until, "next look", wait_for(work_));
    FF_CO_TRY(co_await runtime::not_cancelled());
    // What is ready now comes first, so that many requests are one step.
    co_await runtime::yield();
  }
}

// ---- orders ---------------------------------------------------------------------------------------------------------

void Master::dispatch(runtime::Scope& scope) {
  for (const std::string& node : engine_.take_dirty_nodes()) {
    if (!engine_.state().nodes.contains(node)) continue;
    const auto [at, fresh] = senders_.try_emplace(node);
    at->second.wake.set();
    if (fresh) scope.spawn(send_orders(node));
  }
}

Result<std::shared_ptr<rpc::Client>> Master::client_of(const std::string& node) {
  const auto known = engine_.state().nodes.find(node);
  if (known == engine_.state().nodes.end()) return fail(Errc::kNotFound, fmt::format("node {}: is not known", node));
  FF_TRY_ASSIGN(net::PeerAddress peer, net::parse_peer_address(known->second.record.facts().address()));
  const auto sender = senders_.find(node);
  if (sender == senders_.end()) return fail(Errc::kUnavailable, fmt::format("node {}: was not reached yet", node));
  if (sender->second.client == nullptr || sender->second.address != peer.text()) {
    sender->second.address = peer.text();
    // Calls of the former one may still be under way.
    if (sender->second.client != nullptr) retired_.push_back(sender->second.client);
    sender->second.client = std::make_shared<rpc::Client>(env_, std::move(peer));
  }
  return sender->second.client;
}

Task<void> Master::send_orders(std::string node) {
  Duration pause = kRetryFirst;
  for (;;) {
    Sender& sender = senders_.at(node);
    if (!co_await sender.wake.wait()) co_return;
    sender.wake.reset();
    const auto client = client_of(node);
    if (!client) continue;  // forgotten, or without an address: its next report wakes us
    const ApplyRequest request = engine_.orders(node, now_ms());
    // Nobody hears of what may not be so after a crash.
    if (!co_await journal_.wait(engine_.sequence())) co_return;
    ++counts_.orders;
    AgentClient agent(**client);
    const auto reply = co_await agent.apply(request, {.timeout = options_.apply_timeout, .attempts = 1});
    if (!co_await runtime::not_cancelled()) co_return;
    if (reply) {
      pause = kRetryFirst;
      if (reply->report().facts().name() == node && leads()) (void)engine_.report(reply->report(), now_ms());
      kick();
      continue;
    }
    ++counts_.orders_failed;
    if (!co_await runtime::sleep(pause + std::chrono::milliseconds(env_.rng().below(50)))) co_return;
    pause = std::min(pause * 2, kRetryMost);
    // A node that is lost is told when it is heard of.
    const auto known = engine_.state().nodes.find(node);
    if (known != engine_.state().nodes.end() && !known->second.lost) senders_.at(node).wake.set();
  }
}

Task<void> Master::stop_senders() {
  for (auto& [node, sender] : senders_)
    if (sender.client != nullptr) co_await sender.client->stop();
  for (const auto& client : retired_) co_await client->stop();
  retired_.clear();
  senders_.clear();
}

Task<void> Master::check_node(std::string node, std::string level, std::shared_ptr<NodeCheck> check) {
  RunCheckRequest request;
  request.set_level(level);
  Result<RunCheckReply> reply = fail(Errc::kUnavailable, "not reached");
  if (const auto client = client_of(node)) {
    AgentClient agent(**client);
    reply = co_await agent.run_check(request, {.timeout = 30min, .attempts = 1, .wait_for_connection = false});
  } else {
    reply = fail(client.error());
  }
  if (leads()) {
    if (reply) {
      engine_.node_checked(node, reply->exit_code(), reply->summary(), now_ms());
    } else {
      engine_.node_checking(node, false);
    }
    kick();
  }
  if (!reply) check->error = std::move(reply).error();
  check->done.set();
}

Task<Result<ReportReply>> Master::Reports::report(rpc::ServerCall&, const NodeReport& request) {
  FF_CO_TRY(master_.check_leads());
  ++master_.counts_.reports;
  FF_CO_TRY(master_.engine_.report(request, master_.now_ms()));
  Engine& engine = master_.engine_;
  if (engine.plan_needed() || engine.has_dirty_nodes() || engine.sequence() != master_.told_) master_.kick();
  ReportReply reply;
  reply.set_master_epoch(master_.lease_->epoch());
  reply.set_lease_ms(engine.options().lease_ms());
  reply.set_stop_ms(engine.options().stop_ms());
  reply.set_void_sequence(engine.state().nodes.at(request.facts().name()).void_sequence);
  co_return reply;
}

}  // namespace ff::ctl
