#include "ffs/meta/view.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <cerrno>

#include "ffs/meta/rules.hpp"

namespace ff::ffs {

using runtime::Task;

namespace {
constexpr std::size_t kSessionPage = 100;
}  // namespace

kv::Read View::passing() noexcept {
  ++passed_;
  return checked_reads_max_ == 0 || passed_ <= checked_reads_max_ ? kv::Read::kConflicting : kv::Read::kSnapshot;
}

Task<Result<std::optional<std::string>>> View::get(std::string key, kv::Read mode) {
  auto value = co_await transaction_.get(std::move(key), mode);
  if (!value) co_return fail(not_posix(std::move(value).error()));
  co_return value;
}

Task<Result<kv::RangeResult>> View::range(kv::KeyRange range, kv::RangeOptions options) {
  auto result = co_await transaction_.get_range(std::move(range), options);
  if (!result) co_return fail(not_posix(std::move(result).error()));
  co_return result;
}

Task<Result<std::optional<Inode>>> View::find(InodeId id, kv::Read mode) {
  FF_CO_TRY_ASSIGN(const auto value, co_await get(keys::inode(id), mode));
  if (!value) co_return std::nullopt;
  auto record = decode_record<InodeRecord>(*value, "inode");
  if (!record) co_return fail(std::move(record).error().context(fmt::format("inode {}", number(id))));
  co_return Inode{id, std::move(*record)};
}

Task<Result<Inode>> View::inode(InodeId id, kv::Read mode) {
  FF_CO_TRY_ASSIGN(auto found, co_await find(id, mode));
  if (!found) co_return refuse(ESTALE, fmt::format("inode {}", number(id)));
  co_return std::move(*found);
}

Task<Result<std::optional<DirentRecord>>> View::entry(InodeId parent, std::string name, kv::Read mode) {
  FF_CO_TRY_ASSIGN(const auto value, co_await get(keys::dirent(parent, name), mode));
  if (!value) co_return std::nullopt;
  auto record = decode_record<DirentRecord>(*value, "entry");
  if (!record) {
    co_return fail(
        std::move(record).error().context(fmt::format("inode {}: '{}'", number(parent), printable_name(name))));
  }
  co_return std::move(*record);
}

Task<Result<Inode>> View::inode_of(InodeId parent, std::string name, DirentRecord entry, kv::Read mode) {
  FF_CO_TRY_ASSIGN(auto found, co_await find(InodeId{entry.inode()}, mode));
  if (!found) {
    co_return fail(Errc::kCorrupt, fmt::format("inode {}: '{}' names inode {}, which is not there (run fffsck)",
                                               number(parent), printable_name(name), entry.inode()));
  }
  co_return std::move(*found);
}

Task<Result<bool>> View::is_empty(InodeId directory) {
  FF_CO_TRY_ASSIGN(const auto entries, co_await range(keys::dirents(directory), {.limit = 1}));
  co_return entries.pairs.empty();
}

Task<Result<bool>> View::has_charges(Inode directory) {
  if (directory.record.project() != number(directory.id)) co_return false;
  FF_CO_TRY_ASSIGN(const auto value, co_await get(keys::quota_files(directory.id)));
  if (!value) co_return false;
  FF_CO_TRY_ASSIGN(const std::uint64_t files, decode_count(*value, "quota"));
  co_return files > 1;
}

Task<Result<bool>> View::has_sessions(InodeId file, bool writing_only) {
  kv::KeyRange rest = keys::sessions(file);
  while (true) {
    FF_CO_TRY_ASSIGN(const auto page, co_await range(rest, {.limit = writing_only ? kSessionPage : 1}));
    if (!page.pairs.empty() && !writing_only) co_return true;
    for (const kv::KeyValue& pair : page.pairs) {
      FF_CO_TRY_ASSIGN(const SessionRecord session, decode_record<SessionRecord>(pair.value, "session"));
      if (session.write()) co_return true;
    }
    if (!page.more) co_return false;
    rest.begin = page.pairs.back().key + '\0';
  }
}

Attributes attributes_of(const Inode& inode) {
  const InodeRecord& record = inode.record;
  Attributes out;
  out.set_inode(number(inode.id));
  out.set_type(static_cast<FileType>(record.type()));
  out.set_mode(record.mode());
  out.set_uid(record.uid());
  out.set_gid(record.gid());
  out.set_links(record.links());
  out.set_size(record.size());
  *out.mutable_accessed() = timestamp_of(record.accessed());
  *out.mutable_modified() = timestamp_of(record.modified());
  *out.mutable_changed() = timestamp_of(record.changed());
  *out.mutable_created() = timestamp_of(record.created());
  if (record.has_layout()) *out.mutable_layout() = record.layout();
  out.set_immutable(record.immutable());
  out.set_version(record.version());
  if (inode.is_symlink()) out.set_target(record.target());
  if (inode.is_file()) {
    out.set_truncating(record.has_truncating());
    // Who knows the new epoch may write under it, and what is written under it must not be cut.
    out.set_truncate_epoch(record.has_truncating() ? record.truncating().epoch_before() : record.truncate_epoch());
    out.set_inlined(record.inlined());
  }
  return out;
}

Attributes with_content(const Inode& inode) {
  Attributes out = attributes_of(inode);
  if (inode.is_file() && inode.record.inlined()) out.set_inline_data(inode.record.inline_data());
  return out;
}

Task<Result<Attributes>> View::attributes(Inode inode) {
  Attributes out = attributes_of(inode);
  if (!inode.is_directory()) co_return out;
  FF_CO_TRY_ASSIGN(const auto numbers,
                   co_await range(keys::directory_numbers(inode.id), {.limit = 2, .mode = kv::Read::kSnapshot}));
  std::uint64_t directories = 0;
  for (const kv::KeyValue& pair : numbers.pairs) {
    FF_CO_TRY_ASSIGN(const std::uint64_t value, decode_count(pair.value, "directory"));
    if (pair.key == keys::subdirectories(inode.id)) directories = value;
    if (pair.key != keys::directory_times(inode.id)) continue;
    const auto touched = static_cast<std::int64_t>(value);
    *out.mutable_modified() = timestamp_of(touched);
    *out.mutable_changed() = timestamp_of(std::max(touched, inode.record.changed()));
  }
  if (inode.record.links() > 0) out.set_links(2 + directories);
  co_return out;
}

Task<Result<std::uint64_t>> View::count_at(std::string key) {
  FF_CO_TRY_ASSIGN(const auto value, co_await get(std::move(key), kv::Read::kSnapshot));
  if (!value) co_return 0;
  co_return decode_count(*value, "counter");
}

// ---- changes -------------------------------------------------------------------------------------------------------

void View::change(Inode& inode) {
  inode.record.set_changed(now_);
  put(inode);
}

void View::put(Inode& inode) {
  inode.record.set_version(inode.record.version() + 1);
  transaction_.set(keys::inode(inode.id), encode_record(inode.record));
}

void View::touch_directory(const Inode& directory) {
  transaction_.atomic(kv::Atomic::kMax, keys::directory_times(directory.id),
                      static_cast<std::uint64_t>(std::max<std::int64_t>(now_, 0)));
}

void View::add_entry(const Inode& parent, const std::string& name, const Inode& child) {
  DirentRecord entry;
  entry.set_inode(number(child.id));
  entry.set_type(child.record.type());
  transaction_.set(keys::dirent(parent.id, name), encode_record(entry));
  touch_directory(parent);
  if (child.is_directory()) transaction_.atomic(kv::Atomic::kAdd, keys::subdirectories(parent.id), 1);
  if (parent.record.trash()) count(keys::Count::kTrash, 1);
}

void View::remove_entry(const Inode& parent, const std::string& name, const Inode& child) {
  transaction_.clear(keys::dirent(parent.id, name));
  touch_directory(parent);
  if (child.is_directory()) {
    transaction_.atomic(kv::Atomic::kAdd, keys::subdirectories(parent.id), ~std::uint64_t{0});
  }
  if (parent.record.trash()) count(keys::Count::kTrash, -1);
}

// Shards are drawn, so that counters are no hot spots; only their sum means something.
void View::count(keys::Count what, std::int64_t by) {
  transaction_.atomic(kv::Atomic::kAdd, keys::counter(what, static_cast<unsigned>(rng_.below(kCounterShards))),
                      static_cast<std::uint64_t>(by));
}

void View::count_inode(const Inode& inode, std::int64_t by) {
  count(inode.is_directory() ? keys::Count::kDirectories
        : inode.is_symlink() ? keys::Count::kSymlinks
                             : keys::Count::kFiles,
        by);
}

void View::charge(std::uint64_t project, std::uint64_t bytes, std::uint64_t files) {
  if (project == 0) return;
  if (bytes != 0) transaction_.atomic(kv::Atomic::kAdd, keys::quota_bytes(InodeId{project}), bytes);
  if (files != 0) transaction_.atomic(kv::Atomic::kAdd, keys::quota_files(InodeId{project}), files);
}

void View::create(Inode& inode) {
  inode.record.set_created(now_);
  inode.record.set_accessed(now_);
  inode.record.set_modified(now_);
  inode.record.set_links(1);
  change(inode);
  count_inode(inode, 1);
  charge(inode.record.project(), inode.record.size(), 1);
}

void View::destroy(const Inode& inode) {
  transaction_.clear(keys::inode(inode.id));
  transaction_.clear_range(keys::xattrs(inode.id));
  if (inode.is_directory()) transaction_.clear_range(keys::directory_numbers(inode.id));
  if (inode.record.has_truncating()) transaction_.clear(keys::truncating(inode.id));
  count_inode(inode, -1);
  if (inode.record.project() == number(inode.id)) {
    transaction_.clear_range(kv::prefix_range(keys::quota(inode.id)));
  } else {
    charge(inode.record.project(), 0 - inode.record.size(), ~std::uint64_t{0});
  }
}

void View::resize(Inode& inode, std::uint64_t size) {
  charge(inode.record.project(), size - inode.record.size(), 0);
  inode.record.set_size(size);
}

void View::discard(const Inode& inode, const GarbageRecord& garbage, runtime::Duration delay) {
  transaction_.set(keys::garbage(std::max<std::int64_t>(now_, 0) + delay.count(), inode.id), encode_record(garbage));
}

void View::drop_link(Inode& inode, runtime::Duration delay) {
  inode.record.set_links(inode.record.links() - 1);
  if (inode.record.links() > 0) {
    change(inode);
  } else if (inode.is_symlink()) {
    destroy(inode);  // nobody holds one open, and it has no chunks
  } else {
    change(inode);
    discard(inode, {}, delay);
  }
}

Task<Result<std::optional<QuotaLeft>>> View::quota_left(Inode file) {
  const std::uint64_t project = file.record.project();
  if (project == 0) co_return std::nullopt;
  FF_CO_TRY_ASSIGN(const auto value, co_await get(keys::quota(InodeId{project}), kv::Read::kSnapshot));
  if (!value) co_return std::nullopt;
  FF_CO_TRY_ASSIGN(const QuotaRecord quota, decode_record<QuotaRecord>(*value, "quota"));
  if (quota.bytes_limit() == 0) co_return std::nullopt;
  FF_CO_TRY_ASSIGN(const std::uint64_t used, co_await count_at(keys::quota_bytes(InodeId{project})));
  QuotaLeft left;
  left.set_size(file.record.size());
  left.set_bytes(used < quota.bytes_limit() ? quota.bytes_limit() - used : 0);
  co_return left;
}

Task<Result<>> View::check_quota(std::uint64_t project, std::uint64_t bytes, std::uint64_t files) {
  if (project == 0) co_return {};
  FF_CO_TRY_ASSIGN(const auto value, co_await get(keys::quota(InodeId{project}), kv::Read::kSnapshot));
  if (!value) co_return {};
  FF_CO_TRY_ASSIGN(const QuotaRecord quota, decode_record<QuotaRecord>(*value, "quota"));
  const auto passes = [](std::uint64_t used, std::uint64_t more, std::uint64_t limit) {
    return more > 0 && limit > 0 && (used > limit || more > limit - used);
  };
  if (bytes > 0 && quota.bytes_limit() > 0) {
    FF_CO_TRY_ASSIGN(const std::uint64_t used, co_await count_at(keys::quota_bytes(InodeId{project})));
    if (passes(used, bytes, quota.bytes_limit())) {
      co_return refuse(EDQUOT, fmt::format("quota of inode {}", project),
                       fmt::format("{} of {} bytes are used", used, quota.bytes_limit()));
    }
  }
  if (files > 0 && quota.files_limit() > 0) {
    FF_CO_TRY_ASSIGN(const std::uint64_t used, co_await count_at(keys::quota_files(InodeId{project})));
    if (passes(used, files, quota.files_limit())) {
      co_return refuse(EDQUOT, fmt::format("quota of inode {}", project),
                       fmt::format("{} of {} files are used", used, quota.files_limit()));
    }
  }
  co_return {};
}

}  // namespace ff::ffs
