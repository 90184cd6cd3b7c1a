// Looking: stat, list, counters of the whole file system.
#include <algorithm>
#include <cerrno>

#include "ffs/meta/namespace_answers.hpp"
#include "ffs/meta/resolve.hpp"

namespace ff::ffs {

using runtime::Task;

namespace {
constexpr std::size_t kListBytesMax = 256u << 10;  // of entries without attributes: the answer stays under 1 MiB
constexpr std::size_t kListReplyBytesMax = 768u << 10;
}  // namespace

Task<Result<StatReply>> Namespace::stat(StatRequest request) {
  co_return co_await look<StatReply>([&](View& view) -> Task<Result<StatReply>> {
    FF_CO_TRY_ASSIGN(Inode inode,
                     co_await resolve_inode(view, request.user(), request.where(), request.where().follow()));
    StatReply reply;
    if (inode.is_file() && allows(request.user(), inode.record, kMayRead)) {
      *reply.mutable_attributes() = with_content(inode);
    } else {
      FF_CO_TRY_ASSIGN(*reply.mutable_attributes(), co_await view.attributes(std::move(inode)));
    }
    co_return reply;
  });
}

Task<Result<ListReply>> Namespace::list(ListRequest request) {
  co_return co_await look<ListReply>([&] [[clang::coro_wrapper]] (View & view) { return list_in(view, request); });
}

Task<Result<ListReply>> Namespace::list_in(View& view, const ListRequest& request) {
  FF_CO_TRY_ASSIGN(const Inode directory,
                   co_await resolve_inode(view, request.user(), request.where(), request.where().follow()));
  if (!directory.is_directory()) co_return refuse(ENOTDIR, printable_name(request.where().path()));
  if (!allows(request.user(), directory.record, kMayRead)) {
    co_return refuse(EACCES, printable_name(request.where().path()));
  }
  const bool searchable = allows(request.user(), directory.record, kMaySearch);
  kv::KeyRange range = keys::dirents(directory.id);
  if (!request.after().empty()) range.begin = keys::dirent(directory.id, request.after()) + '\0';
  const std::uint32_t most = options_.list_limit;
  const std::uint32_t limit = request.limit() == 0 ? most : std::min(request.limit(), most);
  FF_CO_TRY_ASSIGN(auto page,
                   co_await view.range(std::move(range),
                                       {.limit = limit, .bytes_limit = kListBytesMax, .mode = kv::Read::kSnapshot}));
  ListReply reply;
  reply.set_more(page.more);
  std::size_t bytes = 0;
  for (const kv::KeyValue& pair : page.pairs) {
    FF_CO_TRY_ASSIGN(const DirentRecord record, decode_record<DirentRecord>(pair.value, "entry"));
    Entry entry;
    entry.set_name(std::string(keys::dirent_name(pair.key)));
    entry.set_inode(record.inode());
    entry.set_type(static_cast<FileType>(record.type()));
    if (request.with_attributes() && searchable) {
      // An entry whose inode is not there stays in the list, without attributes: it could not be removed otherwise.
      FF_CO_TRY_ASSIGN(auto inode, co_await view.find(InodeId{record.inode()}, kv::Read::kSnapshot));
      if (inode) {
        FF_CO_TRY_ASSIGN(*entry.mutable_attributes(), co_await view.attributes(std::move(*inode)));
      }
    }
    bytes += entry.ByteSizeLong() + 8;
    if (bytes > kListReplyBytesMax && reply.entries_size() > 0) {
      reply.set_more(true);
      break;
    }
    *reply.add_entries() = std::move(entry);
  }
  co_return reply;
}

Task<Result<StatFsReply>> Namespace::stat_fs() {
  auto reply = co_await look<StatFsReply>([](View& view) -> Task<Result<StatFsReply>> {
    const auto sum = [](View& of, keys::Count what) -> Task<Result<std::uint64_t>> {
      FF_CO_TRY_ASSIGN(const auto shards, co_await of.range(keys::counters(what), {.mode = kv::Read::kSnapshot}));
      std::uint64_t total = 0;
      for (const kv::KeyValue& shard : shards.pairs) {
        FF_CO_TRY_ASSIGN(const std::uint64_t value, decode_count(shard.value, "counter"));
        total += value;
      }
      co_return total;
    };
    StatFsReply counts;
    FF_CO_TRY_ASSIGN(const std::uint64_t files, co_await sum(view, keys::Count::kFiles));
    FF_CO_TRY_ASSIGN(const std::uint64_t symlinks, co_await sum(view, keys::Count::kSymlinks));
    FF_CO_TRY_ASSIGN(const std::uint64_t directories, co_await sum(view, keys::Count::kDirectories));
    FF_CO_TRY_ASSIGN(const std::uint64_t trash, co_await sum(view, keys::Count::kTrash));
    counts.set_files(files + symlinks);
    counts.set_directories(directories);
    counts.set_trash_files(trash);
    co_return counts;
  });
  if (reply) {
    // Some 600 bytes a file, as measured: see ref. in meta.md.
    constexpr std::uint64_t kBytesOfFile = 600;
    reply->set_files_limit(store_.limits().data_bytes_max / kBytesOfFile);
  }
  co_return reply;
}

}  // namespace ff::ffs
