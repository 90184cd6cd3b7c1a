// MetaWorld: a namespace on some engine, driven call by call from a test. Calls give errno, 0 when done.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>

#include "ffs/meta/housekeeping.hpp"
#include "ffs/meta/namespace.hpp"
#include "ffs/meta/namespace_answers.hpp"
#include "tests/unit/ffs/meta/check_namespace.hpp"
#include "tests/unit/ffs/meta/fake_chunks.hpp"

namespace ff::ffs {

class MetaEngine {
 public:
  virtual ~MetaEngine() = default;
  virtual runtime::Env& env() = 0;
  virtual kv::KvStore& store() = 0;
  virtual void run(runtime::Task<Result<>> task) = 0;
  // False: this engine cannot be made to.
  virtual bool next_commit_in_doubt(bool applied) = 0;
  // From now on half of the commits are in doubt, and land a little later. False: this engine cannot be made to.
  virtual bool commits_late(bool on) = 0;
};
using MetaEngineFactory = std::function<std::unique_ptr<MetaEngine>()>;

std::unique_ptr<MetaEngine> make_memory_engine();

inline constexpr std::uint64_t kClient = 77;

inline User root_user() { return {}; }
inline User user(std::uint32_t uid, std::uint32_t gid = 0, std::vector<std::uint32_t> groups = {}) {
  User out;
  out.set_uid(uid);
  out.set_gid(gid == 0 ? uid : gid);
  for (const std::uint32_t group : groups) out.add_groups(group);
  return out;
}
inline Where path(std::string text, bool follow = true, std::uint64_t base = 0) {
  Where where;
  where.set_path(std::move(text));
  where.set_follow(follow);
  where.set_base(base);
  return where;
}

class MetaWorld {
 public:
  explicit MetaWorld(std::unique_ptr<MetaEngine> engine, NamespaceOptions options = small_options(),
                     HousekeepingOptions keeping = at_once())
      : engine_(std::move(engine)),
        names_(engine_->env(), engine_->store(), chunks_, std::move(options)),
        keeping_(names_, sessions_, keeping) {
    sessions_.live.insert(kClient);
    EXPECT_TRUE(sync(names_.prepare()).has_value());
  }

  static NamespaceOptions small_options() {
    NamespaceOptions options;
    options.garbage_delay = {};
    options.default_layout = []() -> std::optional<LayoutInfo> {
      LayoutInfo layout;
      layout.set_table(1);
      layout.set_table_version(1);
      layout.set_chunk_bytes(1u << 20);
      layout.set_stripe(1);
      return layout;
    };
    return options;
  }
  static HousekeepingOptions at_once() {
    HousekeepingOptions options;
    options.truncate_grace = options.session_grace = options.open_garbage_pause = {};
    options.trash_kept = std::chrono::hours(1);
    return options;
  }

  Namespace& names() { return names_; }
  FakeChunks& chunks() { return chunks_; }
  FakeSessions& sessions() { return sessions_; }
  Housekeeping& keeping() { return keeping_; }
  MetaEngine& engine() { return *engine_; }

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

  // As this user from now on.
  void as(User user) { user_ = std::move(user); }
  Tag tag() {
    Tag tag;
    tag.set_client(kClient);
    tag.set_sequence(++sequence_);
    return tag;
  }

  Attributes last;  // of the last call that told some
  std::uint64_t handle = 0;

