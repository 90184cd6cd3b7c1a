// WatchList: the watches of one store handle, told by whoever learns of commits.
//
// Threads    Those of the Env whose tasks wait.
// Ownership  Outlives its watches.
#pragma once

#include <memory>
#include <string_view>

#include "libcommon/kv/kv_store.hpp"
#include "libcommon/kv/write_set.hpp"
#include "libcommon/runtime/list.hpp"
#include "libcommon/runtime/wait_queue.hpp"

namespace ff::kv {

class WatchList {
 public:
  // Of changes after version `now`. `changed`: something is to be told already, at `now`.
  std::unique_ptr<Watch> add(KeyRange range, bool changed, Version now);
  bool empty() const noexcept { return watches_.empty(); }
  // The commit `version`, which can be read now, wrote this. `range` is not empty.
  void wrote(const KeyRange& range, Version version);
  void wrote(std::string_view key, Version version);
  void wrote(const WriteSet& writes, Version version);
  // Ends every wait, and those to come, with the error.
  void fail_all(const Error& why);

 private:
  struct Entry;
  runtime::IntrusiveList<Entry, Entry> watches_;
};

}  // namespace ff::kv
