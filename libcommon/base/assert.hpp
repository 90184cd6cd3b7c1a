// FF_ASSERT: a bug of ours stops the program with the place, the condition and its operands, also in release
// builds. For what a user or a peer can cause, return an Error instead. Not for inner loops.
//   FF_ASSERT(a == b, a, b);
#pragma once

#include <sstream>
#include <string>
#include <string_view>

namespace ff {

[[noreturn]] void assert_failed(const char* file, int line, const char* condition, std::string_view operands);

template <class... Args>
std::string describe_operands(const Args&... args) {
  std::ostringstream out;
  const char* separator = "";
  ((out << separator << args, separator = ", "), ...);
  return out.str();
}

}  // namespace ff

#define FF_ASSERT(condition, ...)                                                                \
  do {                                                                                           \
    if (!(condition)) [[unlikely]]                                                               \
      ::ff::assert_failed(__FILE__, __LINE__, #condition, ::ff::describe_operands(__VA_ARGS__)); \
  } while (false)
