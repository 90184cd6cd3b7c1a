// The embedded engine under a MetaWorld, in a folder of its own.
#pragma once

#include "tests/unit/ffs/meta/meta_world.hpp"

namespace ff::ffs {
std::unique_ptr<MetaEngine> make_rocksdb_engine();
}