  int stat(std::string at, bool follow = true) { return stat(path(std::move(at), follow)); }
  int stat(Where where) {
    StatRequest request;
    *request.mutable_where() = std::move(where);
    return call(&Namespace::stat, request);
  }
  int mkdir(std::string at, std::uint32_t mode = 0755, bool parents = false) {
    MakeDirectoryRequest request;
    *request.mutable_where() = path(std::move(at));
    request.set_mode(mode);
    request.set_parents(parents);
    return call(&Namespace::make_directory, request);
  }
  int create(std::string at, std::uint32_t mode = 0644) {
    OpenRequest request;
    *request.mutable_where() = path(std::move(at));
    request.set_write(true);
    request.set_create(true);
    request.set_exclusive(true);
    request.set_mode(mode);
    const int done = open(request);
    return done != 0 ? done : close(last.inode(), handle);
  }
  int open(OpenRequest request) {
    request.set_client(kClient);
    auto reply = signed_call(&Namespace::open, request);
    if (!reply) return posix(reply.error());
    last = reply->attributes();
    handle = reply->handle();
    return 0;
  }
  int open_write(std::string at, bool truncate = false) {
    OpenRequest request;
    *request.mutable_where() = path(std::move(at));
    request.set_write(true);
    request.set_truncate(truncate);
    return open(request);
  }
  int open_read(std::string at, bool hold = false) {
    OpenRequest request;
    *request.mutable_where() = path(std::move(at));
    request.set_read(true);
    request.set_hold(hold);
    return open(request);
  }
  int close(std::uint64_t inode, std::uint64_t of) {
    CloseRequest request;
    request.set_inode(inode);
    request.set_handle(of);
    request.set_close(true);
    return close(request);
  }
  int close(CloseRequest request) {
    request.set_client(kClient);
    return call(&Namespace::close, request);
  }
  // Opens, puts `data` into the inode, closes.
  int write_small(std::string at, std::string data) {
    if (const int failed = open_write(std::move(at)); failed != 0) return failed;
    CloseRequest request;
    request.set_inode(last.inode());
    request.set_handle(handle);
    request.set_close(true);
    request.set_wrote(true);
    request.set_inline_write(true);
    request.set_inline_data(std::move(data));
    request.set_inline_version(last.version());
    return close(request);
  }
  // Opens, writes to chunks as a client does; the file stays open.
  int write_chunks(std::string at, std::uint64_t offset, std::string data, bool settle = true) {
    if (const int failed = open_write(std::move(at)); failed != 0) return failed;
    if (last.inlined()) {
      if (const int failed = leave_inode(); failed != 0) return failed;
    }
    EXPECT_TRUE(chunks_.write(InodeId{last.inode()}, offset, data, last.truncate_epoch()));
    CloseRequest request;
    request.set_inode(last.inode());
    request.set_handle(handle);
    request.set_wrote(true);
    request.set_truncate_epoch(last.truncate_epoch());
    if (settle) request.set_length_seen(offset + data.size());
    return close(request);
  }
  // The content of the file that was opened last goes to chunks; with `data`, which was written since, instead.
  int leave_inode(std::optional<std::string> data = std::nullopt) {
    CloseRequest request;
    request.set_inode(last.inode());
    request.set_handle(handle);
    request.set_leave_inline(true);
    request.set_inline_version(last.version());
    request.set_wrote(data.has_value());
    if (data) request.set_inline_data(*std::move(data));
    return close(request);
  }
  // A record as it never comes about.
  void put(std::string key, std::string value) {
    const auto done = sync(names_.transact<void>([&](View& view) -> runtime::Task<Result<>> {
      view.transaction().set(key, value);
      co_return {};
    }));
    EXPECT_TRUE(done.has_value());
  }
  std::vector<kv::KeyValue> records(kv::KeyRange range) {
    const auto found = sync(names_.transact<kv::RangeResult>(
        [&] [[clang::coro_wrapper]] (View & view) { return view.range(range, {.limit = 1000}); }));
    return found ? found->pairs : std::vector<kv::KeyValue>{};
  }
  int symlink(std::string target, std::string at) {
    MakeSymlinkRequest request;
    *request.mutable_where() = path(std::move(at));
    request.set_target(std::move(target));
    return call(&Namespace::make_symlink, request);
  }
  int link(std::string from, std::string to) {
    LinkRequest request;
    *request.mutable_from() = path(std::move(from), false);
    *request.mutable_to() = path(std::move(to));
    return call(&Namespace::link, request);
  }
  int unlink(std::string at) { return remove(std::move(at), false, false, false); }
  int rmdir(std::string at) { return remove(std::move(at), true, false, false); }
  int remove(std::string at, bool directory, bool recursive, bool trash) {
    RemoveRequest request;
    *request.mutable_where() = path(std::move(at));
    request.set_directory(directory);
    request.set_recursive(recursive);
    request.set_to_trash(trash);
    return call(&Namespace::remove, request);
  }
  int rename(std::string from, std::string to, bool no_replace = false, bool exchange = false) {
    RenameRequest request;
    *request.mutable_from() = path(std::move(from));
    *request.mutable_to() = path(std::move(to));
    request.set_no_replace(no_replace);
    request.set_exchange(exchange);
    return call(&Namespace::rename, request);
  }
  int truncate(std::string at, std::uint64_t size) {
    TruncateRequest request;
    *request.mutable_where() = path(std::move(at));
    request.set_size(size);
    request.set_client(kClient);
    return call(&Namespace::truncate, request);
  }
  int set_attributes(SetAttributesRequest request, std::string at) {
    *request.mutable_where() = path(std::move(at));
    return call(&Namespace::set_attributes, request);
  }
  int chmod(std::string at, std::uint32_t mode) {
    SetAttributesRequest request;
    request.set_set_mode(true);
    request.set_mode(mode);
    return set_attributes(request, std::move(at));
  }
  Result<ListReply> list(std::string at, std::string after = "", std::uint32_t limit = 0, bool attributes = false) {
    ListRequest request;
    *request.mutable_user() = user_;
    *request.mutable_where() = path(std::move(at));
    request.set_after(std::move(after));
    request.set_limit(limit);
    request.set_with_attributes(attributes);
    return sync(names_.list(request));
  }
  std::vector<std::string> names_in(std::string at) {
    std::vector<std::string> out;
    const auto reply = list(std::move(at));
    if (!reply) return {"error: " + reply.error().message()};
    for (const Entry& entry : reply->entries()) out.push_back(entry.name());
    return out;
  }

