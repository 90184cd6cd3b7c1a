// A file system that asks for user tokens, whole and simulated: who gets what.
#include <gtest/gtest.h>

#include "ffs/client/file_system.hpp"
#include "ffs/daemon/daemon.hpp"
#include "ffs/meta/user_registry.hpp"
#include "ffs/mgmt/routing_client.hpp"
#include "libcommon/kv/memory_store.hpp"
#include "libcommon/testing/sim_env.hpp"
#include "libcommon/testing/sim_world.hpp"

namespace ff::ffs {
namespace {

using namespace std::chrono_literals;
using runtime::Task;
using testing::SimEnv;
using testing::SimWorld;

constexpr std::uint16_t kPort = 9601;

// One manager and two metadata services, without storage: for folders.
class TokenWorld final : public StoreOpener {
 public:
  explicit TokenWorld(bool require) : world_(1), kv_({.seed = 1, .clock = [this] { return world_.now(); }}) {
    file_.id.fill(std::byte{7});
    file_.failure_timeout = 1s;
    file_.require_tokens = require;
    for (std::uint64_t i = 0; i < 3; ++i) {
      ClusterNode& line = file_.nodes.emplace_back();
      nodes_.push_back(world_.add_node({.role = "daemon"}));
      line.id = NodeId{i + 1};
      line.address = world_.address(nodes_.back(), kPort);
      line.mgmtd = i == 0;
      line.metad = i != 0;
    }
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
      world_.start(nodes_[i], [this, i](SimEnv& env) -> Task<Result<>> {
        Daemon daemon(env, file_, file_.nodes[i], *this);
        FF_CO_TRY(co_await daemon.start());
        ++up_;
        runtime::Event never;
        co_return co_await never.wait();
      });
    }
    client_ = world_.add_node({.role = "client"});
    const auto up = world_.run_until([this] { return up_ == 3; }, 1min, "the daemons");
    EXPECT_TRUE(up.has_value()) << up.error().message();
  }

  Task<Result<std::unique_ptr<kv::KvStore>>> open(runtime::Env& env, StorePlace, std::string) override {
    co_return std::unique_ptr<kv::KvStore>(kv_.connect(env));
  }

  // A user, past the services, as root may before tokens are asked for; and a token of theirs.
  Task<Result<std::string>> token_of(SimEnv& env, std::string name, std::uint32_t uid, bool admin) {
    const auto store = kv_.connect(env);
    UserRegistry registry(env, *store);
    UserInfo user;
    user.set_name(name);
    user.set_uid(uid);
    user.set_gid(uid);
    user.set_admin(admin);
    FF_CO_TRY(co_await registry.add_user(user, false));
    const UserToken token = UserToken::generate();
    AddTokenRequest request;
    request.set_name(name);
    const net::Digest digest = token.digest();
    request.set_digest(digest.data(), digest.size());
    FF_CO_TRY(co_await registry.add_token(std::move(request)));
    co_await store->stop();
    co_return token.bytes();
  }

  // A client that claims to be root.
  [[clang::coro_wrapper]] Task<Result<std::unique_ptr<FileSystem>>> connect(SimEnv& env, std::string token = {}) {
    return FileSystem::connect(env, {.managers = file_.managers(),
                                     .cluster = cluster_bytes(file_),
                                     .caller = {.uid = 0, .gid = 0, .groups = {}, .token = std::move(token)},
                                     .timeout = 20s});
  }

  template <class Body>
  void run(Body body) {
    world_.start(client_, [this, body](SimEnv& env) -> Task<Result<>> { co_return co_await body(env, *this); });
    const auto ran = world_.run_until([this] { return world_.exited(client_); }, 10min, "the client");
    ASSERT_TRUE(ran.has_value()) << ran.error().message();
    const Result<>& result = world_.exit_result(client_);
    ASSERT_TRUE(result.has_value()) << result.error().message();
  }

  SimWorld& world() { return world_; }
  testing::NodeId node(std::size_t index) const { return nodes_[index]; }

