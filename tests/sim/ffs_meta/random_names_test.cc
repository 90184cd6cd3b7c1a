// Random histories on a namespace whose store conflicts without reason and is often unsure of its commits.
//
// Alone      One client, against a reference that is a map of paths: every errno and every attribute must agree, and
//            after each history the whole store must be sound.
// Together   Several services on one store, with clients that hunt for rename cycles and lost links in a few names;
// they
//            are killed at any await; afterwards another service does the housekeeping, and the store must be sound.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <map>

#include "libcommon/kv/memory_store.hpp"
#include "libcommon/testing/seeds.hpp"
#include "libcommon/testing/sim_env.hpp"
#include "tests/unit/ffs/meta/meta_world.hpp"

namespace ff::ffs {
namespace {

using namespace std::chrono_literals;
using runtime::Task;
using testing::run_seeds;
using testing::SimEnv;
using testing::SimWorld;

// ---- the reference -------------------------------------------------------------------------------------------------

// Two levels of directories and files with hard links: paths to inode numbers of its own.
class Reference {
 public:
  struct Node {
    bool directory = false;
    int links = 1;
  };
  std::map<std::string, int> entries{{"", 0}};  // "" is the root; "/a/b"
  std::map<int, Node> nodes{{0, {true, 1}}};

  static std::string parent(const std::string& at) { return at.substr(0, at.rfind('/')); }
  const Node* find(const std::string& at) const {
    const auto entry = entries.find(at);
    return entry == entries.end() ? nullptr : &nodes.at(entry->second);
  }
  // What walking to the parent answers.
  int way(const std::string& at) const {
    const Node* above = find(parent(at));
    if (above != nullptr) return above->directory ? 0 : ENOTDIR;
    return way(parent(at)) != 0 ? way(parent(at)) : ENOENT;
  }
  bool empty(const std::string& at) const {
    const auto next = entries.lower_bound(at + "/");
    return next == entries.end() || !next->first.starts_with(at + "/");
  }
  int make(const std::string& at, bool directory) {
    if (const int failed = way(at); failed != 0) return failed;
    if (find(at) != nullptr) return EEXIST;
    entries[at] = ++last_;
    nodes[last_] = {directory, 1};
    return 0;
  }
  int link(const std::string& from, const std::string& to) {
    if (const int failed = way(from); failed != 0) return failed;
    if (find(from) == nullptr) return ENOENT;
    if (const int failed = way(to); failed != 0) return failed;
    if (find(to) != nullptr) return EEXIST;
    if (find(from)->directory) return EPERM;
    ++nodes[entries[from]].links;
    entries[to] = entries[from];
    return 0;
  }
  void drop(const std::string& at) {
    const int id = entries.at(at);
    entries.erase(at);
    if (--nodes[id].links == 0) nodes.erase(id);
  }
  int remove(const std::string& at, bool directory) {
    if (const int failed = way(at); failed != 0) return failed;
    if (find(at) == nullptr) return ENOENT;
    if (directory && !find(at)->directory) return ENOTDIR;
    if (!directory && find(at)->directory) return EISDIR;
    if (directory && !empty(at)) return ENOTEMPTY;
    drop(at);
    return 0;
  }
  int rename(const std::string& from, const std::string& to, bool no_replace) {
    if (const int failed = way(from); failed != 0) return failed;
    if (find(from) == nullptr) return ENOENT;
    if (const int failed = way(to); failed != 0) return failed;
    if (find(to) != nullptr && no_replace) return EEXIST;
    if (find(to) != nullptr && entries[from] == entries[to]) return 0;
    const bool directory = find(from)->directory;
    if (directory && to.starts_with(from + "/")) return EINVAL;
    if (find(to) != nullptr) {
      if (directory && !find(to)->directory) return ENOTDIR;
      if (!directory && find(to)->directory) return EISDIR;
      if (directory && !empty(to)) return ENOTEMPTY;
      drop(to);
    }
    std::map<std::string, int> moved;
    for (auto at = entries.begin(); at != entries.end();) {
      if (at->first == from || at->first.starts_with(from + "/")) {
        moved[to + at->first.substr(from.size())] = at->second;
        at = entries.erase(at);
      } else {
        ++at;
      }
    }
    entries.merge(moved);
    return 0;
  }

