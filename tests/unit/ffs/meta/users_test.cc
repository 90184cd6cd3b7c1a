// Users and tokens: what is a token, who may be added, and what a service remembers of them for how long.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <optional>

#include "ffs/meta/identities.hpp"
#include "ffs/meta/keys.hpp"
#include "tests/unit/ffs/meta/meta_world.hpp"

namespace ff::ffs {
namespace {

using namespace std::chrono_literals;

class UsersWorld {
 public:
  explicit UsersWorld(IdentitiesOptions options = {.required = true})
      : engine_(make_memory_engine()),
        registry(engine_->env(), engine_->store()),
        identities(engine_->env(), registry, options) {}

  template <class T>
  Result<T> sync(runtime::Task<Result<T>> task) {
    std::optional<Result<T>> out;
    engine_->run(store_result(std::move(task), out));
    return std::move(*out);
  }
  void pass(runtime::Duration time) {
    engine_->run(
        [](runtime::Duration wait) -> runtime::Task<Result<>> { co_return co_await runtime::sleep(wait); }(time));
  }

  std::optional<Errc> add(std::string name, std::uint32_t uid, bool admin = false, bool replace = false,
                          std::vector<std::uint32_t> groups = {}) {
    UserInfo user;
    user.set_name(std::move(name));
    user.set_uid(uid);
    user.set_gid(uid + 1);
    user.mutable_groups()->Assign(groups.begin(), groups.end());
    user.set_admin(admin);
    return code(sync(registry.add_user(user, replace)));
  }
  Result<TokenInfo> give(const std::string& name, const UserToken& token, std::uint64_t seconds = 0) {
    return sync(registry.add_token(request(name, token, seconds)));
  }
  static AddTokenRequest request(const std::string& name, const UserToken& token, std::uint64_t seconds = 0) {
    AddTokenRequest request;
    request.set_name(name);
    const net::Digest digest = token.digest();
    request.set_digest(digest.data(), digest.size());
    request.set_valid_seconds(seconds);
    return request;
  }
  // Who shows the token, and claims to be root.
  static User shows(std::string token) {
    User user;
    user.set_token(std::move(token));
    return user;
  }
  std::optional<Errc> admit(const std::string& token, User* who = nullptr) {
    User user = shows(token);
    const std::optional<Errc> code = this->code(sync(identities.admit(user)));
    if (who != nullptr) *who = user;
    return code;
  }
  template <class T>
  std::optional<Errc> code(const Result<T>& result) {
    message = result ? "" : result.error().message();
    if (result) return kNone;
    return result.error().code();
  }

  static constexpr std::optional<Errc> kNone = {};  // of what succeeded

 private:
  std::unique_ptr<MetaEngine> engine_;

 public:
  MetaEngine& engine() { return *engine_; }
  UserRegistry registry;
  Identities identities;
  std::string message;

