// Opening a RocksDB folder as ours: what may stand there, what is refused, and in which words.
#pragma once

#include <rocksdb/db.h>

#include <memory>
#include <string>

#include "libcommon/base/result.hpp"
#include "libcommon/kv/rocksdb_options.hpp"

namespace ff::kv {

// An error of RocksDB in our words: "path: reason".
Error rocksdb_error(const std::string& path, const rocksdb::Status& status);

struct OpenedRocksdb {
  std::unique_ptr<rocksdb::DB> db;  // goes after its families
  std::unique_ptr<rocksdb::ColumnFamilyHandle> data;
  std::unique_ptr<rocksdb::ColumnFamilyHandle> meta;
  std::uint64_t version = 0;
};

// Opens, or makes when asked to, and checks the format.
Result<OpenedRocksdb> open_rocksdb(const RocksdbOptions& options);

inline constexpr const char* kFormatKey = "format";
inline constexpr const char* kVersionKey = "version";
inline constexpr const char* kLeaseKeyPrefix = "lease/";

}  // namespace ff::kv