 private:
  SimWorld world_;
  kv::MemoryCluster kv_;
  ClusterFile file_;
  std::vector<testing::NodeId> nodes_;
  testing::NodeId client_{};
  int up_ = 0;
};

// What the namespace answers, all of it, to a client.
Task<std::vector<Error>> refusals(FileSystem& fs) {
  std::vector<Error> out;
  const auto note = [&](const auto& result) {
    if (!result) out.push_back(result.error());
  };
  note(co_await fs.meta().stat({}));
  note(co_await fs.meta().batch_stat({}));
  note(co_await fs.meta().list({}));
  note(co_await fs.meta().open({}));
  note(co_await fs.meta().close({}));
  note(co_await fs.meta().make_directory({}));
  note(co_await fs.meta().make_symlink({}));
  note(co_await fs.meta().link({}));
  note(co_await fs.meta().remove({}));
  note(co_await fs.meta().rename({}));
  note(co_await fs.meta().set_attributes({}));
  note(co_await fs.meta().truncate({}));
  note(co_await fs.meta().xattr({}));
  note(co_await fs.meta().quota({}));
  note(co_await fs.meta().stat_fs());
  note(co_await fs.meta().add_user({}));
  note(co_await fs.meta().remove_user({}));
  note(co_await fs.meta().list_users({}));
  note(co_await fs.meta().add_token({}));
  note(co_await fs.meta().list_tokens({}));
  note(co_await fs.meta().revoke_token({}));
  note(co_await fs.meta().identify());
  co_return out;
}

constexpr std::size_t kAllCalls = 22;

TEST(Tokens, WithoutOneNothingIsAnswered) {
  TokenWorld world(true);
  world.run([](SimEnv& env, TokenWorld& w) -> Task<Result<>> {
    for (const std::string& token : {std::string(), UserToken::generate().bytes(), std::string("short")}) {
      FF_CO_TRY_ASSIGN(const auto fs, co_await w.connect(env, token));
      const std::vector<Error> refused = co_await refusals(*fs);
      EXPECT_EQ(refused.size(), kAllCalls);
      for (const Error& error : refused) EXPECT_EQ(error.code(), Errc::kPermission) << error.message();
      co_await fs->stop();
    }
    co_return {};
  });
}

TEST(Tokens, DecideWhoeverTheClientClaimsToBe) {
  TokenWorld world(true);
  world.run([](SimEnv& env, TokenWorld& w) -> Task<Result<>> {
    FF_CO_TRY_ASSIGN(const std::string root, co_await w.token_of(env, "root", 0, false));
    FF_CO_TRY_ASSIGN(const std::string ann, co_await w.token_of(env, "ann", 10, false));
    FF_CO_TRY_ASSIGN(const std::string bob, co_await w.token_of(env, "bob", 11, false));
    FF_CO_TRY_ASSIGN(const auto as_root, co_await w.connect(env, root));
    FF_CO_TRY_ASSIGN(const auto as_ann, co_await w.connect(env, ann));
    FF_CO_TRY_ASSIGN(const auto as_bob, co_await w.connect(env, bob));
    MakeDirectoryRequest make;
    *make.mutable_where() = at("/open");
    make.set_mode(0777);
    FF_CO_TRY(co_await as_root->meta().make_directory(make));
    *make.mutable_where() = at("/open/secret");
    make.set_mode(0700);
    FF_CO_TRY_ASSIGN(const EntryReply mine, co_await as_ann->meta().make_directory(make));
    EXPECT_EQ(mine.attributes().uid(), 10u) << "and not the 0 that was claimed";
    const auto read = co_await as_bob->list("/open/secret", false, [](const Entry&) { return true; });
    EXPECT_EQ(read.has_value() ? 0 : read.error().sys_errno(), EACCES);
    RemoveRequest remove;
    *remove.mutable_where() = at("/open");
    remove.set_directory(true);
    remove.set_recursive(true);
    const auto removed = co_await as_bob->meta().remove(remove);
    EXPECT_EQ(removed.has_value() ? 0 : removed.error().sys_errno(), EACCES) << "no root by claim";
    FF_CO_TRY_ASSIGN(const IdentifyReply who, co_await as_bob->meta().identify());
    EXPECT_EQ(who.name(), "bob");
    for (const auto* const fs : {&as_root, &as_ann, &as_bob}) co_await (*fs)->stop();
    co_return {};
  });
}

TEST(Tokens, OfAdministratorsAloneChangeUsersAndTheCluster) {
  TokenWorld world(true);
  world.run([](SimEnv& env, TokenWorld& w) -> Task<Result<>> {
    FF_CO_TRY_ASSIGN(const std::string ops, co_await w.token_of(env, "ops", 20, true));
    FF_CO_TRY_ASSIGN(const std::string ann, co_await w.token_of(env, "ann", 10, false));
    FF_CO_TRY_ASSIGN(const auto as_ops, co_await w.connect(env, ops));
    SetConfigRequest config;
    config.set_role(ROLE_STORED);
    config.set_yaml("a: 1");
    for (const std::string& token : {std::string(), ann, UserToken::generate().bytes(), std::string(1000, 'x')}) {
      FF_CO_TRY_ASSIGN(const auto fs, co_await w.connect(env, token));
      const auto code = [](const auto& result) { return result ? Errc::kInternal : result.error().code(); };
      EXPECT_EQ(code(co_await fs->manager().set_config(config)), Errc::kPermission);
      EXPECT_EQ(code(co_await fs->manager().set_node({})), Errc::kPermission);
      EXPECT_EQ(code(co_await fs->manager().set_target({})), Errc::kPermission);
      EXPECT_EQ(code(co_await fs->manager().update_chain({})), Errc::kPermission);
      EXPECT_EQ(code(co_await fs->manager().install_chains({})), Errc::kPermission);
      EXPECT_EQ(code(co_await fs->meta().list_users({})), Errc::kPermission);
      RevokeTokenRequest revoke;
      revoke.set_token(token_number(token_digest(ops)));
      EXPECT_EQ(code(co_await fs->meta().revoke_token(revoke)), Errc::kPermission);
      EXPECT_TRUE((co_await fs->manager().fetch()).has_value()) << "the routing is everybody's";
      co_await fs->stop();
    }
    FF_CO_TRY(co_await as_ops->manager().set_config(config));
    FF_CO_TRY_ASSIGN(const ListUsersReply users, co_await as_ops->meta().list_users({}));
    EXPECT_EQ(users.users_size(), 2);
    // An administrator is no root of files.
    MakeDirectoryRequest make;
    *make.mutable_where() = at("/ops");
    const auto made = co_await as_ops->meta().make_directory(make);
    EXPECT_EQ(made.has_value() ? 0 : made.error().sys_errno(), EACCES);
    // Who it is, the other metadata service can tell as well; without any, nobody can.
    w.world().kill(w.node(1));
    config.set_yaml("a: 2");
    FF_CO_TRY(co_await as_ops->manager().set_config(config, 2min));
    w.world().kill(w.node(2));
    config.set_yaml("a: 3");
    const auto untold = co_await as_ops->manager().set_config(config, 10s);
    EXPECT_EQ(untold.has_value() ? Errc::kInternal : untold.error().code(), Errc::kUnavailable);
    co_await as_ops->stop();
    co_return {};
  });
}

TEST(Tokens, ThatAreRevokedEndAtEveryService) {
  TokenWorld world(true);
  world.run([](SimEnv& env, TokenWorld& w) -> Task<Result<>> {
    FF_CO_TRY_ASSIGN(const std::string ops, co_await w.token_of(env, "ops", 0, true));
    FF_CO_TRY_ASSIGN(const std::string ann, co_await w.token_of(env, "ann", 10, false));
    FF_CO_TRY_ASSIGN(const std::string bob, co_await w.token_of(env, "bob", 11, false));
    FF_CO_TRY_ASSIGN(const auto as_ops, co_await w.connect(env, ops));
    std::vector<std::unique_ptr<FileSystem>> users;  // several of each, so that both services remember both
    for (int i = 0; i < 16; ++i) {
      FF_CO_TRY_ASSIGN(users.emplace_back(), co_await w.connect(env, i % 2 == 0 ? ann : bob));
      const auto seen = co_await users.back()->stat("/");
      EXPECT_TRUE(seen.has_value()) << seen.error().message();
    }
    RevokeTokenRequest revoke;
    revoke.set_token(token_number(token_digest(ann)));
    FF_CO_TRY_ASSIGN(const RevokeTokenReply reply, co_await as_ops->meta().revoke_token(revoke));
    EXPECT_TRUE(reply.revoked());
    FF_CO_TRY(co_await runtime::sleep(2s));
    for (int i = 0; i < 16; i += 2) {
      const auto refused = co_await users[static_cast<std::size_t>(i)]->stat("/");
      EXPECT_EQ(refused.has_value() ? Errc::kInternal : refused.error().code(), Errc::kPermission);
    }
    EXPECT_TRUE((co_await users[1]->stat("/")).has_value());
    for (const auto& fs : users) co_await fs->stop();
    co_await as_ops->stop();
    co_return {};
  });
}

TEST(Tokens, ThatNobodyAsksForStillCountWhenShown) {
  TokenWorld world(false);
  world.run([](SimEnv& env, TokenWorld& w) -> Task<Result<>> {
    FF_CO_TRY_ASSIGN(const std::string ann, co_await w.token_of(env, "ann", 10, false));
    FF_CO_TRY_ASSIGN(const auto claims_root, co_await w.connect(env));
    FF_CO_TRY_ASSIGN(const auto as_ann, co_await w.connect(env, ann));
    FF_CO_TRY_ASSIGN(const auto wrong, co_await w.connect(env, UserToken::generate().bytes()));
    MakeDirectoryRequest make;
    *make.mutable_where() = at("/a");
    FF_CO_TRY(co_await claims_root->meta().make_directory(make));
    FF_CO_TRY(co_await claims_root->meta().list_users({}));
    SetConfigRequest config;
    config.set_role(ROLE_STORED);
    FF_CO_TRY(co_await claims_root->manager().set_config(config));
    *make.mutable_where() = at("/b");
    const auto made = co_await as_ann->meta().make_directory(make);
    EXPECT_EQ(made.has_value() ? 0 : made.error().sys_errno(), EACCES);
    EXPECT_EQ((co_await refusals(*wrong)).size(), kAllCalls);
    for (const auto* const fs : {&claims_root, &as_ann, &wrong}) co_await (*fs)->stop();
    co_return {};
  });
}

}  // namespace
}  // namespace ff::ffs
