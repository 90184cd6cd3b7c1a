// How the embedded engine is opened.
#pragma once

#include <cstdint>
#include <string>

namespace ff::kv {

struct RocksdbOptions {
  std::string path;  // a folder of its own
  bool create = false;
  bool sync = true;  // false: a commit may be lost when the machine (not the process) stops; for measurements
  std::uint64_t cache_bytes = 64u << 20;         // of data blocks in memory
  std::uint64_t write_buffer_bytes = 64u << 20;  // of recent writes in memory, before they become a file
  std::uint32_t background_threads = 2;
  // A log that is damaged in the middle keeps the store from opening, because acknowledged commits are lost. True:
  // open with what precedes the damage.
  bool drop_damaged_log = false;
};

}  // namespace ff::kv
