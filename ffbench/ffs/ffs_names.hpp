// The steps of a MetaPlan on a file system of Fire-Flyer, through libffs: each task is a coroutine with one operation
// outstanding, task t on client t mod clients, so that a few reactors carry thousands of tasks.
//
// Durable  A name is durable when its operation has ended.
// Errors   name the path, with ffs: before it, and the operation.
#pragma once

#include <memory>

#include "ffbench/ffs/clients.hpp"
#include "ffbench/meta/name_system.hpp"

namespace ff::bench {

std::unique_ptr<NameSystem> ffs_names(FfsClients clients);

}  // namespace ff::bench
