// The whole store of a namespace against its own rules: every entry has an inode; links are entries; directories are
// reachable by one way, without loops; counters and quotas are what a count gives; what has no name is garbage;
// intents, sessions and chunks belong to inodes that are there.
#pragma once

#include <string>
#include <vector>

#include "libcommon/kv/kv_store.hpp"
#include "tests/unit/ffs/meta/fake_chunks.hpp"

namespace ff::ffs {

// What is wrong, in words; an error when it cannot be read. `settled`: no garbage, truncate or session may be left.
runtime::Task<Result<std::vector<std::string>>> check_namespace(kv::KvStore& store, const FakeChunks& chunks,
                                                                bool settled);

}  // namespace ff::ffs
