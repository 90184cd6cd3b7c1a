// user: who may use a file system, and the tokens by which they are known.
#include <fmt/core.h>
#include <unistd.h>

#include <charconv>
#include <memory>

#include "ffs/cmd/commands.hpp"
#include "ffs/cmd/session.hpp"
#include "ffs/cmd/text.hpp"
#include "ffs/meta/user_token.hpp"

namespace ff::ffs {

using report::Cell;
using report::Format;
using report::Table;
using runtime::Task;

namespace {

constexpr std::int64_t kIdMax = 4'294'967'294;

struct Options {
  ClusterOptions cluster;
  cli::OutputOptions output;
  std::string name;
  std::int64_t uid = -1;
  std::int64_t gid = -1;
  std::string groups;
  bool admin = false;
  bool replace = false;
  cli::Duration expires = std::chrono::days(30);
  std::string label;
  std::string write;
  std::string token;  // its number
};

Cell when(bool there, const Timestamp& time) { return there ? Cell(time_text(time)) : Cell(); }

template <class Groups>
std::string groups_text(const Groups& groups) {
  std::string text;
  for (const std::uint32_t group : groups) text += fmt::format("{}{}", text.empty() ? "" : ",", group);
  return text;
}

Result<> parse_groups(std::string_view text, UserInfo& user) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(','), text.size());
    const std::string_view word = text.substr(0, end);
    std::uint32_t group = 0;
    const auto [stopped, error] = std::from_chars(word.data(), word.data() + word.size(), group);
    if (error != std::errc() || stopped != word.data() + word.size())
      return fail(Errc::kInvalidArgument,
                  fmt::format("--groups: '{}': no number of a group (give them as 10,20)", word));
    user.add_groups(group);
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return {};
}

Task<Result<int>> add_user(FileSystem& fs, const Options& options) {
  AddUserRequest request;
  UserInfo& user = *request.mutable_added();
  user.set_name(options.name);
  user.set_uid(static_cast<std::uint32_t>(options.uid));
  user.set_gid(static_cast<std::uint32_t>(options.gid));
  FF_CO_TRY(parse_groups(options.groups, user));
  user.set_admin(options.admin);
  request.set_replace(options.replace);
  FF_CO_TRY(co_await fs.meta().add_user(std::move(request)));
  co_return 0;
}

Task<Result<int>> remove_user(FileSystem& fs, const Options& options) {
  RemoveUserRequest request;
  request.set_name(options.name);
  FF_CO_TRY_ASSIGN(const RemoveUserReply reply, co_await fs.meta().remove_user(std::move(request)));
  if (!reply.removed())
    co_return fail(Errc::kNotFound, fmt::format("user {}: there is none (`ffs user list` shows all)", options.name));
  FF_CO_TRY(print(fmt::format("user {}: removed, with {} token{}\n", options.name, reply.tokens(),
                              reply.tokens() == 1 ? "" : "s")));
  co_return 0;
}

Task<Result<int>> list_users(FileSystem& fs, const Options&, Format format) {
  Table table("ff.ffs-users/1", {{.key = "name", .title = "NAME"},
                                 {.key = "uid", .title = "UID"},
                                 {.key = "gid", .title = "GID"},
                                 {.key = "groups", .title = "GROUPS"},
                                 {.key = "admin", .title = "ADMIN"},
                                 {.key = "tokens", .title = "TOKENS"},
                                 {.key = "created", .title = "CREATED", .wide_only = true}});
  ListUsersRequest request;
  while (true) {
    FF_CO_TRY_ASSIGN(const ListUsersReply reply, co_await fs.meta().list_users(request));
    for (const UserInfo& user : reply.users()) {
      table.add_row({user.name(), count(user.uid()), count(user.gid()),
                     user.groups().empty() ? Cell() : Cell(groups_text(user.groups())), user.admin(),
                     count(user.tokens()), time_text(user.created())});
    }
    if (!reply.more() || reply.users().empty()) break;
    request.set_after(reply.users(reply.users_size() - 1).name());
  }
  FF_CO_TRY(print(table.render(format)));
  co_return 0;
}