 private:
  int last_ = 0;
};

std::string random_path(Rng& rng) {
  std::string at;
  const std::uint64_t depth = 1 + rng.below(3);
  for (std::uint64_t i = 0; i < depth; ++i) at += std::string("/") + static_cast<char>('a' + rng.below(3));
  return at;
}

Tag tag_of(std::uint64_t client, std::uint64_t& sequence) {
  Tag tag;
  tag.set_client(client);
  tag.set_sequence(++sequence);
  return tag;
}

int posix_of(const Error& error) { return error.sys_errno(); }

struct Step {
  std::string what, from, to;
  int kind = 0;
  bool flag = false;
};

Step random_step(Rng& rng) {
  static constexpr const char* kNames[] = {"mkdir", "create", "link", "unlink", "rmdir", "rename", "rename"};
  Step step;
  step.kind = static_cast<int>(rng.below(7));
  step.from = random_path(rng);
  step.to = random_path(rng);
  step.flag = rng.below(4) == 0;
  step.what = fmt::format("{} {} {}{}", kNames[step.kind], step.from, step.to, step.flag ? " !" : "");
  return step;
}

int expected(Reference& reference, const Step& step) {
  switch (step.kind) {
    case 0:
    case 1: return reference.make(step.from, step.kind == 0);
    case 2: return reference.link(step.from, step.to);
    case 3:
    case 4: return reference.remove(step.from, step.kind == 4);
    default: return reference.rename(step.from, step.to, step.flag);
  }
}

// An errno; an error of the store is an error.
template <class Reply>
Result<int> answer(const Result<Reply>& reply) {
  if (reply) return 0;
  if (!is_posix(reply.error())) return fail(reply.error());
  return posix_of(reply.error());
}

Task<Result<int>> carry_out(Namespace& names, Step step, Tag tag) {
  switch (step.kind) {
    case 0: {
      MakeDirectoryRequest request;
      *request.mutable_where() = path(step.from);
      request.set_mode(0755);
      *request.mutable_request() = tag;
      co_return answer(co_await names.make_directory(std::move(request)));
    }
    case 1: {
      OpenRequest request;
      *request.mutable_where() = path(step.from);
      request.set_read(true);
      request.set_create(true);
      request.set_exclusive(true);
      request.set_mode(0644);
      *request.mutable_request() = tag;
      co_return answer(co_await names.open(std::move(request)));
    }
    case 2: {
      LinkRequest request;
      *request.mutable_from() = path(step.from);
      *request.mutable_to() = path(step.to);
      *request.mutable_request() = tag;
      co_return answer(co_await names.link(std::move(request)));
    }
    case 3:
    case 4: {
      RemoveRequest request;
      *request.mutable_where() = path(step.from);
      request.set_directory(step.kind == 4);
      *request.mutable_request() = tag;
      co_return answer(co_await names.remove(std::move(request)));
    }
    default: {
      RenameRequest request;
      *request.mutable_from() = path(step.from);
      *request.mutable_to() = path(step.to);
      request.set_no_replace(step.flag);
      *request.mutable_request() = tag;
      co_return answer(co_await names.rename(std::move(request)));
    }
  }
}

void make_unsure(kv::MemoryStore& store) {
  store.faults().conflict = 0.1;
  store.faults().maybe_committed = 0.15;
  store.faults().late_max = 20ms;
  store.faults().delay_max = 1ms;
}

// ---- alone ---------------------------------------------------------------------------------------------------------

Task<Result<>> compare_alone(SimEnv& env, kv::MemoryCluster& cluster, FakeChunks& chunks) {
  const auto store = cluster.connect(env);
  make_unsure(*store);
  Namespace names(env, *store, chunks, MetaWorld::small_options());
  FF_CO_TRY(co_await names.prepare());
  Reference reference;
  std::uint64_t sequence = 0;
  for (int i = 0; i < 120; ++i) {
    const Step step = random_step(env.rng());
    const int wanted = expected(reference, step);
    FF_CO_TRY_ASSIGN(const int got, co_await carry_out(names, step, tag_of(1, sequence)));
    if (got != wanted) {
      co_return fail(Errc::kInternal, fmt::format("step {} '{}': errno {}, should be {}", i, step.what, got, wanted));
    }
  }
  std::map<std::string, int> entries = reference.entries;
  for (const auto& [at, id] : entries) {
    if (at.empty()) continue;
    StatRequest request;
    *request.mutable_where() = path(at);
    FF_CO_TRY_ASSIGN(const StatReply reply, co_await names.stat(std::move(request)));
    const Reference::Node& node = reference.nodes.at(id);
    if ((reply.attributes().type() == DIRECTORY) != node.directory) co_return fail(Errc::kInternal, at + ": type");
    if (!node.directory && reply.attributes().links() != static_cast<std::uint64_t>(node.links)) {
      co_return fail(Errc::kInternal,
                     fmt::format("{}: {} links, should be {}", at, reply.attributes().links(), node.links));
    }
  }
  store->faults() = {};
  FF_CO_TRY(co_await runtime::sleep(100ms));  // late commits
  FF_CO_TRY_ASSIGN(const auto problems, co_await check_namespace(*store, chunks, false));
  if (!problems.empty()) co_return fail(Errc::kInternal, problems.front());
  co_await store->stop();
  co_return {};
}

Result<> alone(SimWorld& world) {
  kv::MemoryCluster cluster({.seed = world.seed(), .clock = [&world] { return world.now(); }});
  FakeChunks chunks;
  const auto node = world.add_node();
  world.start(node, [&](SimEnv& env) -> Task<Result<>> { co_return co_await compare_alone(env, cluster, chunks); });
  FF_TRY(world.run_until([&] { return world.exited(node); }, 600s, "the history"));
  return world.exit_result(node);
}

TEST(RandomNames, AgreeWithTheReference) {
  const auto run = run_seeds("RandomNames.AgreeWithTheReference", 1, 60, alone);
  EXPECT_TRUE(run.ok()) << run.report;
}

// ---- together ------------------------------------------------------------------------------------------------------

Task<Result<>> hunt(SimEnv& env, kv::MemoryCluster& cluster, FakeChunks& chunks, std::uint64_t client) {
  const auto store = cluster.connect(env);
  make_unsure(*store);
  Namespace names(env, *store, chunks, MetaWorld::small_options());
  FF_CO_TRY(co_await names.prepare());
  FakeSessions nobody;
  Housekeeping keeping(names, nobody, MetaWorld::at_once());
  std::uint64_t sequence = env.rng().below(1u << 30);
  for (int i = 0; i < 60; ++i) {
    if (env.rng().below(6) == 0) {
      const std::string at = random_path(env.rng());
      OpenRequest open;
      *open.mutable_where() = path(at);
      open.set_write(true);
      open.set_client(client);
      open.set_truncate(env.rng().below(2) == 0);
      *open.mutable_request() = tag_of(client, sequence);
      const auto opened = co_await names.open(std::move(open));
      if (!opened) continue;
      const InodeId inode{opened->attributes().inode()};
      // The client writes at once: nothing waits between the answer and the acknowledged write.
      const bool written = opened->attributes().inlined() ? false
                                                          : chunks.write(inode, env.rng().below(100), "data",
                                                                         opened->attributes().truncate_epoch());
      CloseRequest close;
      close.set_client(client);
      close.set_inode(opened->attributes().inode());
      close.set_handle(opened->handle());
      close.set_close(env.rng().below(4) != 0);
      close.set_wrote(true);
      close.set_leave_inline(opened->attributes().inlined());
      close.set_inline_version(opened->attributes().version());
      close.set_length_seen(written ? 104 : 0);
      close.set_truncate_epoch(opened->attributes().truncate_epoch());
      *close.mutable_request() = tag_of(client, sequence);
      (void)co_await names.close(std::move(close));
    } else if (env.rng().below(12) == 0) {
      RemoveRequest remove;
      *remove.mutable_where() = path(random_path(env.rng()));
      remove.set_recursive(true);
      remove.set_to_trash(env.rng().below(3) == 0);
      *remove.mutable_request() = tag_of(client, sequence);
      (void)co_await names.remove(std::move(remove));
    } else if (env.rng().below(15) == 0) {
      (void)co_await keeping.collect_garbage();
    } else {
      (void)co_await carry_out(names, random_step(env.rng()), tag_of(client, sequence));
    }
  }
  co_await store->stop();
  co_return {};
}

Task<Result<>> clean_up(SimEnv& env, kv::MemoryCluster& cluster, FakeChunks& chunks) {
  // Late commits; and the wall clocks of nodes differ, by which things become due.
  FF_CO_TRY(co_await runtime::sleep(2h));
  const auto store = cluster.connect(env);
  Namespace names(env, *store, chunks, MetaWorld::small_options());
  FF_CO_TRY(co_await names.prepare());
  FF_CO_TRY_ASSIGN(const auto before, co_await check_namespace(*store, chunks, false));
  if (!before.empty()) co_return fail(Errc::kInternal, "before cleaning: " + before.front());
  FakeSessions nobody;
  Housekeeping keeping(names, nobody, MetaWorld::at_once());
  for (int i = 0; i < 4; ++i) {
    FF_CO_TRY(co_await keeping.finish_truncates());
    FF_CO_TRY(co_await keeping.prune_sessions());
    FF_CO_TRY(co_await keeping.collect_garbage());
  }
  FF_CO_TRY_ASSIGN(const auto after, co_await check_namespace(*store, chunks, true));
  if (!after.empty()) co_return fail(Errc::kInternal, fmt::format("after cleaning: {}", fmt::join(after, "; ")));
  co_await store->stop();
  co_return {};
}

Result<> together(SimWorld& world) {
  kv::MemoryCluster cluster({.seed = world.seed(), .clock = [&world] { return world.now(); }});
  FakeChunks chunks;
  chunks.slow = 300us;
  std::vector<testing::NodeId> nodes;
  for (std::uint64_t i = 0; i < 3; ++i) {
    nodes.push_back(world.add_node());
    world.start(nodes.back(),
                [&, i](SimEnv& env) -> Task<Result<>> { co_return co_await hunt(env, cluster, chunks, 100 + i); });
  }
  // Each is killed once, somewhere, and begins anew.
  for (const auto node : nodes) {
    world.after(std::chrono::microseconds(world.rng().below(400'000)), [&world, node] {
      if (world.up(node)) world.restart(node);
    });
  }
  const auto all_done = [&] { return std::ranges::all_of(nodes, [&](auto node) { return world.exited(node); }); };
  FF_TRY(world.run_for(500ms));
  FF_TRY(world.run_until(all_done, 600s, "the histories"));
  const auto last = world.add_node();
  world.start(last, [&](SimEnv& env) -> Task<Result<>> { co_return co_await clean_up(env, cluster, chunks); });
  FF_TRY(world.run_until([&] { return world.exited(last); }, 3h, "cleaning up"));
  return world.exit_result(last);
}

TEST(RandomNames, StaySoundTogetherAndUnderKills) {
  const auto run = run_seeds("RandomNames.StaySoundTogetherAndUnderKills", 1, 60, together);
  EXPECT_TRUE(run.ok()) << run.report;
}

}  // namespace
}  // namespace ff::ffs
