#include "ffs/format/types.hpp"

#include <fmt/core.h>

namespace ff::ffs {

std::string to_text(ChunkId id) { return fmt::format("{}/{}", number(id.inode), id.index); }

}  // namespace ff::ffs
