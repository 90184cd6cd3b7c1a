// Namespace: the operations of meta.proto as transactions on a KvStore. Keeps nothing but numbers for new inodes, so
// any number of them, in as many processes, serve one store.
//
// Atomic     Each call is one strictly serializable transaction, with the exceptions that follow.
//            make_directory with `parents`: one for each directory that is missing. truncate, and open with `truncate`,
//            of a file in chunks: the new size and epoch are decided in one, chunks are cut then, and a second one
//            forgets the intent. If that is interrupted, the next open or truncate of the file, or Housekeeping, goes
//            on.
// Repetition A request with a tag (Tag.client, Tag.sequence) that its user repeats within options.answers_kept gives
// the
//            first one's answer. Commits in doubt are looked up the same way, so nothing is done twice.
// Errors     is_posix(error): what POSIX answers; nothing was changed. Others: of the store, kTimeout included: the
//            request may have been carried out, and may be repeated with its tag.
// Quotas     count what an inode says of its size, until it is destroyed (not only unlinked). Limits are checked
// against
//            the snapshot, so what is under way may pass them: by one file for each concurrent create, and by what
//            several writers write at a time. A writer is told what is left, when it opens and at each fsync, keeps to
//            it, and asks anew when half of it is used (libffs does). Nothing is refused at close: bytes that were
//            acknowledged stay.
//            A directory with a quota of its own counts in none above it. What moves between two quotas must be one
//            file with one name (else EXDEV, which makes mv copy).
// Threads    Those of the Env. Ownership: Env, store and chunks outlive it, and its calls.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "ffs/meta/file_chunks.hpp"
#include "ffs/meta/inode_ids.hpp"
#include "ffs/meta/meta.pb.h"
#include "ffs/meta/repetition.hpp"
#include "ffs/meta/rules.hpp"
#include "ffs/meta/transaction_body.hpp"
#include "ffs/meta/view.hpp"

namespace ff::ffs {

struct Resolved;

// "/.trash", made when it is first needed; ordinary requests cannot make or remove it.
inline constexpr InodeId kTrashInode{2};
inline constexpr const char* kTrashName = ".trash";

struct NamespaceOptions {
  runtime::Duration timeout = std::chrono::seconds(10);       // of one transaction with its retries
  runtime::Duration answers_kept = kAnswersKept;              // longer than clients repeat
  runtime::Duration garbage_delay = std::chrono::minutes(5);  // for readers without a session
  // Of new files where no directory above says one: asked for each, since tables grow; nothing: not
  // known yet, kUnavailable. May be empty.
  std::function<std::optional<LayoutInfo>()> default_layout = {};
  // Whether a layout's table is there; nothing: not known yet, kUnavailable. May be empty: all are.
  std::function<std::optional<bool>(const LayoutInfo&)> has_table = {};
  runtime::Duration new_table_wait = std::chrono::milliseconds(500);  // one just made may not have been heard of
  std::uint32_t list_limit = 4096;                                    // entries of one answer
};

class Namespace {
 public:
  Namespace(runtime::Env& env, kv::KvStore& store, FileChunks& chunks, NamespaceOptions options = {});
  Namespace(const Namespace&) = delete;
  Namespace& operator=(const Namespace&) = delete;

  // Makes the root if there is none. Before anything else; harmless when repeated.
  runtime::Task<Result<>> prepare();

  runtime::Task<Result<StatReply>> stat(StatRequest request);
  runtime::Task<Result<ListReply>> list(ListRequest request);
  runtime::Task<Result<OpenReply>> open(OpenRequest request);
  runtime::Task<Result<CloseReply>> close(CloseRequest request);
  runtime::Task<Result<EntryReply>> make_directory(MakeDirectoryRequest request);
  runtime::Task<Result<EntryReply>> make_symlink(MakeSymlinkRequest request);
  runtime::Task<Result<EntryReply>> link(LinkRequest request);
  runtime::Task<Result<EntryReply>> remove(RemoveRequest request);
  runtime::Task<Result<EntryReply>> rename(RenameRequest request);
  runtime::Task<Result<StatReply>> set_attributes(SetAttributesRequest request);
  runtime::Task<Result<StatReply>> truncate(TruncateRequest request);
  runtime::Task<Result<XattrReply>> xattr(XattrRequest request);
  runtime::Task<Result<QuotaReply>> quota(QuotaRequest request);
  runtime::Task<Result<StatFsReply>> stat_fs();

  // Cuts what a decided truncate has left to cut; nothing when there is none (any more).
  runtime::Task<Result<>> finish_truncate(InodeId id);

  // A new inode number when `needed`, else none.
  runtime::Task<Result<InodeId>> fresh_id(bool needed);

