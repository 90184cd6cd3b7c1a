#include "libcommon/kv/rocksdb_open.hpp"

#include <fmt/core.h>
#include <rocksdb/cache.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/table.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>
#include <vector>

#include "libcommon/base/file.hpp"
#include "libcommon/kv/store_record.hpp"

namespace ff::kv {

namespace {

namespace fs = std::filesystem;

constexpr const char* kMetaFamily = "meta";

// Which process holds the lock on the file, from the kernel's table. The file itself is not opened: closing it would
// drop a lock that this process has on it.
std::optional<long> lock_holder(const std::string& file) {
  struct stat about{};
  if (::stat(file.c_str(), &about) != 0) return std::nullopt;
  std::ifstream table("/proc/locks");
  for (std::string line; std::getline(table, line);) {
    // 1: POSIX  ADVISORY  WRITE 4711 fd:00:123456 0 EOF
    std::istringstream words(line);
    std::string number, kind, mode, access, where;
    long pid = 0;
    if (!(words >> number >> kind >> mode >> access >> pid >> where) || kind != "POSIX") continue;
    const std::string ours = fmt::format("{:02x}:{:02x}:{}", major(about.st_dev), minor(about.st_dev), about.st_ino);
    if (where == ours && pid > 0) return pid;
  }
  return std::nullopt;
}

Error open_error(const std::string& path, const rocksdb::Status& status) {
  const std::string text = status.ToString();
  if (text.find("LOCK") != std::string::npos && (text.find("lock hold by current process") != std::string::npos ||
                                                 text.find("Resource temporarily unavailable") != std::string::npos)) {
    const auto pid = lock_holder(path + "/LOCK");
    return {Errc::kUnavailable,
            fmt::format("{}: is open in {} (one process at a time can open it; stop that one first)", path,
                        pid ? fmt::format("process {}", *pid) : std::string("another process"))};
  }
  Error error = rocksdb_error(path, status);
  if (error.code() != Errc::kCorrupt) return error;
  return {Errc::kCorrupt, error.message() +
                              " (restore it from a copy, or open it with drop_damaged_log to lose the commits "
                              "after the damage, if the damage is in its log)"};
}

Result<> check_options(const RocksdbOptions& options) {
  if (options.background_threads < 1 || options.background_threads > 64) {
    return fail(Errc::kInvalidArgument, fmt::format("{}: {} background threads (1 to 64 are allowed)", options.path,
                                                    options.background_threads));
  }
  if (options.write_buffer_bytes < (64u << 10) || options.write_buffer_bytes > (64ULL << 30)) {
    return fail(Errc::kInvalidArgument, fmt::format("{}: a write buffer of {} bytes (64 KiB to 64 GiB are allowed)",
                                                    options.path, options.write_buffer_bytes));
  }
  return {};
}

// What stands at the path before RocksDB sees it.
Result<> check_folder(const RocksdbOptions& options) {
  const std::string& path = options.path;
  if (path.empty()) return fail(Errc::kInvalidArgument, "store: the path is empty (name a folder)");
  struct stat about{};
  if (::stat(path.c_str(), &about) != 0) {
    if (errno != ENOENT) return fail(errno_error(path));
    if (!options.create) return fail(Errc::kNotFound, path + ": no such folder (make a store there with create)");
    if (::mkdir(path.c_str(), 0750) != 0) return fail(errno_error(path + ": make the folder"));
    return fsync_folder(parent_folder(path));
  }
  if (!S_ISDIR(about.st_mode)) return fail(Errc::kInvalidArgument, path + ": is no folder (name a folder of its own)");
  if (::access(path.c_str(), R_OK | W_OK | X_OK) != 0) return fail(errno_error(path));
  std::error_code error;
  bool current = false;
  bool strange = false;
  for (fs::directory_iterator at(path, error), end; !error && at != end; at.increment(error)) {
    const std::string name = at->path().filename().string();
    current = current || name == "CURRENT";
    // What an interrupted creation may leave behind.
    strange = strange || !(name == "LOCK" || name == "IDENTITY" || name == "lost+found" || name.starts_with("LOG") ||
                           name.starts_with("MANIFEST-") || name.starts_with("OPTIONS-") || name.ends_with(".dbtmp"));
  }
  if (error) return fail(errno_error(path, error.value()));
  if (current) return {};
  if (!options.create) return fail(Errc::kNotFound, path + ": holds no store (make one there with create)");
  if (strange) {
    return fail(Errc::kAlreadyExists, path + ": holds other files (a store needs an empty folder of its own)");
  }
  return {};
}

rocksdb::Options database_options(const RocksdbOptions& options) {
  rocksdb::Options out;
  out.create_if_missing = options.create;
  out.create_missing_column_families = options.create;
  out.max_background_jobs = static_cast<int>(options.background_threads);
  out.write_buffer_size = options.write_buffer_bytes;
  out.max_total_wal_size = options.write_buffer_bytes * 4;
  // A torn record at the very end is a round that was never acknowledged; damage elsewhere is not passed over.
  out.wal_recovery_mode = options.drop_damaged_log ? rocksdb::WALRecoveryMode::kPointInTimeRecovery
                                                   : rocksdb::WALRecoveryMode::kTolerateCorruptedTailRecords;
  out.track_and_verify_wals_in_manifest = true;
  out.avoid_flush_during_shutdown = true;  // the log has it all
  out.keep_log_file_num = 4;
  out.max_log_file_size = 16u << 20;
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = rocksdb::NewLRUCache(options.cache_bytes);
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  table.cache_index_and_filter_blocks = true;
  table.pin_l0_filter_and_index_blocks_in_cache = true;
  table.format_version = 5;
  out.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return out;
}

Error foreign_error(const std::string& path) {
  return {Errc::kInvalidArgument, path + ": is a RocksDB database of another program (name another folder)"};
}

Result<bool> has_no_keys(const std::string& path, rocksdb::DB& db, rocksdb::ColumnFamilyHandle* family) {
  const std::unique_ptr<rocksdb::Iterator> at(db.NewIterator(rocksdb::ReadOptions(), family));
  at->SeekToFirst();
  if (!at->status().ok()) return fail(rocksdb_error(path, at->status()));
  return !at->Valid();
}

// A database without our family may be what an interrupted creation left; then it holds nothing.
Result<bool> is_unused(const std::string& path) {
  rocksdb::DB* db = nullptr;
  const rocksdb::Status status = rocksdb::DB::OpenForReadOnly(rocksdb::Options(), path, &db);
  if (!status.ok()) return fail(rocksdb_error(path, status));
  const std::unique_ptr<rocksdb::DB> owner(db);
  return has_no_keys(path, *db, db->DefaultColumnFamily());
}

// Reads a record of the meta family.
Result<std::optional<std::uint64_t>> read_record(const std::string& path, OpenedRocksdb& opened, const char* key,
                                                 RecordKind kind) {
  std::string bytes;
  const rocksdb::Status status = opened.db->Get(rocksdb::ReadOptions(), opened.meta.get(), key, &bytes);
  if (status.IsNotFound()) return std::nullopt;
  if (!status.ok()) return fail(rocksdb_error(path, status));
  auto value = decode_record(kind, bytes);
  if (!value) return std::unexpected(std::move(value).error().context(fmt::format("{}: meta key '{}'", path, key)));
  return *value;
}

// Checks that it is ours, or makes it ours if it is new.
Result<> check_format(const RocksdbOptions& options, OpenedRocksdb& opened) {
  const std::string& path = options.path;
  FF_TRY_ASSIGN(const auto format, read_record(path, opened, kFormatKey, RecordKind::kFormat));
  if (!format) {
    FF_TRY_ASSIGN(const bool no_data, has_no_keys(path, *opened.db, opened.data.get()));
    FF_TRY_ASSIGN(const bool no_meta, has_no_keys(path, *opened.db, opened.meta.get()));
    if (!options.create || !no_data || !no_meta) return fail(foreign_error(path));
    rocksdb::WriteOptions durable;
    durable.sync = true;
    const rocksdb::Status status =
        opened.db->Put(durable, opened.meta.get(), kFormatKey, encode_record(RecordKind::kFormat, kStoreFormat));
    if (!status.ok()) return fail(rocksdb_error(path, status));
    return {};
  }
  if (*format != kStoreFormat) {
    return fail(Errc::kUnsupported, fmt::format("{}: is a store of format {}, this program knows {} (use the program "
                                                "that wrote it)",
                                                path, *format, kStoreFormat));
  }
  FF_TRY_ASSIGN(const auto version, read_record(path, opened, kVersionKey, RecordKind::kLastVersion));
  opened.version = version.value_or(0);
  return {};
}

}  // namespace

Error rocksdb_error(const std::string& path, const rocksdb::Status& status) {
  Errc code = Errc::kIo;
  const std::string text = status.ToString();
  if (status.IsCorruption()) code = Errc::kCorrupt;
  if (status.IsNoSpace() || text.find("No space left") != std::string::npos) code = Errc::kExhausted;
  if (text.find("Permission denied") != std::string::npos) code = Errc::kPermission;
  if (text.find("Too many open files") != std::string::npos) code = Errc::kExhausted;
  return {code, fmt::format("{}: {}", path, text)};
}

Result<OpenedRocksdb> open_rocksdb(const RocksdbOptions& options) {
  FF_TRY(check_options(options));
  FF_TRY(check_folder(options));
  const rocksdb::Options how = database_options(options);
  std::vector<std::string> families;
  const bool made = rocksdb::DB::ListColumnFamilies(how, options.path, &families).ok();
  if (made && std::ranges::find(families, kMetaFamily) == families.end()) {
    FF_TRY_ASSIGN(const bool unused, is_unused(options.path));
    if (!options.create || !unused) return fail(foreign_error(options.path));
  }
  if (std::ranges::any_of(families, [](const std::string& name) {
        return name != rocksdb::kDefaultColumnFamilyName && name != kMetaFamily;
      })) {
    return fail(foreign_error(options.path));
  }

  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* db = nullptr;
  const rocksdb::Status status = rocksdb::DB::Open(
      how, options.path, {{rocksdb::kDefaultColumnFamilyName, how}, {kMetaFamily, how}}, &handles, &db);
  if (!status.ok()) return fail(open_error(options.path, status));
  OpenedRocksdb opened{.db = std::unique_ptr<rocksdb::DB>(db),
                       .data = std::unique_ptr<rocksdb::ColumnFamilyHandle>(handles[0]),
                       .meta = std::unique_ptr<rocksdb::ColumnFamilyHandle>(handles[1])};
  FF_TRY(check_format(options, opened));
  return opened;
}

}  // namespace ff::kv