  // Everything in the background, until nothing is left to do.
  void settle() {
    for (int i = 0; i < 4; ++i) {
      EXPECT_TRUE(sync(keeping_.finish_truncates()).has_value());
      EXPECT_TRUE(sync(keeping_.prune_sessions()).has_value());
      const auto collected = sync(keeping_.collect_garbage());
      EXPECT_TRUE(collected.has_value()) << (collected ? "" : collected.error().message());
    }
  }
  std::vector<std::string> problems(bool settled = false) {
    auto found = sync(check_namespace(engine_->store(), chunks_, settled));
    return found ? *found : std::vector<std::string>{found.error().message()};
  }

  template <class Reply, class Request>
  Result<Reply> signed_call(runtime::Task<Result<Reply>> (Namespace::*method)(Request), Request request) {
    *request.mutable_user() = user_;
    if constexpr (requires { request.mutable_request(); }) {
      if (!request.has_request()) *request.mutable_request() = tag();
    }
    return sync((names_.*method)(std::move(request)));
  }
  template <class Reply, class Request>
  int call(runtime::Task<Result<Reply>> (Namespace::*method)(Request), Request request) {
    auto reply = signed_call(method, std::move(request));
    if (!reply) return posix(reply.error());
    if constexpr (requires { reply->attributes(); }) last = reply->attributes();
    return 0;
  }
  static int posix(const Error& error) {
    if (error.sys_errno() == 0) ADD_FAILURE() << "not an answer: " << error.message();
    return error.sys_errno() == 0 ? -1 : error.sys_errno();
  }

 private:
  template <class T>
  static runtime::Task<Result<>> store_result(runtime::Task<Result<T>> task, std::optional<Result<T>>& out) {
    out.emplace(co_await std::move(task));
    co_return {};
  }

  std::unique_ptr<MetaEngine> engine_;
  FakeChunks chunks_;
  FakeSessions sessions_;
  Namespace names_;
  Housekeeping keeping_;
  User user_;
  std::uint64_t sequence_ = 0;
};

}  // namespace ff::ffs