 private:
  template <class T>
  static runtime::Task<Result<>> store_result(runtime::Task<Result<T>> task, std::optional<Result<T>>& out) {
    out = co_await std::move(task);
    co_return {};
  }
};

constexpr std::optional<Errc> kDone = UsersWorld::kNone;

TEST(UserToken, IsTextAndBackAndItsFileIsPrivate) {
  const UserToken token = UserToken::generate();
  const std::string text = token.text();
  for (const std::string& good : {text, text + "\n"}) {
    const auto read = UserToken::parse(good);
    ASSERT_TRUE(read.has_value());
    EXPECT_EQ(read->bytes(), token.bytes());
  }
  EXPECT_NE(UserToken::generate().bytes(), token.bytes());
  std::string upper = text;
  upper.back() = 'F';
  for (const std::string& bad : {std::string(), text.substr(1), text.substr(0, text.size() - 1), text + "0",
                                 text + "\n\n", upper, std::string(1 << 20, 'a'), text + std::string(1 << 20, '0')}) {
    const auto read = UserToken::parse(bad);
    ASSERT_FALSE(read.has_value());
    EXPECT_EQ(read.error().code(), Errc::kInvalidArgument);
    EXPECT_EQ(read.error().message().find(text.substr(20, 20)), std::string::npos) << "tells what it holds";
  }

  const std::string path = ::testing::TempDir() + "/user.token";
  std::filesystem::remove(path);
  ASSERT_TRUE(token.create_file(path).has_value());
  struct stat about{};
  ASSERT_EQ(::stat(path.c_str(), &about), 0);
  EXPECT_EQ(about.st_mode & 07777, 0600u);
  ASSERT_TRUE(UserToken::load(path).has_value());
  EXPECT_EQ(token.create_file(path).error().code(), Errc::kAlreadyExists);
  for (const mode_t open : {0640u, 0604u, 0660u}) {
    ASSERT_EQ(::chmod(path.c_str(), open), 0);
    EXPECT_EQ(UserToken::load(path).error().code(), Errc::kPermission);
  }
  ASSERT_EQ(::chmod(path.c_str(), 0600), 0);
  std::ofstream(path, std::ios::app) << "more";
  EXPECT_EQ(UserToken::load(path).error().code(), Errc::kInvalidArgument);
  const auto shown = UserToken::load(text);
  EXPECT_EQ(shown.error().code(), Errc::kInvalidArgument) << "a token in the place of a file";
  EXPECT_EQ(shown.error().message().find(text.substr(20, 20)), std::string::npos);
  EXPECT_EQ(UserToken::load(path + ".none").error().code(), Errc::kNotFound);
}

TEST(UserToken, NumbersAreSixteenDigits) {
  const auto number = parse_token_number(token_number_text(0x0123456789abcdef));
  ASSERT_TRUE(number.has_value());
  EXPECT_EQ(*number, 0x0123456789abcdefu);
  for (const char* const bad : {"", "0", "0123456789abcdeg", "0123456789abcdef0", "-123456789abcdef"})
    EXPECT_FALSE(parse_token_number(bad).has_value()) << bad;
}

TEST(UserRegistry, KeepsUsersAndRefusesWhatIsNone) {
  UsersWorld world;
  EXPECT_EQ(world.add("ann", 10), kDone);
  EXPECT_EQ(world.add("ann", 10), kDone) << "a repeated request";
  EXPECT_EQ(world.add("ann", 11), Errc::kAlreadyExists);
  EXPECT_EQ(world.add("ann", 11, true, true, {5, 6}), kDone);
  EXPECT_EQ(world.add("Bob_2.x-y", 12), kDone);
  for (const std::string& bad :
       {std::string(), std::string("a/b"), std::string("-a"), std::string(".a"), std::string("a b"),
        std::string("a\0b", 3), std::string(33, 'a'), std::string(1 << 20, 'a')})
    EXPECT_EQ(world.add(bad, 1), Errc::kInvalidArgument) << bad.substr(0, 40);
  EXPECT_LT(world.message.size(), 300u) << "a hostile name is not repeated whole";
  EXPECT_EQ(world.add("eve", 0xffffffff), Errc::kInvalidArgument);
  EXPECT_EQ(world.add("eve", 1, false, false, std::vector<std::uint32_t>(65, 7)), Errc::kInvalidArgument);
  EXPECT_EQ(world.add("eve", 1, false, false, {0xffffffff}), Errc::kInvalidArgument);

  const auto listed = world.sync(world.registry.list_users("", 1));
  ASSERT_TRUE(listed.has_value());
  ASSERT_EQ(listed->users_size(), 1);
  EXPECT_TRUE(listed->more());
  EXPECT_EQ(listed->users(0).name(), "Bob_2.x-y");
  const auto rest = world.sync(world.registry.list_users("Bob_2.x-y", 0));
  ASSERT_EQ(rest->users_size(), 1);
  EXPECT_EQ(rest->users(0).uid(), 11u);
  EXPECT_EQ(rest->users(0).groups_size(), 2);
  EXPECT_TRUE(rest->users(0).admin());
}

TEST(UserRegistry, KeepsDigestsAlone) {
  UsersWorld world;
  ASSERT_EQ(world.add("ann", 10), kDone);
  const UserToken token = UserToken::generate();
  ASSERT_TRUE(world.give("ann", token).has_value());
  const auto stored =
      world.sync(kv::transact(world.engine().env(), world.engine().store(), {},
                              [](kv::Transaction& transaction) -> runtime::Task<Result<kv::RangeResult>> {
                                co_return co_await transaction.get_range(kv::prefix_range("fs/"), {});
                              }));
  ASSERT_TRUE(stored.has_value());
  EXPECT_EQ(stored->pairs.size(), 2u);
  for (const kv::KeyValue& pair : stored->pairs) {
    EXPECT_EQ((pair.key + pair.value).find(token.bytes()), std::string::npos);
    EXPECT_EQ((pair.key + pair.value).find(token.text()), std::string::npos);
  }
}

TEST(UserRegistry, BoundsTokensAndMakesRoomOfThoseThatExpired) {
  UsersWorld world;
  const UserToken lost = UserToken::generate();
  EXPECT_EQ(world.code(world.give("ann", lost)), Errc::kNotFound);
  ASSERT_EQ(world.add("ann", 10), kDone);
  ASSERT_EQ(world.add("bob", 11), kDone);
  ASSERT_TRUE(world.give("ann", lost, 60).has_value());
  const auto again = world.give("ann", lost, 3600);
  ASSERT_TRUE(again.has_value()) << "a repeated request";
  EXPECT_EQ(again->expires().seconds() - again->created().seconds(), 60);
  EXPECT_EQ(world.code(world.give("bob", lost)), Errc::kAlreadyExists);
  for (int i = 1; i < kTokensOfUser; ++i) ASSERT_TRUE(world.give("ann", UserToken::generate()).has_value());
  EXPECT_EQ(world.code(world.give("ann", UserToken::generate())), Errc::kExhausted);
  world.pass(61s);
  EXPECT_TRUE(world.sync(world.registry.list_tokens("ann", 0, 0))->tokens_size() == kTokensOfUser);
  const auto fits = world.give("ann", UserToken::generate());
  ASSERT_TRUE(fits.has_value()) << "the expired one makes room";
  EXPECT_FALSE((*world.sync(world.registry.find(lost.digest()))).has_value());

  const auto revoked = world.sync(world.registry.revoke_token(fits->token()));
  EXPECT_TRUE(revoked->revoked());
  EXPECT_FALSE(world.sync(world.registry.revoke_token(fits->token()))->revoked());
  ASSERT_TRUE(world.give("bob", UserToken::generate()).has_value());
  EXPECT_EQ(world.sync(world.registry.list_tokens("", 0, 0))->tokens_size(), kTokensOfUser);
  const auto removed = world.sync(world.registry.remove_user("ann"));
  EXPECT_EQ(removed->tokens(), static_cast<std::uint32_t>(kTokensOfUser - 1));
  EXPECT_FALSE(world.sync(world.registry.remove_user("ann"))->removed());
  EXPECT_EQ(world.sync(world.registry.list_tokens("", 0, 0))->tokens_size(), 1) << "bob's stays";

  AddTokenRequest bad = UsersWorld::request("bob", lost);
  bad.set_digest(std::string(31, 'x'));
  EXPECT_EQ(world.code(world.sync(world.registry.add_token(bad))), Errc::kInvalidArgument);
  bad = UsersWorld::request("bob", lost, kTokenValidSecondsMax + 1);
  EXPECT_EQ(world.code(world.sync(world.registry.add_token(bad))), Errc::kInvalidArgument);
  bad = UsersWorld::request("bob", lost);
  bad.set_label(std::string(101, 'x'));
  EXPECT_EQ(world.code(world.sync(world.registry.add_token(bad))), Errc::kInvalidArgument);
  bad.set_label("a\nb");
  EXPECT_EQ(world.code(world.sync(world.registry.add_token(bad))), Errc::kInvalidArgument);
}

TEST(UserRegistry, TellsWhatACommitInDoubtHasDone) {
  UsersWorld world;
  ASSERT_EQ(world.add("ann", 10), kDone);
  const auto token = world.give("ann", UserToken::generate());
  ASSERT_TRUE(world.engine().next_commit_in_doubt(true));
  EXPECT_TRUE(world.sync(world.registry.revoke_token(token->token()))->revoked());
  ASSERT_TRUE(world.engine().next_commit_in_doubt(true));
  EXPECT_TRUE(world.sync(world.registry.remove_user("ann"))->removed());
}

TEST(Identities, AreTheTokensWhateverIsClaimed) {
  UsersWorld world;
  ASSERT_EQ(world.add("ann", 10, false, false, {5}), kDone);
  const UserToken token = UserToken::generate();
  ASSERT_TRUE(world.give("ann", token).has_value());
  User who;
  EXPECT_EQ(world.admit(token.bytes(), &who), kDone);
  EXPECT_EQ(who.uid(), 10u);
  EXPECT_EQ(who.gid(), 11u);
  EXPECT_EQ(who.groups_size(), 1);
  EXPECT_TRUE(who.token().empty()) << "goes no further";

  EXPECT_EQ(world.admit(""), Errc::kPermission);
  EXPECT_NE(world.message.find("FF_FFS_TOKEN_FILE"), std::string::npos) << world.message;
  EXPECT_EQ(world.admit(UserToken::generate().bytes()), Errc::kPermission);
  EXPECT_EQ(world.admit(token.bytes() + "x"), Errc::kPermission);
  EXPECT_EQ(world.admit(token.text()), Errc::kPermission);
  EXPECT_EQ(world.admit(std::string(900'000, 'x')), Errc::kPermission);
  // The same number, another token: as one that was made to have it would be.
  const net::Digest digest = token.digest();
  EXPECT_EQ(world.admit(std::string(reinterpret_cast<const char*>(digest.data()), digest.size())), Errc::kPermission);
}

TEST(Identities, ForgetWithinSecondsAndExpireAtOnce) {
  UsersWorld world;
  // Another service over the same store, which is not told.
  Identities other(world.engine().env(), world.registry, {.required = true});
  const auto admitted = [&](const UserToken& token) {
    User user = UsersWorld::shows(token.bytes());
    return world.sync(other.admit(user)).has_value();
  };
  ASSERT_EQ(world.add("ann", 10), kDone);
  const UserToken lasting = UserToken::generate(), short_lived = UserToken::generate();
  const auto lasts = world.give("ann", lasting);
  ASSERT_TRUE(lasts.has_value());
  ASSERT_TRUE(world.give("ann", short_lived, 1).has_value());
  EXPECT_TRUE(admitted(lasting) && admitted(short_lived));
  world.pass(1001ms);
  EXPECT_FALSE(admitted(short_lived)) << "expired, although remembered";
  EXPECT_EQ(world.admit(short_lived.bytes()), Errc::kPermission);
  EXPECT_NE(world.message.find("expired"), std::string::npos) << world.message;
  ASSERT_TRUE(world.sync(world.registry.revoke_token(lasts->token()))->revoked());
  world.pass(2s);
  EXPECT_FALSE(admitted(lasting));
}

TEST(Identities, RememberABoundedNumber) {
  UsersWorld world({.required = true, .remembered = 1h, .remembered_most = 4});
  ASSERT_EQ(world.add("ann", 10), kDone);
  for (int round = 0; round < 20; ++round) {
    const UserToken token = UserToken::generate();
    const auto made = world.give("ann", token);
    ASSERT_TRUE(made.has_value());
    EXPECT_EQ(world.admit(token.bytes()), kDone);
    EXPECT_LE(world.identities.remembered(), 4u);
    ASSERT_TRUE(world.sync(world.registry.revoke_token(made->token()))->revoked());
  }
  for (int i = 0; i < 100; ++i) EXPECT_EQ(world.admit(UserToken::generate().bytes()), Errc::kPermission);
  EXPECT_LE(world.identities.remembered(), 4u);
}

TEST(Identities, KnowAdministrators) {
  for (const bool required : {false, true}) {
    UsersWorld world({.required = required});
    ASSERT_EQ(world.add("ann", 10), kDone);
    ASSERT_EQ(world.add("ops", 20, true), kDone);
    ASSERT_EQ(world.add("root", 0), kDone);
    const auto may = [&](const std::string& name) {
      const UserToken token = UserToken::generate();
      EXPECT_TRUE(world.give(name, token).has_value());
      return world.code(world.sync(world.identities.admit_admin(UsersWorld::shows(token.bytes()))));
    };
    EXPECT_EQ(may("ann"), Errc::kPermission);
    EXPECT_EQ(may("ops"), kDone);
    EXPECT_EQ(may("root"), Errc::kPermission) << "the role decides, not the number";
    EXPECT_EQ(world.code(world.sync(world.identities.admit_admin(root_user()))), required ? Errc::kPermission : kDone);
    EXPECT_EQ(world.code(world.sync(world.identities.admit_admin(user(10)))), Errc::kPermission);
    // A token that is shown counts where none is asked for, too.
    EXPECT_EQ(world.admit(UserToken::generate().bytes()), Errc::kPermission);
    EXPECT_EQ(world.admit(""), required ? Errc::kPermission : kDone);
  }
}

}  // namespace
}  // namespace ff::ffs
