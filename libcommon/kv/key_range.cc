#include "libcommon/kv/key_range.hpp"

#include <fmt/core.h>

namespace ff::kv {

KeyRange prefix_range(std::string_view prefix) {
  std::string end(prefix);
  // The first string after all that begin with the prefix: its last byte that can grow, grown.
  while (!end.empty() && end.back() == '\xff') end.pop_back();
  if (!end.empty()) end.back() = static_cast<char>(static_cast<unsigned char>(end.back()) + 1);
  return {std::string(prefix), std::move(end)};
}

std::string printable_key(std::string_view key) {
  constexpr std::size_t kShown = 60;
  std::string text = "'";
  for (const char c : key) {
    if (text.size() > kShown) return text + "...'";
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7f && byte != '\\' && byte != '\'') {
      text.push_back(c);
    } else {
      text += fmt::format("\\x{:02x}", byte);
    }
  }
  return text + "'";
}

}  // namespace ff::kv
