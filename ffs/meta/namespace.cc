#include "ffs/meta/namespace.hpp"

#include <fmt/core.h>

#include <cerrno>

#include "ffs/format/layout.hpp"
#include "ffs/meta/namespace_answers.hpp"

namespace ff::ffs {

using runtime::Task;

namespace {

// Engines that bound a transaction's operations: what is left for path parts after the rest of the largest operation.
constexpr std::size_t kOperationsOfOthers = 64;

}  // namespace

namespace detail {

void keep_answer(View& view, const Tag& tag, std::uint32_t uid, AnswerRecord answer, runtime::Duration kept) {
  answer.set_expires(view.now() + kept.count());
  view.transaction().set(keys::answer(tag.client(), tag.sequence(), uid), encode_record(answer));
}

}  // namespace detail

Namespace::Namespace(runtime::Env& env, kv::KvStore& store, FileChunks& chunks, NamespaceOptions options)
    : env_(env),
      store_(store),
      chunks_(chunks),
      options_(std::move(options)),
      ids_(env, store, options_.timeout),
      own_client_(env.rng().next() | 1) {}

std::int64_t Namespace::wall_now() const noexcept {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(env_.wall_now().time_since_epoch()).count();
}

View Namespace::view(kv::Transaction& transaction) {
  const std::size_t most = store_.limits().transaction_operations_max;
  return {transaction, wall_now(), env_.rng(), most == 0 ? 0 : most - std::min(most - 1, kOperationsOfOthers)};
}

Tag Namespace::tag_or_new(Tag tag) {
  if (tag.client() == 0) {
    tag.set_client(own_client_);
    tag.set_sequence(++own_sequence_);
  }
  return tag;
}

Task<Result<InodeId>> Namespace::fresh_id(bool needed) {
  if (!needed) co_return InodeId{};
  auto id = co_await ids_.next();
  if (!id) co_return fail(not_posix(std::move(id).error()));
  co_return id;
}

Task<Result<>> Namespace::prepare() {
  co_return co_await transact<void>([](View& view) -> Task<Result<>> {
    FF_CO_TRY_ASSIGN(const auto root, co_await view.find(kRootInode));
    if (root) co_return {};
    Inode made{kRootInode, {}};
    made.record.set_type(DIRECTORY);
    made.record.set_mode(0755);
    made.record.set_parent(number(kRootInode));
    view.create(made);
    co_return {};
  });
}

Task<Result<>> Namespace::check_layout(LayoutInfo info, const char* what) {
  const Layout layout{.table = TableId{info.table()},
                      .table_version = info.table_version(),
                      .chunk_bytes = info.chunk_bytes(),
                      .stripe = info.stripe()};
  if (const auto valid = check(layout); !valid) co_return refuse(EINVAL, what, valid.error().message());
  if (!options_.has_table) co_return {};
  std::optional<bool> there = options_.has_table(info);
  if (!there || !*there) {
    FF_CO_TRY(co_await runtime::sleep(options_.new_table_wait));
    there = options_.has_table(info);
  }
  if (!there) co_return fail(Errc::kUnavailable, "namespace: the chain tables are not known yet (try again)");
  if (!*there) {
    co_return refuse(EINVAL, what,
                     fmt::format("chain table {} version {}: there is none", info.table(), info.table_version()));
  }
  co_return {};
}

// ---- shared steps --------------------------------------------------------------------------------------------------

Result<> check_may_change(const User& user, const Inode& directory, std::string_view name) {
  if (!directory.is_directory()) return refuse(ENOTDIR, printable_name(name));
  if (directory.record.links() == 0) return refuse(ENOENT, printable_name(name), "its directory was removed");
  if (!allows(user, directory.record, kMayWrite | kMaySearch)) return refuse(EACCES, printable_name(name));
  if (directory.record.immutable()) return refuse(EPERM, printable_name(name), "its directory is immutable");
  if (directory.id == kRootInode && name == kTrashName) {
    return refuse(EPERM, printable_name(name), "the name is reserved for the trash");
  }
  return {};
}

Task<Result<>> check_attached(View& view, Where where, InodeId directory) {
  if (where.base() == 0 || InodeId{where.base()} == kRootInode) co_return {};
  while (directory != kRootInode) {
    FF_CO_TRY_ASSIGN(const auto above, co_await view.find(directory, view.passing()));
    if (!above || above->record.links() == 0)
      co_return refuse(ENOENT, printable_name(where.path()), "its directory was removed");
    directory = InodeId{above->record.parent()};
  }
  co_return {};
}

InodeRecord new_record(const User& user, const Inode& parent, FileType type, std::uint32_t mode) {
  InodeRecord record;
  record.set_type(type);
  record.set_mode(mode & kModeMask);
  record.set_uid(user.uid());
  record.set_gid(user.gid());
  if ((parent.record.mode() & kSetGid) != 0) {
    record.set_gid(parent.record.gid());
    if (type == DIRECTORY) record.set_mode(record.mode() | kSetGid);
  }
  if (type == DIRECTORY) record.set_parent(number(parent.id));
  if (type != SYMLINK && parent.record.has_layout()) *record.mutable_layout() = parent.record.layout();
  record.set_project(parent.record.project());
  return record;
}

}  // namespace ff::ffs
