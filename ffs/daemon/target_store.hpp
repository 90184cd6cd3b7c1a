// The chunk store of a target, opened for service. One whose own structures are damaged (a rotten record of its journal
// or tables, which the store refuses to guess about) is set aside whole, and an empty store takes its place: the chain
// fills it, as it fills a new disk. Nothing is deleted; what is set aside serves whoever wants to look, or to put it
// back when the chain has no other copy.
//
// Layout   FOLDER            the store in service
//          FOLDER.damaged    the one set aside; while it is there, a second damaged store stays where it is, closed
//          FOLDER.new        an empty store on its way to FOLDER; of no worth after a crash
// Crashes  At any instant the next call finds FOLDER, or makes it anew because FOLDER.damaged stands alone.
#pragma once

#include <memory>
#include <string>

#include "ffs/store/chunk_store.hpp"
#include "libcommon/runtime/env.hpp"

namespace ff::ffs {

// Errors: those of ChunkStore::open(), except that kCorrupt means that there is a damaged one aside already.
runtime::Task<Result<std::unique_ptr<ChunkStore>>> open_target_store(runtime::Env& env, std::string folder,
                                                                     StoreIdentity identity, StoreOptions options);

}  // namespace ff::ffs
