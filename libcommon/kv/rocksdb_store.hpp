// The `rocksdb` engine of kv_store.hpp: embedded, one process. Conflicts are decided in memory by a Resolver, on the
// Env's thread; a thread of its own makes commits durable in rounds; reads go to RocksDB snapshots, on the Env's thread
// where they are in memory and by Env::offload() where not.
//
// Durable    A commit is acknowledged after its round was synced. kill -9 and power cuts lose nothing acknowledged and
//            tear no transaction; versions never go back.
// Failure    When a write or sync fails, that round's commits are kMaybeCommitted, later ones fail with the reason
//            (kIo, kExhausted, ...), leases are lost, reads go on at the last durable version. Restarting mends it.
// Leases     Held until released or until the store fails: no other process can have the store open. `ttl` does
// nothing. Watches    May tell early, of a change that is being committed, and of none at all when watch() is given a
// version older
//            than some thousand commits.
#pragma once

#include <memory>

#include "libcommon/kv/kv_store.hpp"
#include "libcommon/kv/rocksdb_options.hpp"

namespace ff::kv {

// Opens (by Env::offload(): recovery reads the log).
// Errors  kNotFound, kPermission, kUnavailable (open in a process, which it names), kInvalidArgument (not a store),
//         kUnsupported (a store of another format), kCorrupt, kIo.
runtime::Task<Result<std::unique_ptr<KvStore>>> open_rocksdb_store(runtime::Env& env, RocksdbOptions options);

}  // namespace ff::kv