Task<Result<int>> make_token(FileSystem& fs, const Options& options) {
  const std::chrono::seconds valid = std::chrono::duration_cast<std::chrono::seconds>(options.expires);
  if (options.expires.count() != 0 && valid.count() == 0)
    co_return fail(Errc::kInvalidArgument, "--expires: less than a second (0: until it is revoked)");
  const UserToken token = UserToken::generate();
  AddTokenRequest request;
  request.set_name(options.name);
  const net::Digest digest = token.digest();
  request.set_digest(digest.data(), digest.size());
  request.set_label(options.label);
  request.set_valid_seconds(static_cast<std::uint64_t>(valid.count()));
  // The file first: a token that nobody has is worth nothing.
  if (!options.write.empty()) FF_CO_TRY(token.create_file(options.write));
  Result<AddTokenReply> made = co_await fs.meta().add_token(std::move(request));
  if (!made) {
    if (!options.write.empty()) ::unlink(options.write.c_str());
    co_return fail(std::move(made).error());
  }
  const TokenInfo& info = made->token();
  if (options.write.empty()) FF_CO_TRY(print(token.text() + "\n"));
  fmt::print(stderr, "ffs: token {} of {}, {}; it is {} and cannot be shown again\n", token_number_text(info.token()),
             info.user(), info.has_expires() ? "valid until " + time_text(info.expires()) : "valid until it is revoked",
             options.write.empty() ? "printed once" : "in " + options.write);
  co_return 0;
}

Task<Result<int>> list_tokens(FileSystem& fs, const Options& options, Format format) {
  Table table("ff.ffs-tokens/1", {{.key = "token", .title = "TOKEN"},
                                  {.key = "user", .title = "USER"},
                                  {.key = "label", .title = "LABEL"},
                                  {.key = "created", .title = "CREATED"},
                                  {.key = "expires", .title = "EXPIRES"},
                                  {.key = "expired", .title = "EXPIRED"}});
  ListTokensRequest request;
  request.set_name(options.name);
  while (true) {
    FF_CO_TRY_ASSIGN(const ListTokensReply reply, co_await fs.meta().list_tokens(request));
    for (const TokenInfo& token : reply.tokens()) {
      table.add_row({token_number_text(token.token()), token.user(), token.label(), time_text(token.created()),
                     when(token.has_expires(), token.expires()), token.expired()});
    }
    if (!reply.more() || reply.last() == 0) break;
    request.set_after(reply.last());
  }
  FF_CO_TRY(print(table.render(format)));
  co_return 0;
}

Task<Result<int>> revoke_token(FileSystem& fs, const Options& options) {
  RevokeTokenRequest request;
  FF_CO_TRY_ASSIGN(const std::uint64_t token, parse_token_number(options.token));
  request.set_token(token);
  FF_CO_TRY_ASSIGN(const RevokeTokenReply reply, co_await fs.meta().revoke_token(std::move(request)));
  if (!reply.revoked()) {
    co_return fail(Errc::kNotFound,
                   fmt::format("token {}: there is none (`ffs user token-list` shows all)", options.token));
  }
  co_return 0;
}

Task<Result<int>> who_am_i(FileSystem& fs, const Options&, Format format) {
  FF_CO_TRY_ASSIGN(const IdentifyReply who, co_await fs.meta().identify());
  Table table("ff.ffs-whoami/1", {{.key = "name", .title = "NAME"},
                                  {.key = "uid", .title = "UID"},
                                  {.key = "gid", .title = "GID"},
                                  {.key = "groups", .title = "GROUPS"},
                                  {.key = "admin", .title = "ADMIN"},
                                  {.key = "expires", .title = "EXPIRES"}});
  table.add_row({who.name().empty() ? Cell() : Cell(who.name()), count(who.uid()), count(who.gid()),
                 who.groups().empty() ? Cell() : Cell(groups_text(who.groups())), who.admin(),
                 when(who.has_expires(), who.expires())});
  FF_CO_TRY(print(table.render(format)));
  co_return 0;
}

cli::Option name_option(Options& options, bool required = true) {
  return {
      .names = "name", .target = &options.name, .help = "name of the user", .value_name = "NAME", .required = required};
}

cli::Command add_command() {
  const auto options = std::make_shared<Options>();
  cli::Command command;
  command.name = "add";
  command.summary = "Let somebody use the file system";
  command.description =
      "Who shows a token of the user acts with these numbers, whatever the program that shows it claims. An "
      "administrator "
      "may change users, tokens, nodes, targets and chains; to do all that root may with files, the uid must be 0.";
  command.options = {name_option(*options),
                     {.names = "--uid",
                      .target = &options->uid,
                      .help = "the user's number",
                      .value_name = "N",
                      .min = 0,
                      .max = kIdMax,
                      .required = true},
                     {.names = "--gid",
                      .target = &options->gid,
                      .help = "number of the group",
                      .value_name = "N",
                      .min = 0,
                      .max = kIdMax,
                      .required = true},
                     {.names = "--groups",
                      .target = &options->groups,
                      .help = "numbers of further groups, as 10,20",
                      .value_name = "LIST"},
                     {.names = "--admin", .target = &options->admin, .help = "an administrator"},
                     {.names = "--replace",
                      .target = &options->replace,
                      .help = "change a user of this name that is there; tokens stay"}};
  command.examples = {{"ffs user add root --uid 0 --gid 0 --admin", "before cluster.require_tokens is set"},
                      {"ffs user add ann --uid 1001 --gid 100 --groups 200,300", "somebody who trains"}};
  runs(command, options, add_user, "user add");
  return command;
}

