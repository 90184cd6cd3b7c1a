#include "libcommon/base/assert.hpp"

#include <cstdio>
#include <cstdlib>

namespace ff {

void assert_failed(const char* file, int line, const char* condition, std::string_view operands) {
  std::fprintf(stderr, "%s:%d: assertion failed: %s%s%.*s%s\n", file, line, condition, operands.empty() ? "" : " [",
               static_cast<int>(operands.size()), operands.data(), operands.empty() ? "" : "]");
  std::abort();
}

}  // namespace ff