  runtime::Env& env() noexcept { return env_; }
  kv::KvStore& store() noexcept { return store_; }
  FileChunks& chunks() noexcept { return chunks_; }
  const NamespaceOptions& options() const noexcept { return options_; }
  std::int64_t wall_now() const noexcept;
  View view(kv::Transaction& transaction);

  // Runs body(View&) -> Task<Result<T>> as a transaction that may be run again after it may have been committed.
  template <class T>
  runtime::Task<Result<T>> transact(TransactionBody<T> body);

 private:
  // Once for each tag of a user: see namespace_answers.hpp. `request` outlives it.
  template <class Reply, class Request>
  runtime::Task<Result<Reply>> answer_once(const Request& request, const char* method, TransactionBody<Reply> body);
  template <class T>
  runtime::Task<Result<T>> look(TransactionBody<T> body);
  // EINVAL: it is none, or its table is not there: what is made with it could neither be written to nor be destroyed.
  runtime::Task<Result<>> check_layout(LayoutInfo info, const char* what);
  Tag tag_or_new(Tag tag);

  // The bodies: they check everything before their first write.
  runtime::Task<Result<OpenReply>> open_in(View& view, const OpenRequest& request, InodeId fresh);
  runtime::Task<Result<OpenReply>> open_existing(View& view, const OpenRequest& request, const Resolved& at);
  runtime::Task<Result<Inode>> create_file(View& view, const OpenRequest& request, Resolved& at, InodeId fresh);
  runtime::Task<Result<CloseReply>> close_in(View& view, const CloseRequest& request);
  runtime::Task<Result<CloseReply>> close_unchanged(CloseRequest request);
  Result<> settle_content(View& view, const CloseRequest& request, Inode& inode);
  runtime::Task<Result<EntryReply>> make_directory_in(View& view, const MakeDirectoryRequest& request, InodeId fresh,
                                                      bool may_exist);
  runtime::Task<Result<EntryReply>> make_all_directories(MakeDirectoryRequest request);
  runtime::Task<Result<EntryReply>> make_symlink_in(View& view, const MakeSymlinkRequest& request, InodeId fresh);
  runtime::Task<Result<EntryReply>> link_in(View& view, const LinkRequest& request);
  runtime::Task<Result<EntryReply>> remove_in(View& view, const RemoveRequest& request, InodeId fresh);
  runtime::Task<Result<EntryReply>> rename_in(View& view, const RenameRequest& request);
  runtime::Task<Result<StatReply>> set_attributes_in(View& view, const SetAttributesRequest& request);
  runtime::Task<Result<StatReply>> truncate_in(View& view, const TruncateRequest& request);
  runtime::Task<Result<XattrReply>> change_xattr_in(View& view, const XattrRequest& request);
  runtime::Task<Result<XattrReply>> read_xattr_in(View& view, const XattrRequest& request);
  runtime::Task<Result<QuotaReply>> quota_in(View& view, const QuotaRequest& request);
  runtime::Task<Result<ListReply>> list_in(View& view, const ListRequest& request);

  runtime::Env& env_;
  kv::KvStore& store_;
  FileChunks& chunks_;
  const NamespaceOptions options_;
  InodeIds ids_;
  const std::uint64_t own_client_;  // of the tags that requests without one get
  std::uint64_t own_sequence_ = 0;
};

// Steps that several operations share.

// EPERM when the directory is immutable or the place is the trash's; ENOENT when it was cut off; EACCES.
Result<> check_may_change(const User& user, const Inode& directory, std::string_view name);
// ENOENT when the directory that `where` led to lies in a tree that was removed: its top alone was cut off, and what is
// put below is destroyed with it. Who walks from the root cannot get there.
runtime::Task<Result<>> check_attached(View& view, Where where, InodeId directory);
// Of a new inode in `parent`, owned by `user`.
InodeRecord new_record(const User& user, const Inode& parent, FileType type, std::uint32_t mode);
// Decides a new size of a file in chunks or of an empty one; what is left to do is told by record.truncating().
void decide_truncate(View& view, Inode& file, std::uint64_t size);
// Decides that the content of a file in its inode moves to chunks, by finish_truncate(). The caller writes the record.
void decide_spill(View& view, Inode& file);
// Puts what has no entry (any more) into the trash of `uid`, as "<seconds>-<inode>-<name>": `fresh` becomes that user's
// trash directory when there is none.
runtime::Task<Result<>> put_into_trash(View& view, std::uint32_t uid, std::uint32_t gid, const std::string& name,
                                       Inode& child, InodeId fresh);

}  // namespace ff::ffs
