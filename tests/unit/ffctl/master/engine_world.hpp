// The engine with nodes that obey the protocol, in time that is given.
#pragma once

#include <fmt/core.h>
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "ffctl/master/engine.hpp"
#include "libcommon/base/rng.hpp"
#include "libcommon/kv/key_range.hpp"
#include "tests/support/ctl_fake_node.hpp"

namespace ff::ctl {

inline const Actor kAlice{.user = "alice", .uid = 1000, .gid = 1000};
inline const Actor kBob{.user = "bob", .uid = 1001, .gid = 1001};
inline const Actor kRoot{.user = "root", .admin = true};

inline JobSpec spec_of(std::string name, std::uint32_t nodes, std::vector<std::string> words = {}) {
  JobSpec spec;
  spec.set_name(std::move(name));
  spec.set_queue("train");
  spec.set_priority(NORMAL);
  spec.mutable_resources()->set_nodes(nodes);
  spec.mutable_resources()->set_gpus_per_node(8);
  spec.mutable_run()->add_command("fake");
  for (std::string& word : words) spec.mutable_run()->add_command(std::move(word));
  spec.mutable_run()->set_workdir("/tmp");
  spec.mutable_run()->set_launcher(PER_NODE);
  spec.mutable_run()->set_ranks_per_node(1);
  (*spec.mutable_run()->mutable_environment())["A"] = "b";
  spec.mutable_preemption()->set_mode(PreemptionSpec::CHECKPOINT);
  spec.mutable_preemption()->set_grace_ms(5000);
  spec.mutable_preemption()->set_max_grace_ms(10'000);
  spec.mutable_retry()->add_on(NODE_FAIL);
  spec.mutable_retry()->set_max(3);
  spec.mutable_retry()->set_backoff_ms(100);
  return spec;
}

struct World {
  explicit World(std::size_t count, EngineOptions o = {.failure_timeout_ms = 500,
                                                       .launch_timeout_ms = 2000,
                                                       .settle_ms = 200,
                                                       .kill_timeout_ms = 500,
                                                       .cleanup_timeout_ms = 500})
      : options(o), engine(o, [this](Change change) { store(std::move(change)); }) {
    for (std::size_t i = 0; i < count; ++i) {
      const std::string name = fmt::format("n{}", i);
      nodes.emplace(name, FakeNode(name, "127.0.0.1:1", i + 1));
    }
    engine.begin(State(), ++epoch, now);
    run(50);
  }

  void store(Change change) {
    for (Write& write : change.writes) {
      if (write.value) {
        EXPECT_LE(write.value->size(), 1u << 20) << kv::printable_key(write.key);  // what etcd takes
        records[write.key] = *write.value;
      } else {
        records.erase(write.key);
      }
    }
    records[std::string(kHeaderKey)] = change.header;
    ++changes;
    if (on_change) on_change();
  }
  State read() const {
    State state;
    for (const auto& [key, value] : records) EXPECT_TRUE(read_record(key, value, state));
    EXPECT_TRUE(finish_reading(state));
    return state;
  }
  // The master stops at the last change and starts again from what is stored.
  void crash() { engine.begin(read(), ++epoch, now); }

  void deliver() {
    for (const std::string& name : engine.take_dirty_nodes()) {
      const ApplyRequest request = engine.orders(name, now);
      const auto node = nodes.find(name);
      if (node == nodes.end() || silent.contains(name) || lose(0)) continue;
      if (!node->second.apply(request, now)) continue;
      if (!lose(0)) (void)engine.report(node->second.report(now), now);
    }
  }
  bool lose(int) { return loss > 0 && rng.uniform() < loss; }
  void fifo() {
    const std::set<std::uint64_t> waiting = engine.queued();
    for (const std::uint64_t id : waiting) {
      const JobEntry& entry = *engine.job(id);
      Start start{.job = id};
      for (const auto& [name, node] : engine.state().nodes) {
        if (start.nodes.size() < entry.spec.resources().nodes() && engine.usable(node) && node.jobs.empty()) {
          start.nodes.push_back(name);
          start.shares.emplace_back();
        }
      }
      if (start.nodes.size() == entry.spec.resources().nodes()) EXPECT_TRUE(engine.start(start, now));
    }
  }
  void check() {
    for (const auto& [name, node] : nodes) {
      EXPECT_LE(node.running().size(), 1u) << name << " holds two attempts";
    }
  }
  void run(std::uint64_t ms) {
    for (const std::uint64_t end = now + ms; now < end; now += 10) {
      if (engine.next_tick_ms() <= now) engine.tick(now);
      if (schedule) fifo();
      for (auto& [name, node] : nodes)
        if (!silent.contains(name) && !lose(0)) (void)engine.report(node.report(now), now);
      deliver();
      check();
    }
  }
  std::uint64_t submit(const JobSpec& spec, const Actor& actor = kAlice) {
    SubmitRequest request;
    *request.add_jobs() = spec;
    auto ids = engine.submit(request, actor, now);
    EXPECT_TRUE(ids) << (ids ? "" : ids.error().message());
    return ids ? ids->front() : 0;
  }
  const Job& job(std::uint64_t id) const { return engine.job(id)->job(); }
  Result<> control(std::uint64_t id, ControlRequest::Verb verb, const Actor& actor = kAlice) {
    return engine.control(id, {.verb = verb}, actor, now);
  }

  EngineOptions options;
  std::map<std::string, std::string> records;
  std::uint64_t changes = 0, epoch = 0, now = 1'000'000;
  std::function<void()> on_change;
  std::map<std::string, FakeNode> nodes;
  std::set<std::string> silent;
  Rng rng{1};
  double loss = 0;
  bool schedule = true;
  Engine engine;
};

}  // namespace ff::ctl