cli::Command remove_command() {
  const auto options = std::make_shared<Options>();
  cli::Command command;
  command.name = "remove";
  command.summary = "Remove a user with all tokens";
  command.description = "Files stay as they are, and their owner's number with them.";
  command.options = {name_option(*options)};
  command.examples = {{"ffs user remove ann", "her tokens stop working within seconds"}};
  runs(command, options, remove_user, "user remove");
  return command;
}

cli::Command list_command() {
  const auto options = std::make_shared<Options>();
  cli::Command command;
  command.name = "list";
  command.summary = "List users";
  command.examples = {{"ffs user list", "who may use it"}};
  reports(command, options, list_users, "user list");
  return command;
}

cli::Command token_command() {
  const auto options = std::make_shared<Options>();
  cli::Command command;
  command.name = "token";
  command.summary = "Make a token for a user, and print it once";
  command.description =
      "The token is made here, and the file system keeps its hash alone: it cannot be shown again. A user has at most "
      "32; those that have expired make room.";
  command.options = {name_option(*options),
                     {.names = "--expires",
                      .target = &options->expires,
                      .help = "for how long it is valid; 0: until it is revoked",
                      .min = 0,
                      .max = 3650.0 * 86400},
                     {.names = "--label",
                      .target = &options->label,
                      .help = "what it is for, for people; at most 100 bytes",
                      .value_name = "TEXT"},
                     {.names = "-w,--write",
                      .target = &options->write,
                      .help = "into this new file, with mode 0600, instead of to standard output",
                      .value_name = "FILE",
                      .complete = "file"}};
  command.examples = {{"ffs user token ann --expires 30d --label laptop --write ann.token", "for FF_FFS_TOKEN_FILE"},
                      {"(umask 077; ffs user token ann > ann.token)", "the same"}};
  runs(command, options, make_token, "user token");
  return command;
}

cli::Command token_list_command() {
  const auto options = std::make_shared<Options>();
  cli::Command command;
  command.name = "token-list";
  command.summary = "List tokens by number";
  command.description = "A token's number is no secret, and no token can be made of it.";
  command.options = {name_option(*options, false)};
  command.examples = {{"ffs user token-list", "of all users"}, {"ffs user token-list ann", "of one"}};
  reports(command, options, list_tokens, "user token-list");
  return command;
}

cli::Command token_revoke_command() {
  const auto options = std::make_shared<Options>();
  cli::Command command;
  command.name = "token-revoke";
  command.summary = "Make a token worthless";
  command.description = "At once at the metadata service that is told, within two seconds at the others.";
  command.options = {{.names = "token",
                      .target = &options->token,
                      .help = "number of the token, as token-list shows it",
                      .value_name = "TOKEN",
                      .required = true}};
  command.examples = {{"ffs user token-revoke 3f9a6c0142d7e58b", "it was lost"}};
  runs(command, options, revoke_token, "user token-revoke");
  return command;
}

cli::Command whoami_command() {
  const auto options = std::make_shared<Options>();
  cli::Command command;
  command.name = "whoami";
  command.summary = "Show whom the file system takes you for";
  command.description = "Without a name: by no token, as the numbers of this process say.";
  command.examples = {{"ffs user whoami --token ann.token", "whose is it, and is it valid?"}};
  reports(command, options, who_am_i, "user whoami");
  return command;
}

}  // namespace

cli::Command user_command() {
  cli::Command command;
  command.name = "user";
  command.summary = "Users and the tokens by which they are known";
  command.examples = {{"ffs user add ann --uid 1001 --gid 100 && ffs user token ann", "a user with a token"}};
  command.commands = {add_command(),        list_command(),         remove_command(), token_command(),
                      token_list_command(), token_revoke_command(), whoami_command()};
  return command;
}

}  // namespace ff::ffs
