// Memory for coroutine frames: free lists by size, one set a thread, because a request costs several frames and malloc
// would be a good part of its price. Under AddressSanitizer it is plain new, so that use after free is seen.
// A frame may be freed on another thread than it came from; it then joins that thread's lists.
#pragma once

#include <cstddef>

namespace ff::runtime {

void* allocate_frame(std::size_t bytes);
void free_frame(void* frame, std::size_t bytes) noexcept;

}  // namespace ff::runtime
