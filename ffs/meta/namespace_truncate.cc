// Truncate. A file in its inode is cut there. For one in chunks the new size and the next epoch are decided first, with
// an intent in the inode and under a key of its own; then chunks are cut; then the intent is forgotten. Until then
// attributes tell the epoch before, so that nobody writes under the new one what a repeated cut would take away.
//
// A file that outgrows its inode by being truncated to more ("spill"): its content is stored in chunks under an epoch
// taken for this attempt; then the file is one in chunks with a decided truncate, whose cut under a later epoch keeps
// late stores out.
#include <fmt/core.h>

#include <algorithm>
#include <cerrno>

#include "ffs/format/layout.hpp"
#include "ffs/meta/namespace_answers.hpp"
#include "ffs/meta/resolve.hpp"

namespace ff::ffs {

using runtime::Task;

namespace {

constexpr int kTurnsMax = 16;  // of one finish_truncate(): others may decide again meanwhile

Layout layout_of(const InodeRecord& record) {
  return {.table = TableId{record.layout().table()},
          .table_version = record.layout().table_version(),
          .chunk_bytes = record.layout().chunk_bytes(),
          .stripe = record.layout().stripe()};
}

void forget_intent(View& view, Inode& file) {
  if (!file.record.has_truncating()) return;
  file.record.clear_truncating();
  view.transaction().clear(keys::truncating(file.id));
}

// From `cut_at` on nothing is to be left.
void intend(View& view, Inode& file, std::uint64_t cut_at, bool spill) {
  TruncateIntent intent;
  const bool pending = file.record.has_truncating();
  intent.set_epoch_before(pending ? file.record.truncating().epoch_before() : file.record.truncate_epoch());
  intent.set_size(cut_at);
  intent.set_spill(spill);
  if (!spill) file.record.set_truncate_epoch(file.record.truncate_epoch() + 1);
  *file.record.mutable_truncating() = intent;
  view.transaction().set(keys::truncating(file.id), "");
}

std::uint64_t cut_at(const Inode& file, std::uint64_t size) {
  const bool cutting = file.record.has_truncating() && !file.record.truncating().spill();
  return cutting ? std::min(size, file.record.truncating().size()) : size;
}

}  // namespace

void decide_truncate(View& view, Inode& file, std::uint64_t size) {
  InodeRecord& record = file.record;
  if (record.inlined() && (size <= kInlineDataBytesMax || record.inline_data().empty())) {
    forget_intent(view, file);
    record.set_content_version(record.version() + 1);
    if (size <= kInlineDataBytesMax) {
      record.mutable_inline_data()->resize(size);
    } else {
      // Nothing is in the inode, but there may be in chunks: of a move that was interrupted or overtaken.
      record.set_inlined(false);
      intend(view, file, 0, false);
    }
    view.resize(file, size);
  } else if (record.inlined()) {
    intend(view, file, size, true);
  } else {
    intend(view, file, cut_at(file, size), false);
    view.resize(file, size);
  }
  record.set_modified(view.now());
  view.change(file);
}

void decide_spill(View& view, Inode& file) {
  const InodeRecord& record = file.record;
  // A growing truncate that waits for the content to leave keeps its size.
  const bool grows = record.has_truncating() && record.truncating().spill();
  intend(view, file, std::max<std::uint64_t>(record.inline_data().size(), grows ? record.truncating().size() : 0),
         true);
}

Task<Result<StatReply>> Namespace::truncate(TruncateRequest request) {
  if (request.size() > kFileBytesMax) co_return refuse(EFBIG, printable_name(request.where().path()));
  FF_CO_TRY_ASSIGN(StatReply reply,
                   co_await answer_once<StatReply>(request, "truncate", [&] [[clang::coro_wrapper]] (View & view) {
                     return truncate_in(view, request);
                   }));
  if (!reply.attributes().truncating()) co_return reply;
  const InodeId inode{reply.attributes().inode()};
  FF_CO_TRY(co_await finish_truncate(inode));
  FF_CO_TRY_ASSIGN(*reply.mutable_attributes(), co_await look<Attributes>([&](View& view) -> Task<Result<Attributes>> {
    FF_CO_TRY_ASSIGN(const Inode now, co_await view.inode(inode));
    co_return attributes_of(now);
  }));
  co_return reply;
}

Task<Result<StatReply>> Namespace::truncate_in(View& view, const TruncateRequest& request) {
  FF_CO_TRY_ASSIGN(Inode file, co_await resolve_inode(view, request.user(), request.where(), request.where().follow()));
  const std::string shown = fmt::format("inode {}", number(file.id));
  if (file.is_directory()) co_return refuse(EISDIR, shown);
  if (!file.is_file()) co_return refuse(EINVAL, shown, "not a file");
  if (!allows(request.user(), file.record, kMayWrite)) co_return refuse(EACCES, shown);
  if (file.record.immutable()) co_return refuse(EPERM, shown, "immutable");
  const std::uint64_t size = request.size();
  if (size > kInlineDataBytesMax && !file.record.has_layout()) {
    co_return refuse(EINVAL, shown, "has no layout (set one on a directory above, or format the file system)");
  }
  if (size > file.record.size()) {
    FF_CO_TRY(co_await view.check_quota(file.record.project(), size - file.record.size(), 0));
  }
  // Without writers nothing lies beyond the end, so growing is a matter of the size alone.
  bool grows_only = !file.record.inlined() && !file.record.has_truncating() && size >= file.record.size();
  if (grows_only) {
    FF_CO_TRY_ASSIGN(const bool written, co_await view.has_sessions(file.id, true));
    grows_only = !written;
  }
  if (!is_root(request.user())) file.record.set_mode(without_set_ids(file.record.mode()));
  if (grows_only) {
    view.resize(file, size);
    file.record.set_modified(view.now());
    view.change(file);
  } else {
    decide_truncate(view, file, size);
  }
  StatReply reply;
  *reply.mutable_attributes() = attributes_of(file);
  co_return reply;
}

Task<Result<>> Namespace::finish_truncate(InodeId id) {
  using Found = std::optional<Inode>;
  for (int turn = 0; turn < kTurnsMax; ++turn) {
    // An epoch for this attempt of a spill; nothing is changed otherwise.
    FF_CO_TRY_ASSIGN(const Found found, co_await transact<Found>([&](View& view) -> Task<Result<Found>> {
                       FF_CO_TRY_ASSIGN(Found file, co_await view.find(id));
                       if (!file || !file->record.has_truncating()) co_return std::nullopt;
                       if (!file->record.truncating().spill()) co_return file;
                       if (file->record.inlined()) {
                         file->record.set_truncate_epoch(file->record.truncate_epoch() + 1);
                         view.put(*file);
                       } else {
                         // The content has left already. Such a truncate only grows: nothing is to be cut, and what a
                         // writer put behind its end since stays.
                         view.resize(*file, std::max(file->record.size(), file->record.truncating().size()));
                         forget_intent(view, *file);
                         view.put(*file);
                         co_return std::nullopt;
                       }
                       co_return file;
                     }));
    if (!found) co_return {};
    const InodeRecord& decided = found->record;
    const Layout layout = layout_of(decided);
    const bool spill = decided.truncating().spill();
    const std::uint64_t epoch = decided.truncate_epoch();
    if (spill) {
      FF_CO_TRY(co_await chunks_.store(id, layout, epoch, decided.inline_data()));
    } else {
      FF_CO_TRY(co_await chunks_.cut(id, layout, decided.truncating().size(), epoch));
    }
    FF_CO_TRY_ASSIGN(const bool done, co_await transact<bool>([&](View& view) -> Task<Result<bool>> {
                       FF_CO_TRY_ASSIGN(Found file, co_await view.find(id));
                       if (!file || !file->record.has_truncating()) co_return true;
                       if (file->record.truncate_epoch() != epoch) co_return false;
                       if (!spill) {
                         forget_intent(view, *file);
                         view.put(*file);
                         co_return true;
                       }
                       if (file->record.content_version() != decided.content_version() || !file->record.inlined())
                         co_return false;
                       const std::uint64_t size = file->record.truncating().size();
                       const std::uint64_t content = file->record.inline_data().size();
                       file->record.set_inlined(false);
                       file->record.clear_inline_data();
                       file->record.set_content_version(file->record.version() + 1);
                       intend(view, *file, content, false);
                       view.resize(*file, size);
                       view.put(*file);
                       co_return false;
                     }));
    if (done) co_return {};
  }
  co_return fail(Errc::kUnavailable,
                 fmt::format("inode {}: truncated again and again by others (try again)", number(id)));
}

}  // namespace ff::ffs
