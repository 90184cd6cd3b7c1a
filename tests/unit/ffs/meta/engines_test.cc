#include "tests/unit/ffs/meta/namespace_suite.hpp"
#ifdef FF_WITH_ROCKSDB
#include "tests/unit/ffs/meta/rocksdb_engine.hpp"
#endif

namespace ff::ffs {

INSTANTIATE_TEST_SUITE_P(Memory, NamespaceTest, ::testing::Values(MetaEngineFactory(make_memory_engine)));
#ifdef FF_WITH_ROCKSDB
INSTANTIATE_TEST_SUITE_P(Rocksdb, NamespaceTest, ::testing::Values(MetaEngineFactory(make_rocksdb_engine)));
#endif

}  // namespace ff::ffs
